"""Hourly readings of many meters in the order in which they arrive: shuffled, with late and repeated rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR_US = 3_600_000_000
START_US = 1_735_707_600_000_000
"""2025-01-01 06:00 in Europe/Berlin."""
_LATE, _REPEATED = 0.01, 0.002


def names(meters: int) -> pl.Series:
    return pl.Series("meter", [f"GAS{number:08}" for number in range(meters)])


def registry(meters: int) -> pl.DataFrame:
    number = pl.Series(range(meters))
    kinds = pl.Series(["household", "household", "household", "commercial"])
    return pl.DataFrame(
        {
            "meter": names(meters),
            "zone": pl.Series([f"zone {zone:02}" for zone in range(24)]).gather(number % 24),
            "provider": pl.Series(["north", "south"]).gather(number % 2),
            "customer_type": kinds.gather(number % 4),
            "pulse_l": pl.Series([1, 10, 10, 100]).gather(number % 4),
            "qmax_lph": pl.repeat(6_000, meters, eager=True),
        }
    )


def batches(
    meters: int, hours: int, seed: int, *, full: bool, hours_at_once: int = 24, shuffled: bool = True
) -> Iterator[pl.DataFrame]:
    """Yield ``meter`` (number), ``at_us``, ``index_l`` and, when full, flow, pressure and temperature."""
    rng = np.random.default_rng(seed)
    pulse = np.array([1, 10, 10, 100])[np.arange(meters) % 4]
    register = rng.integers(0, 50_000_000, meters)
    scale = rng.gamma(2.0, 120.0, meters)
    late: pl.DataFrame | None = None
    for first in range(0, hours, hours_at_once):
        count = min(hours_at_once, hours - first)
        clock = np.arange(first, first + count)
        winter = 1.0 + 0.9 * np.cos(2 * np.pi * clock / 8_766)
        busy = rng.random((meters, count)) < 0.25 + 0.5 * np.isin(clock % 24, (0, 1, 2, 11, 12, 13, 14))
        use = rng.exponential(1.0, (meters, count)) * scale[:, None] * winter * busy
        exact = register[:, None] + np.cumsum(use, axis=1).astype(np.int64)
        register = exact[:, -1]
        columns = {
            "meter": np.repeat(np.arange(meters, dtype=np.int32), count),
            "at_us": np.tile(START_US + clock * HOUR_US, meters),
            "index_l": (exact // pulse[:, None] * pulse[:, None]).ravel(),
        }
        if full:
            columns["flow_lph"] = (use.astype(np.int64) // 10 * 10).ravel()
            columns["pressure_pa"] = (103_500 + rng.normal(0, 120, (meters, count)).astype(np.int64) // 10 * 10).ravel()
            warm = 280_000 + 4_000 * np.sin(2 * np.pi * clock / 24) + rng.normal(0, 300, (meters, count))
            columns["temperature_mk"] = (warm.astype(np.int64) // 100 * 100).ravel()
        frame = pl.DataFrame(columns)
        if not shuffled:
            yield frame
            continue
        fate = pl.Series(rng.random(len(frame)))
        held, sent = frame.filter(fate < _LATE), frame.filter(fate >= _LATE)
        parts = [sent, frame.filter(fate > 1 - _REPEATED), *([] if late is None else [late])]
        late = held
        yield pl.concat(parts).sample(fraction=1.0, shuffle=True, seed=seed + first)


def named(frame: pl.DataFrame, known: pl.Series) -> pl.DataFrame:
    return frame.with_columns(known.gather(frame["meter"]).alias("meter"))
