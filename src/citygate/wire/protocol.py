"""Protocols by name: one table from a protocol's name to its codec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from citygate.wire import cjt188, ctr, dlms, mbus, p1, wmbus
from citygate.wire.telegram import Outcome, Part, Unread

_START, _STOP, _WAKE = 0x68, 0x16, 0xFE
#: A port P1 of SMR pushes DLMS in frames of HDLC, which start with this; its older form starts with a slash.
_FLAG = b"\x7e"


@dataclass(frozen=True, slots=True)
class Sent:
    """What a meter sent, and the key to it.

    Attributes:
        raw: The bytes; those of `text` where the protocol is one of text.
        key: Key of the meter, where there is one.
    """

    raw: bytes
    key: bytes | None = None


Codec = Callable[[Sent], Outcome]
Apart = Callable[[bytes, bytes | None], tuple[tuple[Part, ...], Outcome]]

#: Codec of each protocol.
CODECS: dict[str, Codec] = {
    "wmbus": lambda sent: wmbus.decode(sent.raw, sent.key),
    "mbus": lambda sent: mbus.decode(sent.raw, sent.key),
    "p1": lambda sent: dlms.decode(sent.raw, sent.key) if sent.raw[:1] == _FLAG else p1.decode(sent.raw),
    "dlms": lambda sent: dlms.decode(sent.raw, sent.key),
    "cjt188": lambda sent: cjt188.decode(sent.raw),
    "ctr": lambda sent: ctr.decode(sent.raw),
}

#: Protocols whose frames can be taken apart byte by byte.
APART: dict[str, Apart] = {"wmbus": wmbus.take_apart, "mbus": mbus.take_apart}


def decode(protocol: str, sent: Sent) -> Outcome:
    """Return what a meter says in a protocol; a protocol without a codec is a reason, not an error."""
    codec = CODECS.get(protocol)
    if codec is None:
        return Unread("protocol_not_supported", f"{protocol!r} is none of {', '.join(CODECS)}")
    return codec(sent)


def take_apart(protocol: str, sent: Sent) -> tuple[tuple[Part, ...], Outcome]:
    """Return the meaning of the bytes, as far as the protocol's codec tells it, and the outcome."""
    apart = APART.get(protocol)
    return apart(sent.raw, sent.key) if apart else ((), decode(protocol, sent))


def guess(raw: bytes) -> str:
    """Return the protocol that a frame most likely is of, by its first and last bytes."""
    bare = raw.lstrip(bytes([_WAKE]))
    if raw[:1] == b"/":
        return "p1"
    if (raw[:1] == raw[-1:] == _FLAG) or raw[:2] == b"\0\1":
        return "dlms"
    if bare[:1] == bytes([_START]) and bare[-1:] == bytes([_STOP]):
        return "mbus" if bare[1:2] == bare[2:3] and bare[3:4] == bytes([_START]) else "cjt188"
    return "wmbus"
