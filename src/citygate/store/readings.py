"""Validated readings on disk: every revision of them, in Parquet files that any tool can open."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import sqlalchemy as sa

from citygate.reading.batch import QUANTITIES, ValidatedBatch
from citygate.store.lock import WriterLock
from citygate.store.manifest import (
    add_segments,
    commits_table,
    live_segments,
    load_presence,
    mark_dirty,
    save_presence,
    segments_table,
)
from citygate.store.reach import touched
from citygate.store.revision import compare
from citygate.store.segments import SCHEMA, scan_segments, write_segment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from citygate.reading.partition import Partition
    from citygate.store.manifest import Bits, Part

_KEY = ["meter", "at_us"]
_CONTENT = list(QUANTITIES)
_NEVER_US = -(2**62)


@dataclass(frozen=True, slots=True)
class AppendCount:
    """What became of the rows of a batch; the three add up to its length.

    Attributes:
        stored: First readings of their meter and instant.
        duplicate: Rows that say what is already held.
        revised: Other values for a meter and instant that is held: new revisions.
    """

    stored: int
    duplicate: int
    revised: int


class ReadingStore:
    """Keeps validated readings and every revision of them; the revision received last answers.

    A row is identified by meter, instant and content: appending it twice is appending it once, and repeating an old
    file never undoes a correction. Revisions are ordered by when the head-end received them last (when Citygate first
    recorded them, where that is unknown), so the answer does not depend on the order in which they arrive.

    Args:
        folder: Folder of the Parquet files.
        records: Database of the manifest.
        partition: Rule that cuts the readings into parts.
    """

    def __init__(self, folder: Path, records: sa.Engine, partition: Partition) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.records = records
        self.partition = partition
        self.lock = WriterLock(folder.parent / "writer.lock")
        self._presence: dict[Part, Bits] = {}
        self._newest_us: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._exact: npt.NDArray[np.bool_] = np.empty(0, dtype=np.bool_)
        self._last_commit = -1

    def append(
        self,
        batch: ValidatedBatch,
        *,
        source: str,
        recorded_us: int,
        also: Callable[[sa.Connection], None] | None = None,
    ) -> AppendCount:
        """Keep the rows not yet held; on return they survive a crash.

        Args:
            batch: Readings with the codes of the registry.
            source: Where they came from; kept with the commit.
            recorded_us: When Citygate took them [µs UTC]; moved on by 1 ms where it does not exceed the last commit's.
            also: More changes of the records that must happen with this commit or not at all.

        Raises:
            DiskFullError: There is no room; nothing was kept.
        """
        with self.lock.held():
            self._catch_up(int(batch.rows["meter"].max() or 0))  # type: ignore[arg-type]
            with self.records.connect() as connection:
                last_us = connection.scalar(sa.select(sa.func.max(commits_table.c.recorded_us)))
            recorded_us = int(recorded_us) if last_us is None else max(int(recorded_us), last_us + 1_000)
            commit = self._last_commit + 1
            fresh, count = self._sort_out(batch.rows, recorded_us)
            segment = (
                write_segment(self.folder, fresh.with_columns(pl.lit(commit, pl.Int32).alias("commit")), 0)
                if len(fresh)
                else None
            )
            span = self.span_us()
            newest_us = span[1] if span else None
            presence, dirty = touched(fresh, self._newest_us, self._presence, self.partition, newest_us)
            try:
                with self.records.begin() as connection:
                    facts = {"stored": count.stored, "duplicate": count.duplicate, "revised": count.revised}
                    connection.execute(
                        commits_table.insert().values(commit=commit, recorded_us=recorded_us, source=source, **facts)
                    )
                    add_segments(connection, [segment] if segment else [])
                    save_presence(connection, presence)
                    mark_dirty(connection, dirty)
                    if also:
                        also(connection)
            except BaseException:
                if segment:
                    (self.folder / segment.name).unlink(missing_ok=True)
                raise
            self._remember(fresh, presence, commit)
            return count

    def scan(
        self,
        meters: Sequence[int] | None,
        start_us: int,
        end_us: int,
        as_of_us: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """Return the readings with start_us <= at_us < end_us, sorted by meter and time.

        Args:
            meters: Codes of the meters; None for all.
            start_us: First instant [µs UTC].
            end_us: End of the time, excluded [µs UTC].
            as_of_us: Answer as the store would have then; None for now [µs UTC].
            columns: The columns wanted, among those of `ValidatedBatch`; None for all.
        """
        wanted = list(columns or ValidatedBatch.columns)
        needed = [name for name in SCHEMA if name in {*wanted, *_KEY, "received_us", "commit"}]
        rows = self._rows(meters, start_us, end_us, as_of_us, needed)
        return self.current(rows).select(wanted)

    def revisions(self, meter: int, start_us: int, end_us: int) -> pl.DataFrame:
        """Return every revision of a meter's readings with ``commit``, ``recorded_us``, ``source``, oldest first."""
        rows = self._rows([meter], start_us, end_us, None, list(SCHEMA))
        return rows.join(self.commits().select("commit", "recorded_us", "source"), on="commit", how="left").sort(
            "at_us", pl.coalesce("received_us", "recorded_us"), "commit"
        )

    def appended(self, after_commit: int) -> tuple[pl.DataFrame, int]:
        """Return ``meter`` and ``at_us`` of the rows of all commits after one, and the newest commit (-1: none)."""
        with self.records.connect() as connection:
            names = [segment.name for segment in live_segments(connection)]
            newest = connection.scalar(sa.select(sa.func.max(commits_table.c.commit)))
        if newest is None or newest <= after_commit:
            return pl.DataFrame(schema={name: SCHEMA[name] for name in _KEY}), after_commit
        rows = scan_segments(self.folder, names, [*_KEY, "commit"]).filter(pl.col("commit") > after_commit)
        return rows.select(_KEY).collect(), newest

    def latest(self, meters: Sequence[int] | None = None) -> pl.DataFrame:
        """Return the newest reading of each meter that has one: the columns of `ValidatedBatch`, sorted by meter."""
        with self.records.connect() as connection:
            presence = load_presence(connection, self.partition.block_meters)
        codes = np.array(sorted(meters), dtype=np.int64) if meters is not None else None
        found = []
        for block in sorted({block for block, _ in presence}):
            first = block * self.partition.block_meters
            wanted = np.ones(self.partition.block_meters, dtype=np.bool_)
            if codes is not None:
                wanted[:] = False
                wanted[codes[(codes >= first) & (codes < first + self.partition.block_meters)] - first] = True
            for window in sorted((window for other, window in presence if other == block), reverse=True):
                here = wanted & presence[block, window]
                if here.any():
                    bounds = self.partition.window_start_us(window), self.partition.window_start_us(window + 1)
                    rows = self.scan((np.flatnonzero(here) + first).tolist(), *bounds)
                    found.append(rows.unique("meter", keep="last", maintain_order=True))
                    wanted &= ~here
        return pl.concat(found).sort("meter") if found else pl.DataFrame(schema=ValidatedBatch.columns)

    def commits(self) -> pl.DataFrame:
        """Return every commit: number, time of record [µs UTC], source, and its counts."""
        with self.records.connect() as connection:
            rows = connection.execute(sa.select(commits_table).order_by(commits_table.c.commit)).all()
        kinds = {
            "commit": pl.Int32,
            "recorded_us": pl.Int64,
            "source": pl.String,
            "stored": pl.Int64,
            "duplicate": pl.Int64,
            "revised": pl.Int64,
        }
        return pl.DataFrame([tuple(row) for row in rows], schema=kinds, orient="row")

    def span_us(self) -> tuple[int, int] | None:
        """Return the times of the oldest and the newest reading [µs UTC]; None where there is none."""
        table = segments_table.c
        with self.records.connect() as connection:
            query = sa.select(sa.func.min(table.first_us), sa.func.max(table.last_us)).where(table.retired_us.is_(None))
            first, last = connection.execute(query).one()
        return None if first is None else (first, last)

    def presence(self) -> dict[Part, Bits]:
        """Return which meters of each block have readings in each window."""
        with self.records.connect() as connection:
            return load_presence(connection, self.partition.block_meters)

    def _rows(
        self, meters: Sequence[int] | None, start_us: int, end_us: int, as_of_us: int | None, columns: list[str]
    ) -> pl.DataFrame:
        """Return all revisions of some readings, in any order."""
        with self.records.connect() as connection:
            segments = live_segments(connection)
            top = None
            if as_of_us is not None:
                top = connection.scalar(
                    sa.select(sa.func.max(commits_table.c.commit)).where(commits_table.c.recorded_us <= as_of_us)
                )
        low, high = (min(meters), max(meters)) if meters else (0, 2**31 - 1)
        names = [
            segment.name
            for segment in segments
            if segment.first_us < end_us
            and segment.last_us >= start_us
            and segment.first_code <= high
            and segment.last_code >= low
        ]
        keep = (pl.col("at_us") >= start_us) & (pl.col("at_us") < end_us)
        if meters is not None:
            keep &= pl.col("meter").is_between(low, high)
            if high - low + 1 != len(meters):
                keep &= pl.col("meter").is_in(pl.Series(meters, dtype=pl.Int32).implode())
        if as_of_us is not None:
            keep &= pl.col("commit") <= (-1 if top is None else top)
        return scan_segments(self.folder, names, columns).filter(keep).collect()

    def current(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return of all revisions one row for each meter and instant: of every quantity the value received last."""
        code, at_us = rows["meter"].to_numpy(), rows["at_us"].to_numpy()
        if not _ascends(code, at_us):
            rows = rows.sort(_KEY)
            code, at_us = rows["meter"].to_numpy(), rows["at_us"].to_numpy()
        twin = _twins(code, at_us)
        if not twin.any():
            return rows
        several = rows.filter(twin).join(self.commits().select("commit", "recorded_us"), on="commit", how="left")
        content = [name for name in _CONTENT if name in rows.columns]
        several = several.with_columns(pl.coalesce("received_us", "recorded_us").alias("received_us"))
        several = several.sort([*_KEY, "received_us", *content, "commit"])
        values = [pl.col(name).drop_nulls().last() for name in content]
        merged = several.group_by(_KEY, maintain_order=True).agg(*values, pl.col("received_us", "commit").last())
        return pl.concat([rows.filter(~twin), merged.select(rows.columns)]).sort(_KEY)

    def _sort_out(self, rows: pl.DataFrame, recorded_us: int) -> tuple[pl.DataFrame, AppendCount]:
        """Return the rows to write, sorted, and the counts."""
        code, at_us = rows["meter"].to_numpy(), rows["at_us"].to_numpy()
        self._sharpen(np.unique(code[(at_us <= self._newest_us[code]) & ~self._exact[code]]))
        twin = _twins(code, at_us)
        doubtful = (at_us <= self._newest_us[code]) | twin
        if not doubtful.any():
            return rows, AppendCount(len(rows), 0, 0)
        several = rows.filter(doubtful)
        held = self._held(several)
        known = several.select(_KEY).with_row_index("place").join(held.select(_KEY), on=_KEY, how="semi")["place"]
        open_question = twin[doubtful]
        open_question[known.to_numpy()] = True
        doubtful[doubtful] = open_question
        if not open_question.any():
            return rows, AppendCount(len(rows), 0, 0)
        written, stored, revised = compare(several.filter(open_question), held, recorded_us)
        stored += len(rows) - int(open_question.sum())
        new = pl.concat([rows.filter(~doubtful), written]).sort(_KEY, maintain_order=True)
        return new, AppendCount(stored, len(rows) - stored - revised, revised)

    def _held(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Return every revision held of some meters and instants, with when it was received (``seen_us``)."""
        bounds = keys.select(pl.col("at_us").min().alias("start"), pl.col("at_us").max().alias("end")).row(0)
        rows = self._rows(keys["meter"].unique().sort().to_list(), bounds[0], bounds[1] + 1, None, list(SCHEMA))
        commits = self.commits().select("commit", "recorded_us")
        return (
            rows.join(keys, on=_KEY, how="semi")
            .join(commits, on="commit", how="left")
            .with_columns(pl.coalesce("received_us", "recorded_us").alias("seen_us"))
        )

    def _remember(self, fresh: pl.DataFrame, presence: dict[Part, Bits], commit: int) -> None:
        self._presence.update(presence)
        self._last_commit = commit
        if len(fresh):
            last = fresh.group_by("meter").agg(pl.col("at_us").max())
            code, at_us = last["meter"].to_numpy(), last["at_us"].to_numpy()
            self._newest_us[code] = np.maximum(self._newest_us[code], at_us)

    def _catch_up(self, top_code: int) -> None:
        """Learn what other processes committed, and make room for new codes."""
        with self.records.connect() as connection:
            last = connection.scalar(sa.select(sa.func.max(commits_table.c.commit)))
            if (last if last is not None else -1) != self._last_commit:
                self._presence = load_presence(connection, self.partition.block_meters)
                self._last_commit = -1 if last is None else last
                self._newest_us, self._exact = self._newest_us[:0], self._exact[:0]
        if top_code < len(self._newest_us):
            return
        size = self.partition.block_meters * (top_code // self.partition.block_meters + 1)
        start = len(self._newest_us)
        self._newest_us = np.append(self._newest_us, np.full(size - start, _NEVER_US, dtype=np.int64))
        self._exact = np.append(self._exact, np.ones(size - start, dtype=np.bool_))
        for (block, window), bits in self._presence.items():
            codes = np.flatnonzero(bits) + block * self.partition.block_meters
            codes = codes[(codes >= start) & (codes < size)]
            self._newest_us[codes] = np.maximum(self._newest_us[codes], self.partition.window_start_us(window + 1) - 1)
            self._exact[codes] = False

    def _sharpen(self, codes: npt.NDArray[np.int32]) -> None:
        """Replace upper bounds of some meters' newest reading by the truth."""
        for window in np.unique(self.partition.windows(self._newest_us[codes])).tolist():
            start_us, end_us = self.partition.window_start_us(window), self.partition.window_start_us(window + 1)
            here = codes[(self._newest_us[codes] >= start_us) & (self._newest_us[codes] < end_us)]
            last = self._rows(here.tolist(), start_us, end_us, None, _KEY).group_by("meter").agg(pl.col("at_us").max())
            self._newest_us[last["meter"].to_numpy()] = last["at_us"].to_numpy()
            self._exact[here] = True


def now_us() -> int:
    """Return the time of this machine's clock [µs UTC]."""
    return time.time_ns() // 1_000


def _ascends(code: npt.NDArray[np.int32], at_us: npt.NDArray[np.int64]) -> bool:
    step = code[1:] - code[:-1]
    return bool(((step > 0) | ((step == 0) & (at_us[1:] >= at_us[:-1]))).all())


def _twins(code: npt.NDArray[np.int32], at_us: npt.NDArray[np.int64]) -> Bits:
    """Return which rows share meter and instant with a neighbour."""
    same = (code[1:] == code[:-1]) & (at_us[1:] == at_us[:-1])
    twin = np.zeros(len(code), dtype=np.bool_)
    twin[1:] |= same
    twin[:-1] |= same
    return twin
