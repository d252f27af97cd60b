"""DLMS/COSEM: what a message says, from HDLC frames, the TCP wrapper or bare, in the clear or ciphered.

References:
    [1] DLMS UA 1000-2, Green Book: clauses 8 (HDLC), 9.2 (ciphering), 9.4 and 9.5 (messages).
    [2] IEC 62056-7-5 and the manufacturers' push lists: values with their codes, codes and values in turn, or a list
        of descriptors followed by the values.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from citygate.wire import association, axdr, dlms_cipher, dlms_values, hdlc, xdlms
from citygate.wire.axdr import Item, MalformedError, Reader
from citygate.wire.dlms_cipher import Keys, Opened
from citygate.wire.hdlc import BrokenFrame
from citygate.wire.telegram import Outcome, Security, Telegram, Unread, Value
from citygate.wire.xdlms import Apdu, Block, Failure, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

#: No message is longer: the wrapper counts its length in two bytes.
LENGTH_B_MAX = 65_535 + 8
_BLOCK_TRANSFER, _SERVICE_ERROR = 0xE0, 0x0E
_INITIATE, _LISTS = (0x01, 0x08), (0x01, 0x02)
_GENERAL = {0xDB: "global", 0xDC: "dedicated"}
_CIPHERED = {
    **dict.fromkeys((0x21, 0x28, 0xC8, 0xC9, 0xCA, 0xCB, 0xCC, 0xCD, 0xCF), "global"),
    **dict.fromkeys((0x41, 0x48, 0xD0, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0xD7), "dedicated"),
}
_NOT_SUPPORTED = {0xDD: "general ciphering with key information", 0xDF: "general signing"}
_LINK_SERVICES = ((b"\xe6\xe7\x00", 3), (b"\xe6\xe6\x00", 3))
_INFORMATION_MASK, _UNNUMBERED = 0x01, 0x03
_UNNUMBERED_NAMES = {0x83: "set_normal_response_mode", 0x63: "acknowledged", 0x0F: "disconnected", 0x43: "disconnect"}


@dataclass(frozen=True, slots=True)
class _Clear:
    """A message in the clear, how it was protected, and who sent it."""

    content: bytes
    security: Security = field(default_factory=Security)
    title: bytes | None = None
    counter: int | None = None


def decode(frame: bytes, key: bytes | None = None, counter_min: int = 0) -> Outcome:
    """Read one message: HDLC frames (with their segments), wrapped, or bare.

    Args:
        frame: The bytes of one message.
        key: Encryption key, with the authentication key after it to prove the origin, and after that the system
            title (8 bytes) where the message does not bring it.
        counter_min: Lowest invocation counter that is not a replay.
    """
    if len(frame) > LENGTH_B_MAX:
        return Unread("too_long", f"A message has at most {LENGTH_B_MAX} bytes, not {len(frame)}.", LENGTH_B_MAX)
    if not frame:
        return Unread("too_short", "There is no byte.")
    try:
        messages = _messages(frame)
        if isinstance(messages, Unread | Telegram):
            return messages
        outcomes = [_message(message, key, counter_min) for message in messages]
    except MalformedError as error:
        return Unread("malformed", error.detail, error.at_b)
    refused = next((outcome for outcome in outcomes if isinstance(outcome, Unread)), None)
    return refused or _merge([outcome for outcome in outcomes if isinstance(outcome, Telegram)])


def join(blocks: Sequence[Block]) -> Item | Unread:
    """Return the data that the blocks of a long answer hold, or why they are not whole."""
    raw = b""
    for place, block in enumerate(blocks, blocks[0].number if blocks else 1):
        if isinstance(block.raw, Failure):
            return Unread("refused", xdlms.FAILURES.get(block.raw.result_code, str(block.raw.result_code)))
        if block.number != place:
            return Unread("block_missing", f"Block {block.number} comes where {place} belongs.", len(raw))
        raw += block.raw
    if not blocks or not blocks[-1].last:
        return Unread("too_short", "The last block is missing.", len(raw))
    try:
        return axdr.decode(raw)
    except MalformedError as error:
        return Unread("malformed", error.detail, error.at_b)


def _messages(frame: bytes) -> list[bytes] | Outcome:
    if frame[0] == hdlc.FLAG:
        carried = _carried(frame)
        return carried if isinstance(carried, Unread | Telegram) else _transferred(carried)
    if frame[:2] == b"\0\1" and len(frame) > 8:  # noqa: PLR2004 - the wrapper's header
        messages, rest = hdlc.unwrap(frame)
        if rest:
            return Unread("too_short", "The wrapper announces another length.", len(frame) - len(rest))
        return _transferred(messages)
    return _transferred([frame])


def _carried(frame: bytes) -> list[bytes] | Outcome:
    """Return what HDLC frames carry, their segments joined; a bare command of the link is a telegram of its own."""
    pieces, rest = hdlc.split(frame)
    messages, open_b, at_b, commands = [], b"", 0, []
    for piece in pieces:
        read = hdlc.decode(piece)
        if isinstance(read, BrokenFrame):
            whole = hdlc.decode(frame)
            told = whole if isinstance(whole, BrokenFrame) and len(pieces) > 1 and at_b == 0 else read
            return Unread(told.reason, told.detail, at_b + told.at_b)
        at_b += len(piece)
        open_b += _bare(read.information) if not open_b else read.information
        if not read.information:
            commands.append(_command(read.control_code))
        elif not read.more:
            messages.append(open_b)
            open_b = b""
    if open_b or rest.strip(bytes([hdlc.FLAG])):
        return Unread("too_short", "The last segment of the frame is missing.", len(frame))
    if messages:
        return messages
    if not commands:
        return Unread("too_short", "There is nothing between the flags.", len(frame))
    return Telegram(values=tuple(Value("link_command", command) for command in commands))


def _bare(information: bytes) -> bytes:
    """Leave out the logical link control: E6 E7 00 of a meter, E6 E6 00 of a client."""
    return next((information[length_b:] for head, length_b in _LINK_SERVICES if information[:3] == head), information)


def _command(control: int) -> str:
    if control & _INFORMATION_MASK and control & _UNNUMBERED == _UNNUMBERED:
        return _UNNUMBERED_NAMES.get(control & 0xEF, f"unnumbered_{control:02X}")
    return f"receive_{control:02X}" if control & 1 else f"information_{control:02X}"


def _transferred(messages: list[bytes]) -> list[bytes] | Unread:
    """Join the blocks of general block transfer; other messages stay what they are."""
    whole: list[bytes] = []
    open_b, expected = b"", 1
    for message in messages:
        if message[:1] != bytes([_BLOCK_TRANSFER]):
            whole.append(message)
            continue
        reader = Reader(message, 1)
        control, number = reader.unsigned(), reader.unsigned(2)
        reader.unsigned(2)
        open_b += reader.octets()
        reader.finish()
        if number != expected:
            return Unread("block_missing", f"Block {number} comes where {expected} belongs.", 2)
        expected += 1
        if control & 0x80:
            whole.append(open_b)
            open_b, expected = b"", 1
    if open_b:
        return Unread("too_short", "The last block of the transfer is missing.")
    return whole


def _message(message: bytes, key: bytes | None, counter_min: int) -> Outcome:
    clear = _open(message, key, counter_min)
    if isinstance(clear, Unread):
        return clear
    telegram = _told(clear.content, key, counter_min)
    if isinstance(telegram, Unread):
        return telegram
    said = _sender(clear.title)
    counter = () if clear.counter is None else (Value("invocation_counter", clear.counter),)
    return replace(
        telegram,
        manufacturer=telegram.manufacturer or said.manufacturer,
        serial=telegram.serial or said.serial,
        values=(*telegram.values, *counter),
        security=telegram.security if telegram.security.mode != "none" else clear.security,
    )


def _open(message: bytes, key: bytes | None, counter_min: int) -> _Clear | Unread:
    reader = Reader(message)
    tag = reader.unsigned()
    if tag in _NOT_SUPPORTED:
        return Unread("not_supported", f"The message is under {_NOT_SUPPORTED[tag]}.")
    if tag not in _GENERAL and tag not in _CIPHERED:
        return _Clear(message)
    title = reader.octets() if tag in _GENERAL else None
    content = reader.octets()
    reader.finish()
    if len(content) < 5:  # noqa: PLR2004 - control byte and counter
        return Unread("too_short", "There is no security header.", len(message), _sender(title))
    return _unlock(content, title, _GENERAL.get(tag) or _CIPHERED[tag], key, counter_min)


def _unlock(content: bytes, title: bytes | None, kind: str, key: bytes | None, counter_min: int) -> _Clear | Unread:
    suite, counter = content[0] & 0x0F, int.from_bytes(content[1:5], "big")
    mode = f"suite {suite} (AES-GCM-{256 if suite == 2 else 128}), {kind} key"  # noqa: PLR2004
    who = replace(_sender(title), security=Security(mode))
    if key is None:
        return Unread("key_missing", f"The message is ciphered: {mode}.", 0, who)
    keys = dlms_cipher.parse_keys(key, suite)
    if keys is None:
        return Unread("key_wrong", f"{len(key)} bytes are no keys of suite {suite}.", 0, who)
    opened = dlms_cipher.unprotect(content, Keys(keys.encryption, keys.authentication, title or keys.title))
    if not isinstance(opened, Opened):
        return Unread(opened.reason, opened.detail, 0, who)
    if counter < counter_min:
        return Unread("replayed", f"The invocation counter {counter} is below {counter_min}.", 0, who)
    return _Clear(opened.plain, Security(mode, verified=opened.verified), title or keys.title, counter)


def _told(content: bytes, key: bytes | None, counter_min: int) -> Outcome:
    if not content:
        return Unread("too_short", "The message is empty.")
    tag = content[0]
    if tag in tuple(association.Kind):
        return _association(association.decode(content), key, counter_min)
    if tag in xdlms.TAGS:
        return _service(xdlms.decode(content))
    return _data(content) or Unread("key_wrong" if key else "not_a_frame", f"No message has the tag {tag:02X}.")


def _data(content: bytes) -> Telegram | None:
    """Read an initiate message, an error of the service, or data that stand alone; 01 may be the first or the last."""
    tag = content[0]
    if tag == _SERVICE_ERROR and len(content) == 4:  # noqa: PLR2004
        return Telegram(values=(Value("service_error", content[1:].hex().upper()),), status=("refused",))
    if tag in _INITIATE:
        try:
            return _initiate(association.decode_initiate(content))
        except MalformedError:
            if tag not in _LISTS:
                raise
    return dlms_values.telegram(axdr.decode(content)) if tag in _LISTS else None


def _association(message: association.Association, key: bytes | None, counter_min: int) -> Outcome:
    codes = {
        "application_context": message.context_code,
        "mechanism": message.mechanism_code,
        "association_result": message.result_code,
        "diagnostic": message.diagnostic_code,
        "release_reason": message.reason_code,
    }
    values = [Value("service", message.kind.name.lower())]
    values += [Value(name, code) for name, code in codes.items() if code is not None]
    if message.mechanism_code not in (None, 0, 1) and message.secret is not None:
        values.append(Value("challenge", message.secret.hex().upper()))
    who = _sender(message.title)
    rejected = ("association_rejected",) if message.result_code else ()
    telegram = replace(who, values=tuple(values), status=rejected)
    if not message.user:
        return telegram
    clear = _open(message.user, key, counter_min)
    if isinstance(clear, Unread):
        return replace(telegram, notes=(f"the initiate message within stays shut: {clear.reason}",))
    inner = _data(clear.content) if clear.content else None
    if inner is None:
        return replace(telegram, notes=("the initiate message within is not read",))
    return replace(telegram, values=(*values, *inner.values), security=clear.security)


def _initiate(message: association.Initiate) -> Telegram:
    name = "initiate_response" if message.response else "initiate_request"
    values = [
        Value("initiate", name),
        Value("conformance", f"{message.conformance_code:06X}"),
        Value("pdu_b_max", message.pdu_b_max),
    ]
    if message.quality_code is not None:
        values.append(Value("quality_of_service", message.quality_code))
    if message.dedicated_key is not None:
        values.append(Value("dedicated_key", "given"))
    return Telegram(values=tuple(values))


def _service(apdu: Apdu) -> Telegram:
    if apdu.operation is Operation.EXCEPTION_RESPONSE:
        codes = (Value("state_error", apdu.invoke_code >> 8), Value("service_error", apdu.invoke_code & 0xFF))
        return Telegram(values=(Value("service", apdu.operation), *codes), status=("refused",))
    values = [Value("service", f"{apdu.operation}_{apdu.form}"), Value("invoke", apdu.invoke_code)]
    values += [Value("target", dlms_values.target_text(target)) for target in apdu.targets]
    if apdu.block is not None:
        values.append(Value("block_number", apdu.block.number))
        values.append(Value("last_block", int(apdu.block.last)))
        if isinstance(apdu.block.raw, bytes):
            values.append(Value("block", apdu.block.raw.hex().upper()))
    failures = [item for item in apdu.items if isinstance(item, Failure)]
    if apdu.block is not None and isinstance(apdu.block.raw, Failure):
        failures.append(apdu.block.raw)
    named = [xdlms.FAILURES.get(failure.result_code, f"result_{failure.result_code}") for failure in failures]
    values += [Value("result", name) for name in named]
    telegrams = [dlms_values.telegram(item) for item in apdu.items if isinstance(item, Item)]
    told = _merge([Telegram(values=tuple(values)), *telegrams])
    status = tuple(dict.fromkeys(name for name in named if name != "success"))
    return replace(told, time=axdr.moment(apdu.time) or told.time, status=(*told.status, *status))


def _sender(title: bytes | None) -> Telegram:
    """A system title starts with the three letters of the manufacturer; the rest is its own [1, 4.3.4]."""
    if not title:
        return Telegram()
    flag = title[:3].decode("latin-1")
    return Telegram(manufacturer=flag if flag.isascii() and flag.isalpha() else None, serial=title.hex().upper())


def _merge(telegrams: list[Telegram]) -> Telegram:
    """Join what several messages of one sender say; the first that names a thing names it for all."""

    def first(name: str) -> str | None:
        return next((getattr(each, name) for each in telegrams if getattr(each, name) is not None), None)

    secured = [each.security for each in telegrams if each.security.mode != "none"]
    verified = bool(secured) and all(each.security.verified for each in telegrams)
    return Telegram(
        manufacturer=first("manufacturer"),
        serial=first("serial"),
        medium=first("medium"),
        time=first("time"),
        values=tuple(value for each in telegrams for value in each.values),
        status=tuple(dict.fromkeys(name for each in telegrams for name in each.status)),
        security=Security(secured[0].mode, verified=verified) if secured else Security(),
        notes=tuple(note for each in telegrams for note in each.notes),
    )
