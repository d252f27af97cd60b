"""CJ/T 188 frames: readings, valves, both orders of the data identifier, any bytes."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.wire import cjt188
from citygate.wire.telegram import Telegram, Unread, Value

CLOCK = bytes.fromhex("59302331122620")
SERIAL = "23051509012600"


def reading(identifier: str, status: str = "0000", volume: str = "78563412") -> bytes:
    content = f"{identifier}04{volume}2C000100002C{CLOCK.hex()}{status}"
    return cjt188.encode(0x30, SERIAL, 0x81, bytes.fromhex(content))


def read(frame: bytes) -> Telegram:
    outcome = cjt188.decode(frame)
    assert isinstance(outcome, Telegram), outcome
    return outcome


def said(telegram: Telegram) -> dict[str, object]:
    return {value.name: value.value for value in telegram.values}


@pytest.mark.parametrize(("identifier", "version"), [("901F", "2004"), ("1F90", "2018")])
def test_a_gas_reading_in_both_editions(identifier, version):
    telegram = read(b"\xfe\xfe" + reading(identifier))
    assert (telegram.serial, telegram.medium, telegram.version) == (SERIAL, "gas", version)
    assert telegram.time == "2026-12-31T23:30:59"
    assert Value("volume", Decimal("123456.78"), "m3") in telegram.values
    assert Value("volume", Decimal("1.00"), "m3", storage=1) in telegram.values
    assert said(telegram)["valve"] == "open"


@pytest.mark.parametrize(
    ("status", "names", "valve"),
    [
        ("0100", ("valve_closed",), "closed"),
        ("0700", ("valve_fault", "battery_low"), "fault"),
        ("2000", ("manufacturer_bit_5",), "open"),
        ("0200", ("valve_unknown",), None),
        ("0080", ("manufacturer_bit_15",), "open"),
    ],
)
def test_status_bits(status, names, valve):
    telegram = read(reading("901F", status))
    assert telegram.status == names
    assert said(telegram)["valve"] == valve


@pytest.mark.parametrize(("order", "name"), [("55", "open"), ("99", "close"), ("00", "ask"), ("42", "42")])
@pytest.mark.parametrize("identifier", ["A017", "17A0"])
def test_valve_orders(order, name, identifier):
    telegram = read(cjt188.encode(0x30, SERIAL, 0x04, bytes.fromhex(identifier + "01" + order)))
    assert said(telegram)["valve_order"] == name
    assert said(telegram)["operation"] == "write_request"


@pytest.mark.parametrize(
    ("rest", "time", "valve"),
    [
        ("785634122C", None, None),
        ("785634122C0100", None, "closed"),
        ("785634120100", None, "closed"),
        ("785634122C000100002C", None, None),
        ("785634122C000100002C0100", None, "closed"),
        ("785634122C593023311226200100", "2026-12-31T23:30:59", "closed"),
        ("785634122C000100002C59302331122620", "2026-12-31T23:30:59", None),
    ],
)
def test_shorter_readings(rest, time, valve):
    telegram = read(cjt188.encode(0x30, SERIAL, 0x81, bytes.fromhex("901F01" + rest)))
    told = next(value for value in telegram.values if value.name == "volume")
    assert told.value == Decimal("123456.78")
    assert told.unit == ("" if len(rest) == 12 else "m3")
    assert (telegram.time, said(telegram).get("valve")) == (time, valve)


def test_digits_that_are_none_give_no_volume():
    value = next(value for value in read(reading("901F", volume="FFFFFFFF")).values if value.name == "volume")
    assert value.value is None
    assert value.note


@given(st.integers(0, 99_999_999))
def test_volumes_go_round(centi):
    frame = reading("901F", volume=f"{centi:08d}"[6:8] + f"{centi:08d}"[4:6] + f"{centi:08d}"[2:4] + f"{centi:08d}"[:2])
    assert next(value.value for value in read(frame).values if value.name == "volume") == Decimal(centi).scaleb(-2)


def test_a_changed_bit_is_refused():
    frame = bytearray(reading("901F"))
    frame[15] ^= 1
    outcome = cjt188.decode(bytes(frame))
    assert isinstance(outcome, Unread)
    assert outcome.reason == "crc_wrong"


@given(st.binary(max_size=80))
def test_any_bytes_have_an_outcome(noise):
    assert isinstance(cjt188.decode(noise), Telegram | Unread)
    assert isinstance(cjt188.decode(cjt188.encode(0x30, SERIAL, 0x81, noise)), Telegram)
    assert isinstance(cjt188.decode(cjt188.encode(0x10, SERIAL, 0xC1, noise)), Telegram)


@given(st.integers(0, 0xFF), st.sampled_from(["901F", "D121", "A017", "810A"]), st.binary(max_size=25))
def test_any_content_has_an_outcome(control, identifier, noise):
    content = bytes.fromhex(identifier) + noise
    assert isinstance(cjt188.decode(cjt188.encode(0x30, SERIAL, control, content)), Telegram)


OPERATIONS = {
    "read data response": "read_response",
    "read data response (heat)": "read_response",
    "read error response": "read_error",
    "read request": "read_request",
    "broadcast read": "read_request",
    "read address response": "read_address_response",
}
ORDERS = {
    "read valve state": "ask",
    "force open": "open",
    "force close": "close",
    "free open": "open_freely",
    "free close": "close_freely",
}


def test_the_corpus(shared):
    cases = json.loads((shared / "protocols" / "cjt188.dev.json").read_text())["cases"]
    assert cases
    for case in cases:
        expected, telegram = case["expected"], read(bytes.fromhex(case["hex"]))
        told = said(telegram)
        if expected["op"] in ORDERS:
            assert told["valve_order"] == ORDERS[expected["op"]]
        else:
            assert told["operation"] == OPERATIONS[expected["op"]]
        if "di" in expected:
            assert told["data_identifier"] in (expected["di"], expected["di"][2:] + expected["di"][:2])
        volume = next((value for value in telegram.values if value.name == "volume" and not value.storage), None)
        if "value" in expected:
            assert str(volume.value) == expected["value"]
        if "value_m3" in expected:
            assert (volume.value, volume.unit) == (Decimal(str(expected["value_m3"])), "m3")
