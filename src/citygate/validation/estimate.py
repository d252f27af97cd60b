"""Fill gaps between two readings: the total is known, the ladder says how it falls on the hours.

A gap of up to two hours is filled in proportion to time, one of up to a week from the days around it. A longer one has
the days of the standard profile of the customer and the hours of the days around it; where nothing is known around it,
the hours of the profile are taken too. Every method gives weights only, so a filled gap always sums to its total.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from citygate.quantity.clock import US_PER_HOUR, CityClock
from citygate.validation.profile import Floats, Whole, effective_temperature_c, profile_of

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Hours of gaps, and around them, that are held at once.
_HOURS_AT_ONCE = 1_000_000
_ZERO_MK = 273_150
_SATURDAY = 5
#: The day for which the customer value of a standard load profile is 1.
_USUAL_C = 8.0

Names = npt.NDArray[np.object_]
Mask = npt.NDArray[np.bool_]


class Method(StrEnum):
    """How a gap was filled."""

    LINEAR = "linear"
    SIMILAR_DAY = "similar_day"
    OWN_HOURS = "own_hours"
    PROFILE = "profile"


@dataclass(frozen=True, slots=True)
class Ladder:
    """Limits of the ladder, and what each method was found to be wrong by.

    Args:
        linear_hours: Longest gap that is filled in proportion to time [h].
        similar_day_hours: Longest gap that is filled from the days around it [h].
        reference_hours: How far the days around a gap reach, before it and after it [h].
        heating_limit_c: A day below this temperature has degree days [°C].
        base_load_k: Degree days that the use of a warm day is worth [K].
        relative_error: Standard deviation of an hour's estimate as a share of the mean hour of the gap [1], by method.
    """

    linear_hours: float
    similar_day_hours: float
    reference_hours: int
    heating_limit_c: float
    base_load_k: float
    relative_error: dict[str, float]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known around the gaps.

    Args:
        hours: Measured hours: ``meter`` (Int32 code), ``hour_start_us`` [µs UTC], ``volume_l`` [litre];
            only the week before and after each gap is looked at, so no more need be given.
        weather: Hours: ``hour_start_us`` [µs UTC], ``temperature_mk`` (outside air) [mK]. May be empty: then no day is
            taken to be colder than another.
        customer_types: Of the meters, indexed by code.
        clock: Gives the local day and hour.
    """

    hours: pl.DataFrame
    weather: pl.DataFrame
    customer_types: Sequence[str]
    clock: CityClock


def estimate(gaps: pl.DataFrame, known: Known, ladder: Ladder | None = None) -> pl.DataFrame:
    """Return the volume of every hour of every gap; the hours of a gap sum to its volume, to the litre.

    Args:
        gaps: ``meter`` (Int32 code), ``from_us``, ``to_us`` [µs UTC] with from < to, ``volume_l`` [litre],
            0 to 2^50.
        known: Measured hours, weather and customers.
        ladder: Limits; the standard ones when None.

    Returns:
        One row for each gap and UTC hour that it touches, in the order of the gaps: ``gap`` (row in ``gaps``, Int64),
        ``hour_start_us`` (Int64), ``volume_l`` (Int64), ``method`` (String, of `Method`), ``error_l`` (Int64: the
        standard deviation that the method showed on measured homes).
    """
    limits = standard_ladder() if ladder is None else ladder
    hours = (gaps["to_us"] - gaps["from_us"]).to_numpy() // US_PER_HOUR + 2 * limits.reference_hours + 2
    chunk = np.cumsum(hours) // _HOURS_AT_ONCE
    opening = [0, *(np.flatnonzero(np.diff(chunk)) + 1).tolist(), len(gaps)]
    parts = [
        _estimate_chunk(gaps[start:end], known, limits).with_columns(pl.col("gap") + start)
        for start, end in pairwise(opening)
    ]
    return pl.concat(parts)


@lru_cache(maxsize=1)
def standard_ladder() -> Ladder:
    """Return the ladder that ships with Citygate."""
    text = (files("citygate.validation") / "data" / "ladder.toml").read_text(encoding="utf-8")
    values: dict[str, Any] = {name: table["value"] for name, table in tomllib.loads(text).items()}
    return Ladder(**values)


@dataclass(frozen=True, slots=True)
class _Hours:
    """Hours of gaps or around them, and their place in the local calendar."""

    gap: Whole
    start_us: Whole
    hour: Whole
    weekday: Whole
    day: Whole

    @classmethod
    def of(cls, gap: Whole, start_us: Whole, clock: CityClock) -> _Hours:
        local = pl.Series(start_us, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(clock.zone)
        columns = (local.dt.hour(), local.dt.weekday() - 1, local.dt.date().to_physical())
        hour, weekday, day = (column.cast(pl.Int64).to_numpy() for column in columns)
        return cls(gap, start_us, hour, weekday, day)


@dataclass(frozen=True, slots=True)
class _Days:
    """Mean and effective temperature of consecutive local days from ``first`` [°C]; none where there is no weather."""

    first: int
    mean_c: Floats
    effective_c: Floats

    @classmethod
    def of(cls, known: Known) -> _Days:
        if len(known.weather) == 0:
            return cls(0, np.full(1, _USUAL_C), np.full(1, _USUAL_C))
        stamp = pl.col("hour_start_us").cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(known.clock.zone)
        daily = (
            known.weather.group_by(stamp.dt.date().to_physical().cast(pl.Int64).alias("day"))
            .agg(mean_c=(pl.col("temperature_mk").mean() - _ZERO_MK) / 1000)
            .drop_nulls()
            .sort("day")
        )
        day, mean_c = daily["day"].to_numpy(), daily["mean_c"].to_numpy()
        every = np.interp(np.arange(day[0], day[-1] + 1), day, mean_c)
        return cls(int(day[0]), every, effective_temperature_c(every))

    def at(self, series: Floats, day: Whole) -> Floats:
        """Return what a series says of days; outside the weather that of the nearest day."""
        taken: Floats = series[np.clip(day - self.first, 0, len(series) - 1)]
        return taken


@dataclass(frozen=True, slots=True)
class _Gaps:
    """Meter and bounds of gaps, in hours since 1970, the last excluded; ``modelled`` are those that are not linear."""

    meter: Whole
    first: Whole
    last: Whole
    modelled: Whole


def _estimate_chunk(gaps: pl.DataFrame, known: Known, ladder: Ladder) -> pl.DataFrame:
    meter, from_us, to_us, volume_l = (gaps[name].to_numpy() for name in ("meter", "from_us", "to_us", "volume_l"))
    first, last = from_us // US_PER_HOUR, -(-to_us // US_PER_HOUR)
    gap, start_us = _spread(first, last)
    overlap_us = np.minimum(start_us + US_PER_HOUR, to_us[gap]) - np.maximum(start_us, from_us[gap])
    hours = _Hours.of(gap, start_us, known.clock)
    model = _Model(known, _Days.of(known), ladder)
    length_hours = (to_us - from_us) / US_PER_HOUR
    method = np.where(length_hours <= ladder.linear_hours, Method.LINEAR.value, Method.PROFILE.value).astype(object)
    weight = np.ones(len(gap))
    modelled = np.flatnonzero(length_hours > ladder.linear_hours)
    if len(modelled) > 0:
        rate, usable = _own_rates(_Gaps(meter, first, last, modelled), hours, model)
        likely = length_hours <= ladder.similar_day_hours
        method[usable] = np.where(likely, Method.SIMILAR_DAY.value, Method.OWN_HOURS.value)[usable]
        weight = _weights(method[gap], rate, hours, meter[gap], model)
    mean_l = volume_l / np.maximum(last - first, 1)
    error = np.array([ladder.relative_error[name] for name in method], dtype=np.float64) * mean_l
    return pl.DataFrame(
        {
            "gap": gap,
            "hour_start_us": start_us,
            "volume_l": split(volume_l, gap, weight * overlap_us),
            "method": pl.Series(method[gap], dtype=pl.String),
            "error_l": np.ceil(error).astype(np.int64)[gap],
        }
    )


def split(volume_l: Whole, group: Whole, weight: Floats) -> Whole:
    """Return each group's volume shared out by weight, in whole litres that sum to the volume exactly.

    A row gets floor(v * c_i) - floor(v * c_(i-1)), with c the cumulative share of the weights up to it.

    Args:
        volume_l: Volume of each group, 0 to 2^50 [litre].
        group: Group of each row; the rows of a group are adjacent, and every group has a row.
        weight: Weight of each row, not below 0; a group whose weights are all 0 is shared out evenly.
    """
    if len(group) == 0:
        return np.zeros(0, dtype=np.int64)
    opening = np.flatnonzero(np.diff(group, prepend=group[0] - 1))
    index = np.cumsum(np.diff(group, prepend=group[0]) != 0)
    total = np.add.reduceat(weight, opening)
    even = np.where(total[index] > 0, weight, 1.0)
    total = np.add.reduceat(even, opening)
    running = np.cumsum(even / total[index])
    running -= (running[opening] - even[opening] / total)[index]
    closing = np.append(opening[1:], len(group)) - 1
    # A thousandth of a litre on top, so that a third of 90 litres is 30 of them.
    done_l = np.minimum(np.floor(volume_l[group] * running + 1e-3).astype(np.int64), volume_l[group])
    done_l[closing] = volume_l
    before_l = np.concatenate([np.zeros(1, dtype=np.int64), done_l[:-1]])
    before_l[opening] = 0
    shared: Whole = done_l - before_l
    return shared


def _spread(first: Whole, last: Whole) -> tuple[Whole, Whole]:
    """Return the group and the beginning of every hour of the groups [first, last)."""
    count = last - first
    group = np.repeat(np.arange(len(first), dtype=np.int64), count)
    within = np.arange(len(group), dtype=np.int64) - np.repeat(np.cumsum(count) - count, count)
    return group, (first[group] + within) * US_PER_HOUR


@dataclass(frozen=True, slots=True)
class _Model:
    """What turns a day into its use."""

    known: Known
    days: _Days
    ladder: Ladder

    def need(self, day: Whole) -> Floats:
        """Return the degree days of days, with those that a warm day is worth [K]."""
        cold = np.maximum(0.0, self.ladder.heating_limit_c - self.days.at(self.days.mean_c, day))
        result: Floats = self.ladder.base_load_k + cold
        return result


def _own_rates(gaps: _Gaps, hours: _Hours, model: _Model) -> tuple[Floats, Mask]:
    """Return the use per need in the same hours of the days around, and for which gaps there are such hours."""
    reach = model.ladder.reference_hours
    first, last = gaps.first[gaps.modelled], gaps.last[gaps.modelled]
    before, after = _spread(first - reach, first), _spread(last, last + reach)
    gap = gaps.modelled[np.concatenate([before[0], after[0]])]
    wanted = pl.DataFrame(
        {
            "gap": gap,
            "meter": pl.Series(gaps.meter[gap], dtype=pl.Int32),
            "hour_start_us": np.concatenate([before[1], after[1]]),
        }
    )
    measured = model.known.hours.select("meter", "hour_start_us", "volume_l")
    found = wanted.join(measured, on=["meter", "hour_start_us"], how="inner")
    around = _Hours.of(found["gap"].to_numpy(), found["hour_start_us"].to_numpy(), model.known.clock)
    past = _keys(around).with_columns(found["volume_l"], need=model.need(around.day))
    rate = pl.col("volume_l").sum() / pl.col("need").sum()
    table = _keys(hours)
    for name, keys in (("same", ["gap", "hour", "rest"]), ("any", ["gap", "hour"])):
        table = table.join(past.group_by(keys).agg(rate.alias(name)), on=keys, how="left", maintain_order="left")
    rates = table.select("gap", rate=pl.coalesce("same", "any"))
    complete = rates.group_by("gap").agg(ok=pl.col("rate").is_not_null().all() & (pl.col("rate").sum() > 0))
    usable = np.zeros(len(gaps.meter), dtype=np.bool_)
    usable[complete.filter("ok")["gap"].to_numpy()] = True
    return rates["rate"].fill_null(0.0).to_numpy(), usable


def _keys(hours: _Hours) -> pl.DataFrame:
    return pl.DataFrame({"gap": hours.gap, "hour": hours.hour, "rest": hours.weekday >= _SATURDAY})


def _weights(method: Names, rate: Floats, hours: _Hours, meter: Whole, model: _Model) -> Floats:
    """Return the weight of every hour by its method; the meter is that of each hour."""
    weight = np.ones(len(method))
    similar = method == Method.SIMILAR_DAY.value
    weight[similar] = rate[similar] * model.need(hours.day[similar])
    effective_c = model.days.at(model.days.effective_c, hours.day)
    types = np.asarray(model.known.customer_types, dtype=object)[meter]
    for name in set(types):
        profile = profile_of(str(name))
        own = (types == name) & (method == Method.OWN_HOURS.value)
        weight[own] = rate[own] * profile.days(hours.weekday[own], effective_c[own])
        none = (types == name) & (method == Method.PROFILE.value)
        weight[none] = profile.hours(hours.weekday[none], hours.hour[none], effective_c[none])
    return weight
