"""Rows that were refused, each with its source, row, field and reason."""

from __future__ import annotations

from typing import Annotated, Any

import polars as pl
from fastapi import APIRouter, Query, Response

from citygate.api.desk import Here  # noqa: TC001 - FastAPI reads the annotations at run time
from citygate.api.rows import MAX_PAGE, Cursor, Limit, RowForm, download, from_cursor, iso_times, listed, to_cursor
from citygate.store.quarantine import Quarantine

router = APIRouter(prefix="/v1", tags=["quarantine"])

_SHOWN = ("number", "recorded", "source", "row", "field", "code", "message", "raw")
#: A raw row longer than this is cut: a screen shows its beginning, `citygate quarantine export` writes all of it.
_RAW_SHOWN_B = 400


@router.get("/quarantine", summary="Refused rows", response_model=None)
def quarantine(
    here: Here,
    code: Annotated[str | None, Query(description="Only rows refused for this reason.")] = None,
    source: Annotated[str | None, Query(description="Only rows of this file or channel.")] = None,
    cursor: Cursor = None,
    limit: Limit = 200,
    form: Annotated[RowForm, Query(alias="format")] = RowForm.JSON,
) -> dict[str, Any] | Response:
    """Return open rows of the quarantine in the order they came; files have the first 10,000."""
    held = Quarantine(here.city.records)
    if form is not RowForm.JSON:
        rows = held.rows(code, 0, MAX_PAGE, source)
        return download(_told(rows, here), form, "quarantine")
    rows = held.rows(code, max(0, from_cursor(cursor)), limit + 1, source)
    following = to_cursor(int(rows["number"][limit - 1])) if len(rows) > limit else None
    return listed(_told(rows.head(limit), here), following, counts=held.counts(), columns=list(_SHOWN))


def _told(rows: pl.DataFrame, here: Here) -> pl.DataFrame:
    raw = [text[:_RAW_SHOWN_B].decode(errors="replace") for text in rows["raw"]]
    told = iso_times(rows.with_columns(pl.Series("raw", raw, dtype=pl.String)), here.clock, ["recorded_us"])
    return told.select(_SHOWN)
