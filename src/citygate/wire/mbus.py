"""Wired M-Bus: long frames in, one telegram out, also when it came in several frames.

References:
    EN 13757-2:2018 (link layer), EN 13757-3:2018 (application; annex on the fixed data structure of old meters).
"""

from __future__ import annotations

from dataclasses import replace

from citygate.wire import application, coding, driver
from citygate.wire.device import Device, medium_name, status_names
from citygate.wire.framing import WiredFrame, dress_wired, split_wired
from citygate.wire.telegram import Outcome, Part, Telegram, Unread, Value
from citygate.wire.transport import Opened, key_fault, open_layers

_FIXED, _FIXED_B = 0x73, 16
_UNKNOWN = Device(bytes(8))
#: Units of the fixed data structure: first code, how many by powers of ten, name, unit, exponent of the first.
_FIXED_UNITS = (
    (0x02, 9, "energy", "Wh", 0),
    (0x0B, 9, "energy", "J", 3),
    (0x14, 9, "power", "W", 0),
    (0x1D, 9, "power", "J/h", 3),
    (0x26, 9, "volume", "m3", -6),
    (0x2F, 9, "flow", "m3/h", -6),
    (0x38, 1, "temperature", "Cel", -3),
    (0x39, 1, "heat_cost_allocation", "", 0),
)
_SAME_BUT_HISTORIC, _HISTORIC_BIT, _BINARY_BIT = 0x3E, 0x02, 0x01


def decode(buffer: bytes, key: bytes | None = None) -> Outcome:
    """Return what one or more long frames of a meter say, or why they cannot be read.

    Args:
        buffer: Long frames from start to stop byte; acknowledgements and short frames between them are left out.
        key: 16 bytes; needed where the frame is encrypted.
    """
    return _decoded(buffer, key, None)


def take_apart(buffer: bytes, key: bytes | None = None) -> tuple[tuple[Part, ...], Outcome]:
    """Return the meaning of the bytes as far as they were read, and the outcome."""
    parts: list[Part] = []
    outcome = _decoded(buffer, key, parts)
    return tuple(parts), outcome


def _decoded(buffer: bytes, key: bytes | None, parts: list[Part] | None) -> Outcome:
    fault = key_fault(key)
    if fault:
        return fault
    frames, rest = split_wired(buffer)
    if not frames and not rest:
        return Unread("too_short", "no long frame came", 0)
    joined: Telegram | None = None
    for frame in frames:
        outcome = frame if isinstance(frame, Unread) else _frame(frame, key, parts)
        if isinstance(outcome, Unread):
            return outcome
        joined = outcome if joined is None else _joined(joined, outcome)
        if joined is None:
            return Unread("not_one_meter", "the frames are of more than one meter; give them one by one", 0)
    if rest or joined is None:
        return Unread("too_short", "the end of a frame has not come", len(buffer) - len(rest))
    return joined


def _joined(first: Telegram, second: Telegram) -> Telegram | None:
    if (first.manufacturer, first.serial, first.version) != (second.manufacturer, second.serial, second.version):
        return None
    return replace(
        second,
        time=first.time or second.time,
        values=first.values + second.values,
        status=tuple(dict.fromkeys(first.status + second.status)),
        notes=tuple(dict.fromkeys(first.notes + second.notes)),
    )


def _frame(frame: WiredFrame, key: bytes | None, parts: list[Part] | None) -> Outcome:
    opened = Opened(bytes([frame.control, frame.address_code]) + frame.body, 0, _UNKNOWN, key, parts=parts)
    opened.mark("link", 1, f"control {frame.control:02X}")
    opened.mark("link", 1, f"primary address {frame.address_code}")
    if frame.body[0] == _FIXED:
        return _fixed(opened)
    fault = open_layers(opened)
    if fault:
        return fault
    return driver.refine(opened.device, application.telegram(opened, driver.formats()))


def _fixed(opened: Opened) -> Outcome:
    """Read the fixed data structure: two counters, their units, and a medium in four bits of the units."""
    opened.mark("transport", 1, "CI 73: fixed data structure")
    if len(opened.frame) - opened.at_b != _FIXED_B:
        return opened.unread("too_short", f"the fixed data structure has {_FIXED_B} bytes")
    raw = opened.frame[opened.at_b :]
    serial, status = raw[3::-1].hex().upper(), raw[5]
    medium = raw[6] >> 6 | raw[7] >> 6 << 2
    opened.mark("transport", 4, f"serial {serial}")
    opened.mark("transport", 1, "access number")
    opened.mark("transport", 1, f"status {status:02X}")
    opened.mark("transport", 2, f"units and medium {medium_name(medium)}")
    first, second = raw[6] & 0x3F, raw[7] & 0x3F
    units = (first, first if second == _SAME_BUT_HISTORIC else second)
    values = []
    for place, unit in enumerate(units):
        historic = place == 1 and (second == _SAME_BUT_HISTORIC or bool(status & _HISTORIC_BIT))
        value = _counter(
            raw[8 + 4 * place : 12 + 4 * place], unit, binary=bool(status & _BINARY_BIT), historic=historic
        )
        opened.mark("records", 4, application.describe(value))
        values.append(value)
    names = status_names(status & 0xFC)
    return Telegram(None, serial, None, medium_name(medium), values=tuple(values), status=names)


def _counter(raw: bytes, unit: int, *, binary: bool, historic: bool) -> Value:
    number = int.from_bytes(raw, "little") if binary else coding.bcd(raw)
    for first, count, name, symbol, exponent in _FIXED_UNITS:
        if first <= unit < first + count and number is not None:
            return Value(name, coding.scaled(number, 1, exponent + unit - first), symbol, int(historic))
    note = "digits that are none" if number is None else f"unit {unit:02X} of the fixed data structure"
    return Value("counter", number, storage=int(historic), note=note)


def encode(body: bytes, address_code: int = 0) -> bytes:
    """Return the long frame in which a meter answers with a body that begins with its CI field (C field 08)."""
    return dress_wired(0x08, address_code, body)
