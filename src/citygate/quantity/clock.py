"""Times: UTC microseconds inside, local gas days on top. The only place that knows local time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
import polars as pl

from citygate.errors import CitygateError

US_PER_SECOND = 1_000_000
US_PER_HOUR = 3_600 * US_PER_SECOND
EPOCH = date(1970, 1, 1)

Micros = npt.NDArray[np.int64]
Period = Literal["hour", "gas-day", "gas-month"]


class UnknownZoneError(CitygateError):
    """A time zone is not in the IANA database."""

    code = "unknown_time_zone"

    def __init__(self, zone: str) -> None:
        self.zone = zone
        super().__init__(f"'{zone}' is not a time zone of the IANA database; write one such as Europe/Berlin")


class BadTimeError(CitygateError):
    """A time cannot be read, or has no offset where one is needed."""

    code = "bad_time"

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"'{text}' is not a time; write 2026-01-31, 2026-01-31T06:00 or 2026-01-31T06:00:00+01:00")


@dataclass(frozen=True, slots=True)
class CityClock:
    """Local time and the gas day of one city.

    A gas day begins at ``gas_day_hour`` local time and has 23 or 25 hours around a clock change. It bears the local
    date on which it begins, and is counted in days since 1970-01-01.

    Args:
        zone: IANA time zone, such as Europe/Berlin.
        gas_day_hour: Local hour at which the gas day begins, 0 to 23.

    Raises:
        UnknownZoneError: The zone is not known.
        ValueError: The hour is not within 0 to 23.
    """

    zone: str = "Europe/Berlin"
    gas_day_hour: int = 6

    def __post_init__(self) -> None:
        if not 0 <= self.gas_day_hour <= 23:  # noqa: PLR2004 - hours of a day
            raise ValueError(f"gas_day_hour is {self.gas_day_hour}; it must lie within 0 to 23")
        _zone_info(self.zone)

    def gas_day_start_us(self, gas_day: int) -> int:
        """Return the instant at which a gas day begins [µs UTC]."""
        return _local_us(self.zone, self.gas_day_hour, gas_day)

    def gas_day_starts_us(self, first: int, last: int) -> Micros:
        """Return the beginnings of the gas days ``first`` to ``last``, both included [µs UTC]."""
        return np.array([self.gas_day_start_us(day) for day in range(first, last + 1)], dtype=np.int64)

    def gas_day(self, at_us: int) -> int:
        """Return the gas day that holds an instant."""
        return int(self.gas_days(np.array([at_us], dtype=np.int64))[0])

    def gas_days(self, at_us: Micros) -> Micros:
        """Return the gas day of every instant."""
        local = self._local(at_us).dt.offset_by(f"-{self.gas_day_hour}h").dt.date().to_physical()
        return local.cast(pl.Int64).to_numpy()

    def local_hours(self, at_us: Micros) -> Micros:
        """Return the local hour of the day, 0 to 23, of every instant."""
        return self._local(at_us).dt.hour().cast(pl.Int64).to_numpy()

    def gas_day_date(self, gas_day: int) -> date:
        """Return the local date that a gas day bears."""
        return EPOCH + timedelta(days=gas_day)

    def period_starts_us(self, period: Period, start_us: int, end_us: int) -> Micros:
        """Return the beginnings of the periods that overlap [start_us, end_us), and the end of the last [µs UTC].

        Gas months begin with the gas day of the first of the month.
        """
        first = self.gas_day(start_us)
        if period == "hour":
            origin = self.gas_day_start_us(first)
            begin = origin + (start_us - origin) // US_PER_HOUR * US_PER_HOUR
            count = max(0, -((begin - end_us) // US_PER_HOUR))
            return begin + np.arange(count + 1, dtype=np.int64) * US_PER_HOUR
        last = self.gas_day(end_us - 1) if end_us > start_us else first - 1
        if period == "gas-day":
            return self.gas_day_starts_us(first, last + 1)
        month = self.gas_day_date(first).replace(day=1)
        starts = []
        while (month - EPOCH).days <= last:
            starts.append(self.gas_day_start_us((month - EPOCH).days))
            month = (month.replace(day=28) + timedelta(days=4)).replace(day=1)
        return np.array([*starts, self.gas_day_start_us((month - EPOCH).days)], dtype=np.int64)

    def parse(self, text: str) -> int:
        """Return an instant written by a person [µs UTC]; a date means the beginning of that gas day.

        A time without an offset is taken in the zone of the city, since a person typed it.

        Raises:
            BadTimeError: The text is not a time.
        """
        try:
            if len(text) == len("2026-01-31"):
                return self.gas_day_start_us((date.fromisoformat(text) - EPOCH).days)
            moment = datetime.fromisoformat(text)
        except ValueError as cause:
            raise BadTimeError(text) from cause
        return to_us(moment if moment.tzinfo else moment.replace(tzinfo=_zone_info(self.zone)))

    def format(self, at_us: int) -> str:
        """Return an instant as ISO 8601 text with the offset of the city."""
        return to_datetime(at_us).astimezone(_zone_info(self.zone)).isoformat()

    def _local(self, at_us: Micros) -> pl.Series:
        return (
            pl.Series(at_us, dtype=pl.Int64)
            .cast(pl.Datetime("us", "UTC"))
            .dt.convert_time_zone(self.zone)
            .dt.replace_time_zone(None)
        )


def to_datetime(at_us: int) -> datetime:
    """Return microseconds since 1970-01-01 UTC as a moment in UTC."""
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=at_us)


def to_us(moment: datetime) -> int:
    """Return an instant with an offset as whole microseconds since 1970-01-01 UTC."""
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)


@lru_cache(maxsize=64)
def _zone_info(zone: str) -> ZoneInfo:
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as cause:
        raise UnknownZoneError(zone) from cause


@lru_cache(maxsize=65_536)
def _local_us(zone: str, hour: int, day: int) -> int:
    local = EPOCH + timedelta(days=day)
    return to_us(datetime(local.year, local.month, local.day, hour, tzinfo=_zone_info(zone)))
