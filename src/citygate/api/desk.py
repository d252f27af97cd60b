"""What every room of the API works with: the city, its clock now, and the period that a request asks about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

import polars as pl
from fastapi import Depends, Query, Request

from citygate.errors import CitygateError
from citygate.quantity.clock import BadTimeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from citygate.api.snapshot import Snapshot, SnapshotKeeper
    from citygate.quantity.clock import CityClock, Period
    from citygate.store.city import City
    from citygate.store.totals import Group

_DEFAULT_GAS_DAYS = 7
_E5 = 100_000


class MeterNotFoundError(CitygateError):
    """No meter of the registry has this name."""

    code = "meter_not_found"

    def __init__(self, meter: str) -> None:
        self.meter = meter
        super().__init__(f"there is no meter '{meter}'; search with /v1/meters?q=...")


class EmptyPeriodError(CitygateError):
    """A period ends before it begins."""

    code = "empty_period"

    def __init__(self, start: str, end: str) -> None:
        self.start, self.end = start, end
        super().__init__(f"the period from {start} to {end} is empty; 'to' must lie after 'from'")


@dataclass(frozen=True, slots=True)
class Desk:
    """One running city.

    Attributes:
        city: The store of the city, open in this process.
        now_us: The present [µs UTC]; a replay passes its own.
        keeper: Holds the last look at all meters.
    """

    city: City
    now_us: Callable[[], int]
    keeper: SnapshotKeeper

    @property
    def clock(self) -> CityClock:
        """The clock of the city."""
        return self.city.clock

    def snapshot(self) -> Snapshot:
        """Return all meters with their newest readings, at most a second old."""
        return self.keeper.now()

    def totals(self, by: Period, group: Group, asked: Span, meters: list[int] | None) -> pl.DataFrame:
        """Return consumption as `Rollups.totals` does, with ``volume_l`` and ``energy_wh`` beside the exact columns."""
        frame = self.city.rollups.totals(
            by, group, asked.start_us, asked.end_us, as_of_us=asked.as_of_us, meters=meters
        )
        return frame.with_columns(
            (pl.col("volume_l_e5") / _E5).alias("volume_l"), (pl.col("energy_wh_e5") / _E5).alias("energy_wh")
        )

    def code_of(self, meter: str) -> int:
        """Return the dense code of a meter.

        Raises:
            MeterNotFoundError: It is not in the registry.
        """
        rows = self.city.registry().rows
        found = rows["code"].filter(rows["meter"] == meter)
        if found.is_empty():
            raise MeterNotFoundError(meter)
        return int(found[0])


@dataclass(frozen=True, slots=True)
class Span:
    """A period asked about, the end excluded, seen as of a moment (None: as of now) [µs UTC]."""

    start_us: int
    end_us: int
    as_of_us: int | None


def desk(request: Request) -> Desk:
    """Return the desk of the application."""
    return cast("Desk", request.app.state.desk)


Here = Annotated[Desk, Depends(desk)]
_TIME_HELP = "a gas day (2026-01-31) or a time (2026-01-31T06:00:00+01:00)"


def span(
    here: Here,
    start: Annotated[str | None, Query(alias="from", description=f"Beginning: {_TIME_HELP}.")] = None,
    end: Annotated[str | None, Query(alias="to", description=f"End, excluded: {_TIME_HELP}.")] = None,
    as_of: Annotated[str | None, Query(description="Answer with what was known at this moment.")] = None,
) -> Span:
    """Return the period of a request.

    Without ``to`` it ends with the gas day that the newest reading closes or stands in, without ``from`` it has 7 gas
    days.

    Raises:
        BadTimeError: A time cannot be read.
        EmptyPeriodError: It ends before it begins.
    """
    clock = here.clock
    end_us = moment(here, end) if end else clock.gas_day_start_us(clock.gas_day(newest_us(here) - 1) + 1)
    start_us = (
        moment(here, start) if start else clock.gas_day_start_us(clock.gas_day(end_us - 1) - _DEFAULT_GAS_DAYS + 1)
    )
    if end_us <= start_us:
        raise EmptyPeriodError(clock.format(start_us), clock.format(end_us))
    return Span(start_us, end_us, moment(here, as_of) if as_of else None)


Asked = Annotated[Span, Depends(span)]


def moment(here: Desk, text: str) -> int:
    """Return an instant of a request [µs UTC]; a plus sign that came as a blank is put back.

    Raises:
        BadTimeError: The text is not a time that the city can know.
    """
    at_us = here.clock.parse(text.strip().replace(" ", "+") if "T" in text else text)
    if not 0 <= at_us < _LAST_US:
        raise BadTimeError(text)
    return at_us


def newest_us(here: Desk) -> int:
    """Return the time of the newest reading, or the present when there is none [µs UTC]."""
    held = here.city.readings.span_us()
    return here.now_us() if held is None else min(held[1], here.now_us())


#: 2200-01-01: later times are slips of the pen, and would count millions of periods.
_LAST_US = 7_258_118_400_000_000
