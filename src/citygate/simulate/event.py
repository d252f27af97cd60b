"""Planted events: what went wrong, where, when and how much. The truth beside the data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from citygate.errors import CitygateError
from citygate.quantity.clock import US_PER_HOUR, Micros

_DAY_US = 24 * US_PER_HOUR
#: A spike multiplies the use of a meter, and at least this flow [litre/h], so that a spike at night is one.
SPIKE_FLOOR_LPH = 100


class Kind(StrEnum):
    """Kinds of planted events, with the meaning of their size."""

    LEAK = "leak"  # behind the meter: constant flow [l/h]
    LEAK_GROWTH = "leak_growth"  # behind the meter: flow that grows from 0 to its size over the event [l/h]
    SPIKE = "spike"  # use multiplied [x]
    FAULT_SLOPE = "fault_slope"  # appliance that needs more for the same heat [ratio]
    BYPASS = "bypass"  # share of the use that does not pass the meter [ratio]
    NIGHT_BYPASS = "night_bypass"  # the same from 22 to 6 local time [ratio]
    STUCK = "stuck"  # register stands still while gas flows [ratio]
    DRIFT = "drift"  # meter shows too much or too little [ratio]
    CLOCK_DRIFT = "clock_drift"  # clock of the meter goes wrong [s/d]
    NETWORK_LEAK = "network_leak"  # in the pipes: only the inlet of the zone sees it [l/h]
    PRESSURE_DROP = "pressure_drop"  # pressure of a whole zone falls [Pa]


UNITS: dict[str, str] = {
    Kind.LEAK: "l/h",
    Kind.LEAK_GROWTH: "l/h",
    Kind.SPIKE: "x",
    Kind.FAULT_SLOPE: "ratio",
    Kind.BYPASS: "ratio",
    Kind.NIGHT_BYPASS: "ratio",
    Kind.STUCK: "ratio",
    Kind.DRIFT: "ratio",
    Kind.CLOCK_DRIFT: "s/d",
    Kind.NETWORK_LEAK: "l/h",
    Kind.PRESSURE_DROP: "Pa",
}
#: The seven classes, each with its smallest and largest size; units as in `UNITS`.
SIZES: dict[Kind, tuple[float, float]] = {
    Kind.LEAK: (5.0, 500.0),
    Kind.LEAK_GROWTH: (5.0, 500.0),
    Kind.SPIKE: (3.0, 10.0),
    Kind.FAULT_SLOPE: (0.1, 0.6),
    Kind.BYPASS: (0.2, 1.0),
    Kind.NIGHT_BYPASS: (0.2, 1.0),
    Kind.STUCK: (1.0, 1.0),
}
#: Kinds that a customer's meter bears, beside leaks.
_METER_KINDS = (Kind.SPIKE, Kind.FAULT_SLOPE, Kind.BYPASS, Kind.NIGHT_BYPASS, Kind.STUCK, Kind.DRIFT)


class BadLeaksError(CitygateError):
    """The text of a leak plan cannot be read."""

    code = "bad_leaks"

    def __init__(self, text: str, reason: str) -> None:
        self.text = text
        super().__init__(f"leaks '{text}': {reason}; write such as count=20,min=5,max=500,growing=0.3")


@dataclass(frozen=True, slots=True)
class LeakPlan:
    """How many leaks to plant behind meters, and how large.

    Attributes:
        count: Number of leaks.
        smallest_lph: Smallest final flow [litre/h]; the logarithm of the flow is uniform.
        largest_lph: Largest final flow [litre/h].
        growing_share: Share of leaks that grow from nothing to their size.
    """

    count: int
    smallest_lph: float = 5.0
    largest_lph: float = 500.0
    growing_share: float = 0.3

    @classmethod
    def parse(cls, text: str) -> LeakPlan:
        """Read ``count=20,min=5,max=500,growing=0.3``; all but the count may be left out.

        Raises:
            BadLeaksError: A key is unknown, a number is unreadable or out of range, or the count is missing.
        """
        known = {"count": None, "min": 5.0, "max": 500.0, "growing": 0.3}
        given: dict[str, float | None] = dict(known)
        for part in filter(None, text.split(",")):
            key, _, number = part.partition("=")
            if key.strip() not in known:
                raise BadLeaksError(text, f"'{key}' is not one of {', '.join(known)}")
            try:
                given[key.strip()] = float(number)
            except ValueError as cause:
                raise BadLeaksError(text, f"'{number}' is not a number") from cause
        count, low, high, growing = (given[key] for key in known)
        if count is None or low is None or high is None or growing is None:
            raise BadLeaksError(text, "the count is missing")
        if not (count >= 0 and count == int(count) and 0 < low <= high and 0 <= growing <= 1):
            raise BadLeaksError(text, "count must be whole and not negative, 0 < min <= max, 0 <= growing <= 1")
        return cls(int(count), low, high, growing)


@dataclass(frozen=True, slots=True)
class Planting:
    """How much of each kind to plant.

    Attributes:
        leaks: Leaks behind meters.
        per_kind: Events of each other kind that hits one meter.
        clock_share: Share of the meters with a clock that goes wrong.
        network_leak_count: Leaks in the pipes.
        pressure_drop_count: Pressure drops of zones.
    """

    leaks: LeakPlan
    per_kind: int
    clock_share: float
    network_leak_count: int
    pressure_drop_count: int


@dataclass(frozen=True, slots=True)
class Events:
    """Planted events as columns.

    Columns of ``rows``: ``row`` (of the meter; of the inlet for events of a zone), ``kind``, ``start_us``, ``end_us``
    [µs UTC], ``size`` (unit by kind, `UNITS`).
    """

    rows: pl.DataFrame
    columns: ClassVar[dict[str, pl.DataType]] = {
        "row": pl.Int64(),
        "kind": pl.String(),
        "start_us": pl.Int64(),
        "end_us": pl.Int64(),
        "size": pl.Float64(),
    }

    def of(self, kind: Kind) -> Active:
        """Return the events of one kind as arrays."""
        rows = self.rows.filter(pl.col("kind") == kind)
        return Active(*(rows[name].to_numpy() for name in ("row", "start_us", "end_us", "size")))


@dataclass(frozen=True, slots=True)
class Active:
    """Events of one kind as arrays: row, begin and end [µs UTC], size."""

    row: Micros
    start_us: Micros
    end_us: Micros
    size: npt.NDArray[np.float64]

    def share(self, begin_us: int, end_us: int) -> tuple[Micros, npt.NDArray[np.float64]]:
        """Return the events that touch [begin, end), and the share of it that each covers."""
        within = np.flatnonzero((self.start_us < end_us) & (self.end_us > begin_us))
        covered = np.minimum(self.end_us[within], end_us) - np.maximum(self.start_us[within], begin_us)
        return within, covered / (end_us - begin_us)


def plant(
    rng: np.random.Generator,
    planting: Planting,
    candidates: Micros,
    inlets: Micros,
    period_us: tuple[int, int],
    weight: npt.NDArray[np.float64],
) -> Events:
    """Draw the events of a period.

    No meter bears two events of the meter itself. Leaks are always as many as asked for; the other kinds fill up to
    half of the candidates, so that a small city has fewer of them. Events that can last begin in the middle three
    fifths of the period; two thirds of them last to its end, the others 1 to 10 days.

    Args:
        rng: Source of randomness.
        planting: How much of each kind.
        candidates: Rows of meters that may bear an event.
        inlets: Rows of the inlets, one for each zone.
        period_us: Begin and end [µs UTC].
        weight: Size of each candidate; thefts, stuck and drifting registers and spikes choose by it, since on a meter
            without use they would be nothing.

    Raises:
        BadLeaksError: There are more leaks than candidates.
    """
    kinds: list[tuple[Kind, int]] = [(Kind.LEAK, round(planting.leaks.count * (1 - planting.leaks.growing_share)))]
    kinds.append((Kind.LEAK_GROWTH, planting.leaks.count - kinds[0][1]))
    kinds += [(kind, planting.per_kind) for kind in _METER_KINDS]
    free = np.ones(len(candidates), dtype=bool)
    if planting.leaks.count > len(candidates):
        raise BadLeaksError(
            f"count={planting.leaks.count}", f"there are only {len(candidates)} meters that may bear one"
        )
    others, drawn = max(0, len(candidates) // 2 - planting.leaks.count), []
    for kind, count in kinds:
        leak = kind in (Kind.LEAK, Kind.LEAK_GROWTH)
        take = count if leak else min(count, others)
        others -= 0 if leak else take
        chance = np.where(free, 1.0 if leak else weight, 0.0)
        if take == 0 or np.count_nonzero(chance) < take:
            continue
        chosen = rng.choice(len(candidates), take, replace=False, p=chance / chance.sum())
        free[chosen] = False
        drawn.append(_draw(rng, kind, candidates[chosen], planting.leaks, period_us))
    clocks = rng.choice(candidates, round(len(candidates) * planting.clock_share), replace=False)
    drawn.append(_draw(rng, Kind.CLOCK_DRIFT, clocks, planting.leaks, period_us))
    for kind, count in (
        (Kind.NETWORK_LEAK, planting.network_leak_count),
        (Kind.PRESSURE_DROP, planting.pressure_drop_count),
    ):
        drawn.append(
            _draw(rng, kind, rng.choice(inlets, min(count, len(inlets)), replace=False), planting.leaks, period_us)
        )
    return Events(pl.concat(drawn).sort("start_us", "row"))


def none() -> Events:
    """Return no events."""
    return Events(pl.DataFrame(schema=Events.columns))


def _draw(
    rng: np.random.Generator, kind: Kind, rows: Micros, leaks: LeakPlan, period_us: tuple[int, int]
) -> pl.DataFrame:
    count, (begin_us, end_us) = len(rows), period_us
    start_us = begin_us + (rng.uniform(0.2, 0.8, count) * (end_us - begin_us)).astype(np.int64)
    start_us -= start_us % 1_000_000
    ends_us = np.where(
        rng.random(count) < 2 / 3, end_us, start_us + (rng.uniform(1, 10, count) * _DAY_US).astype(np.int64)
    )
    if kind in (Kind.SPIKE, Kind.PRESSURE_DROP):
        ends_us = start_us + (rng.uniform(1, 6, count) * US_PER_HOUR).astype(np.int64)
    if kind in (Kind.DRIFT, Kind.CLOCK_DRIFT):
        ends_us = np.full(count, end_us)
    if kind is Kind.CLOCK_DRIFT:
        start_us = np.full(count, begin_us)
    ends_us = np.minimum(ends_us - ends_us % 1_000_000, end_us)
    size = _sizes(rng, kind, count, leaks)
    return pl.DataFrame(
        {"row": rows, "kind": [str(kind)] * count, "start_us": start_us, "end_us": ends_us, "size": size},
        schema=Events.columns,
    )


def _sizes(rng: np.random.Generator, kind: Kind, count: int, leaks: LeakPlan) -> npt.NDArray[np.float64]:
    uniform, sign = rng.random(count), rng.choice([-1.0, 1.0], count)
    low, high = {
        **SIZES,
        Kind.LEAK: (leaks.smallest_lph, leaks.largest_lph),
        Kind.LEAK_GROWTH: (leaks.smallest_lph, leaks.largest_lph),
        Kind.DRIFT: (0.03, 0.2),
        Kind.CLOCK_DRIFT: (1.0, 20.0),
        Kind.NETWORK_LEAK: (200.0, 2_000.0),
        Kind.PRESSURE_DROP: (300.0, 1_500.0),
    }[kind]
    size = np.exp(np.log(low) + uniform * np.log(high / low))
    signed: npt.NDArray[np.float64] = np.round(size * sign if kind in (Kind.DRIFT, Kind.CLOCK_DRIFT) else size, 3)
    return signed


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What the events do to the gas of a slot; without state, so that any slot may be asked for alone."""

    leak: Active
    growth: Active
    spike: Active
    slope: Active
    bypass: Active
    night_bypass: Active
    stuck: Active
    drift: Active

    @classmethod
    def of(cls, events: Events) -> Disturbance:
        """Sort the events by what they do."""
        kinds = (
            Kind.LEAK,
            Kind.LEAK_GROWTH,
            Kind.SPIKE,
            Kind.FAULT_SLOPE,
            Kind.BYPASS,
            Kind.NIGHT_BYPASS,
            Kind.STUCK,
            Kind.DRIFT,
        )
        return cls(*(events.of(kind) for kind in kinds))

    def used(self, wanted_ml: Micros, begin_us: int, end_us: int) -> Micros:
        """Return what flows through the house pipe in [begin, end): appliances with their faults, and leaks [ml]."""
        hours = (end_us - begin_us) / US_PER_HOUR
        used_ml = wanted_ml.copy()
        for event, floor_ml in ((self.spike, SPIKE_FLOOR_LPH * 1_000 * hours), (self.slope, 0.0)):
            within, share = event.share(begin_us, end_us)
            more = event.size[within] - 1.0 if event is self.spike else event.size[within]
            row = event.row[within]
            used_ml[row] += np.rint(more * np.maximum(wanted_ml[row], floor_ml) * share).astype(np.int64)
        within, share = self.leak.share(begin_us, end_us)
        used_ml[self.leak.row[within]] += np.rint(self.leak.size[within] * share * hours * 1_000).astype(np.int64)
        within, _ = self.growth.share(begin_us, end_us)
        grown = _grown_ml(self.growth, within, end_us) - _grown_ml(self.growth, within, begin_us)
        used_ml[self.growth.row[within]] += grown
        return used_ml

    def metered(self, used_ml: Micros, begin_us: int, end_us: int, local_hour: int) -> Micros:
        """Return what the meters count of it [ml]; ``local_hour`` is the local hour in which the slot begins."""
        metered_ml = used_ml.copy()
        night = local_hour >= 22 or local_hour < 6  # noqa: PLR2004 - hours of the night
        for event in (self.bypass, *((self.night_bypass,) if night else ()), self.stuck, self.drift):
            within, share = event.share(begin_us, end_us)
            row = event.row[within]
            sign = 1.0 if event is self.drift else -1.0
            metered_ml[row] += np.rint(sign * event.size[within] * share * metered_ml[row]).astype(np.int64)
        return metered_ml


def _grown_ml(growth: Active, within: Micros, at_us: int) -> Micros:
    """Return what leaks have lost by an instant [ml]; they grow in a straight line over their whole event."""
    length_h = (growth.end_us[within] - growth.start_us[within]) / US_PER_HOUR
    age_h = np.clip((at_us - growth.start_us[within]) / US_PER_HOUR, 0.0, length_h)
    return np.rint(growth.size[within] * age_h**2 / (2.0 * length_h) * 1_000).astype(np.int64)
