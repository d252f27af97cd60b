"""Parquet files that never change: written whole, made durable, then named in the records."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from citygate.reading.batch import QUANTITIES
from citygate.store.records import typed_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCHEMA: dict[str, pl.DataType] = {
    "meter": pl.Int32(),
    "at_us": pl.Int64(),
    **QUANTITIES,
    "received_us": pl.Int64(),
    "commit": pl.Int32(),
}
#: Sorted by meter and time these are nearly straight lines: small differences in few bits, and any tool reads them.
_STRAIGHT = ("meter", "at_us", "index_l", "received_us", "commit")
_ROWS_PER_GROUP = 131_072


@dataclass(frozen=True, slots=True)
class Segment:
    """One Parquet file of readings, sorted by meter and time.

    Attributes:
        name: File name within the folder of readings.
        level: 0 for a file that a commit wrote, 1 for a part (window and block) that holds all older files' rows of it.
        rows: Number of rows.
        size_b: Size of the file [byte].
        first_us, last_us: Times of the oldest and the newest reading [µs UTC].
        first_code, last_code: Lowest and highest meter code.
    """

    name: str
    level: int
    rows: int
    size_b: int
    first_us: int
    last_us: int
    first_code: int
    last_code: int


def write_segment(folder: Path, rows: pl.DataFrame, level: int) -> Segment:
    """Write rows (columns of `SCHEMA`, sorted by meter and time) to a new file that survives a power cut.

    Columns without any value are left out of the file and read back as null.

    Raises:
        DiskFullError: The disk is full; nothing is left behind.
    """
    used = rows.select(name for name in SCHEMA if rows[name].null_count() < len(rows))
    name = f"{'part' if level else 'commit'}-{uuid.uuid4().hex}.parquet"
    write_durably(folder / name, used)
    return Segment(
        name=name,
        level=level,
        rows=len(rows),
        size_b=(folder / name).stat().st_size,
        first_us=int(rows["at_us"].min()),  # type: ignore[arg-type]
        last_us=int(rows["at_us"].max()),  # type: ignore[arg-type]
        first_code=int(rows["meter"][0]),
        last_code=int(rows["meter"][-1]),
    )


def write_durably(path: Path, rows: pl.DataFrame) -> None:
    """Write a Parquet file beside its place, flush it to the disk, and move it there.

    Raises:
        DiskFullError: The disk is full; nothing is left behind.
        StoreUnavailableError: The file cannot be written for another reason; the same.
    """
    draft = path.with_suffix(".draft")
    straight = {name: "DELTA_BINARY_PACKED" for name in rows.columns if name in _STRAIGHT}
    with typed_errors(path):
        try:
            with draft.open("wb") as file:
                pq.write_table(
                    rows.to_arrow(),
                    file,
                    compression="zstd",
                    column_encoding=straight,
                    use_dictionary=[name for name in rows.columns if name not in _STRAIGHT],
                    row_group_size=_ROWS_PER_GROUP,
                )
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)
            sync_folder(path.parent)
        except OSError:
            draft.unlink(missing_ok=True)
            raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def scan_segments(folder: Path, names: Sequence[str], columns: Sequence[str] | None = None) -> pl.LazyFrame:
    """Return the rows of some files, each in its own order; absent columns are null."""
    schema = {name: kind for name, kind in SCHEMA.items() if columns is None or name in columns}
    if not names:
        return pl.LazyFrame(schema=schema)
    return pl.scan_parquet(
        [folder / name for name in names], schema=schema, missing_columns="insert", extra_columns="ignore", glob=False
    )
