"""The services of DLMS by logical name: get, set, action, notifications and exceptions.

References:
    [1] IEC 62056-5-3 (DLMS UA 1000-2, Green Book), clause 9.5: the APDUs of xDLMS; an invoke byte, then each service
        in its forms (normal, with data block, with list).
    [2] IEC 62056-6-2 (DLMS UA 1000-1, Blue Book), profile generic (class 7): selective access by range.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from citygate.wire import axdr
from citygate.wire.axdr import Item, MalformedError, Reader, Tag

if TYPE_CHECKING:
    from datetime import datetime


class Operation(StrEnum):
    """What is asked, answered or told."""

    GET_REQUEST = "get_request"
    GET_RESPONSE = "get_response"
    SET_REQUEST = "set_request"
    SET_RESPONSE = "set_response"
    ACTION_REQUEST = "action_request"
    ACTION_RESPONSE = "action_response"
    DATA_NOTIFICATION = "data_notification"
    EVENT_NOTIFICATION = "event_notification"
    EXCEPTION_RESPONSE = "exception_response"


class Form(StrEnum):
    """Which form of a service."""

    NORMAL = "normal"
    NEXT = "next"
    BLOCK = "block"
    LAST_BLOCK = "last_block"
    LIST = "list"
    FIRST_BLOCK = "first_block"
    LIST_FIRST_BLOCK = "list_first_block"
    LAST_BLOCK_LIST = "last_block_list"


TAGS = {
    0x0F: Operation.DATA_NOTIFICATION,
    0xC0: Operation.GET_REQUEST,
    0xC1: Operation.SET_REQUEST,
    0xC2: Operation.EVENT_NOTIFICATION,
    0xC3: Operation.ACTION_REQUEST,
    0xC4: Operation.GET_RESPONSE,
    0xC5: Operation.SET_RESPONSE,
    0xC7: Operation.ACTION_RESPONSE,
    0xD8: Operation.EXCEPTION_RESPONSE,
}
_CLOCK = bytes([0, 0, 1, 0, 0, 255])
_CODES = {service: code for code, service in TAGS.items()}
_FORMS: dict[Operation, tuple[Form, ...]] = {
    Operation.GET_REQUEST: (Form.NORMAL, Form.NEXT, Form.LIST),
    Operation.GET_RESPONSE: (Form.NORMAL, Form.BLOCK, Form.LIST),
    Operation.SET_REQUEST: (Form.NORMAL, Form.FIRST_BLOCK, Form.BLOCK, Form.LIST, Form.LIST_FIRST_BLOCK),
    Operation.SET_RESPONSE: (Form.NORMAL, Form.BLOCK, Form.LAST_BLOCK, Form.LAST_BLOCK_LIST, Form.LIST),
    Operation.ACTION_REQUEST: (Form.NORMAL, Form.NEXT, Form.LIST, Form.FIRST_BLOCK, Form.LIST_FIRST_BLOCK, Form.BLOCK),
    Operation.ACTION_RESPONSE: (Form.NORMAL, Form.BLOCK, Form.LIST, Form.NEXT),
}
#: Data access results [1].
FAILURES = {
    0: "success",
    1: "hardware_fault",
    2: "temporary_failure",
    3: "read_write_denied",
    4: "object_undefined",
    9: "object_class_inconsistent",
    11: "object_unavailable",
    12: "type_unmatched",
    13: "scope_of_access_violated",
    14: "data_block_unavailable",
    15: "long_get_aborted",
    16: "no_long_get_in_progress",
    17: "long_set_aborted",
    18: "no_long_set_in_progress",
    19: "data_block_number_invalid",
    250: "other_reason",
}


@dataclass(frozen=True, slots=True)
class Target:
    """An attribute or a method of an object.

    Attributes:
        class_code: Interface class: 3 register, 7 profile, 8 clock.
        instance: Six bytes of OBIS code.
        member_code: Number of the attribute or the method.
        selector_code: Kind of selective access, 1 by range and 2 by entry; nothing reads all.
        selection: Parameters of the selective access.
    """

    class_code: int
    instance: bytes
    member_code: int
    selector_code: int | None = None
    selection: Item | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A data access result (or action result) other than data; 0 is success."""

    result_code: int


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a long message: raw bytes, or the failure that ends it."""

    number: int
    last: bool
    raw: bytes | Failure = b""


@dataclass(frozen=True, slots=True)
class Apdu:
    """One message of a service.

    Attributes:
        operation: Which service.
        form: Which form of it.
        invoke_code: Invoke byte; 32 bits in a data notification.
        targets: Attributes or methods that a request names.
        items: Data of requests, data or failures of responses.
        block: The block, in the forms that have one.
        time: Date-time octets of a notification, where it has them.
    """

    operation: Operation
    form: Form
    invoke_code: int
    targets: tuple[Target, ...] = ()
    items: tuple[Item | Failure, ...] = ()
    block: Block | None = None
    time: bytes = b""


def decode(content: bytes) -> Apdu:
    """Read one message in the clear.

    Raises:
        MalformedError: The bytes follow no form of any service, or something follows them.
    """
    reader = Reader(content)
    service = TAGS.get(reader.unsigned())
    if service is None:
        raise MalformedError(f"no service has the tag {content[0]:02X}", 0)
    if service in (Operation.DATA_NOTIFICATION, Operation.EVENT_NOTIFICATION, Operation.EXCEPTION_RESPONSE):
        apdu = _told(reader, service)
    else:
        forms, code = _FORMS[service], reader.unsigned()
        if not 1 <= code <= len(forms):
            raise MalformedError(f"{service} has no form {code}", 1)
        apdu = _READERS[service](reader, forms[code - 1], reader.unsigned())
    reader.finish()
    return apdu


def encode(apdu: Apdu) -> bytes:
    """Write one message; what ``decode`` reads of it is the message again."""
    head = bytes([_CODES[apdu.operation]])
    if apdu.operation is Operation.DATA_NOTIFICATION:
        time = axdr.length_bytes(len(apdu.time)) + apdu.time
        return head + apdu.invoke_code.to_bytes(4, "big") + time + _data_bytes(apdu.items)
    if apdu.operation is Operation.EVENT_NOTIFICATION:
        time = b"\1" + axdr.length_bytes(len(apdu.time)) + apdu.time if apdu.time else b"\0"
        return head + time + _plain_target(apdu.targets[0]) + _data_bytes(apdu.items)
    if apdu.operation is Operation.EXCEPTION_RESPONSE:
        return head + apdu.invoke_code.to_bytes(2, "big") + apdu.time
    head += bytes([_FORMS[apdu.operation].index(apdu.form) + 1, apdu.invoke_code])
    many = apdu.form in (Form.LIST, Form.LIST_FIRST_BLOCK, Form.LAST_BLOCK_LIST)
    return head + _body(apdu, many=many)


def rows_between(profile: bytes, start: datetime, end: datetime) -> Target:
    """Return the rows of a profile from ``start`` to ``end``, as a get-request asks for them (access by range [2]).

    Args:
        profile: Six bytes of OBIS code of the profile.
        start: First capture time, with its offset.
        end: Last capture time, with its offset.
    """
    clock = (Item(Tag.UINT16, 8), Item(Tag.OCTETS, _CLOCK), Item(Tag.INT8, 2), Item(Tag.UINT16, 0))
    times = (Item(Tag.OCTETS, axdr.moment_bytes(start)), Item(Tag.OCTETS, axdr.moment_bytes(end)))
    selection = Item(Tag.STRUCTURE, (Item(Tag.STRUCTURE, clock), *times, Item(Tag.ARRAY, ())))
    return Target(7, profile, 2, 1, selection)


def _body(apdu: Apdu, *, many: bool) -> bytes:
    action = apdu.operation is Operation.ACTION_REQUEST
    if apdu.operation in (Operation.GET_RESPONSE, Operation.ACTION_RESPONSE, Operation.SET_RESPONSE):
        return _answer_bytes(apdu, many=many)
    count = axdr.length_bytes(len(apdu.targets)) if many else b""
    body = count + b"".join(_plain_target(each) if action else _target_bytes(each) for each in apdu.targets)
    if apdu.form is Form.NEXT and apdu.block is not None:
        return body + apdu.block.number.to_bytes(4, "big")
    if apdu.block is not None:
        return body + _block_bytes(apdu.block)
    if action and not many:
        return body + (b"\1" + _data_bytes(apdu.items) if apdu.items else b"\0")
    values = axdr.length_bytes(len(apdu.items)) if many and apdu.operation is not Operation.GET_REQUEST else b""
    return body + values + _data_bytes(apdu.items)


def _answer_bytes(apdu: Apdu, *, many: bool) -> bytes:
    service, block = apdu.operation, apdu.block
    if service is Operation.GET_RESPONSE and block is not None:
        head = bytes([block.last]) + block.number.to_bytes(4, "big")
        if isinstance(block.raw, Failure):
            return head + bytes([1, block.raw.result_code])
        return head + b"\0" + axdr.length_bytes(len(block.raw)) + block.raw
    answers = len(apdu.items) // (2 if service is Operation.ACTION_RESPONSE else 1)
    body = axdr.length_bytes(answers) if many else b""
    if service is Operation.GET_RESPONSE:
        return body + b"".join(_choice_bytes(each) for each in apdu.items)
    if service is Operation.SET_RESPONSE:
        body += bytes(each.result_code for each in apdu.items if isinstance(each, Failure))
        return body + (block.number.to_bytes(4, "big") if block is not None else b"")
    if block is not None:
        return block.number.to_bytes(4, "big") if apdu.form is Form.NEXT else _block_bytes(block)
    # an action answers its result, then what it returns where it does
    for place, each in enumerate(apdu.items):
        if place % 2 == 0 and isinstance(each, Failure):
            body += bytes([each.result_code])
        elif isinstance(each, Item) and each.tag is Tag.NULL:
            body += b"\0"
        else:
            body += b"\1" + _choice_bytes(each)
    return body


def _told(reader: Reader, service: Operation) -> Apdu:
    if service is Operation.DATA_NOTIFICATION:
        invoke = reader.unsigned(4)
        time = reader.octets()
        return Apdu(service, Form.NORMAL, invoke, items=(reader.item(),), time=time)
    if service is Operation.EVENT_NOTIFICATION:
        time = reader.octets() if reader.flag() else b""
        target = _read_plain_target(reader)
        return Apdu(service, Form.NORMAL, 0, (target,), (reader.item(),), time=time)
    return Apdu(service, Form.NORMAL, reader.unsigned(2), time=reader.take(4) if reader.left_b() == 4 else b"")  # noqa: PLR2004


def _read_get_request(reader: Reader, form: Form, invoke: int) -> Apdu:
    if form is Form.NEXT:
        return Apdu(Operation.GET_REQUEST, form, invoke, block=Block(reader.unsigned(4), last=False))
    targets = _read_targets(reader, _count(reader) if form is Form.LIST else 1)
    return Apdu(Operation.GET_REQUEST, form, invoke, targets)


def _read_get_response(reader: Reader, form: Form, invoke: int) -> Apdu:
    if form is Form.BLOCK:
        last, number = reader.flag(), reader.unsigned(4)
        raw = Failure(reader.unsigned()) if _choice(reader) else reader.octets()
        return Apdu(Operation.GET_RESPONSE, form, invoke, block=Block(number, last, raw))
    count = _count(reader) if form is Form.LIST else 1
    return Apdu(Operation.GET_RESPONSE, form, invoke, items=tuple(_read_choice(reader) for _ in range(count)))


def _read_set_request(reader: Reader, form: Form, invoke: int) -> Apdu:
    many = form in (Form.LIST, Form.LIST_FIRST_BLOCK)
    targets = () if form is Form.BLOCK else _read_targets(reader, _count(reader) if many else 1)
    if form in (Form.BLOCK, Form.FIRST_BLOCK, Form.LIST_FIRST_BLOCK):
        return Apdu(Operation.SET_REQUEST, form, invoke, targets, block=_read_block(reader))
    count = _count(reader) if many else 1
    return Apdu(Operation.SET_REQUEST, form, invoke, targets, tuple(reader.item() for _ in range(count)))


def _read_set_response(reader: Reader, form: Form, invoke: int) -> Apdu:
    many = form in (Form.LIST, Form.LAST_BLOCK_LIST)
    count = _count(reader) if many else int(form is not Form.BLOCK)
    items = tuple(Failure(reader.unsigned()) for _ in range(count))
    blocked = form in (Form.BLOCK, Form.LAST_BLOCK, Form.LAST_BLOCK_LIST)
    block = Block(reader.unsigned(4), last=form is not Form.BLOCK) if blocked else None
    return Apdu(Operation.SET_RESPONSE, form, invoke, items=items, block=block)


def _read_action_request(reader: Reader, form: Form, invoke: int) -> Apdu:
    service = Operation.ACTION_REQUEST
    if form is Form.NEXT:
        return Apdu(service, form, invoke, block=Block(reader.unsigned(4), last=False))
    many = form in (Form.LIST, Form.LIST_FIRST_BLOCK)
    count = 0 if form is Form.BLOCK else _count(reader) if many else 1
    targets = tuple(_read_plain_target(reader) for _ in range(count))
    if form in (Form.BLOCK, Form.FIRST_BLOCK, Form.LIST_FIRST_BLOCK):
        return Apdu(service, form, invoke, targets, block=_read_block(reader))
    if many:
        return Apdu(service, form, invoke, targets, tuple(reader.item() for _ in range(_count(reader))))
    return Apdu(service, form, invoke, targets, (reader.item(),) if reader.flag() else ())


def _read_action_response(reader: Reader, form: Form, invoke: int) -> Apdu:
    service = Operation.ACTION_RESPONSE
    if form is Form.NEXT:
        return Apdu(service, form, invoke, block=Block(reader.unsigned(4), last=False))
    if form is Form.BLOCK:
        return Apdu(service, form, invoke, block=_read_block(reader))
    items: list[Item | Failure] = []
    for _ in range(_count(reader) if form is Form.LIST else 1):
        items.append(Failure(reader.unsigned()))
        items.append(_read_choice(reader) if reader.flag() else Item(Tag.NULL))
    return Apdu(service, form, invoke, items=tuple(items))


_READERS = {
    Operation.GET_REQUEST: _read_get_request,
    Operation.GET_RESPONSE: _read_get_response,
    Operation.SET_REQUEST: _read_set_request,
    Operation.SET_RESPONSE: _read_set_response,
    Operation.ACTION_REQUEST: _read_action_request,
    Operation.ACTION_RESPONSE: _read_action_response,
}


def _count(reader: Reader) -> int:
    count = reader.length()
    if count > reader.left_b():
        raise MalformedError(f"a list of {count} does not fit {reader.left_b()} bytes", reader.at_b)
    return count


def _choice(reader: Reader) -> int:
    choice = reader.unsigned()
    if choice > 1:
        raise MalformedError(f"neither data nor a result: choice {choice}", reader.at_b - 1)
    return choice


def _read_choice(reader: Reader) -> Item | Failure:
    return Failure(reader.unsigned()) if _choice(reader) else reader.item()


def _read_block(reader: Reader) -> Block:
    last, number = reader.flag(), reader.unsigned(4)
    return Block(number, last, reader.octets())


def _read_plain_target(reader: Reader) -> Target:
    return Target(reader.unsigned(2), reader.take(6), reader.unsigned())


def _read_targets(reader: Reader, count: int) -> tuple[Target, ...]:
    targets = []
    for _ in range(count):
        plain = _read_plain_target(reader)
        selector = reader.unsigned() if reader.flag() else None
        selection = reader.item() if selector is not None else None
        targets.append(Target(plain.class_code, plain.instance, plain.member_code, selector, selection))
    return tuple(targets)


def _plain_target(target: Target) -> bytes:
    return target.class_code.to_bytes(2, "big") + target.instance + bytes([target.member_code & 0xFF])


def _target_bytes(target: Target) -> bytes:
    if target.selector_code is None or target.selection is None:
        return _plain_target(target) + b"\0"
    return _plain_target(target) + bytes([1, target.selector_code]) + axdr.encode(target.selection)


def _block_bytes(block: Block) -> bytes:
    raw = block.raw if isinstance(block.raw, bytes) else b""
    return bytes([block.last]) + block.number.to_bytes(4, "big") + axdr.length_bytes(len(raw)) + raw


def _choice_bytes(item: Item | Failure) -> bytes:
    return bytes([1, item.result_code]) if isinstance(item, Failure) else b"\0" + axdr.encode(item)


def _data_bytes(items: tuple[Item | Failure, ...]) -> bytes:
    return b"".join(axdr.encode(each) for each in items if isinstance(each, Item))
