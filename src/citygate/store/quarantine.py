"""Rows that were not taken: kept raw, each with where it came from and why, until somebody settles it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from citygate.store.records import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Rows written, or read, at a time.
_BATCH = 10_000
_MAPPING_CHARS = 16

quarantine_table = sa.Table(
    "quarantine",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("key", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("row", sa.BigInteger, nullable=False),
    sa.Column("field", sa.String, nullable=False),
    sa.Column("code", sa.String, nullable=False, index=True),
    sa.Column("message", sa.String, nullable=False),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.Column("mapping", sa.String, nullable=False),
    sa.Column("readable", sa.Boolean, nullable=False),
    sa.Column("recorded_us", sa.BigInteger, nullable=False),
    sa.Column("settled_us", sa.BigInteger),
)
_open = sa.Index("quarantine_open", quarantine_table.c.settled_us, quarantine_table.c.number)

mapping_table = sa.Table(
    "ingest_mapping",
    metadata,
    sa.Column("mapping", sa.String, primary_key=True),
    sa.Column("text", sa.String, nullable=False),
)

progress_table = sa.Table(
    "ingest_progress",
    metadata,
    sa.Column("file", sa.String, primary_key=True),
    sa.Column("chunks", sa.Integer, nullable=False),
    sa.Column("counts", sa.String, nullable=False),
    sa.Column("finished", sa.Boolean, nullable=False),
)


class Held(NamedTuple):
    """A row for the quarantine.

    Attributes:
        row: Its number in the source.
        field: Which field was wrong; empty when the row could not be read.
        code: Why.
        message: For a person.
        raw: The row: a JSON object when it could be read, its bytes otherwise.
        readable: Whether it could be split into fields, so that it may be tried again.
    """

    row: int
    field: str
    code: str
    message: str
    raw: bytes
    readable: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a file has come.

    Attributes:
        chunks: Chunks that are stored.
        counts: What became of their rows.
        finished: Whether the whole file is done.
    """

    chunks: int
    counts: dict[str, Any]
    finished: bool


class Quarantine:
    """The rows of a city that were not taken, and how far each file has come.

    Args:
        records: Database of the city.
    """

    def __init__(self, records: sa.Engine) -> None:
        self.records = records

    def counts(self) -> dict[str, int]:
        """Return how many open rows there are of each code, sorted by code."""
        table = quarantine_table.c
        query = (
            sa.select(table.code, sa.func.count())
            .where(table.settled_us.is_(None))
            .group_by(table.code)
            .order_by(table.code)
        )
        with self.records.connect() as connection:
            return {code: int(count) for code, count in connection.execute(query)}

    def rows(
        self, code: str | None = None, after: int = 0, limit: int = 1_000, source: str | None = None
    ) -> pl.DataFrame:
        """Return open rows in the order they came; the columns are those of `SHOWN`.

        Args:
            code: Only this code.
            after: Only numbers above this one, to page on.
            limit: Most rows returned.
            source: Only of this source.
        """
        table = quarantine_table.c
        query = sa.select(*(table[name] for name in SHOWN)).where(table.settled_us.is_(None), table.number > after)
        if code is not None:
            query = query.where(table.code == code)
        if source is not None:
            query = query.where(table.source == source)
        with self.records.connect() as connection:
            found = connection.execute(query.order_by(table.number).limit(limit)).all()
        return pl.DataFrame([tuple(row) for row in found], schema=SHOWN, orient="row")

    def row(self, number: int) -> dict[str, Any] | None:
        """Return one row by its number, settled or not; None when there is none."""
        table = quarantine_table.c
        with self.records.connect() as connection:
            found = connection.execute(
                sa.select(*(table[name] for name in (*SHOWN, "settled_us"))).where(table.number == number)
            ).first()
        return None if found is None else dict(found._mapping)  # noqa: SLF001 - the public name of SQLAlchemy

    def pages(self, code: str | None = None) -> Iterator[pl.DataFrame]:
        """Yield all open rows, a page at a time."""
        after = 0
        while not (page := self.rows(code, after, _BATCH)).is_empty():
            yield page
            after = int(page["number"].max())  # type: ignore[arg-type]

    def mapping_text(self, mapping: str) -> str:
        """Return the TOML of a mapping by its key; empty for the plain form."""
        with self.records.connect() as connection:
            return connection.scalar(sa.select(mapping_table.c.text).where(mapping_table.c.mapping == mapping)) or ""

    def progress(self, file: str) -> Progress:
        """Return how far a file has come."""
        with self.records.connect() as connection:
            found = connection.execute(sa.select(progress_table).where(progress_table.c.file == file)).first()
        return (
            Progress(0, {}, finished=False)
            if found is None
            else Progress(found.chunks, json.loads(found.counts), found.finished)
        )


#: Columns of a row that is shown.
SHOWN: dict[str, pl.DataType] = {
    "number": pl.Int64(),
    "source": pl.String(),
    "row": pl.Int64(),
    "field": pl.String(),
    "code": pl.String(),
    "message": pl.String(),
    "raw": pl.Binary(),
    "mapping": pl.String(),
    "readable": pl.Boolean(),
    "recorded_us": pl.Int64(),
}


def mapping_key(text: str) -> str:
    """Return the key under which the TOML of a mapping is kept."""
    return hashlib.blake2b(text.encode()).hexdigest()[:_MAPPING_CHARS] if text else ""


def hold(connection: sa.Connection, rows: Sequence[Held], *, source: str, mapping: str, recorded_us: int) -> None:
    """Put rows into quarantine; a row that is there already, open or settled, is not put again.

    Args:
        connection: Transaction of the caller.
        rows: What to keep.
        source: File or channel they came from.
        mapping: TOML that they were read with; empty for the plain form.
        recorded_us: When they came [µs UTC].
    """
    if not rows:
        return
    key = mapping_key(mapping)
    if key:
        connection.execute(insert(mapping_table).on_conflict_do_nothing(), [{"mapping": key, "text": mapping}])
    for start in range(0, len(rows), _BATCH):
        batch = [
            {
                **held._asdict(),
                "key": _identity(source, key, held),
                "source": source,
                "mapping": key,
                "recorded_us": recorded_us,
            }
            for held in rows[start : start + _BATCH]
        ]
        connection.execute(insert(quarantine_table).on_conflict_do_nothing(), batch)


def _identity(source: str, mapping: str, held: Held) -> bytes:
    text = f"{source}\0{mapping}\0{held.row}\0{held.field}\0{held.code}\0".encode(errors="surrogateescape")
    return hashlib.blake2b(text + held.raw, digest_size=16).digest()


def settle(connection: sa.Connection, numbers: Sequence[int], settled_us: int) -> None:
    """Mark rows as settled: they stay, but are no longer open."""
    table = quarantine_table
    change = table.update().where(table.c.number == sa.bindparam("_number")).values(settled_us=settled_us)
    if numbers:
        connection.execute(change, [{"_number": number} for number in numbers])


def correct(connection: sa.Connection, reasons: Sequence[tuple[int, str, str, str]]) -> None:
    """Give open rows a new reason: number, field, code, message."""
    table = quarantine_table
    names = ("field", "code", "message")
    change = (
        table.update()
        .where(table.c.number == sa.bindparam("_number"))
        .values({name: sa.bindparam(f"_{name}") for name in names})
    )
    if reasons:
        keys = ("_number", *(f"_{name}" for name in names))
        connection.execute(change, [dict(zip(keys, reason, strict=True)) for reason in reasons])


def note_progress(connection: sa.Connection, file: str, progress: Progress) -> None:
    """Keep how far a file has come."""
    values = {"chunks": progress.chunks, "counts": json.dumps(progress.counts), "finished": progress.finished}
    change = insert(progress_table).values(file=file, **values)
    connection.execute(change.on_conflict_do_update(index_elements=["file"], set_=values))
