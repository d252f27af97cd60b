"""A-XDR: how DLMS writes COSEM data, a tree of typed items.

References:
    [1] IEC 62056-5-3 (DLMS UA 1000-2, Green Book), clause 9.5: type Data and its tags.
    [2] IEC 62056-6-2 (DLMS UA 1000-1, Blue Book), clause 4.1.6: date, time and date-time octets.
"""

from __future__ import annotations

import struct
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

#: Deeper trees than any meter sends are refused, so that no input exhausts the stack.
DEPTH_MAX = 24
#: Compact arrays may write items in no bytes at all: no input makes more than this for each of its bytes.
ITEMS_PER_BYTE_MAX = 2


class Tag(IntEnum):
    """Kind of an item [1]."""

    NULL = 0
    ARRAY = 1
    STRUCTURE = 2
    BOOLEAN = 3
    BIT_STRING = 4
    INT32 = 5
    UINT32 = 6
    OCTETS = 9
    VISIBLE = 10
    UTF8 = 12
    BCD = 13
    INT8 = 15
    INT16 = 16
    UINT8 = 17
    UINT16 = 18
    COMPACT_ARRAY = 19
    INT64 = 20
    UINT64 = 21
    ENUM = 22
    FLOAT32 = 23
    FLOAT64 = 24
    DATE_TIME = 25
    DATE = 26
    TIME = 27


_INTEGERS: dict[Tag, tuple[int, bool]] = {
    Tag.INT8: (1, True),
    Tag.INT16: (2, True),
    Tag.INT32: (4, True),
    Tag.INT64: (8, True),
    Tag.UINT8: (1, False),
    Tag.UINT16: (2, False),
    Tag.UINT32: (4, False),
    Tag.UINT64: (8, False),
    Tag.ENUM: (1, False),
    Tag.BCD: (1, False),
}
_FIXED = {Tag.DATE_TIME: 12, Tag.DATE: 5, Tag.TIME: 4}
_NESTED = (Tag.ARRAY, Tag.STRUCTURE)
_TAGS = {int(tag): tag for tag in Tag}


class MalformedError(ValueError):
    """Bytes do not follow the grammar; ``at_b`` is where reading stopped."""

    def __init__(self, detail: str, at_b: int) -> None:
        self.detail, self.at_b = detail, at_b
        super().__init__(f"{detail} (byte {at_b})")


class Item(NamedTuple):
    """One typed value.

    Attributes:
        tag: Its kind.
        value: A tuple of items, an integer, a boolean, bytes, text, a Decimal, or nothing. Floats come as the Decimal
            that they are exactly, and not-a-number as nothing.
    """

    tag: Tag
    value: Any = None


class Reader:
    """A place in bytes that moves on as they are read; every read past the end is a ``MalformedError``."""

    __slots__ = ("at_b", "content", "items_left")

    def __init__(self, content: bytes, at_b: int = 0) -> None:
        self.content, self.at_b, self.items_left = content, at_b, ITEMS_PER_BYTE_MAX * len(content)

    def take(self, length_b: int) -> bytes:
        """Return the next bytes."""
        if length_b > len(self.content) - self.at_b:
            raise MalformedError(f"{length_b} bytes are wanted and {len(self.content) - self.at_b} left", self.at_b)
        self.at_b += length_b
        return self.content[self.at_b - length_b : self.at_b]

    def unsigned(self, length_b: int = 1) -> int:
        """Return the next bytes as a number, the high one first."""
        return int.from_bytes(self.take(length_b), "big")

    def length(self) -> int:
        """Return a length: one byte below 128, else the number of bytes that hold it [1]."""
        first = self.unsigned()
        if first < 0x80:  # noqa: PLR2004
            return first
        if not 1 <= first & 0x7F <= 4:  # noqa: PLR2004
            raise MalformedError(f"a length of {first & 0x7F} bytes", self.at_b)
        return self.unsigned(first & 0x7F)

    def octets(self) -> bytes:
        """Return bytes that their length precedes."""
        return self.take(self.length())

    def flag(self) -> bool:
        """Return whether an optional part follows, or a boolean."""
        return self.unsigned() != 0

    def left_b(self) -> int:
        """Return how many bytes are not yet read."""
        return len(self.content) - self.at_b

    def finish(self) -> None:
        """Insist that all is read."""
        if self.left_b():
            raise MalformedError(f"{self.left_b()} bytes follow the end", self.at_b)

    def item(self, depth_level: int = 0) -> Item:
        """Return the next item with all that it contains."""
        return _content(self, _tag(self), depth_level)


def decode(content: bytes) -> Item:
    """Read one item that fills ``content``.

    Raises:
        MalformedError: The bytes are no item, or more than one.
    """
    reader = Reader(content)
    item = reader.item()
    reader.finish()
    return item


def encode(item: Item) -> bytes:
    """Write one item; what ``decode`` reads of it is the item again (compact arrays are written as arrays)."""
    tag, value = item.tag, item.value
    if tag in _NESTED:
        return bytes([tag]) + length_bytes(len(value)) + b"".join(encode(part) for part in value)
    return bytes([tag]) + _scalar_bytes(tag, value)


def length_bytes(length_b: int) -> bytes:
    """Write a length: one byte below 128, else the number of bytes that hold it [1]."""
    if length_b < 0x80:  # noqa: PLR2004
        return bytes([length_b])
    raw = length_b.to_bytes((length_b.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(raw)]) + raw


def moment(raw: bytes) -> str | None:
    """Return the twelve octets of a date-time as ISO 8601 text, or nothing where the date is left open [2].

    The deviation counts from local time to UTC in minutes: -60 is +01:00. Without one the text has no offset.
    """
    if len(raw) != _FIXED[Tag.DATE_TIME]:
        return None
    year, month, day, _, hour, minute, second, hundredths, deviation, _ = struct.unpack(">HBBBBBBBhB", raw)
    if not -840 <= deviation <= 840 and deviation != -0x8000:  # noqa: PLR2004 - fourteen hours, or left open
        return None
    zone = None if deviation == -0x8000 else timezone(timedelta(minutes=-deviation))  # noqa: PLR2004
    micro = 0 if hundredths == 0xFF else hundredths * 10_000  # noqa: PLR2004
    try:
        return datetime(year, month, day, hour, minute, 0 if second == 0xFF else second, micro, zone).isoformat()  # noqa: PLR2004
    except ValueError:
        return None


def _scalar_bytes(tag: Tag, value: Any) -> bytes:
    if tag in _INTEGERS:
        width_b, signed = _INTEGERS[tag]
        return int(value).to_bytes(width_b, "big", signed=signed)
    if tag in (Tag.FLOAT32, Tag.FLOAT64):
        number = float("nan") if value is None else float(value)
        return struct.pack(">f" if tag is Tag.FLOAT32 else ">d", number)
    if tag in _FIXED:
        return bytes(value)
    if tag in (Tag.NULL, Tag.BOOLEAN):
        return b"" if tag is Tag.NULL else bytes([bool(value)])
    if tag is Tag.BIT_STRING:
        padded = value + "0" * (-len(value) % 8)
        raw = bytes(int(padded[place : place + 8], 2) for place in range(0, len(padded), 8))
        return length_bytes(len(value)) + raw
    raw = value.encode("utf-8" if tag is Tag.UTF8 else "latin-1") if isinstance(value, str) else bytes(value)
    return length_bytes(len(raw)) + raw


def moment_bytes(when: datetime) -> bytes:
    """Return a time with its offset as the twelve octets of a date-time [2].

    Raises:
        ValueError: The time has no offset.
    """
    offset = when.utcoffset()
    if offset is None:
        raise ValueError("a time without an offset is no instant")
    deviation, hundredths = -int(offset.total_seconds()) // 60, when.microsecond // 10_000
    date = (when.year, when.month, when.day, when.isoweekday())
    return struct.pack(">HBBBBBBBhB", *date, when.hour, when.minute, when.second, hundredths, deviation, 0)


def _tag(reader: Reader) -> Tag:
    code = reader.unsigned()
    tag = _TAGS.get(code)
    if tag is None:
        raise MalformedError(f"no data type has the tag {code}", reader.at_b - 1)
    return tag


def _content(reader: Reader, tag: Tag, depth: int) -> Item:
    reader.items_left -= 1
    if depth > DEPTH_MAX or reader.items_left < 0:
        raise MalformedError("the data are nested too deep or are too many", reader.at_b)
    if tag in _NESTED:
        count = reader.length()
        if count > reader.left_b():
            raise MalformedError(f"{count} items do not fit {reader.left_b()} bytes", reader.at_b)
        return Item(tag, tuple(reader.item(depth + 1) for _ in range(count)))
    if tag in _INTEGERS:
        width_b, signed = _INTEGERS[tag]
        return Item(tag, int.from_bytes(reader.take(width_b), "big", signed=signed))
    if tag is Tag.COMPACT_ARRAY:
        return _compact(reader, depth)
    return Item(tag, _SCALARS[tag](reader, tag))


def _float(reader: Reader, tag: Tag) -> Decimal | None:
    wide = tag is Tag.FLOAT64
    number = Decimal(struct.unpack(">d" if wide else ">f", reader.take(8 if wide else 4))[0])
    return number if number.is_finite() else None


def _bits(reader: Reader, _: Tag) -> str:
    count = reader.length()
    raw = reader.take((count + 7) // 8)
    return "".join(f"{byte:08b}" for byte in raw)[:count]


_SCALARS: dict[Tag, Callable[[Reader, Tag], Any]] = {
    Tag.NULL: lambda _, __: None,
    Tag.BOOLEAN: lambda reader, _: reader.flag(),
    Tag.BIT_STRING: _bits,
    Tag.OCTETS: lambda reader, _: reader.octets(),
    Tag.VISIBLE: lambda reader, _: reader.octets().decode("latin-1"),
    Tag.UTF8: lambda reader, _: reader.octets().decode("utf-8", "replace"),
    Tag.FLOAT32: _float,
    Tag.FLOAT64: _float,
    **dict.fromkeys(_FIXED, lambda reader, tag: reader.take(_FIXED[tag])),
}


_Shape = tuple[Tag, "tuple[Any, ...]", int]


def _compact(reader: Reader, depth: int) -> Item:
    """A compact array gives the shape of its elements once, then their contents without tags [1]."""
    shape = _shape(reader, depth)
    inner = Reader(reader.octets())
    inner.items_left = reader.items_left
    items = []
    while inner.left_b():
        before = inner.at_b
        items.append(_shaped(inner, shape, depth + 1))
        if inner.at_b == before:
            raise MalformedError("the elements of a compact array are empty", reader.at_b)
    reader.items_left = inner.items_left
    return Item(Tag.ARRAY, tuple(items))


def _shape(reader: Reader, depth: int) -> _Shape:
    if depth > DEPTH_MAX:
        raise MalformedError("the data are nested too deep", reader.at_b)
    tag = _tag(reader)
    if tag is Tag.ARRAY:
        count = reader.unsigned(2)
        return tag, (_shape(reader, depth + 1),), count
    if tag is Tag.STRUCTURE:
        count = reader.length()
        if count > reader.left_b():
            raise MalformedError(f"a structure of {count} parts", reader.at_b)
        return tag, tuple(_shape(reader, depth + 1) for _ in range(count)), count
    if tag is Tag.COMPACT_ARRAY:
        raise MalformedError("a compact array within a compact array", reader.at_b)
    return tag, (), 0


def _shaped(reader: Reader, shape: _Shape, depth: int) -> Item:
    tag, parts, count = shape
    if tag not in _NESTED:
        return _content(reader, tag, depth)
    reader.items_left -= 1
    if depth > DEPTH_MAX or reader.items_left < 0:
        raise MalformedError("the data are nested too deep or are too many", reader.at_b)
    if tag is Tag.ARRAY:
        return Item(tag, tuple(_shaped(reader, parts[0], depth + 1) for _ in range(count)))
    return Item(tag, tuple(_shaped(reader, part, depth + 1) for part in parts))
