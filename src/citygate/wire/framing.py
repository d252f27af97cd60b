"""Frames of the M-Bus link layers: where they begin and end, and whether their checksums are right.

References:
    EN 13757-4, clauses on frame formats A and B (wireless); EN 13757-2 (wired, FT 1.2 of IEC 60870-5-2).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from citygate.wire.telegram import Unread

_POLYNOMIAL = 0x3D65
_HEADER_B = 10
_BLOCK_B = 16
_CRC_B = 2
#: Format B: the second block, its checksum included, ends at this byte at the latest.
_B_SECOND_END_B = 128
_WIRED_START, _WIRED_STOP, _SHORT_START, _ACK = 0x68, 0x16, 0x10, 0xE5
#: Bytes of a wired long frame around what its length field counts.
_WIRED_AROUND_B = 6
_WIRED_BODY_MIN_B = 3
_SHORT_B = 5


def _table() -> tuple[int, ...]:
    entries = []
    for index in range(256):
        crc = index << 8
        for _ in range(8):
            crc = (crc << 1) ^ _POLYNOMIAL if crc & 0x8000 else crc << 1
        entries.append(crc & 0xFFFF)
    return tuple(entries)


_TABLE = _table()


def crc16(data: bytes) -> int:
    """Return the checksum of EN 13757-4: polynomial 0x3D65, start 0, complemented at the end."""
    crc, table = 0, _TABLE
    for byte in data:
        crc = ((crc << 8) & 0xFF00) ^ table[(crc >> 8) ^ byte]
    return crc ^ 0xFFFF


class Checksums(StrEnum):
    """Whether the radio receiver left the checksums of the link layer in the frame."""

    DETECT = "detect"
    PRESENT = "present"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class LinkFrame:
    """A radio frame without checksums: length byte first, as if it had been sent without them.

    Attributes:
        frame: Length, control, address and all that follows.
        form: `A`, `B`, or empty where there were no checksums.
        trailing_b: Bytes that came after the end of the frame and were left out.
    """

    frame: bytes
    form: str
    trailing_b: int


def _right(block: bytes) -> bool:
    return crc16(block[:-_CRC_B]) == int.from_bytes(block[-_CRC_B:], "big")


def _blocks_a_b(content_b: int) -> list[int]:
    """Ends of the blocks of format A, checksums included, for a length field of ``content_b``."""
    ends, left = [_HEADER_B + _CRC_B], content_b + 1 - _HEADER_B
    while left > 0:
        ends.append(ends[-1] + min(left, _BLOCK_B) + _CRC_B)
        left -= _BLOCK_B
    return ends


def _strip_a(frame: bytes, ends_b: list[int]) -> LinkFrame | Unread:
    if len(frame) < ends_b[-1]:
        return Unread("too_short", f"format A with {ends_b[-1]} bytes wanted, {len(frame)} came", len(frame))
    start_b, blocks = 0, []
    for number, end_b in enumerate(ends_b):
        if not _right(frame[start_b:end_b]):
            return Unread("crc_wrong", f"checksum of block {number + 1} of format A is wrong", end_b - _CRC_B)
        blocks.append(frame[start_b : end_b - _CRC_B])
        start_b = end_b
    return LinkFrame(b"".join(blocks), "A", len(frame) - start_b)


def _strip_b(frame: bytes) -> LinkFrame | None:
    total_b = frame[0] + 1
    if len(frame) < total_b or total_b < _HEADER_B + _CRC_B:
        return None
    first = frame[: min(total_b, _B_SECOND_END_B)]
    if not _right(first):
        return None
    plain = first[:-_CRC_B]
    if total_b > _B_SECOND_END_B:
        third = frame[_B_SECOND_END_B:total_b]
        if len(third) <= _CRC_B or not _right(third):
            return None
        plain += third[:-_CRC_B]
    return LinkFrame(bytes([len(plain) - 1]) + plain[1:], "B", len(frame) - total_b)


def strip(frame: bytes, checksums: Checksums = Checksums.DETECT) -> LinkFrame | Unread:
    """Return a radio frame without the checksums of its blocks, each of them checked.

    Format B counts its checksums in the length byte; the byte given back counts as if there were none.

    Args:
        frame: From the length byte on, with or without checksums.
        checksums: What is known of them. `DETECT` takes a right checksum of the first block as proof of format A and
            right checksums where format B has them as proof of that; else the frame has none.
    """
    if len(frame) <= _HEADER_B or frame[0] < _HEADER_B:
        return Unread("too_short", "no room for a link layer header and a CI field", len(frame))
    ends_b = _blocks_a_b(frame[0])
    if checksums is not Checksums.ABSENT:
        head = frame[: _HEADER_B + _CRC_B]
        exact = len(frame) == ends_b[-1]
        if len(head) == _HEADER_B + _CRC_B and (_right(head) or exact):
            return _strip_a(frame, ends_b)
        stripped = _strip_b(frame)
        if stripped is not None:
            return stripped
        if checksums is Checksums.PRESENT:
            short = len(frame) < frame[0] + 1
            wanted = Unread("too_short", f"{frame[0] + 1} bytes wanted, {len(frame)} came", len(frame))
            return wanted if short else Unread("crc_wrong", "no checksum of format A or B is right", _HEADER_B)
    if len(frame) < frame[0] + 1:
        return Unread("too_short", f"the length byte says {frame[0] + 1} bytes, {len(frame)} came", len(frame))
    return LinkFrame(frame[: frame[0] + 1], "", len(frame) - frame[0] - 1)


def dress_a(frame: bytes) -> bytes:
    """Return a frame with the checksums of format A put in."""
    blocks = [frame[:_HEADER_B]]
    blocks += [frame[start : start + _BLOCK_B] for start in range(_HEADER_B, len(frame), _BLOCK_B)]
    return b"".join(block + crc16(block).to_bytes(_CRC_B, "big") for block in blocks)


def dress_b(frame: bytes) -> bytes:
    """Return a frame with the checksums of format B put in and counted in the length byte."""
    room_b = _B_SECOND_END_B - _CRC_B
    count = 1 if len(frame) <= room_b else 2
    frame = bytes([len(frame) + count * _CRC_B - 1]) + frame[1:]
    parts = [frame[:room_b], frame[room_b:]][:count]
    return b"".join(part + crc16(part).to_bytes(_CRC_B, "big") for part in parts)


@dataclass(frozen=True, slots=True)
class WiredFrame:
    """A wired long frame whose checksum is right.

    Attributes:
        control: C field.
        address_code: A field, the primary address.
        body: From the CI field on.
    """

    control: int
    address_code: int
    body: bytes


def _long(buffer: bytes, start_b: int) -> WiredFrame | Unread | None:
    """Return the frame at ``start_b``; None when its end has not come."""
    head = buffer[start_b : start_b + 4]
    if len(head) < len(b"hLLh"):
        return None
    size_b = head[1]
    if head[1] != head[2] or head[3] != _WIRED_START or size_b < _WIRED_BODY_MIN_B:
        return Unread("not_a_frame", "the four bytes of a long frame's start are not right", start_b)
    end_b = start_b + size_b + _WIRED_AROUND_B
    if len(buffer) < end_b:
        return None
    content = buffer[start_b + 4 : end_b - 2]
    if buffer[end_b - 1] != _WIRED_STOP:
        return Unread("not_a_frame", "no stop byte where the length says that the frame ends", end_b - 1)
    if sum(content) & 0xFF != buffer[end_b - 2]:
        return Unread("crc_wrong", "the checksum of the long frame is wrong", end_b - 2)
    return WiredFrame(content[0], content[1], content[2:])


def split_wired(buffer: bytes) -> tuple[list[WiredFrame | Unread], bytes]:
    """Return the long frames of a wired M-Bus and the bytes of a frame whose end has not come.

    Acknowledgements and short frames between them are checked and left out; what is no frame at all is unread, up to
    the next byte that may start one. Cutting the bytes elsewhere gives the same frames.
    """
    frames: list[WiredFrame | Unread] = []
    at_b = 0
    while at_b < len(buffer):
        first = buffer[at_b]
        if first == _ACK:
            at_b += 1
        elif first == _SHORT_START:
            short = buffer[at_b : at_b + _SHORT_B]
            if len(short) < _SHORT_B:
                break
            if short[-1] == _WIRED_STOP and (short[1] + short[2]) & 0xFF == short[3]:
                at_b += _SHORT_B
            else:
                frames.append(Unread("not_a_frame", "a short frame is not right", at_b))
                at_b += 1
        elif first == _WIRED_START:
            found = _long(buffer, at_b)
            if found is None:
                break
            frames.append(found)
            at_b += 1 if isinstance(found, Unread) else len(found.body) + 2 + _WIRED_AROUND_B
        else:
            if not (frames and isinstance(frames[-1], Unread)):
                frames.append(Unread("not_a_frame", f"0x{first:02X} starts no frame", at_b))
            at_b += 1
    return frames, buffer[at_b:]


def dress_wired(control: int, address_code: int, body: bytes) -> bytes:
    """Return a wired long frame around a body that begins with its CI field."""
    content = bytes([control, address_code]) + body
    size_b = len(content)
    return bytes([_WIRED_START, size_b, size_b, _WIRED_START]) + content + bytes([sum(content) & 0xFF, _WIRED_STOP])
