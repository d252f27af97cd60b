"""Few large files out of many small ones: every part (window and block) gets one file that holds all its readings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import sqlalchemy as sa

from citygate.quantity.clock import US_PER_SECOND
from citygate.store.manifest import add_segments, live_segments, retire_segments, segments_table
from citygate.store.readings import now_us
from citygate.store.segments import SCHEMA, Segment, scan_segments, write_segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from citygate.store.manifest import Part
    from citygate.store.readings import ReadingStore

#: A file that is out of use stays this long for those who still read it [µs].
GRACE_US = 600 * US_PER_SECOND
_SMALL_ROWS = 100_000
_MANY_FILES = 16
_MANY_ROWS = 32_000_000
_ORDER = ["meter", "at_us", "received_us", "commit"]


def compact_if_due(store: ReadingStore) -> None:
    """Merge files where that pays: many small commits into one, and many rows of commits into parts."""
    with store.lock.held():
        with store.records.connect() as connection:
            commits = [segment for segment in live_segments(connection) if segment.level == 0]
        small = [segment for segment in commits if segment.rows < _SMALL_ROWS]
        if sum(segment.rows for segment in commits) >= _MANY_ROWS or len(commits) - len(small) >= 2 * _MANY_FILES:
            compact(store)
        elif len(small) >= _MANY_FILES:
            rows = scan_segments(store.folder, [segment.name for segment in small]).collect().sort(_ORDER)
            _replace(store, small, [write_segment(store.folder, rows, 0)])


def compact(store: ReadingStore, progress: Callable[[int, int], None] | None = None) -> None:
    """Move the readings of all commits into their parts; readers are served meanwhile.

    Args:
        store: Readings to compact.
        progress: Told how many parts are done, of how many.
    """
    with store.lock.held():
        with store.records.connect() as connection:
            segments = live_segments(connection)
        commits = [segment for segment in segments if segment.level == 0]
        if not commits:
            return
        parts = list(_parts(store, commits))
        made: list[Segment] = []
        used = list(commits)
        for done, (block, window) in enumerate(parts):
            old = [
                segment for segment in segments if segment.level == 1 and _part_of(store, segment) == (block, window)
            ]
            rows = _rows_of(store, [*commits, *old], (block, window))
            if len(rows):
                made.append(write_segment(store.folder, rows, 1))
                used += old
            if progress:
                progress(done + 1, len(parts))
        _replace(store, used, made)


def sweep(store: ReadingStore) -> None:
    """Delete files that are out of use for good, and those that a killed process left behind; not while one writes."""
    with store.lock.tried() as mine:
        if mine:
            _sweep(store)


def _sweep(store: ReadingStore) -> None:
    with store.records.begin() as connection:
        old = segments_table.c.retired_us < now_us() - GRACE_US
        connection.execute(segments_table.delete().where(old))
        named = set(connection.scalars(sa.select(segments_table.c.name)))
        for path in [*store.folder.glob("*.parquet"), *store.folder.glob("*.draft")]:
            if path.name not in named:
                path.unlink(missing_ok=True)


def _parts(store: ReadingStore, commits: list[Segment]) -> Iterator[Part]:
    size = store.partition.block_meters
    for (block, window), _ in sorted(store.presence().items()):
        start_us, end_us = store.partition.window_start_us(window), store.partition.window_start_us(window + 1)
        first = block * size
        if any(
            segment.first_us < end_us
            and segment.last_us >= start_us
            and segment.first_code < first + size
            and segment.last_code >= first
            for segment in commits
        ):
            yield block, window


def _part_of(store: ReadingStore, segment: Segment) -> Part:
    return store.partition.block(segment.first_code), store.partition.window(segment.first_us)


def _rows_of(store: ReadingStore, segments: list[Segment], part: Part) -> pl.DataFrame:
    size = store.partition.block_meters
    start_us, end_us = store.partition.window_start_us(part[1]), store.partition.window_start_us(part[1] + 1)
    keep = pl.col("meter").is_between(part[0] * size, (part[0] + 1) * size - 1)
    keep &= (pl.col("at_us") >= start_us) & (pl.col("at_us") < end_us)
    names = [segment.name for segment in segments if segment.first_us < end_us and segment.last_us >= start_us]
    return scan_segments(store.folder, names).filter(keep).collect().select(list(SCHEMA)).sort(_ORDER)


def _replace(store: ReadingStore, old: list[Segment], new: list[Segment]) -> None:
    with store.records.begin() as connection:
        add_segments(connection, new)
        retire_segments(connection, [segment.name for segment in old], now_us())
