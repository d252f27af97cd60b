"""CTR messages: registers, events, an hourly series, any bytes."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.wire import ctr
from citygate.wire.telegram import Basis, Telegram, Unread, Value

IDENTITY = "66554433221100"


def message(structure: int, content: str, function: int = 0x3B) -> bytes:
    data = bytes.fromhex(IDENTITY + content.replace(" ", ""))
    return bytes([0, 0, 0, function, structure, 0]) + data.ljust(128, b"\0") + bytes(6)


def read(frame: bytes) -> Telegram:
    outcome = ctr.decode(frame)
    assert isinstance(outcome, Telegram), outcome
    return outcome


def test_registers_keep_their_basis():
    telegram = read(message(0x33, "0A0A0A0D26 0102 02 0000C350 01 00010000 18 00000001"))
    assert (telegram.serial, telegram.time) == (IDENTITY, "2010-10-10T13:38:00+01:00")
    assert telegram.status == ("battery_low", "temperature_out_of_range")
    assert telegram.values[1] == Value("volume", Decimal("500.00"), "m3", basis=Basis.MEASURED)
    assert telegram.values[2] == Value("volume", Decimal("6553.6"), "m3", basis=Basis.BASE)
    assert telegram.values[3].value is None
    assert telegram.values[3].note


def test_billing_registers():
    total = "02 00000064 "
    content = "0A0A0A0D26 0000 0001 000000 " + 8 * total + "0000 0A0A012800 0000 " + 8 * "03 000003E8 "
    telegram = read(message(0x34, content))
    volumes = [(value.value, value.storage, value.tariff) for value in telegram.values if value.name == "volume"]
    assert volumes == [
        *((Decimal("1.00"), 0, band) for band in range(4)),
        *((Decimal("1.000"), 1, band) for band in range(4)),
    ]
    # an hour of 0x28 = 40 is ten o'clock in summer time
    assert Value("datetime", "2010-10-01T10:00:00+02:00", storage=1) in telegram.values


def test_an_hourly_series_of_flow():
    content = "0D07030836 06 0000 0236 01 0102 0D0701 02 00000064" + "02 0003E8" * 24
    telegram = read(message(0x53, content, 0x21))
    flows = [value for value in telegram.values if value.name == "flow"]
    assert len(flows) == 24
    assert {value.value for value in flows} == {Decimal("10.00")}
    assert Value("datetime", "2013-07-01T07:00:00+01:00", storage=1) in telegram.values


def test_a_closed_frame_of_gprs():
    frame = message(0x33, "0A0A0A0D26 0000")
    assert ctr.decode(b"\x0a" + frame + b"\x0d") == ctr.decode(frame)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "too_short"),
        (message(0x33, "")[:60], "too_short"),
        (message(0x33, "") + b"\0", "too_long"),
        (message(0x33, "", 0xFF), "key_missing"),
        (message(0x33, "", 0x01), "not_a_frame"),
        (message(0x77, ""), "not_supported"),
        (message(0x53, "00", 0x21), "not_supported"),
    ],
)
def test_what_is_not_read_is_named(frame, reason):
    outcome = ctr.decode(frame)
    assert isinstance(outcome, Unread)
    assert outcome.reason == reason


@given(st.binary(max_size=150))
def test_any_bytes_have_an_outcome(noise):
    assert isinstance(ctr.decode(noise), Telegram | Unread)


@given(st.sampled_from([0x33, 0x34, 0x53, 0x56]), st.binary(min_size=134, max_size=134))
def test_any_content_has_an_outcome(structure, noise):
    assert isinstance(ctr.decode(bytes([0, 0, 0, 0x21, structure, 0]) + noise), Telegram | Unread)


def test_the_corpus(shared):
    cases = {case["id"]: case for case in json.loads((shared / "protocols" / "ctr_gas_sms.all.json").read_text())}
    registers = read(bytes.fromhex(cases["ctr/DEC-table"]["hex"]))
    assert registers.serial == cases["ctr/DEC-table"]["call_home_id"]
    assert registers.status == ("mains_missing",)
    left = [(value.value, value.unit or None) for value in registers.values]
    for expected in cases["ctr/DEC-table"]["expected"]:
        if expected["value"] is not None:
            left.remove((Decimal(str(expected["value"])), expected["unit"]))
    events = read(bytes.fromhex(cases["ctr/events"]["hex"])).values
    for place, expected in enumerate(cases["ctr/events"]["expected"], 1):
        told = {value.name: value.value for value in events if value.storage == place}
        assert datetime.fromisoformat(told["datetime"]).timestamp() * 1000 == expected["t_ms"]
        assert told["event_code"] == expected["code"]
        assert told["event"] == expected["text"].lower().replace(" ", "_")
    case = cases["ctr/hourly-flow"]["expected"]
    profile = read(bytes.fromhex(cases["ctr/hourly-flow"]["hex"])).values
    times = [value.value for value in profile if value.name == "datetime"]
    flows = [value for value in profile if value.name == "flow"]
    assert len(times) == len(flows) == case["n"]
    assert datetime.fromisoformat(times[0]).timestamp() * 1000 == case["first_t_ms"]
    assert datetime.fromisoformat(times[-1]).timestamp() * 1000 == case["last_t_ms"]
    assert {(flow.unit, flow.note) for flow in flows} == {("m3/h", "not a valid measurement")}
    assert isinstance(ctr.decode(bytes.fromhex(cases["ctr/callhome-mismatch"]["hex"])), Unread)
