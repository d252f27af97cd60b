"""Totals as people read them: local times, cubic metres and kilowatt hours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from citygate.quantity.clock import CityClock


def totals_for_people(found: pl.DataFrame, clock: CityClock) -> pl.DataFrame:
    """Return totals with local times, cubic metres and kilowatt hours, each rounded to three decimals."""
    times = {}
    for name in ("period_start", "period_end"):
        known = found[f"{name}_us"].unique()
        times[name] = pl.col(f"{name}_us").replace_strict(
            known, [clock.format(at) for at in known], return_dtype=pl.String
        )
    return found.select(
        times["period_start"].alias("period_start"),
        times["period_end"].alias("period_end"),
        "group",
        _thousands(found["volume_l_e5"]).alias("volume_m3"),
        _thousands(found["energy_wh_e5"]).alias("energy_kwh"),
        *(pl.col(f"{name}_share").round(6) for name in ("measured", "estimated", "missing", "modelled")),
    )


def _thousands(exact_e5: pl.Series) -> pl.Series:
    # numpy divides, where polars multiplies by the reciprocal: only the former gives 713.223 and not 713.2230000000001.
    return pl.Series((exact_e5.to_numpy() + 50_000) // 100_000 / 1_000.0, dtype=pl.Float64)
