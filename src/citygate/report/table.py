"""A frame as a table on a terminal, JSON, NDJSON, CSV or Parquet: the one way out for rows."""

from __future__ import annotations

import io
import sys
from enum import StrEnum
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from pathlib import Path


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


def write_table(frame: pl.DataFrame, form: Format, out: Path | None = None) -> None:
    """Write rows to a file, or to standard output when ``out`` is None."""
    payload = to_bytes(frame, form)
    if out is None:
        sys.stdout.buffer.write(payload)
        sys.stdout.buffer.flush()
    else:
        out.write_bytes(payload)


def to_bytes(frame: pl.DataFrame, form: Format) -> bytes:
    """Return rows in a format; the same frame gives the same bytes."""
    buffer = io.BytesIO()
    match form:
        case Format.TABLE:
            with pl.Config(
                tbl_rows=-1, tbl_cols=-1, tbl_width_chars=200, tbl_hide_dataframe_shape=True, fmt_str_lengths=60
            ):
                buffer.write(f"{frame}\n".encode())
        case Format.JSON:
            frame.write_json(buffer)
            buffer.write(b"\n")
        case Format.JSONL:
            frame.write_ndjson(buffer)
        case Format.CSV:
            frame.write_csv(buffer)
        case Format.PARQUET:
            frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()
