"""P1 telegrams: checksums, gas behind the electricity meter, both times, any bytes."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.wire import p1
from citygate.wire.telegram import Basis, Telegram, Unread, Value

LINES = (
    "1-3:0.2.8(50)",
    "0-0:1.0.0(240220171000W)",
    "0-0:96.1.1(4530303632303030)",
    "1-0:1.8.1(000565.971*kWh)",
    "0-1:24.1.0(003)",
    "0-1:96.1.0(4730303732)",
    "0-1:24.2.1(240220170500W)(06362.120*m3)",
    "0-1:24.4.0(0)",
    "0-2:24.1.0(007)",
    "0-2:24.2.1(240720170500S)(00872.234*m3)",
)
FRAME = p1.encode("Ene5\\T211", LINES)


def read(frame: bytes) -> Telegram:
    outcome = p1.decode(frame)
    assert isinstance(outcome, Telegram), outcome
    return outcome


def test_both_times_and_the_valve_are_kept():
    telegram = read(FRAME)
    assert (telegram.manufacturer, telegram.serial, telegram.version) == ("ENE", "E0062000", "50")
    assert telegram.time == "2024-02-20T17:10:00+01:00"
    (gas,) = p1.gas_meters(telegram)
    assert (gas.serial, gas.time, gas.medium) == ("G0072", "2024-02-20T17:05:00+01:00", "gas")
    assert gas.values[0] == Value("volume", Decimal("6362.120"), "m3", basis=Basis.TEMPERATURE_CONVERTED)
    assert gas.status == ("valve_closed",)
    water = [value for value in telegram.values if value.subunit == 2]
    assert Value("datetime", "2024-07-20T17:05:00+02:00", subunit=2) in water


def test_a_changed_digit_is_refused():
    outcome = p1.decode(FRAME.replace(b"6362.120", b"6362.121"))
    assert isinstance(outcome, Unread)
    assert outcome.reason == "crc_wrong"


def test_a_missing_checksum_is_refused_from_version_4_on():
    outcome = p1.decode(re.sub(rb"![0-9A-F]{4}", b"!", FRAME))
    assert isinstance(outcome, Unread)
    assert outcome.reason == "crc_missing"
    cut = p1.decode(FRAME[:-10])
    assert isinstance(cut, Unread)
    assert cut.reason == "too_short"


def test_lost_carriage_returns_are_seen():
    assert read(FRAME.replace(b"\r", b"")).notes == ("the carriage returns of the lines were lost on the way",)


def test_a_byte_that_became_utf_8_is_seen():
    frame = p1.encode("FLU5\u00ab7", LINES)
    assert read(frame).notes == ()
    assert read(frame.decode("latin-1").encode()).notes == ("one byte a character became UTF-8 on the way",)


def test_the_older_form_over_two_lines():
    text = (
        "/ISk5\\2MT382\r\n\r\n0-1:24.1.0(3)\r\n"
        "0-1:24.3.0(160410130000)(2C)(60)(1)(0-1:24.2.1)(m3)\r\n(07890.693)\r\n!\r\n"
    )
    (gas,) = p1.gas_meters(read(text.encode()))
    assert gas.time == "2016-04-10T13:00:00"
    assert (gas.values[0].value, gas.values[0].unit) == (Decimal("7890.693"), "m3")
    assert Value("status", "2C") in gas.values


def test_a_clock_that_never_was_is_no_time():
    frame = p1.encode("FLU5\\1", ("0-1:24.1.0(003)", "0-1:24.2.3(632525252525W)(00000.000)"))
    volume, moment = read(frame).values[1:]
    assert (volume.value, volume.unit, volume.basis) == (Decimal("0.000"), "", Basis.MEASURED)
    assert moment.value is None
    assert moment.note


@given(st.lists(st.integers(0, 3 * len(FRAME)), max_size=6))
def test_any_cutting_gives_the_same_frames(cuts):
    stream = b"noise" + FRAME + FRAME[:100] + b"\n" + FRAME + b"/ISk5"
    whole, rest = p1.split(stream)
    assert b"".join(whole) + rest == stream
    places = [0, *sorted(cuts), len(stream)]
    got, left = [], b""
    for start, end in pairwise(places):
        frames, left = p1.split(left + stream[start:end])
        got += frames
    assert (got, left) == (whole, rest)
    assert sum(isinstance(p1.decode(frame), Telegram) for frame in got) == 2


def test_a_run_without_an_end_is_given_up():
    frames, rest = p1.split(b"/" + b"a" * (2 * p1.LENGTH_B_MAX))
    assert [len(frame) for frame in frames] == [p1.LENGTH_B_MAX, p1.LENGTH_B_MAX]
    assert rest == b"a"
    assert isinstance(p1.decode(b"/" + b"a" * p1.LENGTH_B_MAX), Unread)


@given(st.binary(max_size=300))
def test_any_bytes_have_an_outcome(noise):
    assert isinstance(p1.decode(noise), Telegram | Unread)
    assert isinstance(p1.decode(b"/ABC5\r\n\r\n" + noise), Telegram | Unread)


@given(st.integers(0, len(FRAME) - 1), st.binary(max_size=8))
def test_any_change_has_an_outcome(place, noise):
    assert isinstance(p1.decode(FRAME[:place] + noise + FRAME[place + len(noise) :]), Telegram | Unread)


@given(st.text(max_size=200))
def test_any_text_has_an_outcome(text):
    assert isinstance(p1.decode(("/ABC5\r\n\r\n0-1:24.2.1" + text).encode("utf-8", "replace")), Telegram | Unread)


def claimed(case: dict) -> tuple[bool, Telegram | None]:
    outcome = p1.decode(case["text"].encode())
    return isinstance(outcome, Telegram), outcome if isinstance(outcome, Telegram) else outcome.partial


def test_every_gas_value_of_the_corpus_is_right(shared):
    cases = json.loads((shared / "protocols" / "dsmr_p1.dev.json").read_text())["cases"]
    seen = 0
    for case in (case for case in cases if case["kind"] == "dsmr"):
        _, telegram = claimed(case)
        assert telegram is not None, case["id"]
        volumes = {
            value.subunit: value for value in telegram.values if value.name in ("volume", "energy") and value.subunit
        }
        for line in case["gas_lines"]:
            channel, number = int(line[2]), re.findall(r"\((\d+(?:\.\d+)?)(?:\*\w+)?\)", line)[-1]
            assert volumes[channel].value == Decimal(number), case["id"]
            seen += 1
        for channel, device in ((case.get("expected") or {}).get("mBus") or {}).items():
            assert volumes[int(channel)].value == Decimal(str(device["value"])), case["id"]
            assert volumes[int(channel)].unit == device["unit"]
    assert seen > 0


def test_checksums_of_the_corpus_are_judged(shared):
    cases = json.loads((shared / "protocols" / "dsmr_p1.dev.json").read_text())["cases"]
    judged = {
        case["id"]: (claimed(case)[0], crc["valid"])
        for case in cases
        if case["kind"] == "dsmr" and (crc := ((case.get("expected") or {}).get("dsmr") or {}).get("crc"))
    }
    assert judged
    assert all(ours == theirs for ours, theirs in judged.values()), judged


@pytest.mark.parametrize("text", ["/ABC5\n0-1:24.1.0(" + "1" * 5000 + ")\n", "/ABC5\n\u00b2"])
def test_what_is_cut_off_is_named(text):
    outcome = p1.decode(text.encode())
    assert isinstance(outcome, Telegram | Unread)


@pytest.mark.parametrize("text", ["", "/", "!", "/\n!\n", "/AB5\n!0000\n"])
def test_what_is_no_telegram_is_named(text):
    outcome = p1.decode(text.encode())
    assert isinstance(outcome, Unread)
    assert outcome.reason == "not_a_frame"
