"""Services of DLMS: every form goes round; public frames read right."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.wire import axdr, xdlms
from citygate.wire.axdr import Item, MalformedError, Tag
from citygate.wire.xdlms import Apdu, Block, Failure, Form, Operation, Target

CODE = bytes([7, 0, 13, 2, 0, 255])
ONE = Target(3, CODE, 2)
RANGE = Target(7, CODE, 2, 1, Item(Tag.STRUCTURE, (Item(Tag.UINT8, 1),)))
NUMBER, TEXT, NOTHING = Item(Tag.UINT32, 123456), Item(Tag.VISIBLE, "gas"), Item(Tag.NULL)
BLOCK = Block(7, last=True, raw=b"part")

MESSAGES = [
    Apdu(Operation.GET_REQUEST, Form.NORMAL, 0xC1, (ONE,)),
    Apdu(Operation.GET_REQUEST, Form.NORMAL, 0xC1, (RANGE,)),
    Apdu(Operation.GET_REQUEST, Form.NEXT, 0xC1, block=Block(3, last=False)),
    Apdu(Operation.GET_REQUEST, Form.LIST, 0xC1, (ONE, RANGE)),
    Apdu(Operation.GET_RESPONSE, Form.NORMAL, 0xC1, items=(NUMBER,)),
    Apdu(Operation.GET_RESPONSE, Form.NORMAL, 0xC1, items=(Failure(4),)),
    Apdu(Operation.GET_RESPONSE, Form.BLOCK, 0xC1, block=BLOCK),
    Apdu(Operation.GET_RESPONSE, Form.BLOCK, 0xC1, block=Block(2, last=True, raw=Failure(14))),
    Apdu(Operation.GET_RESPONSE, Form.LIST, 0xC1, items=(NUMBER, Failure(3), TEXT)),
    Apdu(Operation.SET_REQUEST, Form.NORMAL, 1, (ONE,), (NUMBER,)),
    Apdu(Operation.SET_REQUEST, Form.FIRST_BLOCK, 1, (RANGE,), block=BLOCK),
    Apdu(Operation.SET_REQUEST, Form.BLOCK, 1, block=BLOCK),
    Apdu(Operation.SET_REQUEST, Form.LIST, 1, (ONE, RANGE), (NUMBER, TEXT)),
    Apdu(Operation.SET_REQUEST, Form.LIST_FIRST_BLOCK, 1, (ONE, RANGE), block=BLOCK),
    Apdu(Operation.SET_RESPONSE, Form.NORMAL, 1, items=(Failure(0),)),
    Apdu(Operation.SET_RESPONSE, Form.BLOCK, 1, block=Block(2, last=False)),
    Apdu(Operation.SET_RESPONSE, Form.LAST_BLOCK, 1, items=(Failure(0),), block=Block(3, last=True)),
    Apdu(Operation.SET_RESPONSE, Form.LAST_BLOCK_LIST, 1, items=(Failure(0), Failure(3)), block=Block(3, last=True)),
    Apdu(Operation.SET_RESPONSE, Form.LIST, 1, items=(Failure(0), Failure(3))),
    Apdu(Operation.ACTION_REQUEST, Form.NORMAL, 1, (ONE,)),
    Apdu(Operation.ACTION_REQUEST, Form.NORMAL, 1, (ONE,), (NUMBER,)),
    Apdu(Operation.ACTION_REQUEST, Form.NEXT, 1, block=Block(3, last=False)),
    Apdu(Operation.ACTION_REQUEST, Form.LIST, 1, (ONE, ONE), (NUMBER, TEXT)),
    Apdu(Operation.ACTION_REQUEST, Form.FIRST_BLOCK, 1, (ONE,), block=BLOCK),
    Apdu(Operation.ACTION_REQUEST, Form.LIST_FIRST_BLOCK, 1, (ONE, ONE), block=BLOCK),
    Apdu(Operation.ACTION_REQUEST, Form.BLOCK, 1, block=BLOCK),
    Apdu(Operation.ACTION_RESPONSE, Form.NORMAL, 1, items=(Failure(0), NOTHING)),
    Apdu(Operation.ACTION_RESPONSE, Form.NORMAL, 1, items=(Failure(0), NUMBER)),
    Apdu(Operation.ACTION_RESPONSE, Form.NORMAL, 1, items=(Failure(1), Failure(4))),
    Apdu(Operation.ACTION_RESPONSE, Form.BLOCK, 1, block=BLOCK),
    Apdu(Operation.ACTION_RESPONSE, Form.LIST, 1, items=(Failure(0), NUMBER, Failure(1), NOTHING)),
    Apdu(Operation.ACTION_RESPONSE, Form.NEXT, 1, block=Block(3, last=False)),
    Apdu(Operation.DATA_NOTIFICATION, Form.NORMAL, 0x40000001, items=(NUMBER,)),
    Apdu(Operation.DATA_NOTIFICATION, Form.NORMAL, 1, items=(NUMBER,), time=bytes(12)),
    Apdu(Operation.EVENT_NOTIFICATION, Form.NORMAL, 0, (ONE,), (NUMBER,)),
    Apdu(Operation.EVENT_NOTIFICATION, Form.NORMAL, 0, (ONE,), (NUMBER,), time=bytes(12)),
    Apdu(Operation.EXCEPTION_RESPONSE, Form.NORMAL, 0x0102),
    Apdu(Operation.EXCEPTION_RESPONSE, Form.NORMAL, 0x0106, time=bytes(4)),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: f"{message.operation}-{message.form}")
def test_every_form_goes_round(message):
    assert xdlms.decode(xdlms.encode(message)) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: f"{message.operation}-{message.form}")
def test_a_message_that_is_cut_off_or_too_long_is_malformed(message):
    content = xdlms.encode(message)
    # an exception ends before or after its counter, so a cut of it may be one too
    for end in range(len(content) if message.operation is not Operation.EXCEPTION_RESPONSE else 3):
        with pytest.raises(MalformedError):
            xdlms.decode(content[:end])
    with pytest.raises(MalformedError):
        xdlms.decode(content + b"\x01")


@given(st.sampled_from(sorted(xdlms.TAGS)), st.integers(0, 7), st.binary(max_size=120))
def test_any_bytes_are_a_message_or_malformed(tag, form, noise):
    try:
        message = xdlms.decode(bytes([tag, form]) + noise)
    except MalformedError:
        return
    assert isinstance(message, Apdu)


def test_the_rows_of_a_day_are_asked_for():
    zone = timezone(timedelta(hours=1))
    target = xdlms.rows_between(CODE, datetime(2026, 3, 1, 6, tzinfo=zone), datetime(2026, 3, 2, 6, tzinfo=zone))
    request = Apdu(Operation.GET_REQUEST, Form.NORMAL, 0xC1, (target,))
    assert xdlms.decode(xdlms.encode(request)) == request
    clock, start, end, columns = target.selection.value
    assert [item.value for item in clock.value] == [8, bytes([0, 0, 1, 0, 0, 255]), 2, 0]
    assert axdr.moment(start.value) == "2026-03-01T06:00:00+01:00"
    assert axdr.moment(end.value) == "2026-03-02T06:00:00+01:00"
    assert columns.value == ()


#: Frames of the corpus that are no message, with why.
WRONG = {
    "test_wrong_request_type_raises_valueerror",
    "test_wrong_type_raises_valueerror",
    "test_wrong_tag_raises_valuerror",
    "test_invalid_type_raises_valueerror",
    "test_wrong_length_data_raises_valueerror",
    "test_wrong_tag_raises_value_error",
    "test_wrong_type_raises_value_error",
    "test_request_with_first_block_raises_not_implemented_error",
    "test_set_request_with_block_raises_not_implemented_error",
    "test_set_with_list_raises_not_implemented_error",
    "test_set_request_with_list_first_block_raises_not_implemented_block",
    "test_with_list_raises_notimplemented",
    "test_get_response_with_list_raises_notimplementederror",
}


def test_the_corpus(shared):
    cases = json.loads((shared / "protocols" / "dlms.dev.json").read_text())["cases"]
    read = 0
    for case in cases:
        for value in case["values"]:
            content = bytes.fromhex(value["hex"])
            if not case["licence"].startswith(("MIT", "Apache")) or content[0] not in xdlms.TAGS or len(content) < 6:
                continue
            if case["test"] in WRONG:
                with pytest.raises(MalformedError):
                    xdlms.decode(content)
            else:
                assert xdlms.encode(xdlms.decode(content)) == content, case["id"]
                read += 1
    assert read > 15
