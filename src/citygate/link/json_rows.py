"""JSON objects as columns: decimals keep their digits, and a broken line costs only itself."""

from __future__ import annotations

from itertools import chain
from typing import Any

import msgspec
import polars as pl

from citygate.link.chunk import RAW_BYTES_MAX, Unread, no_rows
from citygate.reading.mapping import ROW

#: More different names than this in one chunk are not those of readings.
FIELDS_MAX = 256
_INT64_MAX = 2**63

# A number with a fraction or an exponent stays text, so that 12.345 m³ is 12,345 litres and not a binary float.
_ANY = msgspec.json.Decoder(float_hook=str)
_OBJECT = msgspec.json.Decoder(dict[str, Any], float_hook=str)
_BROKEN = (msgspec.MsgspecError, ValueError, RecursionError)


def read_lines(block: bytes, first_row: int) -> tuple[pl.DataFrame, list[Unread], int]:
    """Return the rows of a block of NDJSON (one object on each line), those that cannot be read, and the lines seen."""
    lines = block.count(b"\n") + (not block.endswith(b"\n") and bool(block))
    try:
        rows = _OBJECT.decode_lines(block)
    except _BROKEN:
        rows = None
    if rows is not None and len(rows) == lines:
        frame, unread = to_frame(rows, list(range(first_row, first_row + lines)))
        return frame, unread, lines
    return (*_one_by_one(block, first_row), lines)


def _one_by_one(block: bytes, first_row: int) -> tuple[pl.DataFrame, list[Unread]]:
    rows: list[dict[str, Any]] = []
    places: list[int] = []
    unread: list[Unread] = []
    for row, line in enumerate(block.split(b"\n"), first_row):
        if not line.strip():
            continue
        try:
            rows.append(_OBJECT.decode(line))
            places.append(row)
        except _BROKEN as cause:
            unread.append(
                Unread(row, "json_broken", f"the line is not a JSON object: {_told(cause)}", line[:RAW_BYTES_MAX])
            )
    frame, more = to_frame(rows, places)
    return frame, sorted(unread + more)


def read_document(body: bytes) -> tuple[pl.DataFrame, list[Unread]]:
    """Return the rows of a JSON document: an array of objects, ``{"readings": [...]}``, or one object.

    Rows are numbered from 1.

    Raises:
        ValueError: The document is not JSON, or of another shape.
    """
    try:
        found = _ANY.decode(body)
    except _BROKEN as cause:
        raise ValueError(_told(cause)) from cause
    if isinstance(found, dict):
        found = found.get("readings", [found])
    if not isinstance(found, list):
        raise ValueError('it must be an array of readings or {"readings": [...]}')  # noqa: TRY004 - bad data, not bad use
    rows = [(row, item) for row, item in enumerate(found, 1) if isinstance(item, dict)]
    unread = [
        Unread(row, "json_broken", "the item is not a JSON object", msgspec.json.encode(item)[:RAW_BYTES_MAX])
        for row, item in enumerate(found, 1)
        if not isinstance(item, dict)
    ]
    frame, more = to_frame([item for _, item in rows], [row for row, _ in rows])
    return frame, sorted(unread + more)


def to_frame(rows: list[dict[str, Any]], places: list[int]) -> tuple[pl.DataFrame, list[Unread]]:
    """Return objects as columns, one for each name that occurs, with `ROW` from ``places``."""
    if not rows:
        return no_rows(), []
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    unread: list[Unread] = []
    if len(names) > FIELDS_MAX:
        known = set(names[:FIELDS_MAX])
        strange = [place for place, row in enumerate(rows) if not known.issuperset(row)]
        message = f"the rows name more than {FIELDS_MAX} different fields"
        unread = [
            Unread(places[at], "fields_many", message, msgspec.json.encode(rows[at])[:RAW_BYTES_MAX]) for at in strange
        ]
        out = set(strange)
        places = [place for at, place in enumerate(places) if at not in out]
        rows = [row for at, row in enumerate(rows) if at not in out]
        names = names[:FIELDS_MAX]
    columns = [_series(name, [row.get(name) for row in rows]) for name in names if name != ROW]
    return pl.DataFrame([*columns, pl.Series(ROW, places, dtype=pl.Int64())]), unread


def _series(name: str, values: list[Any]) -> pl.Series:
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {int}:
        try:
            return pl.Series(name, values, dtype=pl.Int64())
        except (OverflowError, TypeError, pl.exceptions.PolarsError):
            pass
    if kinds <= {str}:
        return pl.Series(name, values, dtype=pl.String())
    return pl.Series(name, [_text(value) for value in values], dtype=pl.String())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < _INT64_MAX else f"{value:e}" if abs(value) < 10**300 else "1e300"
    return msgspec.json.encode(value).decode()


def _told(cause: BaseException) -> str:
    return "nested too deeply" if isinstance(cause, RecursionError) else str(cause)
