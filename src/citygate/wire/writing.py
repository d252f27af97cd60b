"""Data records written: the bytes that `records` reads back as the same values, for a simulated meter.

References:
    EN 13757-3:2018, clause 6 and annex A.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from citygate.errors import CitygateError
from citygate.wire.telegram import Basis, Function
from citygate.wire.vif import TABLES, Shape

if TYPE_CHECKING:
    from citygate.wire.telegram import Value

_MORE = 0x80
_FUNCTIONS = (Function.INSTANTANEOUS, Function.MAXIMUM, Function.MINIMUM, Function.ERROR)
_BASES = {Basis.MEASURED: 0x3A, Basis.BASE: 0x3E}
#: Kinds of whole numbers by their bytes.
_WHOLE = {1: 1, 2: 2, 3: 3, 4: 4, 6: 6, 8: 7}
_VIFS = {
    (quantity.name, quantity.unit, quantity.exponent): (prefix, code)
    for prefix, table in TABLES.items()
    for code, quantity in table.items()
    if quantity.factor == 1
}
_DATE_CHARACTERS, _STAMP_CHARACTERS = 10, 16


class NotWritableError(CitygateError):
    """A value has no form among the records that are written here."""

    code = "not_writable"

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        super().__init__(f"{name}: {why}")


def write(value: Value) -> bytes:
    """Return the record of a value: a whole number with the scale of its decimals, or a date.

    Raises:
        NotWritableError: No VIF has this name, unit and scale, or the value is neither a number nor a date.
    """
    found = value.value
    exponent = found.as_tuple().exponent if isinstance(found, Decimal) else 0
    vif = _VIFS.get((value.name, value.unit, exponent if isinstance(exponent, int) else 0))
    if vif is None or found is None:
        raise NotWritableError(value.name, f"no VIF for {found} {value.unit}")
    prefix, code = vif
    shape = TABLES[prefix][code].shape
    if isinstance(found, str):
        if shape is not Shape.MOMENT:
            raise NotWritableError(value.name, "text is not written")
        raw = _moment(found)
    else:
        raw = _whole(value.name, int(Decimal(found).scaleb(-int(exponent))), signed=shape is Shape.NUMBER)
    codes = [code] if prefix is None else [prefix, code]
    if value.basis is not None:
        if value.basis not in _BASES:
            raise NotWritableError(value.name, f"no VIFE for {value.basis} conditions")
        codes.append(_BASES[value.basis])
    chained = bytes(byte | _MORE for byte in codes[:-1]) + bytes(codes[-1:])
    return _information(value, _WHOLE[len(raw)]) + chained + raw


def _information(value: Value, kind: int) -> bytes:
    first = kind | _FUNCTIONS.index(value.function) << 4 | (value.storage & 1) << 6
    storage, tariff, subunit, more = value.storage >> 1, value.tariff, value.subunit, []
    while storage or tariff or subunit:
        more.append(storage & 0x0F | (tariff & 3) << 4 | (subunit & 1) << 6)
        storage, tariff, subunit = storage >> 4, tariff >> 2, subunit >> 1
    fields = [first, *more]
    return bytes(byte | _MORE for byte in fields[:-1]) + bytes(fields[-1:])


def _whole(name: str, number: int, *, signed: bool) -> bytes:
    for size_b in _WHOLE:
        try:
            return number.to_bytes(size_b, "little", signed=signed)
        except OverflowError:
            continue
    raise NotWritableError(name, f"{number} does not fit 64 bits")


def _day(text: str) -> tuple[int, int]:
    """The two bytes of a date, years 1981 to 2080."""
    year, month, day = (int(part) for part in text.split("-"))
    return day | (year % 100 & 7) << 5, month | year % 100 >> 3 << 4


def _moment(text: str) -> bytes:
    date = _day(text[:_DATE_CHARACTERS])
    if len(text) == _DATE_CHARACTERS:
        return bytes(date)
    hour, minute = int(text[11:13]), int(text[14:16])
    if len(text) == _STAMP_CHARACTERS:
        hundreds = (int(text[:4]) - 1900) // 100
        return bytes([minute, hour | hundreds << 5, *date])
    return bytes([int(text[17:19]), minute, hour, *date, 0])
