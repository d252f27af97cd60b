"""CJ/T 188: the serial protocol of Chinese water, gas and heat meters.

References:
    [1] CJ/T 188-2004 and CJ/T 188-2018, Technical requirements of utility meters data transmission: frames in
        clause 7 (6 in 2018), data identifiers and units in its annexes. The edition of 2004 sends a data identifier
        with its high byte first, that of 2018 with its low byte first; meters in the field do either.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from citygate.wire.telegram import Outcome, Telegram, Unread, Value

_START, _END, _WAKE = 0x68, 0x16, 0xFE
#: Start, type, seven of address, control, length; then content, checksum and end.
_HEAD_B, _TAIL_B = 11, 2
_REPLY, _REFUSED = 0x80, 0x40
_BROADCAST = bytes([0xAA] * 7)

_OPERATIONS = {
    0x01: "read",
    0x03: "read_address",
    0x04: "write",
    0x09: "read_key_version",
    0x15: "write_address",
    0x16: "write_register",
}
_MEDIA = {0x10: "water", 0x20: "heat", 0x30: "gas", 0x40: "other"}
_UNITS: dict[int, tuple[str, int]] = {
    0x01: ("J", 0),
    0x02: ("Wh", 0),
    0x05: ("Wh", 3),
    0x08: ("Wh", 6),
    0x0A: ("Wh", 8),
    0x0B: ("J", 3),
    0x0E: ("J", 6),
    0x11: ("J", 9),
    0x13: ("J", 11),
    0x29: ("m3", -3),
    0x2C: ("m3", 0),
}
#: What a reply to 901F holds after the volume, by its length: the standard's first, then what meters leave out.
_READINGS = {
    19: ("unit", "settled", "clock", "status"),
    17: ("unit", "settled", "clock"),
    14: ("unit", "clock", "status"),
    12: ("unit", "settled", "status"),
    10: ("unit", "settled"),
    7: ("unit", "status"),
    6: ("status",),
    5: ("unit",),
}
_READING, _VALVE, _ADDRESS, _SETTLED = 0x901F, 0xA017, 0x810A, range(0xD120, 0xD12C)
_KNOWN = {_READING, _ADDRESS, *_SETTLED, *range(0x8102, 0x8107), *range(0xA010, 0xA01A)}
_VALVE_ORDERS = {0x55: "open", 0x99: "close", 0x66: "open_freely", 0x77: "close_freely", 0x00: "ask"}


def decode(frame: bytes) -> Outcome:
    """Read one frame, with or without the waking bytes FE before it.

    Volumes have two decimals [1]. A reply of a gas meter bears `volume`, the volume at the day of settlement with
    ``storage`` 1, the meter's clock as ``Telegram.time`` and the valve.
    """
    start_b = len(frame) - len(frame.lstrip(bytes([_WAKE])))
    body = frame[start_b:]
    if not body or body[0] != _START:
        return Unread("not_a_frame", "A frame starts with 68 after waking bytes FE.", start_b)
    if len(body) < _HEAD_B + _TAIL_B:
        return Unread("too_short", f"A frame has at least {_HEAD_B + _TAIL_B} bytes.", len(frame))
    end_b = _HEAD_B + body[10]
    if len(body) < end_b + _TAIL_B:
        return Unread("too_short", f"The length byte announces {body[10]} bytes of content.", len(frame))
    if body[end_b + 1] != _END:
        return Unread("not_a_frame", "The byte after the checksum is not 16.", start_b + end_b + 1)
    found = sum(body[:end_b]) & 0xFF
    if found != body[end_b]:
        detail = f"The checksum says {body[end_b]:02X}, the content gives {found:02X}."
        return Unread("crc_wrong", detail, start_b + end_b)
    over = len(body) - end_b - _TAIL_B
    notes = (f"{over} bytes follow the frame",) if over else ()
    return _telegram(body[1], body[2:9], body[9], body[_HEAD_B:end_b], notes)


def encode(type_code: int, serial: str, control_code: int, content: bytes) -> bytes:
    """Write a frame.

    Args:
        type_code: Kind of meter: 0x30 is gas.
        serial: Fourteen digits, the first first.
        control_code: What is asked or answered: 0x01 read, 0x81 its reply.
        content: Data identifier, sequence and data: at most 255 bytes.
    """
    body = bytes([_START, type_code]) + bytes.fromhex(serial)[::-1] + bytes([control_code, len(content)]) + content
    return body + bytes([sum(body) & 0xFF, _END])


def _telegram(type_code: int, address: bytes, control: int, content: bytes, notes: tuple[str, ...]) -> Telegram:
    verb = _OPERATIONS.get(control & 0x3F, f"control_{control & 0x3F:02x}")
    reply, refused = bool(control & _REPLY), bool(control & _REFUSED)
    operation = f"{verb}_{'error' if refused else 'response' if reply else 'request'}"
    values = [Value("operation", operation)]
    identifier, rest = None, content
    if len(content) >= 3:  # noqa: PLR2004 - two of identifier, one of sequence
        identifier, rest = _identifier(content), content[3:]
        values += [Value("data_identifier", f"{identifier:04X}"), Value("sequence", content[2])]
    time: str | None = None
    status: tuple[str, ...] = ()
    if refused:
        values.append(Value("error", rest.hex().upper() or content.hex().upper()))
        status = ("refused",)
    elif reply and identifier is not None:
        more, time, status, notes = _answer(identifier, rest, notes)
        values += more
    elif identifier == _VALVE and len(rest) == 1:
        values.append(Value("valve_order", _VALVE_ORDERS.get(rest[0], f"{rest[0]:02X}")))
    return Telegram(
        manufacturer=None if address == _BROADCAST else f"{address[6]:02X}{address[5]:02X}",
        serial=None if address == _BROADCAST else address[::-1].hex().upper(),
        version="2018" if identifier is not None and content[0] == identifier & 0xFF != identifier >> 8 else "2004",
        medium=_MEDIA.get(type_code & 0xF0),
        time=time,
        values=tuple(values),
        status=status,
        notes=notes,
    )


def _identifier(content: bytes) -> int:
    high_first, low_first = int.from_bytes(content[:2], "big"), int.from_bytes(content[:2], "little")
    return low_first if low_first in _KNOWN and high_first not in _KNOWN else high_first


_Answer = tuple[list[Value], "str | None", tuple[str, ...], tuple[str, ...]]


def _answer(identifier: int, rest: bytes, notes: tuple[str, ...]) -> _Answer:
    match identifier, len(rest):
        case 0x901F, length_b if length_b in _READINGS:
            return _reading(rest, notes)
        case settled, 5 if settled in _SETTLED:
            return [_volume(rest[:4], rest[4], 1 + settled - _SETTLED.start)], None, (), notes
        case 0xA017, 2:
            valve, status = _status(rest)
            return [valve], None, status, notes
        case _, 0:
            return [], None, (), notes
    return [], None, (), (*notes, f"content not understood: {rest.hex().upper()}")


def _reading(rest: bytes, notes: tuple[str, ...]) -> _Answer:
    parts, at_b, time = _READINGS[len(rest)], 5, None
    bare = "unit" not in parts
    values = [_volume(rest[:4], None if bare else rest[4], 0)]
    status: tuple[str, ...] = ()
    if bare:
        at_b = 4
    if "settled" in parts:
        values.append(_volume(rest[5:9], rest[9], 1))
        at_b = 10
    if "clock" in parts:
        clock = rest[at_b : at_b + 7]
        time, at_b = _time(clock), at_b + 7
        notes = notes if time or not any(clock) else (*notes, f"not a time: {clock.hex()}")
    if "status" in parts:
        valve, status = _status(rest[at_b:])
        values.append(valve)
    return values, time, status, notes


def _volume(raw: bytes, unit_code: int | None, storage: int) -> Value:
    digits = raw[::-1].hex()
    unit, exponent = _UNITS.get(unit_code, ("", 0)) if unit_code is not None else ("", 0)
    note = "" if unit else "no unit sent" if unit_code is None else f"unit code {unit_code:02X} is not in the standard"
    name = "energy" if unit in ("J", "Wh") else "volume"
    if not digits.isdecimal():
        return Value(name, None, unit, storage=storage, note=f"not decimal: {digits.upper()}")
    return Value(name, Decimal(int(digits)).scaleb(exponent - 2), unit, storage=storage, note=note)


def _time(raw: bytes) -> str | None:
    """Second, minute, hour, day, month, then the year with its low half first, all in decimal digits [1]."""
    digits = raw[::-1].hex()
    if not digits.isdecimal():
        return None
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S").isoformat()  # noqa: DTZ007 - the meter sends no zone
    except ValueError:
        return None


def _status(raw: bytes) -> tuple[Value, tuple[str, ...]]:
    """Two bits of valve, one of battery; the rest is the manufacturer's [1]."""
    valve = {0: "open", 1: "closed", 3: "fault"}.get(raw[0] & 3)
    names = [] if valve == "open" else [f"valve_{valve}" if valve else "valve_unknown"]
    if raw[0] & 4:
        names.append("battery_low")
    names += [f"manufacturer_bit_{bit}" for bit in range(3, 8) if raw[0] >> bit & 1]
    names += [f"manufacturer_bit_{8 + bit}" for bit in range(8) if raw[1] >> bit & 1]
    return Value("valve", valve, note="" if valve else "a code without meaning"), tuple(names)
