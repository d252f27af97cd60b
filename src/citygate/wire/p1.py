"""P1: the telegram that an electricity meter pushes, with the gas meters behind it (DSMR 2 to 5, SMR, e-MUCS).

References:
    [1] Netbeheer Nederland, Dutch Smart Meter Requirements 5.0.2, P1 Companion Standard, chapters 5 and 6.
    [2] Fluvius, e-MUCS P1 1.7.1: objects 0-n:24.2.3 and 0-n:96.1.1.
    [3] IEC 62056-21, clause 6: identification line and data lines.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from citygate.wire import obis
from citygate.wire.telegram import Basis, Outcome, Security, Telegram, Unread, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

#: No P1 telegram is longer: the values take some 2,000 bytes, a text message of 1024 characters twice as many.
LENGTH_B_MAX = 8_192
#: Device types of EN 13757-3, table 14, as object 0-n:24.1.0 gives them.
MEDIA = {2: "electricity", 3: "gas", 4: "heat", 6: "warm water", 7: "water", 8: "heat cost allocator", 10: "cooling"}

_CUT = re.compile(rb"(?:\A|\n)![^\n]*\n|\n(?=/)")
_END = re.compile(rb"(?:\A|\n)!([0-9A-Fa-f]{4})?[ \t\r]*(?:\n|\Z)")
_HEADER = re.compile(r"/([A-Za-z]{3})([^\r\n])([^\r\n]{0,64})")
_LINE = re.compile(r"(\d{1,3})-(\d{1,3}):(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:[.*](\d{1,3}))?((?:\([^()]*\))+)[ \t]*")
_GROUP = re.compile(r"\(([^()]*)\)")
_NUMBER = re.compile(r"(-?\d{1,18}(?:\.\d{1,9})?)(?:\*([A-Za-z0-9]{1,8}))?")
_DEVICE = re.compile(r"\d{1,3}")
_MOMENT = re.compile(r"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)([SW]?)")
_UNITS = {unit.lower(): unit for unit in ("m3", "kWh", "Wh", "kW", "W", "MJ", "GJ", "kvarh", "kvar", "V", "A", "s")}
_WINTER, _SUMMER = timezone(timedelta(hours=1)), timezone(timedelta(hours=2))


class _Line(NamedTuple):
    channel_code: int
    code: tuple[int, int, int]
    obis: str
    groups: tuple[str, ...]


def split(buffer: bytes) -> tuple[list[bytes], bytes]:
    """Cut a stream into telegrams and a rest; no byte is lost: the frames and the rest joined are the buffer.

    A telegram ends with its line of ``!``; one that breaks off ends where the next begins, and a run without an end
    at ``LENGTH_B_MAX``. Cutting the stream elsewhere gives the same frames.
    """
    frames, start = [], 0
    while start < len(buffer):
        window = buffer[start : start + LENGTH_B_MAX + 1]
        found = _CUT.search(window)
        if found is not None and 0 < found.end() <= LENGTH_B_MAX:
            end = found.end()
        elif len(window) > LENGTH_B_MAX:
            end = LENGTH_B_MAX
        else:
            break
        frames.append(buffer[start : start + end])
        start += end
    return frames, buffer[start:]


def decode(frame: bytes) -> Outcome:
    """Read one telegram, from ``/`` to its line of ``!``.

    The values of the meter on M-Bus channel n bear ``subunit`` n; `datetime` of a channel is the time at which that
    meter was read, ``Telegram.time`` the time at which the telegram was made. A wrong or a missing checksum gives
    ``Unread``, whose ``partial`` shows what the telegram claims.
    """
    if len(frame) > LENGTH_B_MAX:
        return Unread("too_long", f"A P1 telegram has at most {LENGTH_B_MAX} bytes, not {len(frame)}.", LENGTH_B_MAX)
    start_b = frame.find(b"/")
    found = _HEADER.match(frame[start_b:].decode("latin-1")) if start_b >= 0 else None
    if found is None:
        return Unread("not_a_frame", "There is no identification line of a slash and three letters.", max(start_b, 0))
    end = _END.search(frame, start_b)
    body = frame[start_b : end.start() if end else len(frame)]
    telegram = _telegram(found, body.decode("latin-1"))
    if end is None:
        return _without_end(frame, telegram)
    if end.end() < len(frame) and not frame[end.end() :].isspace():
        telegram = replace(telegram, notes=(*telegram.notes, f"{len(frame) - end.end()} bytes follow the end"))
    if start_b:
        telegram = replace(telegram, notes=(*telegram.notes, f"{start_b} bytes stand before the telegram"))
    return _checked(frame, start_b, end, telegram)


def gas_meters(telegram: Telegram) -> tuple[Telegram, ...]:
    """Return one telegram for each gas meter behind the electricity meter, with its own serial and reading time."""
    channels = [value.subunit for value in telegram.values if value.name == "device_type" and value.value == "gas"]
    return tuple(_behind(telegram, channel) for channel in channels)


def checksum_code(content: bytes) -> int:
    """Return the CRC-16/ARC (polynomial 0x8005, reflected) over ``content``, from ``/`` to ``!`` inclusive [1, 6.2]."""
    crc = 0
    for byte in content:
        crc = (crc >> 8) ^ _CRC[(crc ^ byte) & 0xFF]
    return crc


def encode(identification: str, lines: tuple[str, ...]) -> bytes:
    """Write a DSMR 4 or 5 telegram: identification line, an empty line, data lines, and the checksum."""
    content = "\r\n".join((f"/{identification}", "", *lines, "!")).encode("latin-1")
    return content + b"%04X\r\n" % checksum_code(content)


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ 0xA001 if byte & 1 else byte >> 1
    return byte


_CRC = tuple(_crc_of(byte) for byte in range(256))


def _checked(frame: bytes, start_b: int, end: re.Match[bytes], telegram: Telegram) -> Outcome:
    mark_b = frame.index(b"!", end.start())
    if end[1] is None:
        if _needs_checksum(telegram):
            return Unread("crc_missing", "Since DSMR 4 a telegram ends with a checksum.", mark_b, telegram)
        return telegram
    claimed, content = int(end[1], 16), frame[start_b : mark_b + 1]
    for note, candidate in _as_sent(content):
        if checksum_code(candidate) == claimed:
            return replace(telegram, notes=(*telegram.notes, note)) if note else telegram
    detail = f"The checksum says {claimed:04X}, the content gives {checksum_code(content):04X}."
    return Unread("crc_wrong", detail, mark_b, telegram)


def _as_sent(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the bytes as they came, and as they were before what files and programs do to text."""
    yield "", content
    if b"\r" not in content:
        yield "the carriage returns of the lines were lost on the way", content.replace(b"\n", b"\r\n")
    if not content.isascii():
        try:
            yield "one byte a character became UTF-8 on the way", content.decode("utf-8").encode("latin-1")
        except UnicodeError:
            return


def _without_end(frame: bytes, telegram: Telegram) -> Outcome:
    """A telegram of DSMR 2 or 3 has no checksum to lose; what it says in whole lines is what its meter said."""
    if telegram.values and not _needs_checksum(telegram) and frame.endswith(b"\n"):
        return replace(telegram, notes=(*telegram.notes, "the closing line is missing"))
    return Unread("too_short", "The closing line with its exclamation mark is missing.", len(frame), telegram)


def _needs_checksum(telegram: Telegram) -> bool:
    """DSMR 4 brought the version object, the time of the telegram and the checksum together [1]."""
    return telegram.version is not None or telegram.time is not None


def _telegram(header: re.Match[str], body: str) -> Telegram:
    lines, notes = _lines(body[header.end() :])
    values: list[Value] = []
    media = {
        line.channel_code: MEDIA.get(int(line.groups[0]), line.groups[0])
        for line in lines
        if line.code == (24, 1, 0) and _DEVICE.fullmatch(line.groups[0])
    }
    version = serial = time = None
    for line in lines:
        if line.channel_code and line.code[0] in (24, 96):
            values += _behind_values(line, media)
        elif line.code == (1, 0, 0):
            time = _moment(line.groups[0])
        elif line.code in ((0, 2, 8), (96, 1, 4)):
            version = line.groups[0] or None
        elif line.code in ((96, 1, 1), (96, 1, 0)):
            serial = serial or _serial(line.groups[0])
        else:
            values += _register(line)
    return Telegram(
        manufacturer=header[1].upper(),
        serial=serial,
        version=version,
        medium="electricity",
        time=time,
        values=tuple(values),
        security=Security(),
        notes=tuple(notes),
    )


def _lines(text: str) -> tuple[list[_Line], list[str]]:
    """Join a line that starts with a bracket to the line before it (DSMR 2 and 3 write the gas volume so)."""
    joined: list[str] = []
    for part in text.splitlines():
        if part.startswith("(") and joined:
            joined[-1] = joined[-1].rstrip() + part
        elif part.strip():
            joined.append(part)
    lines, notes = [], []
    for part in joined:
        found = _LINE.fullmatch(part)
        if found is None:
            notes.append(f"line not understood: {part[:60]}")
            continue
        channel, code = int(found[2]), (int(found[3]), int(found[4]), int(found[5]))
        obis = f"{int(found[1])}-{channel}:{code[0]}.{code[1]}.{code[2]}"
        groups = tuple(match[1] for match in _GROUP.finditer(found[7]))
        lines.append(_Line(channel if int(found[1]) == 0 else 0, code, obis, groups))
    return lines, notes


def _behind_values(line: _Line, media: dict[int, str]) -> list[Value]:
    channel, medium, first = line.channel_code, media.get(line.channel_code), line.groups[0]
    if line.code == (24, 1, 0):
        return [Value("device_type", media.get(channel, first), subunit=channel)]
    if line.code in ((96, 1, 0), (96, 1, 1)):
        return [Value("serial", _serial(first), subunit=channel)]
    if line.code == (24, 4, 0):
        return [Value("valve", {"0": "closed", "1": "open"}.get(first, first), subunit=channel)]
    if line.code[:2] in ((24, 2), (24, 3)) and len(line.groups) > 1:
        # 24.3.0: (time)(status)(period [min])(count)(code)(unit)(value); 24.2.x: (time)(value*unit) [1]
        old = line.code == (24, 3, 0)
        number = line.groups[6] if old and len(line.groups) > 6 else "" if old else line.groups[1]  # noqa: PLR2004
        unit = line.groups[5] if old and len(line.groups) > 5 else None  # noqa: PLR2004
        moment = _moment(first)
        note = "" if moment else f"not a time: {first[:20]}"
        uncorrected = line.code == (24, 2, 3)
        gas_basis = Basis.MEASURED if uncorrected else Basis.TEMPERATURE_CONVERTED
        reading = _quantity(number, unit)
        name = {"m3": "volume", "MJ": "energy", "GJ": "energy", "kWh": "energy"}.get(reading.unit, "volume")
        basis = gas_basis if medium == "gas" and name == "volume" else None
        status = [Value("status", line.groups[1], subunit=channel)] if old and line.groups[1].strip("0") else []
        return [
            replace(reading, name=name, basis=basis, subunit=channel),
            Value("datetime", moment, subunit=channel, note=note),
            *status,
        ]
    return [replace(value, subunit=channel) for value in _register(line)]


def _register(line: _Line) -> list[Value]:
    if len(line.groups) != 1 or not line.groups[0]:
        return [Value(line.obis, ")(".join(line.groups)[:512])] if any(line.groups) else []
    found = _NUMBER.fullmatch(line.groups[0])
    if found is None or found[2] is None:
        return [Value(line.obis, line.groups[0])]
    name = obis.ELECTRICITY.get(line.code[:2], line.obis)
    tariff = line.code[2] if name != line.obis else 0
    return [replace(_quantity(line.groups[0], None), name=name, tariff=tariff)]


def _quantity(text: str, unit: str | None) -> Value:
    found = _NUMBER.fullmatch(text)
    if found is None:
        return Value("", None, note="no number" if text.strip() else "no value")
    written = unit or found[2] or ""
    return Value("", Decimal(found[1]), _UNITS.get(written.lower(), written), note="" if written else "no unit")


def _moment(text: str) -> str | None:
    """Return ISO 8601 text; S is summer and W winter time of the central European zone, which P1 speaks [1, 6.4]."""
    found = _MOMENT.fullmatch(text)
    if found is None or not text.isascii():
        return None
    year, month, day, hour, minute, second = (int(found[part]) for part in range(1, 7))
    try:
        # 70 is written by meters that have not yet been set: 1970, as POSIX splits two-digit years
        when = datetime(year + (1900 if year > 68 else 2000), month, day, hour, minute, second, tzinfo=UTC)  # noqa: PLR2004
    except ValueError:
        return None
    zone = {"S": _SUMMER, "W": _WINTER, "": None}[found[7]]
    return when.replace(tzinfo=zone).isoformat()


def _serial(text: str) -> str | None:
    """Return the identity as printed: P1 writes each character as two hexadecimal digits."""
    try:
        printed = bytes.fromhex(text).decode("ascii")
    except (ValueError, UnicodeDecodeError):
        return text or None
    return printed if printed.isprintable() and printed else text or None


def _behind(telegram: Telegram, channel: int) -> Telegram:
    own = tuple(replace(value, subunit=0) for value in telegram.values if value.subunit == channel)
    said = {value.name: value.value for value in own if value.name in ("serial", "datetime", "valve")}
    serial, time, valve = said.get("serial"), said.get("datetime"), said.get("valve")
    return Telegram(
        serial=str(serial) if serial is not None else None,
        medium="gas",
        time=str(time) if time is not None else None,
        values=tuple(value for value in own if value.name not in ("serial", "device_type", "datetime")),
        status=("valve_closed",) if valve == "closed" else (),
        security=telegram.security,
    )
