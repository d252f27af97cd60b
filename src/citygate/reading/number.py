"""Columns of numbers as whole units of Citygate, exactly: decimals never pass through binary floats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from citygate.reading.flaw import Flaw
from citygate.reading.unit import Unit, find_unit

if TYPE_CHECKING:
    from fractions import Fraction

    from citygate.reading.mapping import FileStyle

#: Larger than any quantity; what is above stays above, so that the rule on size refuses it and nothing overflows.
_HUGE = 2**60
_FRACTION_DIGITS = 9
_FRACTION = 10**_FRACTION_DIGITS
#: Factors up to this are computed in whole numbers, others (feet, therms, Fahrenheit) in float64.
_SMALL = 10**7
#: How far a binary float may lie from a whole litre [litre].
_NEAR_L = 1e-6
_WHOLE_FLOAT = 2.0**53
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?"
_UNIT = r"[A-Za-z°%][A-Za-z°^*/() ]*[23³²]?(?:/[A-Za-z]+)?(?:\([ag]\))?"


@dataclass(frozen=True, slots=True)
class Target:
    """What a column of numbers shall become.

    Args:
        field: Column of the batch.
        unit: Unit of the numbers.
        factor: Exact ratio to the own unit of ``field``, scale included.
        offset: Own units at zero.
        exact: Whether a value that is not whole is refused (registers) or rounded half away from zero (all else).
    """

    field: str
    unit: Unit
    factor: Fraction
    offset: Fraction
    exact: bool


def to_whole(column: pl.Series, target: Target, style: FileStyle) -> tuple[pl.Series, list[Flaw]]:
    """Return a column as whole numbers of its own unit, and the rows that cannot be.

    Args:
        column: Whole numbers, decimals, text or floats; null where nothing was said.
        target: Unit and exactness.
        style: Decimal and thousands marks, texts for null.

    Returns:
        Int64, null where nothing was said or the row has a flaw; and the flaws, without nulls in their masks.
    """
    kind = column.dtype
    if kind == pl.Null():
        return column.cast(pl.Int64()), []
    if kind.is_integer():
        return _from_whole(column.cast(pl.Int64(), strict=False), _not_finite(column), target)
    if kind.is_float():
        return _from_float(column.cast(pl.Float64()), target, kind)
    if kind == pl.String() or kind == pl.Categorical():
        return _from_text(column.cast(pl.String()), target, style)
    if kind.is_decimal():
        return _from_text(column.cast(pl.String()), target, _PLAIN)
    mask = column.is_not_null()
    return column.is_null().replace_strict({True: None, False: None}, return_dtype=pl.Int64()), _unreadable(
        mask, target
    )


@dataclass(frozen=True, slots=True)
class _PlainStyle:
    decimal: str = "."
    thousands: str = ""
    null: tuple[str, ...] = ("",)


_PLAIN: FileStyle = _PlainStyle()  # type: ignore[assignment]


def _not_finite(column: pl.Series) -> pl.Series:
    """Return where an unsigned 64-bit number does not fit Int64."""
    return column.is_not_null() & column.cast(pl.Int64(), strict=False).is_null()


def _unreadable(mask: pl.Series, target: Target, hint: str = "") -> list[Flaw]:
    if not mask.any():
        return []
    return [Flaw(target.field, "number_unreadable", f"{target.field} is not a number{hint}", mask)]


def _from_whole(value: pl.Series, huge: pl.Series, target: Target) -> tuple[pl.Series, list[Flaw]]:
    if huge.any():
        value = value.zip_with(~huge, pl.Series([_HUGE], dtype=pl.Int64()))
    top, bottom = target.factor.numerator, target.factor.denominator
    if top == bottom == 1 and target.offset == 0:
        return value.clip(-_HUGE, _HUGE), []
    zero = pl.repeat(0, len(value), dtype=pl.Int64(), eager=True)
    false = pl.repeat(value=False, n=len(value), dtype=pl.Boolean, eager=True)
    return (
        _scaled(value.abs(), zero, value < 0, false, target)
        if _whole_factor(target)
        else _by_float(value.cast(pl.Float64()), target)
    )


def _whole_factor(target: Target) -> bool:
    top, bottom = target.factor.numerator, target.factor.denominator
    return 0 < top <= _SMALL and bottom <= _SMALL and target.offset.denominator == 1


def _scaled(
    whole: pl.Series, fraction: pl.Series, negative: pl.Series, beyond: pl.Series, target: Target
) -> tuple[pl.Series, list[Flaw]]:
    """Multiply (whole + fraction / 10^9) by a factor in whole numbers; ``beyond`` says that more digits follow."""
    top, bottom = target.factor.numerator, target.factor.denominator
    frame = pl.DataFrame({"whole": whole, "fraction": fraction, "negative": negative, "beyond": beyond})
    product = pl.col("whole").clip(0, _HUGE // top) * top
    # The remainder below one own unit, in parts of bottom * 10^9; both terms stay below 10^17.
    rest = (product % bottom) * _FRACTION + pl.col("fraction") * top
    unit = bottom * _FRACTION
    done = frame.select(
        (product // bottom + rest // unit).alias("down"),
        (rest % unit).alias("rest"),
        "negative",
        "beyond",
    )
    half = pl.when(pl.col("rest") * 2 >= unit).then(1).otherwise(0)
    size = pl.col("down") if target.exact else pl.col("down") + half
    signed = pl.when("negative").then(-size).otherwise(size) + int(target.offset)
    value = done.select(signed.cast(pl.Int64()).alias(target.field)).to_series()
    if not target.exact:
        return value, []
    broken = done.select(((pl.col("rest") != 0) | pl.col("beyond")).fill_null(value=False)).to_series()
    return _without(value, broken), _not_whole(broken, target, _FIX_TEXT)


def _by_float(value: pl.Series, target: Target, near: float = 0.0) -> tuple[pl.Series, list[Flaw]]:
    """Scale in float64; for exact targets the result must lie within ``near`` of a whole number."""
    unreadable = value.is_infinite().fill_null(value=False)
    scaled = value.fill_nan(None) * float(target.factor) + float(target.offset)
    rounded = (scaled.abs() + 0.5).floor() * scaled.sign()
    result = rounded.clip(-float(_HUGE), float(_HUGE)).cast(pl.Int64(), strict=False)
    flaws = _unreadable(unreadable, target)
    if target.exact:
        broken = (((scaled - rounded).abs() > near) & ~unreadable).fill_null(value=False)
        flaws += _not_whole(broken, target, _FIX_TEXT)
        result = _without(result, broken)
    return _without(result, unreadable), flaws


def _without(value: pl.Series, broken: pl.Series) -> pl.Series:
    return value.set(broken, None) if broken.any() else value


_FIX_TEXT = 'give whole litres, or declare the right unit, such as unit = "m3", in the mapping'
_FIX_FLOAT = (
    "litres came as binary floats, which lose digits; give whole litres as integers, "
    'or declare unit = "m3" in the mapping'
)


def _not_whole(broken: pl.Series, target: Target, fix: str) -> list[Flaw]:
    if not broken.any():
        return []
    return [Flaw(target.field, "register_not_whole", f"{target.field} is not a whole number of litres: {fix}", broken)]


def _from_float(column: pl.Series, target: Target, kind: pl.DataType) -> tuple[pl.Series, list[Flaw]]:
    said = column.is_not_nan() & column.is_not_null()
    if target.exact and (target.factor <= 1 or kind == pl.Float32()):
        value = pl.repeat(None, len(column), dtype=pl.Int64(), eager=True).alias(target.field)
        return value, _not_whole(said.fill_null(value=False), target, _FIX_FLOAT)
    return _by_float(column, target, _NEAR_L)


def _from_text(column: pl.Series, target: Target, style: FileStyle) -> tuple[pl.Series, list[Flaw]]:
    whole = column.cast(pl.Int64(), strict=False)
    false = pl.repeat(value=False, n=len(column), dtype=pl.Boolean, eager=True)
    if whole.null_count() == column.null_count():
        return _from_whole(whole, false, target)
    plain = column.str.strip_chars()
    plain = _without(plain, plain.is_in(list(style.null)).fill_null(value=False))
    if plain.null_count() == whole.null_count():
        return _from_whole(whole, false, target)
    parts = _split(plain, style)
    unreadable = (plain.is_not_null() & parts["number"].is_null()).fill_null(value=False)
    hint = ""
    if unreadable.any():
        sample = plain.filter(unreadable)
        comma = style.decimal == "." and sample.str.contains(r"^[+-]?\d+,\d+$").any()
        hint = '; for a decimal comma write decimal = "," in the mapping' if comma else ""
    flaws = _unreadable(unreadable, target, hint) + _unit_flaws(parts["unit"], target)
    power = parts["number"].str.contains("[eE]").fill_null(value=False)
    if not _whole_factor(target):
        value, more = _by_float(parts["number"].cast(pl.Float64(), strict=False), target)
        return value, flaws + more
    value, more = _from_decimal(parts["number"].set(power, None) if power.any() else parts["number"], target)
    flaws += more
    if power.any():
        floats, more = _by_float(parts["number"].cast(pl.Float64(), strict=False).set(~power, None), target)
        value, flaws = value.zip_with(~power, floats), flaws + more
    return value, flaws


def _split(plain: pl.Series, style: FileStyle) -> pl.DataFrame:
    """Return the number of each value (decimal point, no groups; null when there is none) and its unit text."""
    name = "text"
    text = pl.col(name)
    if style.thousands:
        group, mark = _escape(style.thousands), _escape(style.decimal)
        grouped = rf"^[+-]?\d{{1,3}}(?:{group}\d{{3}})+(?:{mark}\d+)?(?:\D*)$"
        bare = (
            pl.when(text.str.contains(grouped))
            .then(text.str.replace_all(style.thousands, "", literal=True))
            .otherwise(text)
        )
    else:
        bare = text
    if style.decimal == ",":
        # A point that is left is no mark of this file: let it fail rather than change the value.
        bare = pl.when(bare.str.contains(r"^[+-]?\d*\.")).then(None).otherwise(bare.str.replace(",", ".", literal=True))
    pattern = rf"^({_NUMBER})\s*({_UNIT})?$"
    return pl.DataFrame({name: plain}).select(
        bare.str.extract(pattern, 1).alias("number"), bare.str.extract(pattern, 2).alias("unit")
    )


def _escape(mark: str) -> str:
    return rf"\x{{{ord(mark):x}}}"


def _unit_flaws(unit: pl.Series, target: Target) -> list[Flaw]:
    flaws = []
    for text in unit.drop_nulls().unique(maintain_order=True).to_list():
        found = find_unit(text)
        mask = (unit == text).fill_null(value=False)
        if found is None:
            flaws.append(
                Flaw(
                    target.field, "unit_unknown", f"{target.field} carries the unit '{text}', which is not known", mask
                )
            )
        elif (found.kind, found.factor, found.offset) != (target.unit.kind, target.unit.factor, target.unit.offset):
            message = (
                f"{target.field} carries the unit '{text}', but the column is in {target.unit.name}: "
                "correct the unit in the mapping"
            )
            flaws.append(Flaw(target.field, "unit_mismatch", message, mask))
    return flaws


def _from_decimal(number: pl.Series, target: Target) -> tuple[pl.Series, list[Flaw]]:
    text = pl.col("number")
    digits = text.str.strip_chars_start("+-")
    fraction = digits.str.extract(r"\.(\d*)$").fill_null("")
    head = digits.str.extract(r"^(\d*)").str.strip_chars_start("0")
    parts = pl.DataFrame({"number": number}).select(
        pl.when(text.is_null())
        .then(None)
        .when(head.str.len_bytes() > 17)  # noqa: PLR2004 - what surely fits 64 bits
        .then(_HUGE)
        .when(head == "")
        .then(0)
        .otherwise(head.cast(pl.Int64(), strict=False))
        .alias("whole"),
        pl.when(text.is_not_null())
        .then(fraction.str.pad_end(_FRACTION_DIGITS, "0").str.slice(0, _FRACTION_DIGITS))
        .cast(pl.Int64(), strict=False)
        .alias("fraction"),
        (fraction.str.slice(_FRACTION_DIGITS).str.strip_chars("0") != "").alias("beyond"),
        text.str.starts_with("-").alias("negative"),
    )
    return _scaled(parts["whole"], parts["fraction"], parts["negative"], parts["beyond"], target)
