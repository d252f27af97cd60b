"""Retention: old parts are thinned to what bills stand on, then dropped, by rules that are data."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import TYPE_CHECKING

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from citygate.errors import CitygateError
from citygate.quantity.clock import US_PER_HOUR
from citygate.store.compaction import compact
from citygate.store.manifest import add_segments, live_segments, retire_segments
from citygate.store.records import metadata, settings_table
from citygate.store.segments import SCHEMA, Segment, scan_segments, write_segment

if TYPE_CHECKING:
    from citygate.store.readings import ReadingStore

_DAY_US = 24 * US_PER_HOUR
_EDGE = "kept_from_us"

retention_table = sa.Table(
    "retention",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("block", sa.Integer, nullable=False),
    sa.Column("window", sa.Integer, nullable=False),
    sa.Column("step", sa.String, nullable=False),
    sa.Column("rows_before", sa.BigInteger, nullable=False),
    sa.Column("rows_after", sa.BigInteger, nullable=False),
    sa.Column("done_us", sa.BigInteger, nullable=False),
)


class Step(StrEnum):
    """What happens to an old part."""

    THIN = "thin"
    DROP = "drop"


class WrongRetentionError(CitygateError):
    """A file of retention rules lacks something, or contradicts itself."""

    code = "wrong_retention"

    def __init__(self, why: str) -> None:
        super().__init__(f"the retention rules cannot be used: {why}")


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """How long readings are kept.

    Args:
        readings_days: Every reading and revision stays so long [day].
        daily_days: The first and last reading of each gas day stay so long [day].
    """

    readings_days: int
    daily_days: int

    def __post_init__(self) -> None:
        if not 0 < self.readings_days <= self.daily_days:
            raise WrongRetentionError("0 < readings.keep_days <= daily.keep_days must hold")

    @classmethod
    def parse(cls, text: str) -> RetentionRules:
        """Return the rules written as TOML.

        Raises:
            WrongRetentionError: A period is missing or makes no sense.
        """
        try:
            tables = tomllib.loads(text)
            return cls(int(tables["readings"]["keep_days"]), int(tables["daily"]["keep_days"]))
        except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as cause:
            raise WrongRetentionError(f"[readings] and [daily] each need keep_days ({cause})") from cause

    @classmethod
    def default(cls) -> RetentionRules:
        """Return the packaged rules."""
        return cls.parse((files("citygate.store") / "data" / "retention.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Due:
    """An old part and what the rules want of it."""

    segment: Segment
    block: int
    window: int
    step: Step


def due(store: ReadingStore, rules: RetentionRules, now_us: int) -> list[Due]:
    """Return the parts that the rules want thinned or dropped; parts that were thinned already are left out."""
    with store.records.connect() as connection:
        segments = [segment for segment in live_segments(connection) if segment.level == 1]
        thinned = connection.execute(sa.select(retention_table.c.block, retention_table.c.window)).all()
    known = {(row.block, row.window) for row in thinned}
    found = []
    for segment in segments:
        part = store.partition.block(segment.first_code), store.partition.window(segment.first_us)
        age_us = now_us - store.partition.window_start_us(part[1] + 1)
        if age_us >= rules.daily_days * _DAY_US:
            found.append(Due(segment, *part, Step.DROP))
        elif age_us >= rules.readings_days * _DAY_US and part not in known:
            found.append(Due(segment, *part, Step.THIN))
    return sorted(found, key=lambda each: (each.window, each.block))


def apply(store: ReadingStore, rules: RetentionRules, now_us: int) -> list[Due]:
    """Thin and drop what is due, and return what was done. Totals by gas day of what is thinned stay exact.

    Consumption that was derived stays. Readings that come late for such a time are refused from then on.
    """
    with store.lock.held():
        compact(store)
        done = due(store, rules, now_us)
        for each in done:
            made = [] if each.step is Step.DROP else [write_segment(store.folder, _thinned(store, each.segment), 1)]
            after = sum(segment.rows for segment in made)
            edge_us = max(kept_from_us(store.records), store.partition.window_start_us(each.window + 1))
            row = {"block": each.block, "window": each.window, "step": str(each.step), "done_us": now_us}
            with store.records.begin() as connection:
                add_segments(connection, made)
                retire_segments(connection, [each.segment.name], now_us)
                connection.execute(
                    retention_table.insert().values(**row, rows_before=each.segment.rows, rows_after=after)
                )
                query = insert(settings_table).values(key=_EDGE, value=json.dumps(edge_us))
                connection.execute(query.on_conflict_do_update(["key"], set_={"value": query.excluded.value}))
        return done


def kept_from_us(records: sa.Engine) -> int:
    """Return the time before which readings are no longer taken, nor consumption derived again [µs UTC]."""
    with records.connect() as connection:
        value = connection.scalar(sa.select(settings_table.c.value).where(settings_table.c.key == _EDGE))
    return -(2**62) if value is None else int(json.loads(value))


def _thinned(store: ReadingStore, segment: Segment) -> pl.DataFrame:
    """Return the first and the last reading of each meter and gas day: the neighbours of every edge between days."""
    rows = scan_segments(store.folder, [segment.name]).collect()
    current = store.current(rows)
    days = current.with_columns(pl.Series("day", store.partition.clock.gas_days(current["at_us"].to_numpy())))
    ends = pl.concat([days.unique(["meter", "day"], keep=keep, maintain_order=True) for keep in ("first", "last")])
    return ends.unique(["meter", "at_us"]).select(list(SCHEMA)).sort("meter", "at_us")
