"""What the values of a column look like: times, numbers, distances in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from citygate.quantity.clock import US_PER_SECOND
from citygate.reading.mapping import TimeColumn
from citygate.reading.moment import to_us

if TYPE_CHECKING:
    from collections.abc import Sequence

_FORMATS = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%Y%m%d%H%M%S", "%Y%m%d %H%M",
    "%d.%m.%Y", "%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%y %H:%M",
)  # fmt: skip
_EPOCHS = (("s", 10**9), ("ms", 10**12), ("us", 10**15), ("ns", 10**18))
_ISO = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?$"
#: Seconds since 1970 from 1998 to 2096, in units of 10^9.
_FIRST, _LAST = 0.9, 4.0
#: Most values must fit; a few may be broken.
_SHARE = 0.7
_LOOKED_AT = 500


def time_format(column: pl.Series) -> tuple[str, str] | None:
    """Return format and epoch unit of a column that reads as times, or None."""
    kind = column.dtype
    if kind.is_temporal():
        return "iso", ""
    if kind.is_integer():
        size = abs(float(column.drop_nulls().median() or 0))  # type: ignore[arg-type]
        return next((("epoch", unit) for unit, scale in _EPOCHS if _FIRST * scale < size < _LAST * scale), None)
    text = (
        column.drop_nulls().cast(pl.String).str.strip_chars().head(_LOOKED_AT) if kind == pl.String else column.head(0)
    )
    return _text_format(text.filter(text != "")) if kind == pl.String else None


def _text_format(text: pl.Series) -> tuple[str, str] | None:
    if text.is_empty():
        return None
    if float(text.str.contains(_ISO).mean()) > _SHARE:  # type: ignore[arg-type]
        return "iso", ""
    if text.str.contains(r"^\d{10,19}$").all():
        return time_format(text.cast(pl.Int64, strict=False))
    shares = {pattern: 1 - _parsed(text, pattern).null_count() / len(text) for pattern in _FORMATS}
    # The first of the best: day before month, where both fit.
    best = max(shares, key=lambda pattern: shares[pattern])
    return (best, "") if shares[best] > _SHARE else None


def skips_nothing(column: pl.Series, form: str, zone: str) -> bool:
    """Return whether times hold the hour that the clock of a zone skips in spring: then they are not local."""
    _, flaws = to_us(column, TimeColumn(column.name, format=form, zone=zone), column.name)
    return any(flaw.code == "time_nonexistent" for flaw in flaws)


def _parsed(text: pl.Series, pattern: str) -> pl.Series:
    clock = "%H" in pattern or "%I" in pattern
    return text.str.to_datetime(pattern, strict=False) if clock else text.str.to_date(pattern, strict=False)


def marks(frame: pl.DataFrame, columns: Sequence[str]) -> tuple[str, str]:
    """Return the decimal and the thousands mark of the texts that are numbers."""
    texts = [frame[column].drop_nulls().str.strip_chars() for column in columns if frame.schema[column] == pl.String]
    every = pl.concat(texts) if texts else pl.Series(dtype=pl.String)
    every = every.filter(every.str.contains(r"^[+-]?[\d.,' ]*\d(\s*[A-Za-z°³/%]+\d?)?$"))
    both_german = every.str.contains(r"^[+-]?\d{1,3}(\.\d{3})+,\d+").any()
    both_english = every.str.contains(r"^[+-]?\d{1,3}(,\d{3})+\.\d+").any()
    comma = every.str.contains(r"^[+-]?\d+,\d+").sum()
    point = every.str.contains(r"^[+-]?\d+\.\d+").sum()
    grouped_comma = every.str.contains(r"^[+-]?\d{1,3}(,\d{3})+$").sum()
    if both_german:
        return ",", "."
    if both_english or (comma and comma == grouped_comma and point):
        return ".", ","
    return (",", "") if comma > point else (".", "")


def numbers(column: pl.Series, decimal: str, thousands: str) -> pl.Series | None:
    """Return a column as float64, or None when most of it are no numbers."""
    if column.dtype.is_numeric():
        return column.cast(pl.Float64)
    if column.dtype != pl.String:
        return None
    text = column.str.strip_chars().str.extract(r"^([+-]?[\d.,']+)")
    text = text.str.replace_all(thousands, "", literal=True) if thousands else text
    number = text.str.replace(decimal, ".", literal=True).cast(pl.Float64, strict=False)
    whole = column.str.contains(r"^\s*[+-]?[\d.,']+\s*[A-Za-z°³/%]*\d?\s*$").sum()
    return number if whole * 2 > len(column.drop_nulls()) and number.null_count() < len(number) else None


def span_of(frame: pl.DataFrame, time: str | None, meter: str | None) -> int | None:
    """Return the commonest distance between the times of one meter [s]."""
    form = time_format(frame[time]) if time else None
    if time is None or form is None:
        return None
    style = TimeColumn(time, format=form[0], unit=form[1] or "us", zone="UTC")
    at_us, _ = to_us(frame[time], style, time)
    rows = pl.DataFrame({"at_us": at_us, "meter": frame[meter] if meter else [0] * len(at_us)})
    steps = rows.select(pl.col("at_us").diff().over("meter")).to_series().drop_nulls()
    steps = steps.filter(steps >= US_PER_SECOND)
    commonest = steps.mode().to_list()
    return min(commonest) // US_PER_SECOND if commonest else None
