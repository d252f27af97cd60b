"""DLMS messages as telegrams: carriers, ciphers, push lists, gas names, any bytes."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.wire import association, axdr, dlms, dlms_cipher, hdlc, obis, xdlms
from citygate.wire.association import Association, Initiate, Kind
from citygate.wire.axdr import Item, Tag
from citygate.wire.dlms_cipher import Keys
from citygate.wire.hdlc import Frame
from citygate.wire.telegram import Basis, Telegram, Unread, Value
from citygate.wire.xdlms import Apdu, Block, Failure, Form, Operation, Target

BASE = bytes([7, 0, 13, 2, 0, 255])
MEASURED = bytes([7, 1, 11, 0, 2, 255])
CLOCK, SERIAL = bytes([0, 0, 1, 0, 0, 255]), bytes([0, 0, 96, 1, 0, 255])
MOMENT = bytes.fromhex("07E40106FF06000000FFC400")
KEY, TITLE = bytes(range(32)), b"CTG\x00\x00\x00\x01\x02"
KEYS = Keys(KEY[:16], KEY[16:], TITLE)


def raw(code: str) -> bytes:
    return bytes(int(part) for part in code.replace("-", ".").replace(":", ".").split(".")) + b"\xff"


def octets(content: bytes) -> Item:
    return Item(Tag.OCTETS, content)


def number(whole: int) -> Item:
    return Item(Tag.UINT32, whole)


def structure(*parts: Item) -> Item:
    return Item(Tag.STRUCTURE, parts)


def scaler(exponent: int, unit: int) -> Item:
    return structure(Item(Tag.INT8, exponent), Item(Tag.ENUM, unit))


LISTED = Item(
    Tag.ARRAY,
    (
        structure(octets(CLOCK), octets(MOMENT)),
        structure(octets(SERIAL), octets(b"G1234567")),
        structure(octets(BASE), number(123456), scaler(-2, 14)),
        structure(octets(MEASURED), number(987), scaler(0, 13)),
    ),
)


def push(item: Item, time: bytes = b"") -> bytes:
    return xdlms.encode(Apdu(Operation.DATA_NOTIFICATION, Form.NORMAL, 1, items=(item,), time=time))


def framed(message: bytes, part_b: int = 60) -> bytes:
    content = b"\xe6\xe7\x00" + message
    parts = [content[at : at + part_b] for at in range(0, len(content), part_b)]
    return b"".join(hdlc.encode(Frame(1, 16, 0x13, part, more=part is not parts[-1]), 1) for part in parts)


def sealed(message: bytes, counter: int = 7, policy: int = 0x30) -> bytes:
    content = dlms_cipher.protect(policy, counter, KEYS, message)
    return b"\xdb" + bytes([8]) + TITLE + axdr.length_bytes(len(content)) + content


def read(frame: bytes, key: bytes | None = None, counter_min: int = 0) -> Telegram:
    outcome = dlms.decode(frame, key, counter_min)
    assert isinstance(outcome, Telegram), outcome
    return outcome


def registers(telegram: Telegram) -> tuple[Value, ...]:
    return tuple(value for value in telegram.values if value.name == "volume")


GAS = (
    Value("volume", Decimal("1234.56"), "m3", basis=Basis.BASE),
    Value("volume", Decimal(987), "m3", tariff=2, basis=Basis.MEASURED, subunit=1),
)


@pytest.mark.parametrize(
    "carried",
    [push(LISTED), framed(push(LISTED)), framed(push(LISTED), 2000), hdlc.wrap(push(LISTED), 1, 16)],
    ids=["bare", "segments", "one frame", "wrapper"],
)
def test_a_push_of_gas_registers_in_every_carrier(carried):
    telegram = read(carried)
    assert registers(telegram) == GAS
    assert (telegram.medium, telegram.serial, telegram.time) == ("gas", "G1234567", "2020-01-06T06:00:00+01:00")
    assert telegram.security.mode == "none"


def test_codes_and_values_in_turn():
    item = structure(
        Item(Tag.VISIBLE, "List 1"), octets(SERIAL), octets(b"G1"), octets(BASE), number(5), scaler(-1, 14)
    )
    telegram = read(push(item))
    assert (telegram.serial, registers(telegram)[0].value) == ("G1", Decimal("0.5"))
    without = read(push(structure(octets(SERIAL), octets(b"G1"), octets(BASE), number(5))))
    assert registers(without) == (Value("volume", 5, basis=Basis.BASE, note="sent without scaler and unit"),)


def test_descriptors_before_the_values():
    def described(class_code: int, code: bytes) -> Item:
        return structure(Item(Tag.UINT16, class_code), octets(code), Item(Tag.INT8, 2), Item(Tag.UINT16, 0))

    push_setup = bytes([0, 6, 25, 9, 0, 255])
    listed = Item(Tag.ARRAY, (described(40, push_setup), described(8, CLOCK), described(3, BASE)))
    telegram = read(push(structure(listed, octets(MOMENT), number(77))))
    assert telegram.time == "2020-01-06T06:00:00+01:00"
    assert registers(telegram)[0].value == 77


def test_the_rows_of_a_profile():
    rows = Item(Tag.ARRAY, tuple(structure(octets(MOMENT), number(100 + row)) for row in range(3)))
    answer = Apdu(Operation.GET_RESPONSE, Form.NORMAL, 0xC1, items=(rows,))
    values = read(xdlms.encode(answer)).values
    assert Value("datetime", "2020-01-06T06:00:00+01:00", storage=2) in values
    assert [value.value for value in values if value.name == "column_2"] == [100, 101, 102]


def test_a_ciphered_push_is_verified():
    telegram = read(framed(sealed(push(LISTED))), KEY)
    assert registers(telegram) == GAS
    assert (telegram.security.mode, telegram.security.verified) == ("suite 0 (AES-GCM-128), global key", True)
    assert (telegram.manufacturer, telegram.serial) == ("CTG", "G1234567")
    assert Value("invocation_counter", 7) in telegram.values
    assert not read(sealed(push(LISTED)), KEY[:16]).security.verified


@pytest.mark.parametrize(
    ("frame", "key", "counter_min", "reason"),
    [
        (sealed(push(LISTED)), None, 0, "key_missing"),
        (sealed(push(LISTED)), bytes(32), 0, "mac_wrong"),
        (sealed(push(LISTED)), b"short", 0, "key_wrong"),
        (sealed(push(LISTED)), KEY, 8, "replayed"),
        (sealed(push(LISTED))[:-1], KEY, 0, "malformed"),
        (framed(push(LISTED))[:-3], None, 0, "too_short"),
        (b"", None, 0, "too_short"),
        (b"\x42\x42", None, 0, "not_a_frame"),
        (b"\xdd\x00\x00", None, 0, "not_supported"),
        (bytes(70_000), None, 0, "too_long"),
    ],
)
def test_why_a_message_is_not_read(frame, key, counter_min, reason):
    outcome = dlms.decode(frame, key, counter_min)
    assert isinstance(outcome, Unread)
    assert outcome.reason == reason


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_changed_bit_in_a_frame_is_refused(place, bit):
    frame = bytearray(framed(push(LISTED), 2000))
    frame[place % len(frame)] ^= 1 << bit
    assert isinstance(dlms.decode(bytes(frame)), Unread)


def test_blocks_of_a_general_transfer_are_joined():
    message = push(LISTED)
    blocks = [message[:40], message[40:]]
    carried = b"".join(
        hdlc.encode(Frame(1, 16, 0x13, bytes([0xE0, 0xC0 if at else 0x40, 0, at + 1, 0, 0, len(part)]) + part))
        for at, part in enumerate(blocks)
    )
    assert registers(read(carried)) == GAS
    lost = dlms.decode(carried[: carried.index(b"\x7e\x7e") + 1])
    assert isinstance(lost, Unread)


def test_blocks_of_a_long_answer_are_joined():
    whole = axdr.encode(LISTED)
    blocks = [
        Block(1, last=False, raw=whole[:30]),
        Block(2, last=False, raw=whole[30:60]),
        Block(3, last=True, raw=whole[60:]),
    ]
    assert dlms.join(blocks) == LISTED
    for broken, reason in (
        (blocks[:2], "too_short"),
        ([blocks[0], blocks[2]], "block_missing"),
        ([*blocks[:2], Block(3, last=True, raw=b"")], "malformed"),
        ([blocks[0], Block(2, last=True, raw=Failure(15))], "refused"),
        ([], "too_short"),
    ):
        outcome = dlms.join(broken)
        assert isinstance(outcome, Unread)
        assert outcome.reason == reason


def test_an_association_and_what_it_holds():
    agreed = association.encode_initiate(Initiate(response=True, conformance_code=0x001E1D, pdu_b_max=1224))
    plain = association.encode(Association(Kind.AARE, 1, result_code=0, diagnostic_code=0, user=agreed))
    assert Value("pdu_b_max", 1224) in read(plain).values
    secret = dlms_cipher.protect(0x30, 1, KEYS, agreed)
    user = b"\x28" + axdr.length_bytes(len(secret)) + secret
    message = Association(Kind.AARE, 3, 5, TITLE, bytes(8), 0, 14, user=user)
    closed = read(association.encode(message))
    assert closed.notes == ("the initiate message within stays shut: key_missing",)
    opened = read(association.encode(message), KEY + TITLE)
    assert opened.security.verified
    assert (opened.manufacturer, Value("pdu_b_max", 1224) in opened.values) == ("CTG", True)


def test_failures_are_named():
    telegram = read(xdlms.encode(Apdu(Operation.GET_RESPONSE, Form.NORMAL, 0xC1, items=(Failure(4),))))
    assert telegram.status == ("object_undefined",)
    assert read(bytes.fromhex("D80102")).status == ("refused",)
    request = Apdu(Operation.GET_REQUEST, Form.NORMAL, 0xC1, (Target(3, BASE, 2),))
    assert Value("target", "3/7-0:13.2.0/2") in read(xdlms.encode(request)).values


def test_commands_of_the_link():
    assert read(hdlc.encode(Frame(1, 16, 0x93, b""))).values == (Value("link_command", "set_normal_response_mode"),)


@pytest.mark.parametrize(
    ("code", "name", "basis"),
    [
        ("7-0:3.0.0", "volume", Basis.MEASURED),
        ("7-0:13.2.0", "volume", Basis.BASE),
        ("7-0:11.1.0", "volume", Basis.CORRECTED),
        ("7-0:12.0.0", "volume_disturbed", Basis.MEASURED),
        ("7-0:43.0.0", "flow", Basis.MEASURED),
        ("7-0:41.0.0", "temperature", None),
        ("7-0:42.0.0", "pressure", None),
        ("7-0:52.0.22", "conversion_factor", None),
        ("0-1:24.2.1", "volume", None),
        ("0-0:96.1.0", "serial", None),
        ("1-0:1.8.0", "energy_imported", None),
        ("1-0:32.7.0", "1-0:32.7.0", None),
    ],
)
def test_names_of_codes(code, name, basis):
    assert (obis.name(raw(code)), obis.basis(raw(code)), obis.code_text(raw(code))) == (name, basis, code)


@given(st.binary(max_size=200), st.sampled_from([None, KEY, KEY + TITLE, KEY[:16]]))
def test_any_bytes_have_an_outcome(noise, key):
    tags = (b"", b"\x61", b"\xdb\x08" + TITLE, b"\xe0\xc0\x00\x01\x00\x00", b"\x0f\x00\x00\x00\x01\x00", b"\x7e")
    for head in tags:
        assert isinstance(dlms.decode(head + noise, key), Telegram | Unread)
    assert isinstance(dlms.decode(framed(noise, 50), key), Telegram | Unread)
    assert isinstance(dlms.decode(sealed(noise), key), Telegram | Unread)


def test_nested_associations_do_not_exhaust_the_stack():
    user = b"\x01"
    for _ in range(2500):
        user = association.encode(Association(Kind.AARE, 1, user=user))
    assert isinstance(read(user), Telegram)


#: Telegrams of the corpus that are not whole: a wrong check sequence, and a list that ends too early.
BROKEN = {"node-dsmr/dlms/described-list": "crc_wrong", "node-dsmr/dlms/iskra-1": "malformed"}


def test_pushes_of_electricity_meters_in_the_corpus(shared):
    cases = json.loads((shared / "protocols" / "dsmr_p1.dev.json").read_text())["cases"]
    for case in (case for case in cases if case["kind"] == "dlms"):
        key = bytes.fromhex(case["key"] + (case["aad"] or "")) if case.get("key") else None
        outcome = dlms.decode(bytes.fromhex(case["hex"]), key)
        if case["id"] in BROKEN:
            assert isinstance(outcome, Unread)
            assert outcome.reason == BROKEN[case["id"]]
            continue
        assert isinstance(outcome, Telegram), (case["id"], outcome)
        told = {(value.name, value.tariff): value for value in outcome.values}
        for known in case["expected"]["cosem"]["knownObjects"] if "slovenia" not in case["id"] else []:
            code, _, rest = known.partition("(")
            written, _, unit = rest.rstrip(")").partition("*")
            if unit:
                value = told[obis.name(raw(code)), obis.tariff(raw(code))]
                assert value.unit == unit
                # the corpus shows what a float makes of 230.7
                assert abs(value.value - Decimal(written)) < Decimal("1e-9")


def test_ciphered_messages_in_the_corpus(shared):
    for case in json.loads((shared / "protocols" / "dlms_crypto.all.json").read_text()):
        if case["policy"] != "gmac":
            keys = bytes.fromhex(case["ek"] + case["ak"] + case["system_title"])
            telegram = read(bytes.fromhex(case["apdu"]), keys)
            assert Value("target", "8/0-0:1.0.0/2") in telegram.values
            assert telegram.security.verified == ("auth" in case["policy"])
