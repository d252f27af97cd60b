"""From the readings of one part to its consumption: by meter and gas day or hour, by kind of customer and hour."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from citygate.quantity.clock import US_PER_HOUR
from citygate.store.gaps import STEP_COLUMNS, fill
from citygate.validation.settle import ESTIMATED, MEASURED, Cells, Curve, curve, settle
from citygate.validation.steps import CONTEXT_AFTER, CONTEXT_BEFORE, steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citygate.fleet.registry import Registry
    from citygate.quantity.clock import Micros
    from citygate.store.gaps import Surroundings
    from citygate.store.manifest import Part
    from citygate.store.readings import ReadingStore

Whole = npt.NDArray[np.int64]

DAYS: dict[str, pl.DataType] = {
    "code": pl.Int32(),
    "gas_day": pl.Int32(),
    "volume_l": pl.Int64(),
    "energy_wh": pl.Int64(),
    "measured_h": pl.Int32(),
    "estimated_h": pl.Int32(),
    "expected_h": pl.Int32(),
    "start_quality": pl.Int8(),
    "end_quality": pl.Int8(),
    "night_lph": pl.Int64(),
}
KIND = ["zone", "provider", "customer_type", "nature"]
HOURS: dict[str, pl.DataType] = {
    "at_us": pl.Int64(),
    **{name: pl.String() for name in KIND},
    "volume_l": pl.Int64(),
    "energy_wh": pl.Int64(),
    "measured_h": pl.Int32(),
    "estimated_h": pl.Int32(),
    "expected_h": pl.Int32(),
}
#: Local hours in which gas appliances rest.
NIGHT_HOURS = (2, 3, 4)
#: Meters that are settled together: their arrays fit in the cache of a processor.
_METERS_AT_ONCE = 256
#: Readings this far around a part are read at once; meters that were silent longer are looked up further [µs].
_AROUND_US = 48 * US_PER_HOUR


@dataclass(frozen=True, slots=True)
class PartConsumption:
    """Consumption of some meters within one window.

    Attributes:
        codes: The meters, ascending, shape (meters,).
        gas_days: The gas days of the window within the time of all readings, shape (days,).
        edges_us: Edges of its hours [µs UTC], shape (hours + 1,).
        day_of_hour: Number of the day of each hour, shape (hours,).
        hours: By meter and hour.
        days: By meter and gas day.
        estimates: How the long steps were filled (`citygate.store.gaps.fill`).
    """

    codes: Whole
    gas_days: Whole
    edges_us: Micros
    day_of_hour: Whole
    hours: Cells
    days: Cells
    estimates: pl.DataFrame


def derive(around: Surroundings, part: Part, meters: Sequence[int] | None = None) -> PartConsumption:
    """Return the consumption of one part, from the readings alone.

    Args:
        around: Readings, meters, weather, and the moment as of which to answer.
        part: Block and window.
        meters: Only these codes of the block; None for all.
    """
    readings, registry = around.readings, around.registry
    block, window = part
    size, clock = readings.partition.block_meters, readings.partition.clock
    if meters is None:
        codes = np.arange(block * size, min((block + 1) * size, registry.count()), dtype=np.int64)
    else:
        codes = np.array([code for code in sorted(set(meters)) if code // size == block], dtype=np.int64)
    first_us, last_us = readings.span_us() or (0, 0)
    first_day = max(window * readings.partition.window_days, clock.gas_day(first_us))
    last_day = min((window + 1) * readings.partition.window_days - 1, max(clock.gas_day(last_us), first_day))
    gas_days = np.arange(first_day, last_day + 1, dtype=np.int64)
    day_edges = clock.gas_day_starts_us(first_day, last_day + 1)
    edges = np.arange(day_edges[0], day_edges[-1] + 1, US_PER_HOUR, dtype=np.int64)
    rows = rows_around(readings, codes, part, around.as_of_us)
    starts = np.arange(0, max(len(codes), 1), _METERS_AT_ONCE)
    bounds = np.append(np.searchsorted(rows["meter"].to_numpy(), codes[starts] if len(codes) else []), len(rows))
    curves = [
        _curve(rows[int(low) : int(high)], codes[start : start + _METERS_AT_ONCE], around)
        for start, low, high in zip(starts, bounds[:-1], bounds[1:], strict=False)
    ]
    estimates, passed = fill(curves, edges, around)
    of_day = np.searchsorted(edges, day_edges)
    hours, days = [], []
    for (knots, _), passed_l in zip(curves, passed, strict=True):
        hours.append(settle(knots, edges, passed_l))
        days.append(settle(knots, day_edges, {knot: volume_l[of_day] for knot, volume_l in passed_l.items()}))
    hourly = _stacked(hours)
    return PartConsumption(
        codes=codes,
        gas_days=gas_days,
        edges_us=edges,
        day_of_hour=np.searchsorted(day_edges, edges[:-1], side="right").astype(np.int64) - 1,
        # Nothing is missing of the time after the newest reading of all meters: it has not happened yet.
        hours=replace(hourly, expected=hourly.expected & (edges[:-1] < last_us)),
        days=_stacked(days),
        estimates=estimates,
    )


def _curve(rows: pl.DataFrame, codes: Whole, around: Surroundings) -> tuple[Curve, Whole]:
    """Return the cumulated consumption of a few meters, with their codes."""
    found = steps(rows, around.facts)
    local = np.searchsorted(codes, rows["meter"].to_numpy()).astype(np.int64)
    return curve(local, rows["at_us"].to_numpy(), found, len(codes)), codes


def _stacked(parts: Sequence[Cells]) -> Cells:
    return Cells(*(np.concatenate([getattr(part, name) for part in parts]) for name in Cells.__slots__))


def judged(around: Surroundings, part: Part, meters: Sequence[int]) -> pl.DataFrame:
    """Return the readings of some meters in one part with what the rules on neighbours say of each.

    Returns:
        ``meter`` (code), ``at_us``, ``verdict`` (bits of `citygate.validation.verdict.Verdict`), ``from_us`` and
        ``amount`` (what went through since then, litre or Wh; null where there is no valid step), sorted.
    """
    codes = np.array(sorted(set(meters)), dtype=np.int64)
    rows = rows_around(around.readings, codes, part, around.as_of_us)
    found = steps(rows, around.facts)
    partition = around.readings.partition
    inside = pl.col("at_us").is_between(partition.window_start_us(part[1]), partition.window_start_us(part[1] + 1) - 1)
    amount = pl.when(pl.Series(found.amount) >= 0).then(pl.Series(found.amount)).alias("amount")
    verdict, from_us = pl.Series("verdict", found.verdict), pl.Series("from_us", found.from_us)
    return rows.select("meter", "at_us", verdict, from_us, amount).filter(inside)


def rows_around(readings: ReadingStore, codes: Whole, part: Part, as_of_us: int | None) -> pl.DataFrame:
    """Return the readings of a part with enough before and after it to judge every step that touches it."""
    block, window = part
    start_us, end_us = readings.partition.window_start_us(window), readings.partition.window_start_us(window + 1)
    size = readings.partition.block_meters
    whole = len(codes) > size // 2
    wanted = range(block * size, (block + 1) * size) if whole else codes.tolist()
    found = [readings.scan(wanted, start_us - _AROUND_US, end_us + _AROUND_US, as_of_us, STEP_COLUMNS)]
    presence = {other: bits for (owner, other), bits in readings.presence().items() if owner == block}
    at_us, local = found[0]["at_us"].to_numpy(), found[0]["meter"].to_numpy() - block * size
    for before, need in ((True, CONTEXT_BEFORE), (False, CONTEXT_AFTER)):
        outside = at_us < start_us if before else at_us >= end_us
        lacking = np.zeros(size, dtype=np.bool_)
        lacking[codes - block * size] = True
        lacking &= np.bincount(local[outside], minlength=size) < need
        limit_us = start_us - _AROUND_US if before else end_us + _AROUND_US
        for other in sorted((w for w in presence if (w <= window if before else w >= window)), reverse=before):
            here = np.flatnonzero(lacking & presence[other])
            low = max(readings.partition.window_start_us(other), -(2**62) if before else limit_us)
            high = min(readings.partition.window_start_us(other + 1), limit_us if before else 2**62)
            if not len(here) or low >= high:
                continue
            more = readings.scan((here + block * size).tolist(), low, high, as_of_us, STEP_COLUMNS)
            near = more.group_by("meter", maintain_order=True)
            found.append((near.tail(need) if before else near.head(need)).select(STEP_COLUMNS))
            lacking[np.bincount(more["meter"].to_numpy() - block * size, minlength=size) > 0] = False
    return pl.concat(found).sort("meter", "at_us") if len(found) > 1 else found[0]


def days_frame(part: PartConsumption, readings: ReadingStore) -> pl.DataFrame:
    """Return consumption by meter and gas day, the columns of `DAYS`; days that nobody expects are left out."""
    meters, count = part.days.volume_l.shape
    length = np.bincount(part.day_of_hour, minlength=count)
    measured = _by_day(part.hours.quality == MEASURED, part.day_of_hour, count)
    estimated = _by_day(part.hours.quality == ESTIMATED, part.day_of_hour, count)
    read = part.days.quality == MEASURED
    columns = {
        "code": np.repeat(part.codes, count),
        "gas_day": np.tile(part.gas_days, meters),
        "volume_l": part.days.volume_l,
        "energy_wh": part.days.energy_wh,
        "measured_h": np.where(read, length, measured),
        "estimated_h": np.where(read, 0, estimated),
        "expected_h": _by_day(part.hours.expected, part.day_of_hour, count),
        "start_quality": part.days.edge_quality[:, :-1],
        "end_quality": part.days.edge_quality[:, 1:],
    }
    night, known = _night_lph(part, readings)
    frame = pl.DataFrame({name: values.ravel() for name, values in columns.items()})
    frame = frame.with_columns(pl.when(pl.Series(known.ravel())).then(pl.Series(night.ravel())).alias("night_lph"))
    return frame.filter((pl.col("expected_h") > 0) | (pl.col("volume_l") > 0)).select(
        pl.col(name).cast(kind) for name, kind in DAYS.items()
    )


def _by_day(flags: npt.NDArray[np.bool_], day_of_hour: Whole, days: int) -> Whole:
    starts = np.searchsorted(day_of_hour, np.arange(days))
    return np.add.reduceat(flags, starts, axis=1, dtype=np.int64)


def _night_lph(part: PartConsumption, readings: ReadingStore) -> tuple[Whole, npt.NDArray[np.bool_]]:
    """Return the least volume of an hour of each night [litre/h], and where all its hours were measured."""
    night = np.isin(readings.partition.clock.local_hours(part.edges_us[:-1]), NIGHT_HOURS)
    least = np.zeros((len(part.codes), len(part.gas_days)), dtype=np.int64)
    known = np.zeros(least.shape, dtype=np.bool_)
    for day in range(len(part.gas_days)):
        mine = np.flatnonzero(night & (part.day_of_hour == day))
        span = slice(mine[0], mine[-1] + 1)
        least[:, day] = part.hours.volume_l[:, span].min(axis=1)
        known[:, day] = (part.hours.quality[:, span] == MEASURED).all(axis=1)
    return least, known


def cells_frame(part: PartConsumption) -> pl.DataFrame:
    """Return consumption by meter and hour: as `HOURS`, with ``code`` in the place of the kind of customer."""
    meters, count = part.hours.volume_l.shape
    return pl.DataFrame(
        {
            "code": np.repeat(part.codes, count).astype(np.int32),
            "at_us": np.tile(part.edges_us[:-1], meters),
            "volume_l": part.hours.volume_l.ravel(),
            "energy_wh": part.hours.energy_wh.ravel(),
            "measured_h": (part.hours.quality == MEASURED).ravel().astype(np.int32),
            "estimated_h": (part.hours.quality == ESTIMATED).ravel().astype(np.int32),
            "expected_h": part.hours.expected.ravel().astype(np.int32),
        }
    )


def hours_frame(part: PartConsumption, registry: Registry, readings: ReadingStore) -> pl.DataFrame:
    """Return consumption by kind of customer and hour, the columns of `HOURS`; only meters of the role ``customer``."""
    kinds, kind_of = _kinds(part, registry, readings)
    found = []
    count = len(part.edges_us) - 1
    for kind in range(len(kinds)):
        mine = kind_of == kind
        members = np.flatnonzero(mine.any(axis=1))
        mask = mine[members][:, part.day_of_hour]
        columns = {
            "volume_l": part.hours.volume_l,
            "energy_wh": part.hours.energy_wh,
            "measured_h": part.hours.quality == MEASURED,
            "estimated_h": part.hours.quality == ESTIMATED,
            "expected_h": part.hours.expected,
        }
        sums = {
            name: np.where(mask, values[members], 0).sum(axis=0, dtype=np.int64) for name, values in columns.items()
        }
        names = {name: pl.repeat(kinds[name][kind], count, eager=True) for name in KIND}
        found.append(pl.DataFrame({"at_us": part.edges_us[:-1], **names, **sums}))
    rows = pl.concat(found) if found else pl.DataFrame(schema=HOURS)
    return rows.filter((pl.col("expected_h") > 0) | (pl.col("volume_l") > 0)).select(
        pl.col(name).cast(kind) for name, kind in HOURS.items()
    )


def _kinds(part: PartConsumption, registry: Registry, readings: ReadingStore) -> tuple[pl.DataFrame, Whole]:
    """Return the kinds of customer, and which of them each meter is on each gas day; -1 where it does not count."""
    starts = readings.partition.clock.gas_day_starts_us(int(part.gas_days[0]), int(part.gas_days[-1]))
    rows = registry.rows.filter(
        pl.col("code").is_between(int(part.codes[0]), int(part.codes[-1])), pl.col("role") == "customer"
    )
    kinds = rows.select(KIND).unique().sort(KIND)
    numbered = rows.join(kinds.with_row_index("kind"), on=KIND, how="left")
    kind_of = np.full((len(part.codes), len(part.gas_days)), -1, dtype=np.int64)
    code, kind, from_us, to_us = (
        numbered[name].to_numpy() for name in ("code", "kind", "valid_from_us", "valid_to_us")
    )
    row = np.searchsorted(part.codes, code)
    mine = part.codes[np.minimum(row, len(part.codes) - 1)] == code
    for day, start_us in enumerate(starts.tolist()):
        holds = mine & (from_us <= start_us) & (start_us < to_us)
        kind_of[row[holds], day] = kind[holds]
    return kinds, kind_of
