"""How a DLMS client and a meter agree to talk: AARQ, AARE, RLRQ, RLRE, and the initiate messages within.

References:
    [1] IEC 62056-5-3 (DLMS UA 1000-2, Green Book), clauses 9.4.2 (ACSE, BER) and 9.5 (InitiateRequest and -Response).
    [2] ITU-T X.690: BER, definite lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from citygate.wire import axdr
from citygate.wire.axdr import MalformedError, Reader


class Kind(IntEnum):
    """Which message of the association."""

    AARQ = 0x60
    AARE = 0x61
    RLRQ = 0x62
    RLRE = 0x63


#: 2.16.756.5.8.1.n is an application context, 2.16.756.5.8.2.n an authentication mechanism [1].
_CONTEXT, _MECHANISM = b"\x60\x85\x74\x05\x08\x01", b"\x60\x85\x74\x05\x08\x02"
_OID = 0x06
_INTEGER, _OCTETS = 0x02, 0x04
_REASON, _USER = 0x80, 0xBE
CIPHERED_CONTEXTS = (3, 4)


@dataclass(frozen=True, slots=True)
class Association:
    """One message of the association control.

    Attributes:
        kind: Which message.
        context_code: 1 by logical name, 2 by short name, 3 and 4 the same ciphered; nothing in a release.
        mechanism_code: 0 lowest, 1 password, 2 to 7 high level, 5 GMAC; nothing where it is left out.
        title: System title of the sender.
        secret: Password or challenge.
        result_code: 0 accepted, 1 and 2 rejected, in an AARE.
        diagnostic_code: Why, in an AARE; 14 asks for authentication.
        reason_code: Why the association is released.
        user: The initiate message within, plain or ciphered.
    """

    kind: Kind
    context_code: int | None = None
    mechanism_code: int | None = None
    title: bytes | None = None
    secret: bytes | None = None
    result_code: int | None = None
    diagnostic_code: int | None = None
    reason_code: int | None = None
    user: bytes | None = None


@dataclass(frozen=True, slots=True)
class Initiate:
    """What is proposed or agreed.

    Attributes:
        response: Whether the meter answers; else the client proposes.
        conformance_code: 24 bits of conformance, as sent.
        pdu_b_max: Longest message that the sender takes.
        dedicated_key: Key for this association, in a proposal.
        quality_code: Quality of service, where sent.
        response_allowed: Whether an answer is wanted.
    """

    response: bool
    conformance_code: int
    pdu_b_max: int
    dedicated_key: bytes | None = None
    quality_code: int | None = None
    response_allowed: bool = True


def decode(content: bytes) -> Association:
    """Read one message.

    Raises:
        MalformedError: The bytes are none.
    """
    reader = Reader(content)
    try:
        kind = Kind(reader.unsigned())
    except ValueError:
        raise MalformedError(f"no association message has the tag {content[:1].hex()}", 0) from None
    body = Reader(reader.octets())
    reader.finish()
    parts: dict[int, bytes] = {}
    while body.left_b():
        tag = body.unsigned()
        parts[tag] = body.octets()
    answer, ending = kind is Kind.AARE, kind in (Kind.RLRQ, Kind.RLRE)
    return Association(
        kind,
        context_code=None if ending else _object(_inner(parts.get(0xA1), _OID), _CONTEXT),
        mechanism_code=_object(parts.get(0x89 if answer else 0x8B), _MECHANISM),
        title=_inner(parts.get(0xA4 if answer else 0xA6), _OCTETS),
        secret=_inner(parts.get(0xAA if answer else 0xAC), 0x80),
        result_code=_number(_inner(parts.get(0xA2), _INTEGER)) if answer else None,
        diagnostic_code=_diagnostic(parts.get(0xA3)) if answer else None,
        reason_code=_number(parts.get(_REASON)) if ending else None,
        user=_inner(parts.get(_USER), _OCTETS),
    )


def encode(message: Association) -> bytes:
    """Write one message; what ``decode`` reads of it is the message again."""
    answer = message.kind is Kind.AARE
    parts: list[bytes] = []
    if message.reason_code is not None:
        parts.append(_field(_REASON, bytes([message.reason_code])))
    if message.context_code is not None:
        parts.append(_field(0xA1, _field(_OID, _CONTEXT + bytes([message.context_code]))))
    if message.result_code is not None:
        parts.append(_field(0xA2, _field(_INTEGER, bytes([message.result_code]))))
    if message.diagnostic_code is not None:
        parts.append(_field(0xA3, _field(0xA1, _field(_INTEGER, bytes([message.diagnostic_code])))))
    if message.title is not None:
        parts.append(_field(0xA4 if answer else 0xA6, _field(_OCTETS, message.title)))
    if message.mechanism_code is not None:
        parts.append(_field(0x88 if answer else 0x8A, b"\x07\x80"))
        parts.append(_field(0x89 if answer else 0x8B, _MECHANISM + bytes([message.mechanism_code])))
    if message.secret is not None:
        parts.append(_field(0xAA if answer else 0xAC, _field(0x80, message.secret)))
    if message.user is not None:
        parts.append(_field(_USER, _field(_OCTETS, message.user)))
    return _field(message.kind, b"".join(parts))


def decode_initiate(content: bytes) -> Initiate:
    """Read an InitiateRequest (01) or an InitiateResponse (08) in the clear.

    Raises:
        MalformedError: The bytes are neither, or of another DLMS version than 6.
    """
    reader = Reader(content)
    tag = reader.unsigned()
    if tag not in (0x01, 0x08):
        raise MalformedError(f"no initiate message has the tag {tag:02X}", 0)
    response = tag == 0x08  # noqa: PLR2004
    key = reader.octets() if not response and reader.flag() else None
    allowed = reader.flag() if not response and reader.flag() else True
    quality = reader.unsigned() if reader.flag() else None
    version = reader.unsigned()
    if version != 6:  # noqa: PLR2004
        raise MalformedError(f"DLMS version {version} is not 6", reader.at_b - 1)
    if reader.take(4) != b"\x5f\x1f\x04\x00":
        raise MalformedError("the conformance block does not start with 5F1F0400", reader.at_b - 4)
    conformance, longest_b = reader.unsigned(3), reader.unsigned(2)
    if response and reader.take(2) not in (b"\x00\x07", b"\xfa\x00"):
        raise MalformedError("the last two bytes are no name of a variable access", reader.at_b - 2)
    reader.finish()
    return Initiate(response, conformance, longest_b, key, quality, allowed)


def encode_initiate(message: Initiate) -> bytes:
    """Write an InitiateRequest or an InitiateResponse by logical name."""
    quality = b"\0" if message.quality_code is None else bytes([1, message.quality_code])
    agreed = (
        b"\x06\x5f\x1f\x04\x00" + message.conformance_code.to_bytes(3, "big") + message.pdu_b_max.to_bytes(2, "big")
    )
    if message.response:
        return b"\x08" + quality + agreed + b"\x00\x07"
    key = b"\0" if message.dedicated_key is None else b"\1" + _sized(message.dedicated_key)
    return b"\x01" + key + (b"\0" if message.response_allowed else b"\1\0") + quality + agreed


def _field(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + _sized(content)


def _sized(content: bytes) -> bytes:
    return axdr.length_bytes(len(content)) + content


def _inner(raw: bytes | None, tag: int) -> bytes | None:
    if raw is None:
        return None
    reader = Reader(raw)
    found = reader.unsigned()
    if found != tag:
        raise MalformedError(f"tag {found:02X} where {tag:02X} belongs", 0)
    content = reader.octets()
    reader.finish()
    return content


def _object(raw: bytes | None, prefix: bytes) -> int | None:
    if raw is None:
        return None
    if raw[:-1] != prefix:
        raise MalformedError(f"the object identifier {raw.hex()} is not one of DLMS", 0)
    return raw[-1]


def _number(raw: bytes | None) -> int | None:
    if raw is None:
        return None
    if len(raw) != 1:
        raise MalformedError(f"a code of {len(raw)} bytes", 0)
    return raw[0]


def _diagnostic(raw: bytes | None) -> int | None:
    if raw is None:
        return None
    source = raw[0] if raw else 0
    if source not in (0xA1, 0xA2):
        raise MalformedError(f"a diagnostic of source {source:02X}", 0)
    return _number(_inner(_inner(raw, source), _INTEGER))
