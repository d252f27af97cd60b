"""From files and messages to the store: each chunk in one durable step, each row counted once."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, cast

import polars as pl
import sqlalchemy as sa

from citygate.fleet.registry import UNASSIGNED, Registry
from citygate.link.files import cut_of_files, read_chunks
from citygate.reading.assemble import assemble, require_columns, unpivot
from citygate.reading.flaw import with_raw
from citygate.reading.mapping import ROW, Mapping, plain_mapping
from citygate.store.manifest import commits_table
from citygate.store.quarantine import Held, Progress, hold, note_progress
from citygate.store.retention import kept_from_us
from citygate.validation.admit import Limits, admit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from citygate.link.chunk import Chunk
    from citygate.reading.batch import ReadingBatch, ValidatedBatch
    from citygate.store.city import City

#: Bytes at each end of a file that tell it from others [byte].
_FINGERPRINT_BYTES = 65_536
#: No gas meter counts further: twelve digits are more than any register has [litre].
_REGISTER_MOST_L = 999_999_999_999


class Strangers(StrEnum):
    """What to do with meters that are not registered."""

    REGISTER = "register"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class IngestCount:
    """What became of the rows of an input: ``read`` is the sum of all others but ``meters_registered``.

    Attributes:
        read: Rows that came.
        stored: First readings of their meter and instant.
        duplicate: Rows that say what is held.
        revised: Other values for a meter and instant that is held.
        refused: Rows that are in quarantine, by the code of the reason.
        unread: Rows that could not be split into fields; in quarantine too.
        meters_registered: Meters that were new and are now in the zone ``unassigned``.
    """

    read: int = 0
    stored: int = 0
    duplicate: int = 0
    revised: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    unread: int = 0
    meters_registered: int = 0

    def plus(self, other: IngestCount) -> IngestCount:
        """Return the sum of two counts."""
        refused = Counter(self.refused)
        refused.update(other.refused)
        names = ("read", "stored", "duplicate", "revised", "unread", "meters_registered")
        sums = {name: getattr(self, name) + getattr(other, name) for name in names}
        return IngestCount(refused=dict(sorted(refused.items())), **sums)

    def as_dict(self) -> dict[str, int | dict[str, int]]:
        """Return the counts by name, for JSON."""
        return {
            "read": self.read,
            "stored": self.stored,
            "duplicate": self.duplicate,
            "revised": self.revised,
            "refused": self.refused,
            "unread": self.unread,
            "meters_registered": self.meters_registered,
        }


def standing_limits(city: City) -> Limits:
    """Return what a row may say in a city: nothing of a time whose readings were thinned or dropped by retention."""
    usual = Limits()
    return replace(usual, oldest_us=max(usual.oldest_us, kept_from_us(city.records)))


class Intake:
    """The way into a city for one kind of input.

    Args:
        city: Where to store.
        now_us: Tells the present [µs UTC].
        mapping: How columns become readings; the plain form when None.
        limits: What a row may say; the standing limits of the city when None.
        strangers: What to do with meters that are not registered: files register them, the field never does.
    """

    def __init__(
        self,
        city: City,
        now_us: Callable[[], int],
        *,
        mapping: Mapping | None = None,
        limits: Limits | None = None,
        strangers: Strangers = Strangers.REFUSE,
    ) -> None:
        self.city = city
        self.now_us = now_us
        self.mapping = mapping or plain_mapping()
        self.limits = limits or standing_limits(city)
        self.strangers = strangers

    def take(
        self,
        chunk: Chunk,
        also: Callable[[sa.Connection, IngestCount], None] | None = None,
        welcomed: Callable[[sa.Connection, int], None] | None = None,
    ) -> IngestCount:
        """Store a chunk and put the rest of its rows into quarantine, in one transaction; durable on return.

        Args:
            chunk: Rows as they came.
            also: More changes of the records in the same transaction.
            welcomed: More changes of the records in the transaction before it that registers new meters.

        Raises:
            DiskFullError: There is no room; nothing of the chunk was kept, and the same call may be repeated.
            StoreUnavailableError: The records cannot be written now; the same.
        """
        now_us = self.now_us()
        valid, refused, registered = self._sort_out(chunk, now_us, welcomed)
        held = [
            Held(row, name, code, message, raw.encode(), readable=True)
            for row, name, code, message, raw in refused.iter_rows()
        ]
        held += [Held(lost.row, "", lost.code, lost.message, lost.raw, readable=False) for lost in chunk.unread]
        reasons = dict(sorted(Counter(refused["code"].to_list()).items()))

        count = IngestCount(
            read=valid.rows.height + len(held), refused=reasons, unread=len(chunk.unread), meters_registered=registered
        )

        def keep(connection: sa.Connection) -> None:
            hold(connection, held, source=chunk.source, mapping=self.mapping.text, recorded_us=now_us)
            if also is not None:
                also(connection, _with_commit(connection, count))

        kept = self.city.readings.append(valid, source=chunk.source, recorded_us=now_us, also=keep)
        return replace(count, stored=kept.stored, duplicate=kept.duplicate, revised=kept.revised)

    def ingest(self, path: Path, on_chunk: Callable[[IngestCount], None] | None = None) -> IngestCount:
        """Take a whole file to the store; safe to interrupt at any moment and to repeat.

        A file that was interrupted goes on after its last finished chunk and its earlier counts are carried; a file
        that was finished is read again from its start, and its rows count as duplicates.

        Args:
            path: File of a known kind.
            on_chunk: Told of the counts so far after each chunk.

        Returns:
            Counts of the whole file, from its first row.

        Raises:
            ColumnMissingError: The columns of the file cannot give readings; nothing was taken.
            FileKindError: The ending of the file is not known.
            DiskFullError: There is no room; the same call goes on later.
            OSError: The file cannot be opened.
        """
        file = self._fingerprint(path)
        before = self.city.quarantine.progress(file)
        done = Progress(0, {}, finished=False) if before.finished else before
        total = IngestCount(**done.counts)
        chunks = done.chunks
        for chunk in read_chunks(path, self.mapping.file, skip=chunks):
            if not chunk.free:
                require_columns(self.mapping, chunk.frame.columns)
            noting, welcoming = _noting(file, chunk.number, total), _welcoming(file, chunk.number, total)
            total = total.plus(self.take(chunk, noting, welcoming))
            chunks = chunk.number + 1
            if on_chunk is not None:
                on_chunk(total)
        with self.city.records.begin() as connection:
            note_progress(connection, file, Progress(chunks, total.as_dict(), finished=True))
        return total

    def _sort_out(
        self, chunk: Chunk, now_us: int, welcomed: Callable[[sa.Connection, int], None] | None
    ) -> tuple[ValidatedBatch, pl.DataFrame, int]:
        """Return the valid rows, the refused ones with what they said, and how many meters were registered."""
        frame, mapping = unpivot(chunk.frame, self.mapping)
        # Cells of a wide file share a line: within the chunk a row is known by its place.
        lines = frame[ROW]
        frame = frame.with_columns(pl.int_range(pl.len(), dtype=pl.Int64()).alias(ROW))
        batch, unfit = assemble(frame, mapping)
        registered = self._welcome(batch, welcomed) if self.strangers is Strangers.REGISTER else 0
        valid, refused = admit(batch, self.city.registry(), now_us, self.limits)
        refused = pl.concat([unfit, with_raw(refused, frame, ROW)])
        return valid, refused.with_columns(lines.gather(refused["row"]).alias("row")), registered

    def _welcome(self, batch: ReadingBatch, welcomed: Callable[[sa.Connection, int], None] | None) -> int:
        """Register the meters that nobody knows, in the order they come, and return how many."""
        known = self.city.registry().rows
        fresh = (
            batch.rows.select("meter")
            .unique(maintain_order=True)
            .join(known.select("meter"), on="meter", how="anti", maintain_order="left")
        )
        listed = pl.concat([known.filter(pl.lit(value=False)), fresh], how="diagonal")
        wide = _wide_registers(batch.rows, known)
        if not wide.is_empty():
            grown = known.join(wide.select("meter"), on="meter", how="semi", maintain_order="left")
            listed = pl.concat([listed, grown]).update(wide, on="meter")
        if listed.is_empty():
            return 0
        self.city.register(listed, lambda connection: welcomed(connection, fresh.height) if welcomed else None)
        return fresh.height

    def _fingerprint(self, path: Path) -> str:
        """Return what tells this file, read in this way, from all others; its name and place do not matter."""
        facts = path.stat()
        size = facts.st_size
        with path.open("rb") as file:
            head = file.read(_FINGERPRINT_BYTES)
            file.seek(max(0, size - _FINGERPRINT_BYTES))
            tail = file.read(_FINGERPRINT_BYTES)
        # How the file is cut belongs to it: a chunk has a number only under the same cut. So does when it was changed:
        # a correction in its middle may alter neither its size nor its ends.
        cut = (path.suffix, size, facts.st_mtime_ns, self.mapping.text, self.strangers, cut_of_files())
        told = "\0".join(map(str, cut)).encode()
        return hashlib.blake2b(told + head + tail, digest_size=16).hexdigest()


def _noting(file: str, number: int, before: IngestCount) -> Callable[[sa.Connection, IngestCount], None]:
    def note(connection: sa.Connection, count: IngestCount) -> None:
        note_progress(connection, file, Progress(number + 1, before.plus(count).as_dict(), finished=False))

    return note


def _welcoming(file: str, number: int, before: IngestCount) -> Callable[[sa.Connection, int], None]:
    """Return what keeps the number of new meters when the process dies between their registration and their rows."""

    def note(connection: sa.Connection, meters: int) -> None:
        counts = before.plus(IngestCount(meters_registered=meters)).as_dict()
        note_progress(connection, file, Progress(number, counts, finished=False))

    return note


def _wide_registers(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return ``meter`` and ``register_max_l`` where a register has more digits than a meter of its kind is taken for.

    Only of meters that nobody knows or described: the smallest power of ten above the largest register seen.
    """
    usual_l = cast("int", Registry.unknown["register_max_l"])
    beyond = rows.lazy().filter(pl.col("index_l").is_between(usual_l, _REGISTER_MOST_L))
    digits = pl.col("index_l").max().cast(pl.String).str.len_chars()
    return (
        beyond.group_by("meter", maintain_order=True)
        .agg(pl.lit(10, pl.Int64).pow(digits).cast(pl.Int64).alias("wanted_l"))
        .join(known.lazy().select("meter", "zone", "register_max_l"), on="meter", how="left", maintain_order="left")
        .filter(pl.col("zone").is_null() | ((pl.col("zone") == UNASSIGNED) & (pl.col("register_max_l") >= usual_l)))
        .filter(pl.col("wanted_l") > pl.col("register_max_l").fill_null(usual_l))
        .select("meter", pl.col("wanted_l").alias("register_max_l"))
        .collect()
    )


def _with_commit(connection: sa.Connection, count: IngestCount) -> IngestCount:
    """Return a count with what the store found, as the commit of this very transaction says."""
    table = commits_table.c
    query = sa.select(table.stored, table.duplicate, table.revised).order_by(table.commit.desc()).limit(1)
    stored, duplicate, revised = connection.execute(query).one()
    return replace(count, stored=stored, duplicate=duplicate, revised=revised)


def ingest(intake: Intake, paths: Iterable[Path], on_chunk: Callable[[IngestCount], None] | None = None) -> IngestCount:
    """Take files to the store, one after the other, and return the sum of their counts."""
    total = IngestCount()
    for path in paths:
        before = total

        def told(count: IngestCount, before: IngestCount = before) -> None:
            if on_chunk is not None:
                on_chunk(before.plus(count))

        total = total.plus(intake.ingest(path, told))
    return total
