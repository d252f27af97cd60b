"""Run any recurrence over a batch: the k-th readings of all meters at once; stream and batch are the same code."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from citygate.errors import CitygateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citygate.detection.meters import Meters
    from citygate.quantity.clock import CityClock

Whole = npt.NDArray[np.int64]
Flag = npt.NDArray[np.bool_]
Column = npt.NDArray[Any]
Columns = dict[str, Column]

NEVER_US = -(2**62)
_QUARTER_US = 900_000_000
_DAY_US = 96 * _QUARTER_US
_COLDEST_MK = 249_150
_WARMTH_STEP_MK = 3_000
#: Meters worked on together: their state and their slots stay within the cache of one processor.
_BLOCK_COUNT = 8_192

ALARM_COLUMNS: dict[str, pl.DataType] = {
    "meter": pl.Int32(),
    "kind": pl.String(),
    "from_us": pl.Int64(),
    "to_us": pl.Int64(),
    "at_us": pl.Int64(),
    "statistic": pl.Float64(),
    "threshold": pl.Float64(),
    "unit": pl.String(),
    "own_past": pl.Float64(),
    "smallest_leak_lph": pl.Float64(),
}


class OutOfOrderError(CitygateError):
    """Readings came for a time that the detector has passed."""

    code = "out_of_order"

    def __init__(self, meter_count: int) -> None:
        self.meter_count = meter_count
        super().__init__(f"{meter_count} meters have readings older than the state of the detector; rewind it first")


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a detector's state.

    Args:
        kind: Type of its numbers.
        start: Value for a meter that was never seen.
        by: Nothing, or what the column is divided by into 24 numbers, of which the recurrence sees and writes one: the
            local ``hour`` of the slot, or the ``warmth`` of the reading before, which closed a window.
    """

    kind: type[np.generic]
    start: float
    by: Literal["", "hour", "warmth"] = ""


@dataclass(frozen=True, slots=True)
class Now:
    """The k-th reading of some meters, with the step that led to it.

    Attributes:
        at_us: Time of the reading [µs UTC].
        span_us: Time since the reading before [µs]; 0 where there is none or the register made no sense.
        value: Register detectors: volume within the span [litre]. Others: the value read, in its own unit.
        before: The value one reading earlier, in the unit of the column.
        hour: Local hour in which the span ends, 0 to 23.
        day: Gas day in which the span ends.
        warmth: Class of the mean outdoor temperature of the 24 h before, see `Rows`.
        pulse_l: Resolution of the register [litre].
    """

    at_us: Whole
    span_us: Whole
    value: Whole
    before: Whole
    hour: Whole
    day: Whole
    warmth: Whole
    pulse_l: Whole

    def take(self, index: Whole) -> Now:
        """Return the entries at ``index``."""
        return Now(*(getattr(self, name)[index] for name in Now.__slots__))


class Detector(Protocol):
    """A recurrence on arrays, of ``+ - * /`` and comparisons only, so that every cut and machine gives equal bits."""

    kind: ClassVar[str]
    unit: ClassVar[str]
    column: ClassVar[str]

    @property
    def fields(self) -> Mapping[str, Field]:
        """Columns of the state."""

    def advance(self, state: Columns, now: Now) -> tuple[Columns, Flag]:
        """Return the columns that change and where an alarm begins."""

    def describe(self, state: Columns, now: Now) -> Columns:
        """Return ``from_us``, ``statistic``, ``threshold``, ``own_past``, ``smallest_leak_lph`` where one began."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Readings of one column as arrays, sorted by meter and time, unique in both, nothing null.

    Attributes:
        meter: Code of the meter.
        at_us: Time [µs UTC].
        value: The column.
        hour: Local hour in which the span before the reading ends.
        day: Gas day in which it ends.
        warmth: Class of the mean outdoor temperature of the 24 h before: 0 below -21 °C, then steps of 3 K, 23 from
            45 °C on; 0 throughout where no weather is known.
    """

    meter: Whole
    at_us: Whole
    value: Whole
    hour: Whole
    day: Whole
    warmth: Whole

    @classmethod
    def of(cls, frame: pl.DataFrame, column: str, clock: CityClock, weather: pl.DataFrame | None = None) -> Rows:
        """Return the readings of ``column`` in a frame with ``meter``, ``at_us`` and it, sorted by both.

        Of several values for one instant the last counts: it is the newest revision.

        Args:
            frame: The readings.
            column: Which of its columns.
            clock: Local time and gas day.
            weather: Outdoor temperature of the city, ``at_us`` and ``temperature_mk``, sorted; None where not known.
        """
        kept = frame.select("meter", "at_us", column).filter(pl.col(column).is_not_null())
        meter, at_us, value = (
            kept[name].to_numpy().astype(np.int64, copy=False) for name in ("meter", "at_us", column)
        )
        if len(at_us) == 0:
            return cls(meter, at_us, value, at_us, at_us, at_us)
        last = np.append((meter[1:] != meter[:-1]) | (at_us[1:] != at_us[:-1]), True)
        if not last.all():
            meter, at_us, value = meter[last], at_us[last], value[last]
        quarter = (at_us - 1) // _QUARTER_US  # a span belongs to the hour and the gas day in which it ends
        first = int(quarter.min())
        table_us = np.arange(first, int(quarter.max()) + 1, dtype=np.int64) * _QUARTER_US
        place = quarter - first
        days = clock.gas_days(table_us)
        warmth = _warmth(table_us, weather)
        return cls(meter, at_us, value, clock.local_hours(table_us)[place], days[place], warmth[place])


@dataclass(frozen=True, slots=True)
class State:
    """State of one detector for every meter: arrays in the order of the codes."""

    columns: Columns

    @classmethod
    def fresh(cls, detector: Detector, count: int) -> State:
        """Return the state of ``count`` meters that were never seen."""
        return cls(
            {name: np.full(_shape(field, count), field.start, field.kind) for name, field in _fields(detector).items()}
        )

    def grown(self, detector: Detector, count: int) -> State:
        """Return the state with room for ``count`` meters."""
        held = len(self.columns["at_us"])
        if held >= count:
            return self
        more = State.fresh(detector, count - held).columns
        return State({name: np.concatenate([column, more[name]]) for name, column in self.columns.items()})

    def with_rows_of(self, other: State, codes: Whole) -> State:
        """Return this state with the meters ``codes`` as they are in ``other``."""
        columns = {}
        for name, column in self.columns.items():
            columns[name] = column.copy()
            columns[name][codes] = other.columns[name][codes]
        return State(columns)

    def to_bytes(self) -> bytes:
        """Return the state as compact bytes; equal states give equal bytes."""
        head = json.dumps(
            {name: [column.dtype.str, list(column.shape)] for name, column in self.columns.items()}
        ).encode()
        body = b"".join(np.ascontiguousarray(column).tobytes() for column in self.columns.values())
        return len(head).to_bytes(4, "little") + head + zlib.compress(body, level=1)

    @classmethod
    def from_bytes(cls, payload: bytes) -> State:
        """Return the state that `to_bytes` wrote."""
        size = int.from_bytes(payload[:4], "little")
        head = json.loads(payload[4 : 4 + size])
        body, start, columns = zlib.decompress(payload[4 + size :]), 0, {}
        for name, (kind, shape) in head.items():
            count = int(np.prod(shape))
            columns[name] = np.frombuffer(body, kind, count, start).reshape(shape).copy()
            start += count * np.dtype(kind).itemsize
        return cls(columns)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left behind: the state for the next one, and alarms with ``ALARM_COLUMNS`` by time and meter."""

    state: State
    alarms: pl.DataFrame


def run(detector: Detector, state: State, rows: Rows, meters: Meters) -> Outcome:
    """Advance a detector over readings. Cutting the readings elsewhere in time changes neither state nor alarms.

    Args:
        detector: The recurrence.
        state: What the run before left, or `State.fresh`.
        rows: Readings of ``detector.column``.
        meters: Facts of the meters (or of the zones, for detectors that look at zones).

    Raises:
        OutOfOrderError: A reading is not later than the state of its meter.
    """
    codes, starts, counts = np.unique(rows.meter, return_index=True, return_counts=True)
    top = int(codes[-1]) + 1 if len(codes) else 0
    columns = {
        name: column.copy() for name, column in state.grown(detector, max(top, len(meters.pulse_l))).columns.items()
    }
    late = int(np.count_nonzero(rows.at_us[starts] <= columns["at_us"][codes]))
    if late:
        raise OutOfOrderError(late)
    order = np.argsort(-counts, kind="stable")
    found: list[Columns] = []
    for begin in range(0, len(order), _BLOCK_COUNT):
        block = order[begin : begin + _BLOCK_COUNT]
        _run_block(detector, columns, rows, meters, (codes[block], starts[block], counts[block]), found)
    return Outcome(State(columns), _frame(detector, found))


def no_alarms() -> pl.DataFrame:
    """Return a frame of ``ALARM_COLUMNS`` without rows."""
    return pl.DataFrame(schema=ALARM_COLUMNS)


def _run_block(
    detector: Detector,
    columns: Columns,
    rows: Rows,
    meters: Meters,
    block: tuple[Whole, Whole, Whole],
    found: list[Columns],
) -> None:
    codes, starts, counts = block
    facts = (meters.pulse_l[codes], meters.register_max_l[codes], meters.qmax_lph[codes])
    work = {name: column[codes] for name, column in columns.items()}
    wide = {name: field.by for name, field in detector.fields.items() if field.by}
    for slot in range(int(counts[0])):
        size = int(np.searchsorted(-counts, -slot, side="left"))  # meters with more than `slot` readings come first
        index = starts[:size] + slot
        now = _now(detector, work, rows, index, facts)
        every = np.arange(size)
        places = {"hour": now.hour, "warmth": work["warmth"][:size].astype(np.int64)}
        seen = {
            name: (column[every, places[wide[name]]] if name in wide else column[:size])
            for name, column in work.items()
        }
        after, rises = detector.advance(seen, now)
        for name, column in after.items():
            if name in wide:
                work[name][every, places[wide[name]]] = column
            else:
                work[name][:size] = column
        work["at_us"][:size] = now.at_us
        work["last"][:size] = rows.value[index]
        work["warmth"][:size] = now.warmth
        if rises.any():
            where = np.flatnonzero(rises)
            then = now.take(where)
            past = {
                name: column[where, places[wide[name]][where]] if name in wide else column[where]
                for name, column in work.items()
            }
            found.append({"meter": codes[where], "at_us": then.at_us, **detector.describe(past, then)})
    for name, column in work.items():
        columns[name][codes] = column


def _now(detector: Detector, work: Columns, rows: Rows, index: Whole, facts: tuple[Whole, Whole, Whole]) -> Now:
    size = len(index)
    pulse_l, register_max_l, qmax_lph = (fact[:size] for fact in facts)
    at_us, value, before, seen_us = rows.at_us[index], rows.value[index], work["last"][:size], work["at_us"][:size]
    span_us = np.where(seen_us == NEVER_US, 0, at_us - seen_us)
    if detector.column == "index_l":
        value = value - before
        back = value < 0
        if back.any():
            # A register that went back rolled over, if a possible flow explains it, or was corrected or exchanged.
            value = np.where(back, value + register_max_l, value)
            possible_l = qmax_lph * 1.2 * (span_us / 3.6e9) + pulse_l
            sound = ~back | ((value >= 0) & (value <= possible_l))
            span_us, value = np.where(sound, span_us, 0), np.where(sound, value, 0)
    return Now(at_us, span_us, value, before, rows.hour[index], rows.day[index], rows.warmth[index], pulse_l)


def _fields(detector: Detector) -> dict[str, Field]:
    own = {"at_us": Field(np.int64, NEVER_US), "last": Field(np.int64, 0), "warmth": Field(np.int8, 0)}
    return {**own, **detector.fields}


def _warmth(at_us: Whole, weather: pl.DataFrame | None) -> Whole:
    """Return the class of the mean temperature of the 24 h before each instant, which is known then even live."""
    if weather is None or len(weather) == 0:
        return np.zeros(len(at_us), dtype=np.int64)
    hours_us, total_mk = weather["at_us"].to_numpy(), np.append(0, np.cumsum(weather["temperature_mk"].to_numpy()))
    end = np.searchsorted(hours_us, at_us, side="right")
    begin = np.minimum(np.searchsorted(hours_us, at_us - _DAY_US, side="right"), np.maximum(end - 1, 0))
    mean_mk = (total_mk[end] - total_mk[begin]) // np.maximum(end - begin, 1)
    return np.where(end == 0, 0, np.clip((mean_mk - _COLDEST_MK) // _WARMTH_STEP_MK, 0, 23))


def _shape(field: Field, count: int) -> tuple[int, ...]:
    return (count, 24) if field.by else (count,)


def _frame(detector: Detector, found: list[Columns]) -> pl.DataFrame:
    if not found:
        return no_alarms()
    parts = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
    frame = pl.DataFrame(parts).with_columns(
        pl.lit(detector.kind).alias("kind"),
        pl.lit(detector.unit).alias("unit"),
        pl.col("at_us").alias("to_us"),
        pl.col("own_past", "smallest_leak_lph").cast(pl.Float64).fill_nan(None),
    )
    return frame.select(pl.col(name).cast(kind) for name, kind in ALARM_COLUMNS.items()).sort("at_us", "meter")
