"""Columns of times as microseconds UTC: offsets read, local times placed, doubtful ones refused by name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl

from citygate.reading.flaw import Flaw

if TYPE_CHECKING:
    from citygate.reading.mapping import TimeColumn

_US_PER_UNIT = {"s": 1_000_000, "ms": 1_000, "us": 1}
_NS_PER_US = 1_000
_HEAD = len("2026-01-31T06:00:00")
_TAIL = re.compile(r"^(?:\.(\d{1,9}))?\s*(?:([Zz])|([+-])(\d\d):?(\d\d)?)?$")
#: Up to this many different ends (fraction and offset) are read one by one.
_FEW = 256
_ISO = r"^(\d{4}-\d{2}-\d{2})[T ]?(\d{2}:\d{2})?(:\d{2})?(\.\d{1,9})?\s*(Z|z|[+-]\d{2}(?::?\d{2})?)?$"
_LARGEST_US = 2**62
_FIX_NAIVE = (
    "has no offset: write times such as 2026-01-31T06:00:00+01:00, "
    'or give zone = "Europe/Berlin" under [time] in a mapping'
)


def to_us(column: pl.Series, style: TimeColumn, field: str) -> tuple[pl.Series, list[Flaw]]:
    """Return a column as instants [µs UTC], and the rows that cannot be placed in time.

    Args:
        column: Text, whole numbers of an epoch, datetimes or dates; null where nothing was said.
        style: Format, epoch unit, zone of local times.
        field: Column of the batch, for the flaws.

    Returns:
        Int64, null where nothing was said or the row has a flaw; and the flaws.
    """
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        if kind.time_zone is not None:
            return column.dt.cast_time_unit("us").cast(pl.Int64()), []
        return _local(column.dt.cast_time_unit("us"), style, field)
    if kind == pl.Date():
        return _local(column.cast(pl.Datetime("us")), style, field)
    if style.format == "epoch":
        return _epoch(column, style, field)
    if kind == pl.String() or kind == pl.Categorical():
        text = column.cast(pl.String()).str.strip_chars()
        text = text.set((text == "").fill_null(value=False), None)
        return _iso(text, style, field) if style.format == "iso" else _pattern(text, style, field)
    hint = 'is a number: say format = "epoch" and its unit under [time] in a mapping'
    return _nothing(column), _flaw(field, "time_unreadable", hint, column.is_not_null())


def _nothing(column: pl.Series) -> pl.Series:
    return pl.repeat(None, len(column), dtype=pl.Int64(), eager=True).alias(column.name)


def _flaw(field: str, code: str, message: str, mask: pl.Series) -> list[Flaw]:
    mask = mask.fill_null(value=False)
    return [Flaw(field, code, f"{field} {message}", mask)] if mask.any() else []


def _epoch(column: pl.Series, style: TimeColumn, field: str) -> tuple[pl.Series, list[Flaw]]:
    whole = column.cast(pl.Int64(), strict=False) if not column.dtype.is_float() else None
    if whole is None or whole.null_count() > column.null_count():
        number = column.cast(pl.Float64(), strict=False) if not column.dtype.is_temporal() else None
        if number is None:
            return _nothing(column), _flaw(field, "time_unreadable", "is not an epoch", column.is_not_null())
        number = number.fill_nan(None)
        factor = 1 / _NS_PER_US if style.unit == "ns" else _US_PER_UNIT[style.unit]
        fits = (number.abs() * factor < _LARGEST_US).fill_null(value=False)
        at_us = (number * factor).set(~fits, None).round().cast(pl.Int64())
        return at_us, _flaw(
            field, "time_unreadable", f"is not an epoch in {style.unit}", column.is_not_null() & at_us.is_null()
        )
    if style.unit == "ns":
        return whole // _NS_PER_US, []
    factor = _US_PER_UNIT[style.unit]
    huge = (whole.abs() > _LARGEST_US // factor).fill_null(value=False)
    if huge.any():
        whole = whole.set(huge, None)
    return whole * factor, _flaw(field, "time_unreadable", f"is no time at all in {style.unit}", huge)


def _iso(text: pl.Series, style: TimeColumn, field: str) -> tuple[pl.Series, list[Flaw]]:
    """Read ISO 8601: the common form by position, the rest by pattern."""
    head = text.str.slice(0, _HEAD)
    first = head.drop_nulls()
    mark = " " if len(first) and first[0][10:11] == " " else "T"
    local = head.str.to_datetime(f"%Y-%m-%d{mark}%H:%M:%S", time_unit="us", strict=False)
    ends = text.str.slice(_HEAD)
    distinct = ends.unique()
    shift = _shifts(distinct.drop_nulls().to_list()) if len(distinct) <= _FEW else None
    if shift is None or local.null_count() > text.null_count() or None in shift.values():
        return _iso_pattern(text, style, field)
    if "" not in shift and len(shift) == 1:
        return local.cast(pl.Int64()) + next(iter(shift.values())), []
    placed = local.cast(pl.Int64()) + ends.replace_strict(shift, default=None, return_dtype=pl.Int64())
    naive = (ends == "").fill_null(value=False)
    if not naive.any():
        return placed, []
    at_us, flaws = _local(local.set(~naive, None), style, field)
    return placed.set(naive, None).fill_null(at_us), flaws


def _shifts(ends: list[str]) -> dict[str, int | None]:
    """Return what to add to the local time for each end of a text [µs]; None where only the pattern can tell."""
    shifts: dict[str, int | None] = {}
    for end in ends:
        found = _TAIL.match(end)
        if end == "":
            shifts[end] = 0
        elif found is None or not (found[2] or found[3]):
            shifts[end] = None
        else:
            fraction_us = int((found[1] or "").ljust(6, "0")[:6])
            minutes = int(found[4] or 0) * 60 + int(found[5] or 0)
            shifts[end] = fraction_us - (-1 if found[3] == "-" else 1) * minutes * 60_000_000
    return shifts


def _iso_pattern(text: pl.Series, style: TimeColumn, field: str) -> tuple[pl.Series, list[Flaw]]:
    column = pl.col("text")
    part = [column.str.extract(_ISO, group) for group in range(1, 6)]
    clock = pl.concat_str(part[0], pl.lit("T"), part[1].fill_null("00:00"), part[2].fill_null(":00"))
    offset = part[4].str.replace_all(":", "", literal=True)
    minutes = offset.str.slice(1, 2).cast(pl.Int64(), strict=False) * 60 + (
        offset.str.slice(3, 2).cast(pl.Int64(), strict=False).fill_null(0)
    )
    sign = pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)
    fraction = part[3].str.slice(1).str.pad_end(6, "0").str.slice(0, 6).cast(pl.Int64(), strict=False).fill_null(0)
    parts = pl.DataFrame({"text": text}).select(
        clock.str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False).alias("clock"),
        fraction.alias("fraction"),
        pl.when(offset.is_null()).then(None).when(offset.is_in(["Z", "z"])).then(0)
        .otherwise(sign * minutes * 60_000_000).alias("offset"),
    )  # fmt: skip
    local = parts["clock"] + parts["fraction"].cast(pl.Duration("us"))
    unreadable = text.is_not_null() & local.is_null()
    flaws = _flaw(field, "time_unreadable", "is not a time such as 2026-01-31T06:00:00+01:00", unreadable)
    naive = parts["offset"].is_null() & local.is_not_null()
    placed = local.cast(pl.Int64()) - parts["offset"]
    if not naive.any():
        return placed, flaws
    at_us, more = _local(local.set(~naive, None), style, field)
    return placed.fill_null(at_us), flaws + more


def _pattern(text: pl.Series, style: TimeColumn, field: str) -> tuple[pl.Series, list[Flaw]]:
    try:
        if "%z" in style.format or "%:z" in style.format:
            moment = text.str.to_datetime(style.format, time_unit="us", time_zone="UTC", strict=False)
        elif not any(mark in style.format for mark in ("%H", "%I", "%T", "%R", "%s", "%c", "%X")):
            moment = text.str.to_date(style.format, strict=False).cast(pl.Datetime("us"))
        else:
            moment = text.str.to_datetime(style.format, time_unit="us", strict=False)
    except pl.exceptions.PolarsError:
        moment = pl.Series(text.name, [None] * len(text), dtype=pl.Datetime("us"))
    unreadable = text.is_not_null() & moment.is_null()
    flaws = _flaw(field, "time_unreadable", f"does not follow the format {style.format}", unreadable)
    if isinstance(moment.dtype, pl.Datetime) and moment.dtype.time_zone is not None:
        return moment.cast(pl.Int64()), flaws
    at_us, more = _local(moment, style, field)
    return at_us, flaws + more


def _local(local: pl.Series, style: TimeColumn, field: str) -> tuple[pl.Series, list[Flaw]]:
    """Place local times in their zone: one that the clock skips or shows twice has no single instant."""
    if not style.zone:
        return _nothing(local), _flaw(field, "time_naive", _FIX_NAIVE, local.is_not_null())
    keep = "null" if style.ambiguous == "refuse" else style.ambiguous
    placed = local.dt.replace_time_zone(style.zone, ambiguous=keep, non_existent="null")
    lost = local.is_not_null() & placed.is_null()
    if not lost.any():
        return placed.cast(pl.Int64()), []
    some = local.dt.replace_time_zone(style.zone, ambiguous="earliest", non_existent="null")
    ambiguous = lost & some.is_not_null()
    twice = (
        f"comes twice in {style.zone} on this day; give times with an offset, "
        'or ambiguous = "earliest" or "latest" under [time] in a mapping'
    )
    return placed.cast(pl.Int64()), [
        *_flaw(field, "time_ambiguous", twice, ambiguous),
        *_flaw(field, "time_nonexistent", f"does not exist in {style.zone}: the clock went forward", lost & ~ambiguous),
    ]
