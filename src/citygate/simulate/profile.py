"""The German standard load profiles for gas: what a customer of a kind uses in an hour of a day of a temperature.

References:
    [1] BDEW/VKU/GEODE, Leitfaden Abwicklung von Standardlastprofilen Gas (sigmoid function, weekday and hour factors).
    [2] demandlib 0.2.2 (MIT), ``bdew_data``: the coefficients, kept in ``data/profile`` with their source.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from citygate.simulate.weather import Floats, at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citygate.quantity.clock import CityClock, Micros

#: The coldest day for which German gas networks are designed [°C], DIN EN 12831, Upper Rhine.
DESIGN_C = -12.0
_REFERENCE_C = 40.0
_WEIGHTS = np.array([1.0, 0.5, 0.25, 0.125]) / 1.875


def day_heat(profile: str, building_class: int, effective_c: Floats) -> Floats:
    """Return the share of a day's use that depends on the temperature, A / (1 + (B / (T - 40))^C) of [1].

    Args:
        profile: Such as EFH (house), MFH (flats), GKO (offices), GHA (shops), GBD (services).
        building_class: 1 to 11 for EFH and MFH (11 is the mean of Germany), 0 for the others.
        effective_c: Weighted temperature of the day [°C], below 40.
    """
    a, b, c, _ = _sigmoid(profile, building_class)
    heat: Floats = a / (1.0 + (b / (effective_c - _REFERENCE_C)) ** c)
    return heat


def day_water(profile: str, building_class: int) -> float:
    """Return the share of a day's use that does not depend on the temperature, D of [1]."""
    return _sigmoid(profile, building_class)[3]


def design_hour(profile: str, building_class: int) -> float:
    """Return the largest hour of a day at `DESIGN_C` as a share of the customer value of a day."""
    day = float(day_heat(profile, building_class, np.array([DESIGN_C]))[0]) + day_water(profile, building_class)
    hours = _hours(profile, building_class)
    return day * float(hours[:, :, _interval(np.array([DESIGN_C]))[0]].max())


def table(
    kinds: Sequence[tuple[str, int]], begin_us: Micros, weather: pl.DataFrame, clock: CityClock
) -> tuple[Floats, Floats]:
    """Return what each kind of customer uses per hour, as a share of its customer value (use of a day at about 8 °C).

    Args:
        kinds: Profiles with their building class.
        begin_us: Begin of each hour or part of an hour [µs UTC].
        weather: Hourly temperature from at least three days before [mK].
        clock: Gives the local day and hour.

    Returns:
        The part for heating and the part for hot water and processes, each of shape (kinds, instants) [1/h].
    """
    local = pl.Series(begin_us, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(clock.zone)
    hour, weekday = local.dt.hour().to_numpy().astype(np.int64), local.dt.weekday().to_numpy().astype(np.int64) - 1
    effective_c = _effective_c(local, weather, clock)
    interval = _interval(effective_c)
    heat, water = [], []
    for profile, building_class in kinds:
        share = _hours(profile, building_class)[weekday, hour, interval] * _weekdays(profile)[weekday]
        heat.append(day_heat(profile, building_class, effective_c) * share)
        water.append(day_water(profile, building_class) * share)
    return np.array(heat), np.array(water)


def _effective_c(local: pl.Series, weather: pl.DataFrame, clock: CityClock) -> Floats:
    """Return the temperature of each instant's local day, weighted with the three days before it [1]."""
    hours_us = weather["at_us"].to_numpy()
    days = (
        weather["at_us"]
        .cast(pl.Datetime("us", "UTC"))
        .dt.convert_time_zone(clock.zone)
        .dt.date()
        .to_physical()
        .to_numpy()
    )
    first, count = int(days[0]), int(days[-1] - days[0]) + 1
    celsius = at(weather, hours_us)
    mean = np.bincount(days - first, celsius, count) / np.maximum(np.bincount(days - first, minlength=count), 1)
    padded = np.concatenate([np.full(3, mean[0]), mean])
    effective = sum(weight * padded[3 - back : 3 - back + count] for back, weight in enumerate(_WEIGHTS))
    chosen: Floats = np.asarray(effective)[np.clip(local.dt.date().to_physical().to_numpy() - first, 0, count - 1)]
    return chosen


def _interval(effective_c: Floats) -> Micros:
    """Return the number, from 0, of the interval of the hour factors: up to -15 °C, to -10, ..., above 25."""
    number: Micros = np.clip(np.ceil(np.ceil(effective_c) / 5.0) + 3, 0, 9).astype(np.int64)
    return number


@lru_cache(maxsize=1)
def _tables() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    with resources.as_file(resources.files("citygate.simulate") / "data" / "profile") as folder:
        return (
            pl.read_csv(folder / "sigmoid.csv"),
            pl.read_csv(folder / "weekday.csv"),
            pl.read_parquet(folder / "hour.parquet"),
        )


@lru_cache(maxsize=64)
def _sigmoid(profile: str, building_class: int) -> tuple[float, float, float, float]:
    rows = _tables()[0].filter(
        (pl.col("profile") == profile) & (pl.col("building_class") == building_class) & (pl.col("wind_impact") == 0)
    )
    a, b, c, d = rows.select("a", "b", "c", "d").row(0)
    return a, b, c, d


@lru_cache(maxsize=64)
def _weekdays(profile: str) -> Floats:
    return _tables()[1].filter(pl.col("profile") == profile).sort("weekday")["factor"].to_numpy()


@lru_cache(maxsize=64)
def _hours(profile: str, building_class: int) -> Floats:
    """Return the hour factors by weekday, hour and interval; homes have the same for every weekday."""
    rows = (
        _tables()[2]
        .filter((pl.col("profile") == profile) & (pl.col("building_class") == building_class))
        .sort("weekday", "hour_of_day")
    )
    factors = rows.select(pl.selectors.starts_with("interval")).to_numpy().reshape(-1, 24, 10)
    return np.broadcast_to(factors, (7, 24, 10))
