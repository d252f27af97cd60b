"""How wrong an estimate is: hide hours that were measured, estimate them, compare."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from citygate.quantity.clock import US_PER_HOUR
from citygate.validation.estimate import Known, Ladder, Method, estimate, standard_ladder

if TYPE_CHECKING:
    from collections.abc import Sequence

_ALWAYS = float("inf")


def backtest(
    known: Known, gap_hours: Sequence[int], *, gap_count: int, seed: int, ladder: Ladder | None = None
) -> pl.DataFrame:
    """Return the error of every method on gaps of every length, cut at random into measured hours.

    The total of a gap is known, as between two registers, so only the shape can be wrong.

    Args:
        known: Measured hours of meters without holes, their weather and customers.
        gap_hours: Lengths of gap to try [h].
        gap_count: Gaps to try of each length and meter.
        seed: Of the random places.
        ladder: Limits; the standard ones when None.

    Returns:
        One row for each length and method: ``gap_hours``, ``method``, ``chosen`` (whether the ladder picks it),
        ``hours`` (that the method could fill), ``mean_l`` (measured), ``mae_l``, ``rmse_l``, ``relative_error``
        (rmse over mean) [1].
    """
    limits = standard_ladder() if ladder is None else ladder
    rows = []
    for hours in gap_hours:
        gaps = _random_gaps(known.hours, hours, gap_count, np.random.default_rng([seed, hours]))
        picked = estimate(gaps.head(1), known, limits)["method"][0]
        for method, forced in _forced(limits).items():
            filled = estimate(gaps, known, forced).filter(pl.col("method") == method.value)
            rows.append(
                {"gap_hours": hours, "method": method.value, "chosen": method == picked, **_errors(filled, gaps, known)}
            )
    return pl.DataFrame(rows)


def _forced(ladder: Ladder) -> dict[Method, Ladder]:
    return {
        Method.LINEAR: replace(ladder, linear_hours=_ALWAYS),
        Method.SIMILAR_DAY: replace(ladder, linear_hours=0.0, similar_day_hours=_ALWAYS),
        Method.OWN_HOURS: replace(ladder, linear_hours=0.0, similar_day_hours=0.0),
        Method.PROFILE: replace(ladder, linear_hours=0.0, reference_hours=0),
    }


def _random_gaps(hours: pl.DataFrame, length: int, count: int, rng: np.random.Generator) -> pl.DataFrame:
    parts = []
    for (meter,), mine in hours.sort("meter", "hour_start_us").group_by("meter", maintain_order=True):
        place = rng.integers(0, len(mine) - length, count)
        total_l = np.concatenate([[0], mine["volume_l"].cum_sum().to_numpy()])
        start_us = mine["hour_start_us"].to_numpy()[place]
        parts.append(
            pl.DataFrame(
                {
                    "meter": pl.Series(np.full(count, meter), dtype=pl.Int32),
                    "from_us": start_us,
                    "to_us": start_us + length * US_PER_HOUR,
                    "volume_l": total_l[place + length] - total_l[place],
                }
            )
        )
    return pl.concat(parts)


def _errors(filled: pl.DataFrame, gaps: pl.DataFrame, known: Known) -> dict[str, float]:
    meters = gaps.select("meter", gap=pl.int_range(pl.len(), dtype=pl.Int64))
    measured = known.hours.select("meter", "hour_start_us", truth_l="volume_l")
    compared = filled.join(meters, on="gap").join(measured, on=["meter", "hour_start_us"])
    off_l = pl.col("volume_l") - pl.col("truth_l")
    square = off_l.cast(pl.Float64).pow(2)
    total = compared.select(
        hours=pl.len(), mean_l=pl.col("truth_l").mean(), mae_l=off_l.abs().mean(), rmse_l=square.mean().sqrt()
    )
    return total.with_columns(relative_error=pl.col("rmse_l") / pl.col("mean_l")).row(0, named=True)
