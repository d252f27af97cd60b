"""Wireless M-Bus and OMS: a radio frame in, a telegram out, and the frame of a telegram for a simulated meter.

References:
    EN 13757-4:2019 (link layer), EN 13757-3:2018 (application), OMS specification volume 2, issue 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from citygate.wire import application, driver
from citygate.wire.device import Device, medium_name
from citygate.wire.framing import Checksums, LinkFrame, strip
from citygate.wire.telegram import Outcome, Part, Unread
from citygate.wire.transport import Opened, key_fault, open_layers

if TYPE_CHECKING:
    from citygate.wire.application import Formats

#: Bytes that a receiver may leave behind the records when it takes checksums out.
_CHECKSUM_B = 2


def decode(
    frame: bytes,
    key: bytes | None = None,
    formats: Formats | None = None,
    checksums: Checksums = Checksums.DETECT,
) -> Outcome:
    """Return what a radio frame says, or why it cannot be read.

    Args:
        frame: From the length byte on, with or without checksums.
        key: 16 bytes; needed where the frame is encrypted.
        formats: Formats of compact frames by signature, beside those of the drivers; see `learn`.
        checksums: Whether the receiver left the checksums in.
    """
    return _decoded(frame, key, formats, checksums, None)


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
    if fault:
        return fault
    known = driver.formats() if formats is None else {**driver.formats(), **formats}
    tail_b = 0 if link.form else _CHECKSUM_B
    return driver.refine(opened.device, application.telegram(opened, known, tail_b))


def _link(link: LinkFrame, key: bytes | None, parts: list[Part] | None) -> Opened:
    device = Device(link.frame[2:10])
    opened = Opened(link.frame, 0, device, key, parts=parts)
    form = f"format {link.form}, checksums right" if link.form else "without checksums"
    opened.mark("link", 1, f"length {link.frame[0]}, {form}")
    opened.mark("link", 1, f"control {link.frame[1]:02X}")
    opened.mark("link", 2, f"manufacturer {device.manufacturer}")
    opened.mark("link", 4, f"serial {device.serial}")
    opened.mark("link", 1, f"version {device.version}")
    opened.mark("link", 1, f"device type {device.kind:02X}: {medium_name(device.kind)}")
    if link.trailing_b:
        opened.notes.append(f"{link.trailing_b} bytes after the end of the frame were left out")
    return opened
