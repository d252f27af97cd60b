"""How a value lies in the bytes of a data record: whole numbers, BCD, floating point, text, dates.

A number is exact: scaled whole numbers become decimals with the scale that was sent; a 32-bit floating point number
becomes the shortest decimal that gives the same 32 bits.

References:
    EN 13757-3:2018, annex A (data types A to M).
"""

from __future__ import annotations

import struct
from decimal import Decimal

_DIGITS = frozenset("0123456789")
_REAL_DIGITS_MAX = 9
_DATE_B, _STAMP_B, _STAMP_SECONDS_B, _TIME_B = 2, 4, 6, 3
_WHOLE_B_MAX = 8
_MONTHS = 12
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FEBRUARY, _YEAR_TWO_DIGITS, _YEAR_1900_FROM = 2, 100, 80

#: A value, and why it is none.
Read = tuple[int | Decimal | str | None, str]


def scaled(number: int, factor: int, exponent: int) -> int | Decimal:
    """Return number * factor * 10**exponent, exactly: whole where the scale is, else with the scale as sent."""
    if exponent >= 0:
        return number * factor * int(10**exponent)
    return Decimal(number * factor).scaleb(exponent)


def bcd(raw: bytes) -> int | None:
    """Return the number of a BCD field, lowest byte first; F in the highest digit is a minus; None when no number."""
    text = raw[::-1].hex()
    if text[:1] == "f" and len(text) > 1:
        return -int(text[1:]) if _DIGITS.issuperset(text[1:]) else None
    return int(text) if _DIGITS.issuperset(text) and text else None


def real(raw: bytes) -> Decimal | None:
    """Return the shortest decimal for a 32-bit floating point number, lowest byte first; None for no number."""
    number = struct.unpack("<f", raw)[0]
    if number != number or number in (float("inf"), float("-inf")):  # noqa: PLR0124  (the test for no number)
        return None
    for digits in range(1, _REAL_DIGITS_MAX + 1):
        text = f"{number:.{digits}g}"
        try:
            if struct.pack("<f", float(text)) == raw:
                return Decimal(text)
        except OverflowError:
            continue
    return Decimal(number)


def text(raw: bytes) -> str:
    """Return the text of a field that is sent last letter first."""
    return raw[::-1].decode("latin-1")


def _day(year: int, month: int, day: int) -> str | None:
    """ISO date; None when there is no such day."""
    if not 1 <= month <= _MONTHS or not 1 <= day <= _DAYS[month - 1]:
        return None
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if month == _FEBRUARY and day == _DAYS[1] and not leap:
        return None
    return f"{year:04}-{month:02}-{day:02}"


def _year(low: int, hundreds: int) -> int:
    """Year of two digits; 0 hundreds leaves 80 and below to the years from 2000 on."""
    if hundreds:
        return 1900 + 100 * hundreds + low
    return 2000 + low if low <= _YEAR_1900_FROM else 1900 + low


def _date(raw: bytes, hundreds: int = 0) -> str | None:
    low = raw[0] >> 5 | raw[1] >> 4 << 3
    if low >= _YEAR_TWO_DIGITS:
        return None
    return _day(_year(low, hundreds), raw[1] & 0x0F, raw[0] & 0x1F)


def _clock(hour: int, minute: int, second: int | None = None) -> str | None:
    if hour > 23 or minute > 59 or (second or 0) > 59:  # noqa: PLR2004  (a day's clock)
        return None
    return f"{hour:02}:{minute:02}" + ("" if second is None else f":{second:02}")


def _stamp(raw: bytes) -> str | None:
    date = _date(raw[2:4], raw[1] >> 5 & 3)
    clock = _clock(raw[1] & 0x1F, raw[0] & 0x3F)
    return f"{date}T{clock}" if date and clock else None


def _stamp_seconds(raw: bytes) -> str | None:
    date = _date(raw[3:5])
    clock = _clock(raw[2] & 0x1F, raw[1] & 0x3F, raw[0] & 0x3F)
    return f"{date}T{clock}" if date and clock else None


def moment(raw: bytes) -> Read:
    """Return the ISO text of a date (type G), date and time (F, I) or time of day (J), by its size.

    Type F has no time zone: the text bears none. A moment that is marked invalid or that no calendar has is none.
    """
    size_b = len(raw)
    if size_b == _DATE_B:
        found = _date(raw)
    elif size_b == _STAMP_B:
        if raw[0] & 0x80:
            return None, f"the meter marks its time as invalid: {raw.hex().upper()}"
        found = _stamp(raw)
    elif size_b == _STAMP_SECONDS_B:
        if raw[1] & 0x80:
            return None, f"the meter marks its time as invalid: {raw.hex().upper()}"
        found = _stamp_seconds(raw)
    elif size_b == _TIME_B:
        found = _clock(raw[2] & 0x1F, raw[1] & 0x3F, raw[0] & 0x3F)
    else:
        return raw.hex().upper(), f"a moment of {size_b} bytes is not decoded"
    return found, "" if found else f"no such date: {raw.hex().upper()}"


def variable_size_b(mark: int) -> int | None:
    """Return how many bytes follow the mark of a field of variable length; None where the standard reserves it."""
    if mark < 0xC0:  # noqa: PLR2004  (text)
        return mark
    if mark < 0xE0:  # noqa: PLR2004  (BCD)
        return mark & 0x0F if mark & 0x0F < 10 else None  # noqa: PLR2004
    if mark < 0xF0:  # noqa: PLR2004  (whole number)
        return mark & 0x0F
    large = {0xF0: 16, 0xF1: 20, 0xF2: 24, 0xF3: 28, 0xF4: 32, 0xF5: 48, 0xF6: 64}
    return large.get(mark)


def variable(mark: int, raw: bytes) -> Read:
    """Return the value of a field of variable length: text, BCD, whole number, or its bytes as text beyond 64 bits."""
    if mark < 0xC0:  # noqa: PLR2004
        return text(raw), ""
    if mark < 0xE0:  # noqa: PLR2004
        number = bcd(raw) if raw else 0
        if number is None:
            return None, f"digits that are none: {raw.hex().upper()}"
        return (-number if mark >= 0xD0 else number), ""  # noqa: PLR2004
    if len(raw) <= _WHOLE_B_MAX:
        return int.from_bytes(raw, "little", signed=True), ""
    return raw[::-1].hex().upper(), ""
