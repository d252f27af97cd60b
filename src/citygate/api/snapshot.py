"""Every meter with its newest reading, and every case, kept for a second: many viewers cost one look at the store."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from citygate.quantity.clock import US_PER_HOUR
from citygate.store.cases import CaseStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citygate.detection.case import Case
    from citygate.store.city import City

#: A meter without a reading for this long, counted from the newest reading of the city, is late.
LATE_AFTER_US = 26 * US_PER_HOUR
_KEEP_S = 1.0
#: A look that takes long (many meters, a busy machine) is followed by a rest of so many times its length.
_REST = 4
_NEWEST = ("at_us", "index_l", "flow_lph", "pressure_pa", "temperature_mk", "battery_mv", "status", "received_us")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The city at one moment.

    Attributes:
        meters: One row for each meter, by code: the columns of the registry, those of its newest reading, and
            ``state``: ``reporting``, ``late`` or ``silent`` (never read).
        commits: Every commit: ``commit``, ``recorded_us``, ``source``, ``stored``, ``duplicate``, ``revised``.
        cases: Every case, by the time of its first alarm.
        alarms: Every alarm that holds, by meter, kind and time of its rise: `citygate.detection.alarm.COLUMNS`.
        newest_us: Time of the newest reading [µs UTC]; None when there is none.
    """

    meters: pl.DataFrame
    commits: pl.DataFrame
    cases: list[Case]
    alarms: Mapping[tuple[str, str, int], dict[str, Any]]
    newest_us: int | None


class SnapshotKeeper:
    """Takes a snapshot of a city when the last one is older than a second.

    Args:
        city: The open store.
        tick_s: A clock that never goes back [s].
    """

    def __init__(self, city: City, tick_s: Callable[[], float]) -> None:
        self._city = city
        self._tick_s = tick_s
        self._lock = threading.Lock()
        self._held: Snapshot | None = None
        self._until_s = 0.0

    def now(self) -> Snapshot:
        """Return a snapshot that is at most a second old, or a few times as old as a look takes."""
        with self._lock:
            began_s = self._tick_s()
            if self._held is None or began_s >= self._until_s:
                self._held = _take(self._city)
                taken_s = self._tick_s()
                self._until_s = taken_s + max(_KEEP_S, _REST * (taken_s - began_s))
            return self._held

    def forget(self) -> None:
        """Look afresh next time: something was changed that a viewer must see at once."""
        with self._lock:
            self._held = None


def _take(city: City) -> Snapshot:
    held = CaseStore.of(city)
    cases = held.cases()
    alarms = {(row["meter"], row["kind"], row["at_us"]): row for row in held.alarms().iter_rows(named=True)}
    # A watch may withdraw alarms between the two reads: a case that lost its alarms waits for the next look.
    whole = [case for case in cases if any((alarm.meter, alarm.kind, alarm.at_us) in alarms for alarm in case.alarms)]
    newest = city.readings.latest(None).select(pl.col("meter").alias("code"), *_NEWEST)
    meters = city.registry().latest().join(newest, on="code", how="left", maintain_order="left")
    span = city.readings.span_us()
    last_us = span[1] if span else None
    late = pl.col("at_us") < (last_us or 0) - LATE_AFTER_US
    state = (
        pl.when(pl.col("at_us").is_null())
        .then(pl.lit("silent"))
        .when(late)
        .then(pl.lit("late"))
        .otherwise(pl.lit("reporting"))
    )
    return Snapshot(meters.with_columns(state.alias("state")), city.readings.commits(), whole, alarms, last_us)
