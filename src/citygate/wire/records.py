"""Data records of M-Bus: each says by its header (DIF, VIF and their extensions) what its bytes mean.

References:
    EN 13757-3:2018, clause 6 and annexes A to C (data records, manufacturer data, plain text units).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from citygate.wire import coding
from citygate.wire.framing import crc16
from citygate.wire.telegram import Function, Unread, Value
from citygate.wire.vif import TABLES, Quantity, Shape, extend, extend_second

FILLER = 0x2F
_MORE, _EXTENSIONS_MAX = 0x80, 10
_MANUFACTURER, _MANUFACTURER_MORE = 0x0F, 0x1F
_SPECIAL = 0x0F
_PLAIN_TEXT, _ALL_MANUFACTURER, _SECOND_TABLE = 0x7C, 0x7F, 0xFC
_REAL, _VARIABLE, _NONE, _SELECTION = 0x5, 0xD, 0x0, 0x8
_BCD_FROM = 0x9
#: Bytes of the data of each kind; 0 for variable length.
_SIZE_B = (0, 1, 2, 3, 4, 4, 6, 8, 0, 1, 2, 3, 4, 0, 6, 0)
_FUNCTIONS = (Function.INSTANTANEOUS, Function.MAXIMUM, Function.MINIMUM, Function.ERROR)
#: Numbers that name a thing: leading zeros belong to them.
_NAMES = ("fabrication_number", "enhanced_identification", "customer", "customer_location")
_HEADERS_KEPT = 4096


class Header(NamedTuple):
    """What a record's header says.

    Attributes:
        data_code: Kind of data of the DIF, 0 to 14.
        function: Present value or an extreme.
        storage: Storage number.
        tariff: Tariff.
        subunit: Part of the device.
        quantity: Name, unit and scale.
    """

    data_code: int
    function: Function
    storage: int
    tariff: int
    subunit: int
    quantity: Quantity


class Record(NamedTuple):
    """One record and where it lies.

    Attributes:
        start_b: First byte of the header.
        data_b: First byte of the data.
        end_b: First byte after it.
        value: What it says.
    """

    start_b: int
    data_b: int
    end_b: int
    value: Value


class Records(NamedTuple):
    """Records of one telegram.

    Attributes:
        records: In the order of the telegram.
        fault: Why reading stopped before the end; None when all was read.
        more: Whether the meter says that more records follow in its next telegram.
    """

    records: tuple[Record, ...]
    fault: Unread | None
    more: bool


def _header_end_b(raw: bytes, start_b: int) -> int | Unread:
    """Return where the header ends: DIF and DIFEs, VIF, its plain text, VIFEs."""
    at_b, size_b = start_b, len(raw)
    for what in ("DIF", "VIF"):
        if at_b >= size_b:
            return Unread("record_short", f"the data end before a {what}", at_b)
        first, extensions = raw[at_b], 0
        byte = first
        at_b += 1
        if what == "VIF" and first & 0x7F == _PLAIN_TEXT:
            at_b += 1 + raw[at_b] if at_b < size_b else 1
        while byte & _MORE:
            if at_b >= size_b:
                return Unread("record_short", f"the data end within the extensions of a {what}", at_b)
            byte, at_b, extensions = raw[at_b], at_b + 1, extensions + 1
            if extensions > _EXTENSIONS_MAX:
                return Unread("record_wrong", f"more than {_EXTENSIONS_MAX} extensions of a {what}", at_b)
    return at_b if at_b <= size_b else Unread("record_short", "the data end within a plain text unit", size_b)


@lru_cache(maxsize=_HEADERS_KEPT)
def header(raw: bytes) -> Header:
    """Return the meaning of a whole header: DIF, DIFEs, VIF, VIFEs."""
    dif = raw[0]
    storage, tariff, subunit = dif >> 6 & 1, 0, 0
    at, byte = 1, dif
    while byte & _MORE:
        byte, step = raw[at], at - 1
        storage |= (byte & 0x0F) << (4 * step + 1)
        tariff |= (byte >> 4 & 3) << (2 * step)
        subunit |= (byte >> 6 & 1) << step
        at += 1
    return Header(dif & 0x0F, _FUNCTIONS[dif >> 4 & 3], storage, tariff, subunit, _quantity(raw[at:]))


def _quantity(raw: bytes) -> Quantity:
    vif, at = raw[0], 1
    low = vif & 0x7F
    if low == _PLAIN_TEXT:
        at = 2 + raw[1]
        quantity = Quantity("plain_text", coding.text(raw[2:at]))
    elif low == _ALL_MANUFACTURER:
        mark = "_".join(f"{byte & 0x7F:02X}" for byte in raw[1:])
        return Quantity(f"manufacturer_{mark}" if mark else "manufacturer", shape=Shape.NUMBER)
    elif vif in TABLES:
        code = raw[1] & 0x7F
        quantity, at = TABLES[vif].get(code) or Quantity(f"unknown_{vif:02X}_{code:02X}", shape=Shape.CODE), 2
    else:
        quantity = TABLES[None].get(low) or Quantity(f"unknown_{low:02X}", shape=Shape.CODE)
    return _extended(quantity, raw[at:])


def _extended(quantity: Quantity, codes: bytes) -> Quantity:
    at = 0
    while at < len(codes):
        code, at = codes[at], at + 1
        if code & 0x7F == _ALL_MANUFACTURER:
            mark = "_".join(f"{byte & 0x7F:02X}" for byte in codes[at:])
            return extend_named(quantity, mark)
        if code == _SECOND_TABLE and at < len(codes):
            quantity, at = extend_second(quantity, codes[at] & 0x7F), at + 1
        else:
            quantity = extend(quantity, code & 0x7F)
    return quantity


def extend_named(quantity: Quantity, mark: str) -> Quantity:
    """Return a quantity with extensions that only its manufacturer explains."""
    name = f"{quantity.name}_manufacturer_{mark}" if mark else f"{quantity.name}_manufacturer"
    return Quantity(name, quantity.unit, quantity.factor, quantity.exponent, quantity.shape, quantity.basis)


def _plain(head: Header, raw: bytes) -> coding.Read:
    """Value of fixed length, not yet scaled where it is a number."""
    if head.data_code == _REAL:
        number = coding.real(raw)
        return number, "" if number is not None else f"no number: {raw.hex().upper()}"
    if head.data_code < _BCD_FROM:
        return int.from_bytes(raw, "little", signed=head.quantity.shape is Shape.NUMBER), ""
    digits = coding.bcd(raw)
    if digits is None:
        return None, f"digits that are none: {raw.hex().upper()}"
    if head.quantity.name in _NAMES and digits >= 0:
        return raw[::-1].hex(), ""
    return digits, ""


def _value(head: Header, raw: bytes, mark: int | None) -> Value:
    quantity = head.quantity
    if quantity.error:
        read: coding.Read = (None, f"the meter reports {quantity.error}")
    elif mark is not None:
        read = coding.variable(mark, raw)
    elif head.data_code in {_NONE, _SELECTION}:
        read = (None, "no data")
    elif quantity.shape is Shape.MOMENT and head.data_code < _BCD_FROM:
        read = coding.moment(raw)
    else:
        read = _plain(head, raw)
    found, note = read
    if quantity.shape is Shape.NUMBER and found is not None and not isinstance(found, str):
        if isinstance(found, int):
            found = coding.scaled(found, quantity.factor, quantity.exponent)
        else:
            found = (found * quantity.factor).scaleb(quantity.exponent)
    return Value(
        quantity.name,
        found,
        quantity.unit,
        head.storage,
        head.tariff,
        head.function,
        quantity.basis,
        head.subunit,
        note,
    )


def read(raw: bytes, start_b: int = 0) -> Records:
    """Return the records from ``start_b`` to the end; what is not understood stays visible as bytes."""
    found: list[Record] = []
    at_b = start_b
    while at_b < len(raw):
        dif = raw[at_b]
        if dif == FILLER:
            at_b += 1
            continue
        if dif in {_MANUFACTURER, _MANUFACTURER_MORE}:
            block = Value("manufacturer_specific", raw[at_b + 1 :].hex().upper())
            kept = [Record(at_b, at_b + 1, len(raw), block)] if at_b + 1 < len(raw) else []
            return Records((*found, *kept), None, dif == _MANUFACTURER_MORE)
        if dif & 0x0F == _SPECIAL:
            return Records(tuple(found), Unread("record_wrong", f"DIF {dif:02X} is reserved", at_b), more=False)
        record = _record(raw, at_b)
        if isinstance(record, Unread):
            return Records(tuple(found), record, more=False)
        found.append(record)
        at_b = record.end_b
    return Records(tuple(found), None, more=False)


def _record(raw: bytes, start_b: int) -> Record | Unread:
    data_b = _header_end_b(raw, start_b)
    if isinstance(data_b, Unread):
        return data_b
    head = header(raw[start_b:data_b])
    return _data(head, raw, start_b, data_b)


def _data(head: Header, raw: bytes, start_b: int, data_b: int) -> Record | Unread:
    size_b, mark, from_b = _SIZE_B[head.data_code], None, data_b
    if head.data_code == _VARIABLE:
        if data_b >= len(raw):
            return Unread("record_short", "the data end before the length of a value", data_b)
        mark, from_b = raw[data_b], data_b + 1
        wanted_b = coding.variable_size_b(mark)
        if wanted_b is None:
            return Unread("record_wrong", f"length {mark:02X} of a value is reserved", data_b)
        size_b = wanted_b
    end_b = from_b + size_b
    if end_b > len(raw):
        lacking_b = end_b - len(raw)
        return Unread("record_short", f"the data of {head.quantity.name} lack {lacking_b} bytes", data_b)
    return Record(start_b, data_b, end_b, _value(head, raw[from_b:end_b], mark))


def layout(raw: bytes, found: Records) -> bytes:
    """Return the headers of records one after another: the format that a compact frame names by its checksum."""
    return b"".join(raw[record.start_b : record.data_b] for record in found.records)


def read_compact(raw: bytes, start_b: int, form: bytes) -> Records:
    """Return the records of a compact frame, whose headers lie in ``form`` and not in the frame."""
    found: list[Record] = []
    at_b, form_b = start_b, 0
    while form_b < len(form):
        end_b = _header_end_b(form, form_b)
        if isinstance(end_b, Unread):
            return Records(tuple(found), Unread("format_wrong", end_b.detail, at_b), more=False)
        record = _data(header(form[form_b:end_b]), raw, at_b, at_b)
        if isinstance(record, Unread):
            return Records(tuple(found), record, more=False)
        found.append(record)
        at_b, form_b = record.end_b, end_b
    if any(byte != FILLER for byte in raw[at_b:]):
        return Records(tuple(found), Unread("format_wrong", "bytes are left when the format ends", at_b), more=False)
    return Records(tuple(found), None, more=False)


def full_checksum(raw: bytes, found: Records, form: bytes) -> int:
    """Return the checksum of the full frame that a compact one stands for: its headers and data in turn."""
    parts, form_b = [], 0
    for record in found.records:
        end_b = _header_end_b(form, form_b)
        if isinstance(end_b, Unread):
            break
        parts.append(form[form_b:end_b] + raw[record.data_b : record.end_b])
        form_b = end_b
    return crc16(b"".join(parts))
