"""Outdoor temperature of every hour: a file of the user, or the packaged test year moved to the period."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from citygate.errors import CitygateError
from citygate.quantity.clock import US_PER_HOUR, Micros

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Floats = npt.NDArray[np.float64]
#: Days before the period that the profiles and the walls of houses still remember.
LEAD_DAYS = 4
KELVIN_MK = 273_150
_DAY_US = 24 * US_PER_HOUR


class BadWeatherError(CitygateError):
    """A weather file lacks columns or does not cover the period."""

    code = "bad_weather"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"weather file: {reason}; it needs at_us and temperature_mk for every hour of the period")


def hourly(start_us: int, end_us: int, given: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return the temperature at every full hour from ``LEAD_DAYS`` before the start to the end, included.

    Without a frame of the user it is the test year of Mannheim (Upper Rhine; see ``data/weather/README.md``): month,
    day and hour of Central European Time are kept, 29 February repeats 28 February.

    Args:
        start_us: Begin of the period [µs UTC].
        end_us: End of the period [µs UTC].
        given: Columns ``at_us`` and ``temperature_mk``; the newest value at or before each hour holds. The lead days
            may be missing: then the first value of the period holds.

    Returns:
        Columns ``at_us`` [µs UTC] and ``temperature_mk`` [mK], sorted.

    Raises:
        BadWeatherError: The frame lacks a column or starts or ends more than one hour inside the period.
    """
    first = start_us // US_PER_HOUR * US_PER_HOUR - LEAD_DAYS * _DAY_US
    at_us = np.arange(first, end_us + US_PER_HOUR, US_PER_HOUR, dtype=np.int64)
    if given is None:
        return pl.DataFrame({"at_us": at_us, "temperature_mk": _test_year()[_hours_of_year(at_us)]})
    if not {"at_us", "temperature_mk"} <= set(given.columns):
        raise BadWeatherError(f"it has the columns {given.columns}")
    known = (
        given.select(pl.col("at_us", "temperature_mk").cast(pl.Int64))
        .drop_nulls()
        .unique("at_us", keep="last")
        .sort("at_us")
    )
    if known.is_empty() or known["at_us"][0] > start_us + US_PER_HOUR or known["at_us"][-1] < end_us - 2 * US_PER_HOUR:
        raise BadWeatherError("it does not cover the period")
    found = np.maximum(np.searchsorted(known["at_us"].to_numpy(), at_us, side="right") - 1, 0)
    return pl.DataFrame({"at_us": at_us, "temperature_mk": known["temperature_mk"].to_numpy()[found]})


def read(path: Path) -> pl.DataFrame:
    """Return the weather of a Parquet or CSV file with ``at_us`` and ``temperature_mk``.

    Raises:
        BadWeatherError: The file cannot be read.
    """
    try:
        return pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as cause:
        raise BadWeatherError(f"{path} cannot be read ({cause})") from cause


def at(weather: pl.DataFrame, instants_us: Micros) -> Floats:
    """Return the temperature of the hour that holds each instant [°C]."""
    index = np.searchsorted(weather["at_us"].to_numpy(), instants_us, side="right") - 1
    celsius: Floats = (weather["temperature_mk"].to_numpy()[np.maximum(index, 0)] - KELVIN_MK) / 1_000.0
    return celsius


def felt(weather: pl.DataFrame, instants_us: Micros, hours: Sequence[int]) -> Floats:
    """Return what houses of several time constants feel: the exponentially smoothed temperature [°C], one row each.

    Args:
        weather: Result of `hourly`.
        instants_us: When [µs UTC].
        hours: Time constants [h].
    """
    celsius = (weather["temperature_mk"].to_numpy() - KELVIN_MK) / 1_000.0
    keep = np.exp(-1.0 / np.array(hours, dtype=np.float64))
    smooth = np.empty((len(celsius), len(hours)))
    level = np.full(len(hours), celsius[:24].mean())
    for hour, now_c in enumerate(celsius):
        level = keep * level + (1.0 - keep) * now_c
        smooth[hour] = level
    index = np.searchsorted(weather["at_us"].to_numpy(), instants_us, side="right") - 1
    return np.ascontiguousarray(smooth[np.maximum(index, 0)].T)


@lru_cache(maxsize=1)
def _test_year() -> Micros:
    file = resources.files("citygate.simulate") / "data" / "weather" / "mannheim_test_year.parquet"
    with resources.as_file(file) as path:
        return pl.read_parquet(path)["temperature_mk"].cast(pl.Int64).to_numpy()


def _hours_of_year(at_us: Micros) -> Micros:
    """Return the place of each instant in a year of 8,760 hours, each of which ends at its instant, CET."""
    cet = pl.Series(at_us + US_PER_HOUR, dtype=pl.Int64).cast(pl.Datetime("us"))
    begin = np.cumsum([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30], dtype=np.int64)
    month, day = cet.dt.month().cast(pl.Int64).to_numpy(), cet.dt.day().cast(pl.Int64).to_numpy()
    day = np.where((month == 2) & (day == 29), 28, day)  # noqa: PLR2004 - 29 February
    hours: Micros = (begin[month - 1] + day - 1) * 24 + cet.dt.hour().cast(pl.Int64).to_numpy() - 1
    return hours % 8_760
