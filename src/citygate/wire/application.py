"""The application of M-Bus, radio and wire alike: from an opened frame to a telegram.

References:
    EN 13757-3:2018, clauses on full, compact and format frames and on application errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from citygate.wire import records
from citygate.wire.device import status_names
from citygate.wire.framing import crc16
from citygate.wire.records import Record, Records
from citygate.wire.telegram import Function, Outcome, Part, Telegram, Unread, Value

if TYPE_CHECKING:
    from citygate.wire.transport import Opened

FULL, COMPACT, FORM = frozenset({0x72, 0x7A, 0x78}), frozenset({0x73, 0x7B, 0x79}), frozenset({0x6B, 0x6A, 0x69})
BARE = frozenset({0x80, 0x8A, 0x8B})
ERRORS = frozenset({0x6E, 0x6F, 0x70})
MANUFACTURER = range(0xA0, 0xB8)

_ERROR_NAMES = {
    0: "unspecified_error",
    1: "unimplemented_ci",
    2: "buffer_too_long",
    3: "too_many_records",
    4: "premature_end_of_record",
    5: "too_many_difes",
    6: "too_many_vifes",
    8: "application_busy",
    9: "too_many_readouts",
}
_SIGNATURE_B = 4

Formats = Mapping[int, bytes]


def telegram(opened: Opened, formats: Formats, tail_b: int = 0) -> Outcome:
    """Return what the application of an opened frame says.

    Args:
        opened: Its next byte is the first of the application's data.
        formats: Headers of compact frames by the checksum that names them.
        tail_b: How many bytes at the end may be no record: what a receiver left of checksums.
    """
    ci = opened.ci_code
    if ci in FULL:
        return _read(opened, records.read(opened.frame, opened.at_b), tail_b)
    if ci in COMPACT:
        return _compact(opened, formats)
    return _seldom(opened)


def _seldom(opened: Opened) -> Outcome:
    ci, raw, start_b = opened.ci_code, opened.frame, opened.at_b
    if ci in FORM:
        return _form(opened)
    if ci in BARE:
        return opened.identity()
    if ci in MANUFACTURER:
        return _block(opened, raw, start_b)
    if ci in ERRORS:
        code = raw[start_b] if start_b < len(raw) else 0
        return opened.unread("application_error", f"the meter answers {_ERROR_NAMES.get(code, f'error {code}')}")
    return opened.unread("application_unsupported", f"an application with CI {ci:02X} is not decoded")


def _block(opened: Opened, raw: bytes, start_b: int) -> Telegram:
    value = Value("manufacturer_specific", raw[start_b:].hex().upper())
    _mark(opened, (Record(start_b, start_b, len(raw), value),))
    opened.notes.append(f"CI {opened.ci_code:02X}: only the manufacturer explains these bytes")
    return _made(opened, (value,))


def form_shown(opened: Opened) -> dict[int, bytes]:
    """Return the headers of a full frame or of a format frame by their checksum; empty when it shows none."""
    form = b""
    if opened.ci_code in FULL:
        found = records.read(opened.frame, opened.at_b)
        form = b"" if found.fault else records.layout(opened.frame, found)
    elif opened.ci_code in FORM and isinstance(told := _form(opened), Telegram):
        form = bytes.fromhex(str(told.values[0].value))
    return {crc16(form): form} if form else {}


def _made(opened: Opened, values: tuple[Value, ...]) -> Telegram:
    return Telegram(
        *opened.device.named(),
        moment(values),
        values,
        status_names(opened.status),
        opened.security,
        tuple(opened.notes),
    )


def moment(values: tuple[Value, ...]) -> str | None:
    """Return the meter's own time: its present date and time, else its present date."""
    present = {
        value.name: value.value
        for value in reversed(values)
        if value.storage == value.tariff == value.subunit == 0
        and value.function is Function.INSTANTANEOUS
        and isinstance(value.value, str)
        and not value.note
    }
    return present.get("datetime") or present.get("date")


def _read(opened: Opened, found: Records, tail_b: int = 0) -> Outcome:
    _mark(opened, found.records)
    end_b = found.records[-1].end_b if found.records else opened.at_b
    rest = opened.frame[end_b:].lstrip(bytes([records.FILLER]))
    if found.fault is not None and found.records and len(rest) <= tail_b:
        opened.notes.append(f"the last {len(rest)} bytes are no record: {rest.hex().upper()}")
    elif found.fault is not None:
        fault = found.fault
        return Unread(fault.reason, fault.detail, fault.at_b, opened.identity())
    if found.more:
        opened.notes.append("more records follow in the next telegram")
    return _made(opened, tuple(record.value for record in found.records))


def _mark(opened: Opened, found: tuple[Record, ...]) -> None:
    if opened.parts is None:
        return
    for record in found:
        opened.parts.append(
            Part("records", record.start_b, opened.frame[record.start_b : record.end_b], describe(record.value))
        )


def _compact(opened: Opened, formats: Formats) -> Outcome:
    fault = opened.lacks(_SIGNATURE_B, "signatures of a compact frame")
    if fault:
        return fault
    signature = int.from_bytes(opened.mark("records", 2, "signature of the format"), "little")
    checksum = int.from_bytes(opened.mark("records", 2, "checksum of the full frame"), "little")
    form = formats.get(signature)
    if form is None:
        return opened.unread("format_unknown", f"a compact frame of format {signature:04X}, which is not known")
    found = records.read_compact(opened.frame, opened.at_b, form)
    if found.fault is None and records.full_checksum(opened.frame, found, form) != checksum:
        return opened.unread("crc_wrong", "the full frame that the compact one stands for has another checksum")
    return _read(opened, found)


def _form(opened: Opened) -> Outcome:
    fault = opened.lacks(3, "signature of a format frame")
    if fault:
        return fault
    size_b = opened.mark("records", 1, "length of the format")[0]
    signature = int.from_bytes(opened.mark("records", 2, "signature of the format"), "little")
    form = opened.frame[opened.at_b : opened.at_b + max(size_b - 2, 0)]
    if crc16(form) != signature:
        return opened.unread("crc_wrong", "the checksum of the format is wrong")
    return _made(opened, (Value("format", form.hex().upper()),))


def describe(value: Value) -> str:
    """Return one line for a person."""
    where = [
        f"{name} {number}"
        for name, number in (("storage", value.storage), ("tariff", value.tariff), ("subunit", value.subunit))
        if number
    ]
    where += [value.function] if value.function is not Function.INSTANTANEOUS else []
    where += [f"at {value.basis} conditions"] if value.basis else []
    told = "none" if value.value is None else f"{value.value} {value.unit}".strip()
    return (
        f"{value.name}: {told}"
        + (f" ({', '.join(where)})" if where else "")
        + (f"; {value.note}" if value.note else "")
    )
