"""CTR: the 140-byte messages of Italian gas volume converters (Elster and others), as SMS or over GPRS.

A message is an address of two bytes, profile, function, structure, channel, 128 bytes of data, and a code of
authenticity and a checksum of six bytes. Only the data are read here: the checksum's parameters are not public, so a
telegram says that it was not checked.

References:
    [1] UNI/TS 11291, Gas metering devices on hourly basis: CTR application protocol, tables DEC, DECF, trace_C and
        array of events; qualifier byte: bits 0-2 decimal places, bits 3-4 validity.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import NamedTuple

from citygate.wire.telegram import Basis, Outcome, Telegram, Unread, Value

_STANDARD, _SUMMER = timezone(timedelta(hours=1)), timezone(timedelta(hours=2))
#: An hour above this is written in summer time, shifted by 30 [1].
_SUMMER_SHIFT_H = 30
_HEAD_B, _DATA_B, _TAIL_B, _IDENTITY_B, _TRACES = 6, 128, 6, 7, 24
#: Object 1.0.2: flow at metering conditions, hour by hour.
_HOURLY_FLOW = b"\x01\x02"
_ANSWER, _NOTIFICATION, _FUNCTION_MASK = 0x21, 0x3B, 0x3F

_DIAGNOSES = (
    "mains_missing",
    "battery_low",
    "event_log_at_90_percent",
    "alarm",
    "converter_link_broken",
    "event_log_full",
    "clock_wrong",
    "converter_alarm",
    "temperature_out_of_range",
    "pressure_out_of_range",
    "flow_above_limit",
    "valve_closing_failed",
    "valve_opening_failed",
)
_EVENTS = {
    0x30: "generic",
    0x31: "over_limit",
    0x32: "out_of_range",
    0x33: "programming",
    0x34: "parameter_changed",
    0x35: "general_fault",
    0x36: "mains_off",
    0x37: "battery_low",
    0x38: "clock_changed",
    0x3A: "calculation_error",
    0x3B: "database_reset",
    0x3C: "seal_deactivated",
    0x3D: "synchronisation_error",
    0x3E: "event_queue_reset",
    0x3F: "summer_time_programmed",
    0x40: "event_buffer_full",
    0x41: "tariff_configured",
    0x42: "tariff_activated",
    0x43: "software_downloaded",
    0x44: "software_activated",
    0x46: "fraud_attempt",
    0x47: "status_changed",
    0x48: "programming_failed",
    0x49: "flow_cut_off",
    0x4A: "pressure_cut_off",
    0x4B: "conversion_halted",
    0x4C: "security_changed",
    0x4D: "batteries_replaced",
}


class _Field(NamedTuple):
    """Where a table holds what: with a qualifier byte before it, or plain."""

    name: str
    width_b: int
    qualified: bool = True
    unit: str = ""
    basis: Basis | None = None
    tariff: int = 0


def _totals() -> tuple[_Field, ...]:
    bands = (1, 2, 3)
    return (
        _Field("volume", 4, unit="m3", basis=Basis.BASE),
        _Field("volume_disturbed", 4, unit="m3", basis=Basis.BASE),
        *(_Field("volume_disturbed", 4, unit="m3", basis=Basis.BASE, tariff=band) for band in bands),
        *(_Field("volume", 4, unit="m3", basis=Basis.BASE, tariff=band) for band in bands),
    )


#: Table DEC: the present values [1].
_DEC = (
    _Field("volume", 4, unit="m3", basis=Basis.MEASURED),
    _Field("volume", 4, unit="m3", basis=Basis.BASE),
    _Field("volume_disturbed", 4, unit="m3", basis=Basis.BASE),
    _Field("flow", 3, unit="m3/h", basis=Basis.MEASURED),
    _Field("flow", 3, unit="m3/h", basis=Basis.BASE),
    _Field("object_13_0_0", 1, qualified=False),
    _Field("object_13_0_1", 1, qualified=False),
    _Field("pressure", 3, unit="bar"),
    _Field("temperature", 3, unit="K"),
    _Field("conversion_factor", 3),
    _Field("compressibility", 3),
    _Field("time_since_synchronisation", 2, qualified=False, unit="s"),
    _Field("event_count", 2, qualified=False),
    _Field("operating_status", 1, qualified=False),
    _Field("seals", 2, qualified=False),
    _Field("signal", 1, qualified=False),
)


def decode(message: bytes) -> Outcome:
    """Read a message: table DEC or DECF (registers), array of events, or trace_C (an hourly series).

    Stored values bear ``storage`` 1 in a DECF table (the last billing period), and 1 to 24 in a series and 1 to 6 in
    the events, where `datetime` of the same storage is the end of the interval or the moment of the event.
    """
    if message[:1] == b"\x0a" and len(message) == 2 + _HEAD_B + _DATA_B + _TAIL_B:
        message = message[1:-1]
    if not _HEAD_B + _IDENTITY_B <= len(message) <= _HEAD_B + _DATA_B + _TAIL_B:
        reason = "too_short" if len(message) < _HEAD_B + _IDENTITY_B else "too_long"
        return Unread(reason, f"A message has 140 bytes, not {len(message)}.", min(len(message), 140))
    function, structure = message[3], message[4]
    if function & ~_FUNCTION_MASK:
        return Unread("key_missing", f"Function {function:02X} says that the data are enciphered.", 3)
    if function not in (_ANSWER, _NOTIFICATION):
        return Unread("not_a_frame", f"Function {function:02X} is neither an answer nor a notification.", 3)
    reader = _READERS.get(structure)
    if reader is None:
        return Unread("not_supported", f"Structure {structure:02X} is not one of {_names()}.", 4)
    needed_b, read = reader
    content = message[_HEAD_B : _HEAD_B + _DATA_B]
    identity = content[:_IDENTITY_B].hex().upper()
    if len(content) < needed_b:
        detail = f"Structure {structure:02X} needs {needed_b} bytes of data, there are {len(content)}."
        return Unread("too_short", detail, len(message), Telegram(serial=identity, medium="gas"))
    return read(identity, content[_IDENTITY_B:])


def _names() -> str:
    return ", ".join(f"{code:02X}" for code in _READERS)


def _dec(identity: str, content: bytes) -> Telegram:
    values, _ = _fields(_DEC, content[7:], 0)
    return _said(identity, _moment(content[:5]), (_diagnosis(content[5:7], 0), *values), content[5:7])


def _decf(identity: str, content: bytes) -> Telegram:
    counter = Value("event_count", int.from_bytes(content[7:9], "big"))
    present, used_b = _fields(_totals(), content[12:], 0)
    past = content[12 + used_b + 2 :]
    stored, _ = _fields(_totals(), past[7:], 1)
    closed = _moment(past[:5])
    values = (
        _diagnosis(content[5:7], 0),
        counter,
        *present,
        Value("datetime", closed, storage=1, note="" if closed else f"not a time: {past[:5].hex()}"),
        _diagnosis(past[5:7], 1),
        *stored,
    )
    return _said(identity, _moment(content[:5]), values, content[5:7])


def _trace(identity: str, content: bytes) -> Outcome:
    """Read the 24 hours of a day of gas, which starts at the hour that the message names."""
    start_h, series, period = content[5], content[11:13], content[10]
    opened = _moment(content[13:16] + bytes([start_h, 0]))
    if period != 1 or opened is None or series != _HOURLY_FLOW:
        detail = f"Only hourly flows are read; this is period {period} of object {series.hex().upper()}."
        return Unread("not_supported", detail, 23, Telegram(serial=identity, medium="gas"))
    values = [_diagnosis(content[6:8], 0), Value("event_count", int.from_bytes(content[8:10], "big"))]
    values.append(_number(_Field("volume", 4, unit="m3", basis=Basis.MEASURED), content[16], content[17:21], 0))
    begin = datetime.fromisoformat(opened)
    for hour in range(_TRACES):
        at_b = 21 + 4 * hour
        field = _Field("flow", 3, unit="m3/h", basis=Basis.MEASURED)
        values.append(Value("datetime", (begin + timedelta(hours=hour + 1)).isoformat(), storage=hour + 1))
        values.append(_number(field, content[at_b], content[at_b + 1 : at_b + 4], hour + 1))
    return _said(identity, _moment(content[:5]), tuple(values), content[6:8])


def _events(identity: str, content: bytes) -> Telegram:
    values = [Value("event_count", int.from_bytes(content[7:9], "big"))]
    for place in range(6):
        raw = content[9 + 18 * place : 27 + 18 * place]
        if not any(raw):
            continue
        moment = _moment(raw[:5])
        note = "" if moment else f"not a time: {raw[:5].hex()}"
        values += [
            Value("datetime", moment, storage=place + 1, note=note),
            Value("event", _EVENTS.get(raw[8], f"code_{raw[8]:02x}"), storage=place + 1),
            Value("event_code", raw[8], storage=place + 1),
            Value("event_detail", raw[9:].hex().upper(), storage=place + 1),
        ]
    return _said(identity, None, tuple(values), b"\0\0")


#: Structure: bytes of data that it needs, and who reads it.
_READERS = {
    0x33: (_IDENTITY_B + 7 + sum(field.width_b + field.qualified for field in _DEC), _dec),
    0x34: (108, _decf),
    0x53: (_IDENTITY_B + 21 + 4 * _TRACES, _trace),
    0x56: (_IDENTITY_B + 9 + 6 * 18, _events),
}


def _said(identity: str, time: str | None, values: tuple[Value, ...], diagnosis: bytes) -> Telegram:
    bits = int.from_bytes(diagnosis, "big")
    names = tuple(name for bit, name in enumerate(_DIAGNOSES) if bits >> bit & 1)
    more = tuple(f"bit_{bit}" for bit in range(len(_DIAGNOSES), 16) if bits >> bit & 1)
    return Telegram(
        serial=identity,
        medium="gas",
        time=time,
        values=values,
        status=names + more,
        notes=("the checksum was not verified",),
    )


def _diagnosis(raw: bytes, storage: int) -> Value:
    return Value("diagnosis", int.from_bytes(raw, "big"), storage=storage)


def _fields(table: tuple[_Field, ...], content: bytes, storage: int) -> tuple[list[Value], int]:
    values, at_b = [], 0
    for field in table:
        qualifier = content[at_b] if field.qualified else None
        at_b += field.qualified
        values.append(_number(field, qualifier, content[at_b : at_b + field.width_b], storage))
        at_b += field.width_b
    return values, at_b


def _number(field: _Field, qualifier: int | None, raw: bytes, storage: int) -> Value:
    number: Decimal | int | None = int.from_bytes(raw, "big")
    note = ""
    if qualifier is not None:
        places = qualifier & 7
        number = Decimal(int.from_bytes(raw, "big")).scaleb(-places if places < 7 else 0)  # noqa: PLR2004 - 7: no factor
        validity = qualifier >> 3 & 3
        note = ("", "taken during maintenance", "not a valid measurement", "no value")[validity]
        number = number if validity < 2 else None  # noqa: PLR2004
    return Value(field.name, number, field.unit, storage=storage, tariff=field.tariff, basis=field.basis, note=note)


def _moment(raw: bytes) -> str | None:
    """Year, month, day, hour and minute in binary; the clock keeps the zone's standard time, in summer shifted [1]."""
    year, month, day, hour, minute = raw
    zone = _SUMMER if hour >= _SUMMER_SHIFT_H else _STANDARD
    try:
        return datetime(2000 + year, month, day, hour % _SUMMER_SHIFT_H, minute, tzinfo=zone).isoformat()
    except ValueError:
        return None
