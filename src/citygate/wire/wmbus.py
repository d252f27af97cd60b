"""Wireless M-Bus and OMS: a radio frame in, a telegram out, and the frame of a telegram for a simulated meter.

References:
    EN 13757-4:2019 (link layer), EN 13757-3:2018 (application), OMS specification volume 2, issue 4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from citygate.wire import application, cipher, driver
from citygate.wire.device import Device, from_names, kind_of, medium_name, status_code
from citygate.wire.fragment import join
from citygate.wire.framing import Checksums, LinkFrame, strip
from citygate.wire.telegram import Outcome, Part, Telegram, Unread
from citygate.wire.transport import FRAGMENT, Opened, key_fault, open_fragment, open_layers, open_message
from citygate.wire.writing import NotWritableError, write

if TYPE_CHECKING:
    from citygate.wire.application import Formats

#: Bytes that a receiver may leave behind the records when it takes checksums out.
_CHECKSUM_B = 2
_HEADER_B, _LENGTH_MAX_B = 10, 255
#: A fragment's number is one byte.
_FRAGMENTS_MAX = 255
_SEND_NO_REPLY, _SHORT_HEADER, _MODE_5 = 0x44, 0x7A, 5
_CHECK = b"\x2f\x2f"
#: Key derived with the message counter, key 0; AFL with message control (code of 8 bytes, counter), counter and code.
_KEY_DERIVED, _MESSAGE_CONTROL, _AFL_HEAD = b"\x10", b"\x25", bytes([0x90, 0x0F, 0x00, 0x2C])


def decode(
    frame: bytes,
    key: bytes | None = None,
    formats: Formats | None = None,
    checksums: Checksums = Checksums.DETECT,
) -> Outcome:
    """Return what a radio frame says, or why it cannot be read.

    Args:
        frame: From the length byte on, with or without checksums; all fragments of a message one after another.
        key: 16 bytes; needed where the frame is encrypted.
        formats: Formats of compact frames by signature, beside those of the drivers; see `learn`.
        checksums: Whether the receiver left the checksums in.
    """
    return _decoded(frame, key, formats, checksums, None)


def learn(frame: bytes, key: bytes | None = None) -> dict[int, bytes]:
    """Return the format that a full frame or a format frame shows, by its signature; empty for any other frame.

    Keep what comes back with the formats given to `decode`, and compact frames of the same meter can be read.
    """
    link = strip(frame)
    if key_fault(key) or isinstance(link, Unread):
        return {}
    opened = _link(link, key, None)
    return {} if open_layers(opened) else application.form_shown(opened)


def take_apart(frame: bytes, key: bytes | None = None) -> tuple[tuple[Part, ...], Outcome]:
    """Return the meaning of the bytes as far as they were read, and the outcome."""
    parts: list[Part] = []
    outcome = _decoded(frame, key, None, Checksums.DETECT, parts)
    return tuple(parts), outcome


def _decoded(
    frame: bytes, key: bytes | None, formats: Formats | None, checksums: Checksums, parts: list[Part] | None
) -> Outcome:
    fault = key_fault(key)
    if fault:
        return fault
    link = strip(frame, checksums)
    if isinstance(link, Unread):
        return link
    opened = _link(link, key, parts)
    fault = open_layers(opened)
    if fault and fault.reason == FRAGMENT and link.trailing_b:
        whole = _whole(frame, key, checksums)
        if isinstance(whole, Unread):
            return whole
        opened, fault = whole, open_message(whole)
    if fault:
        return fault
    known = driver.formats() if formats is None else {**driver.formats(), **formats}
    tail_b = 0 if link.form else _CHECKSUM_B
    return driver.refine(opened.device, application.telegram(opened, known, tail_b))


def _whole(frames: bytes, key: bytes | None, checksums: Checksums) -> Opened | Unread:
    """The message whose fragments come one after another."""
    pieces: list[Opened] = []
    while frames and len(pieces) < _FRAGMENTS_MAX:
        link = strip(frames, checksums)
        if isinstance(link, Unread):
            return link
        piece = _link(replace(link, trailing_b=0), key, None)
        fault = open_fragment(piece)
        if fault:
            return fault
        pieces.append(piece)
        frames = frames[len(frames) - link.trailing_b :]
    return join(pieces)


def _link(link: LinkFrame, key: bytes | None, parts: list[Part] | None) -> Opened:
    device = Device(link.frame[2:10])
    opened = Opened(link.frame, 0, device, key, parts=parts)
    form = f"format {link.form}, checksums right" if link.form else "without checksums"
    if link.trailing_b:
        opened.notes.append(f"{link.trailing_b} bytes after the end of the frame were left out")
    if parts is None:
        opened.at_b = _HEADER_B
        return opened
    opened.mark("link", 1, f"length {link.frame[0]}, {form}")
    opened.mark("link", 1, f"control {link.frame[1]:02X}")
    opened.mark("link", 2, f"manufacturer {device.manufacturer}")
    opened.mark("link", 4, f"serial {device.serial}")
    opened.mark("link", 1, f"version {device.version}")
    opened.mark("link", 1, f"device type {device.kind:02X}: {medium_name(device.kind)}")
    return opened


@dataclass(frozen=True, slots=True)
class Protection:
    """How a simulated meter protects its telegram.

    Attributes:
        mode: 5, or 7 which has a message counter and an authentication code.
        key: 16 bytes.
        counter: Message counter, mode 7 only.
    """

    mode: int
    key: bytes
    counter: int = 0


def encode(telegram: Telegram, access: int, protection: Protection | None = None) -> bytes:
    """Return the radio frame of a telegram, without checksums (see `framing.dress_a` and `dress_b`).

    `decode` gives the same telegram back, its notes and security apart.

    Args:
        telegram: Its identity and values; the time is that of its values.
        access: Access number, 0 to 255.
        protection: None for a plain telegram.

    Raises:
        NotWritableError: A value has no record, or the records do not fit one frame.
    """
    assert telegram.manufacturer and telegram.serial and isinstance(telegram.version, int) and telegram.medium  # noqa: S101, PT018
    device = from_names(telegram.manufacturer, telegram.serial, telegram.version, kind_of(telegram.medium))
    plain = b"".join(write(value) for value in telegram.values)
    head = bytes([_SHORT_HEADER, access, status_code(telegram.status)])
    body = _protected(device, head, plain, protection) if protection else head + bytes(2) + plain
    frame = bytes([_SEND_NO_REPLY]) + device.address + body
    if len(frame) > _LENGTH_MAX_B:
        raise NotWritableError("telegram", f"{len(frame)} bytes do not fit one frame")
    return bytes([len(frame)]) + frame


def _protected(device: Device, head: bytes, plain: bytes, protection: Protection) -> bytes:
    plain = _CHECK + plain
    plain += _CHECK[:1] * (-len(plain) % cipher.BLOCK_B)
    config = protection.mode << 8 | min(len(plain) // cipher.BLOCK_B, 15) << 4
    if protection.mode == _MODE_5:
        start = cipher.start_mode_5(device.address, head[1])
        return head + config.to_bytes(2, "little") + cipher.encrypt_cbc(protection.key, start, plain)
    counter = protection.counter.to_bytes(4, "little")
    secret, proof = cipher.keys_mode_7(protection.key, counter, device.address[2:6])
    layer = head + config.to_bytes(2, "little") + _KEY_DERIVED
    layer += cipher.encrypt_cbc(secret, bytes(cipher.BLOCK_B), plain)
    signed = _MESSAGE_CONTROL + counter
    mac = cipher.cmac(proof, signed + layer)[:8]
    return _AFL_HEAD + signed + mac + layer
