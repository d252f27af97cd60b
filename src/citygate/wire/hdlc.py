"""HDLC frames and the TCP wrapper, which carry DLMS messages.

References:
    [1] IEC 62056-46, clause 6.4: frame format type 3 of ISO/IEC 13239.
    [2] IEC 62056-47 (IEC 62056-4-7), clause 6: the wrapper of TCP and UDP.
"""

from __future__ import annotations

from dataclasses import dataclass

FLAG = 0x7E
_FLAG = b"\x7e"
#: Format type 3 in the upper four bits, then one bit of segmentation and eleven of length.
_TYPE, _SEGMENTED, _LENGTH = 0xA000, 0x0800, 0x07FF
_FRAME_B_MAX = _LENGTH + 2
#: Format, two addresses of one byte, control, check sequence.
_FRAME_B_MIN = 7
_ADDRESS_B_MAX = 4
_WRAPPER_B = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """One HDLC frame, its check sequences proved.

    Attributes:
        target_code: Address of the receiver, seven bits from each byte.
        source_code: Address of the sender.
        control_code: Kind and numbers of the frame: 0x13 is unnumbered information.
        information: What it carries; empty where it carries nothing.
        more: Whether the information goes on in the next frame.
    """

    target_code: int
    source_code: int
    control_code: int
    information: bytes
    more: bool = False


@dataclass(frozen=True, slots=True)
class BrokenFrame:
    """Why bytes are no frame."""

    reason: str
    detail: str
    at_b: int = 0


def checksum_code(content: bytes) -> int:
    """Return the CRC-16/X-25 over ``content`` (HCS and FCS); it is sent with its low byte first [1]."""
    crc = 0xFFFF
    for byte in content:
        crc = (crc >> 8) ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFF


def split(buffer: bytes) -> tuple[list[bytes], bytes]:
    """Cut a stream at its frames; return them with both flags, and the rest that may still become one.

    What lies between frames, or starts like one and is none, comes as a piece of its own, which ``decode`` names.
    Cutting the stream elsewhere gives the same frames. Only flags that fill the idle line are left out.
    """
    pieces, start = [], 0
    while start < len(buffer):
        end = _piece_end(buffer, start)
        if end is None:
            break
        piece = buffer[start:end]
        if piece != _FLAG:
            pieces.append(piece)
        # the closing flag of a frame may be the opening flag of the next
        start = end - 1 if _is_whole(piece) else end
    return pieces, buffer[start:]


def decode(piece: bytes) -> Frame | BrokenFrame:
    """Read one frame with its flags, and prove its header and frame check sequences."""
    if len(piece) < _FRAME_B_MIN + 2 or piece[0] != FLAG or piece[-1] != FLAG:
        return BrokenFrame("not_a_frame", "There are no two flags 7E around a frame.")
    body = piece[1:-1]
    form = int.from_bytes(body[:2], "big")
    if form & 0xF000 != _TYPE or form & _LENGTH != len(body):
        return BrokenFrame("not_a_frame", f"The format field {form:04X} does not fit {len(body)} bytes.", 1)
    if checksum_code(body[:-2]) != int.from_bytes(body[-2:], "little"):
        return BrokenFrame("crc_wrong", "The frame check sequence is wrong.", len(piece) - 3)
    target, at_b = _address(body, 2)
    source, at_b = _address(body, at_b)
    if target is None or source is None or at_b + 3 > len(body):
        return BrokenFrame("not_a_frame", "The addresses have no end.", 3)
    control, at_b = body[at_b], at_b + 1
    information = b""
    if at_b + 2 < len(body):
        if checksum_code(body[:at_b]) != int.from_bytes(body[at_b : at_b + 2], "little"):
            return BrokenFrame("crc_wrong", "The header check sequence is wrong.", at_b + 1)
        information = body[at_b + 2 : -2]
    return Frame(target, source, control, information, more=bool(form & _SEGMENTED))


def encode(frame: Frame, address_b: int = 1) -> bytes:
    """Write a frame with both flags; the target's address takes ``address_b`` bytes (1, 2 or 4), the source's one.

    Raises:
        ValueError: The information does not fit one frame.
    """
    addresses = _address_bytes(frame.target_code, address_b) + _address_bytes(frame.source_code, 1)
    length_b = 2 + len(addresses) + 1 + 2 + (2 + len(frame.information) if frame.information else 0)
    if length_b > _LENGTH:
        raise ValueError(f"a frame of {length_b} bytes is longer than {_LENGTH}")
    head = (_TYPE | (_SEGMENTED if frame.more else 0) | length_b).to_bytes(2, "big")
    body = head + addresses + bytes([frame.control_code])
    if frame.information:
        body += checksum_code(body).to_bytes(2, "little") + frame.information
    return _FLAG + body + checksum_code(body).to_bytes(2, "little") + _FLAG


def unwrap(buffer: bytes) -> tuple[list[bytes], bytes]:
    """Cut a stream of the TCP wrapper [2]; return the messages without their headers, and the rest."""
    messages, start = [], 0
    while len(buffer) - start >= _WRAPPER_B:
        end = start + _WRAPPER_B + int.from_bytes(buffer[start + 6 : start + 8], "big")
        if buffer[start : start + 2] != b"\0\1" or len(buffer) < end:
            break
        messages.append(buffer[start + _WRAPPER_B : end])
        start = end
    return messages, buffer[start:]


def wrap(message: bytes, source_code: int, target_code: int) -> bytes:
    """Put the wrapper's header before a message of at most 65,535 bytes: version 1, two ports, the length."""
    parts = (1, source_code, target_code, len(message))
    return b"".join(part.to_bytes(2, "big") for part in parts) + message


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ 0x8408 if byte & 1 else byte >> 1
    return byte


_CRC = tuple(_crc_of(byte) for byte in range(256))


def _piece_end(buffer: bytes, start: int) -> int | None:
    """Return where the piece at ``start`` ends, or nothing while bytes to decide are missing."""
    if buffer[start] == FLAG:
        if len(buffer) - start < 3:  # noqa: PLR2004 - flag and format field
            return start + 1 if buffer[start + 1 : start + 2] == _FLAG else None
        form = int.from_bytes(buffer[start + 1 : start + 3], "big")
        if form & 0xF000 == _TYPE and form & _LENGTH >= _FRAME_B_MIN:
            end = start + (form & _LENGTH) + 2
            if end > len(buffer):
                return None
            if _is_whole(buffer[start:end]):
                return end
        if buffer[start + 1] == FLAG:
            return start + 1
    end = buffer.find(_FLAG, start + 1, start + _FRAME_B_MAX)
    if end >= 0:
        return end
    return start + _FRAME_B_MAX if len(buffer) - start >= _FRAME_B_MAX else None


def _is_whole(piece: bytes) -> bool:
    return (
        len(piece) >= _FRAME_B_MIN + 2
        and piece[0] == piece[-1] == FLAG
        and checksum_code(piece[1:-3]) == int.from_bytes(piece[-3:-1], "little")
    )


def _address(body: bytes, start: int) -> tuple[int | None, int]:
    code = 0
    for place in range(start, min(start + _ADDRESS_B_MAX, len(body))):
        code = code << 7 | body[place] >> 1
        if body[place] & 1:
            return code, place + 1
    return None, start


def _address_bytes(code: int, width_b: int) -> bytes:
    parts = [(code >> 7 * place & 0x7F) << 1 for place in reversed(range(width_b))]
    return bytes([*parts[:-1], parts[-1] | 1])
