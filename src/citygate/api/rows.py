"""Rows out: times as ISO text of the city, pages by cursor, and JSON, CSV or Parquet by choice."""

from __future__ import annotations

import base64
import binascii
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
from fastapi import Query, Response

from citygate.errors import CitygateError
from citygate.report.table import Format, to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citygate.quantity.clock import CityClock

MAX_PAGE = 10_000


class RowForm(StrEnum):
    """How rows are answered."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Rows in one answer.")]
Cursor = Annotated[str | None, Query(max_length=200, description="Where the last answer stopped: its `next`.")]
_MEDIA = {RowForm.CSV: "text/csv; charset=utf-8", RowForm.PARQUET: "application/vnd.apache.parquet"}
_LAYOUT = {RowForm.CSV: Format.CSV, RowForm.PARQUET: Format.PARQUET}


class BadCursorError(CitygateError):
    """A cursor was not made by this API."""

    code = "bad_cursor"

    def __init__(self) -> None:
        super().__init__("the cursor is not one that this API gave out; start again without it")


def to_cursor(after_index: int) -> str:
    """Return what was answered last as an opaque cursor."""
    return base64.urlsafe_b64encode(b"1:%d" % after_index).decode().rstrip("=")


def from_cursor(cursor: str | None) -> int:
    """Return the position of a cursor; without one, -1.

    Raises:
        BadCursorError: It was not made by `to_cursor`.
    """
    if cursor is None:
        return -1
    try:
        version, _, position = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).partition(b":")
        if version != b"1":
            raise BadCursorError
        return int(position)
    except (binascii.Error, ValueError) as cause:
        raise BadCursorError from cause


def iso_times(frame: pl.DataFrame, clock: CityClock, columns: Iterable[str]) -> pl.DataFrame:
    """Return the frame with each column ``x_us`` replaced by ``x``: ISO 8601 text with the offset of the city."""
    return frame.with_columns(pl.col(name).pipe(iso, clock) for name in columns).rename(
        {name: name.removesuffix("_us") for name in columns}
    )


def iso(instant: pl.Expr, clock: CityClock) -> pl.Expr:
    """Return instants [µs UTC] as ISO 8601 text with the offset of the city."""
    return instant.cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(clock.zone).dt.to_string("%Y-%m-%dT%H:%M:%S%:z")


def listed(frame: pl.DataFrame, following: str | None, **facts: Any) -> dict[str, Any]:
    """Return a page of rows: ``rows``, ``next`` (the cursor of the following page, or null) and facts about them."""
    return {**facts, "rows": frame.to_dicts(), "next": following}


def download(frame: pl.DataFrame, form: RowForm, name: str) -> Response:
    """Return rows as a file to save."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return Response(to_bytes(frame, _LAYOUT[form]), headers=headers, media_type=_MEDIA[form])
