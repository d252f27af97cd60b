"""Wired frames, and the records that radio and wire share."""

from __future__ import annotations

import json
import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.wire import cipher, coding, framing, mbus, records
from citygate.wire.framing import WiredFrame
from citygate.wire.telegram import Basis, Function, Telegram, Unread

ANNEX_N = bytes.fromhex("6820206808FD7278563412931533032A0000000C1427048502046D32371F1502FD1700008916")
HEAD = bytes.fromhex("72785634129315330300000000")
#: What the reference prints although the meter marks it as no time, or sends digits that are none.
DIFFERENT = {("REL-Relay-Padpuls2", 1), ("abb_f95", 2), ("abb_f95", 3)}
#: A frame that the reference does not support: only the manufacturer explains its data.
MORE_THAN_THE_REFERENCE = "svm_f22_telegram2"


def one(digits):
    found = records.read(bytes.fromhex(digits))
    assert found.fault is None, found.fault
    (record,) = found.records
    return record.value


def test_the_wired_gas_meter_of_oms_annex_n():
    said = mbus.decode(ANNEX_N)
    assert (said.manufacturer, said.serial, said.version, said.medium) == ("ELS", "12345678", 51, "gas")
    assert said.values[0].value == Decimal("28504.27")
    assert said.time == "2008-05-31T23:50"


@pytest.mark.parametrize(
    ("digits", "name", "value", "unit"),
    [
        ("0413FE8D0100", "volume", "101.886", "m3"),
        ("0C1427048502", "volume", "28504.27", "m3"),
        ("0C1327048582", "volume", "82850.427", "m3"),
        ("0C13270485F2", "volume", "-2850.427", "m3"),
        ("0213FFFF", "volume", "-0.001", "m3"),
        ("07130000000000000080", "volume", "-9223372036854775.808", "m3"),
        ("0513CDCCCC3D", "volume", "0.0001", "m3"),
        ("055B0000B841", "flow_temperature", "23", "Cel"),
        ("0403D2040000", "energy", "1234", "Wh"),
        ("040F01000000", "energy", "10000000", "J"),
        ("03745E0000", "actuality_duration", "94", "s"),
        ("02270200", "operating_time", "172800", "s"),
        ("02FD48EB08", "voltage", "228.3", "V"),
        ("02FDC8FC01EB08", "voltage_l1", "228.3", "V"),
        ("0413 7F000000", "volume", "0.127", "m3"),
        ("04933C01000000", "volume_backward", "0.001", "m3"),
        ("0493FF0101000000", "volume_manufacturer_01", "0.001", "m3"),
        ("04FF0701000000", "manufacturer_07", "1", ""),
        ("0D78 08 3837363534333231", "fabrication_number", "12345678", ""),
        ("0DFD0F C2 3412", "software_version", "1234", ""),
        ("0DFD0F E2 3412", "software_version", "4660", ""),
        ("02FD170800", "error_flags", "8", ""),
    ],
)
def test_a_record_means_what_the_standard_says(digits, name, value, unit):
    found = one(digits)
    assert (found.name, str(found.value), found.unit) == (name, value, unit)


def test_a_unit_in_plain_text():
    found = one("02FC03485225745E0B")
    assert (found.name, found.unit, found.value) == ("plain_text", "%RH", Decimal("29.10"))


@pytest.mark.parametrize(
    ("digits", "wanted"),
    [
        ("426CBF2C", "2021-12-31"),
        ("426C1F11", "2008-01-31"),
        ("426C5D12", None),
        ("426C9D12", "2012-02-29"),
        ("426C0000", None),
        ("426CFFFF", None),
        ("446D32371F15", "2008-05-31T23:50"),
        ("446DB2371F15", None),
        ("446D00265F13", "2010-03-31T06:00"),
        ("446D3B38DF3C", None),
        ("066D1E5C11DA2140", "2022-01-26T17:28:30"),
        ("036D1E1C11", "17:28:30"),
    ],
)
def test_dates_are_those_of_the_calendar(digits, wanted):
    found = one(digits)
    assert found.value == wanted
    assert bool(found.note) == (wanted is None)


def test_storage_tariff_subunit_function_and_basis():
    found = one("C4B101933E01000000")
    assert (found.storage, found.tariff, found.subunit) == (1 | 1 << 1 | 1 << 5, 3, 0)
    assert (found.basis, found.value) == (Basis.BASE, Decimal("0.001"))
    found = one("94401301000000")
    assert (found.subunit, found.function) == (1, Function.MAXIMUM)
    assert one("04933A01000000").basis is Basis.MEASURED


def test_a_meter_that_reports_an_error_gives_no_value():
    found = one("04931500000000")
    assert (found.value, found.note) == (None, "the meter reports no_data_available")


@pytest.mark.parametrize(
    ("digits", "reason"),
    [
        ("04", "record_short"),
        ("0413", "record_short"),
        ("041301", "record_short"),
        ("84", "record_short"),
        ("0493", "record_short"),
        ("0D13", "record_short"),
        ("0DFD0FCA", "record_wrong"),
        ("047C", "record_short"),
        ("047C20", "record_short"),
        ("6F", "record_wrong"),
        ("04" + "93" + "BC" * 11 + "3C00000000", "record_wrong"),
    ],
)
def test_records_that_end_too_soon_or_are_wrong(digits, reason):
    assert records.read(bytes.fromhex(digits)).fault.reason == reason


def test_more_records_in_the_next_telegram_are_joined():
    first = mbus.encode(HEAD + bytes.fromhex("0413010000001F"))
    second = mbus.encode(HEAD + bytes.fromhex("441302000000"))
    assert "more records follow in the next telegram" in mbus.decode(first).notes
    said = mbus.decode(b"\xe5" + first + bytes.fromhex("105B005B16") + second)
    assert [(value.value, value.storage) for value in said.values] == [(Decimal("0.001"), 0), (Decimal("0.002"), 1)]
    other = mbus.encode(HEAD.replace(b"\x78", b"\x79") + bytes.fromhex("441302000000"))
    assert mbus.decode(first + other).reason == "not_one_meter"


def test_the_fixed_structure_of_old_meters():
    body = bytes.fromhex("73010203040000E97E3500000001000000")
    said = mbus.decode(mbus.encode(body))
    assert (said.serial, said.medium) == ("04030201", "water")
    assert [(value.name, value.value, value.unit, value.storage) for value in said.values] == [
        ("volume", Decimal("0.035"), "m3", 0),
        ("volume", Decimal("0.001"), "m3", 1),
    ]


def test_mode_5_on_the_wire():
    key, address = bytes(range(16)), bytes.fromhex("9315785634123303")
    plain = bytes.fromhex("2F2F0C1427048502046D32371F152F2F")
    secret = cipher.encrypt_cbc(key, cipher.start_mode_5(address, 0x2A), plain)
    frame = mbus.encode(bytes.fromhex("7278563412931533032A001005") + secret)
    said = mbus.decode(frame, key)
    assert (said.values[0].value, said.security.verified) == (Decimal("28504.27"), False)
    assert mbus.decode(frame).reason == "key_missing"
    assert mbus.decode(frame, bytes(16)).reason == "key_wrong"


def test_what_the_meter_answers_in_place_of_values():
    said = mbus.decode(bytes.fromhex("68040468080170088116"))
    assert (said.reason, said.detail) == ("application_error", "the meter answers application_busy")


def _same(found, wanted) -> bool:
    if wanted is None:
        return found in (None, "")
    wanted = wanted.replace("Z", "")
    try:
        return abs(Decimal(str(found)) - Decimal(wanted)) <= Decimal("2e-6") * (1 + abs(Decimal(wanted)))
    except ArithmeticError:
        if found is None:
            return "-00" in wanted
        return str(found).replace(" ", "") == wanted.replace(" ", "")[: len(str(found).replace(" ", ""))]


def test_real_meters(shared):
    """Every value of every frame that the reference decodes; what it calls an error is unread."""
    cases = json.loads((shared / "protocols" / "mbus_wired.dev.json").read_text())["cases"]
    compared, wrong = 0, []
    for case in cases:
        if len(case["hex"]) % 2:
            continue
        said = mbus.decode(bytes.fromhex(case["hex"]))
        wanted = case.get("expected_normalized") or case.get("expected")
        if wanted is None or "Error" in wanted["slave"]:
            assert isinstance(said, Unread) or case["id"] == MORE_THAN_THE_REFERENCE, case["id"]
            continue
        assert isinstance(said, Telegram), (case["id"], said)
        if said.manufacturer is not None:
            assert (said.manufacturer, str(said.version)) == (
                wanted["slave"]["Manufacturer"],
                wanted["slave"]["Version"],
            )
        if "expected_normalized" not in case or said.manufacturer is None:
            continue
        for place, (row, value) in enumerate(zip(wanted["records"], said.values, strict=False)):
            if row.get("Value") is None:
                continue
            compared += 1
            if not _same(value.value, row["Value"]) and (case["id"], place) not in DIFFERENT:
                wrong.append((case["id"], place, row["Value"], value.value))
    assert not wrong, str(wrong)
    assert compared > 500


@given(st.binary(max_size=200))
def test_any_bytes_give_a_telegram_or_a_reason(raw):
    assert isinstance(mbus.decode(raw), Telegram | Unread)
    assert isinstance(mbus.decode(mbus.encode(HEAD + raw)), Telegram | Unread)
    assert isinstance(mbus.take_apart(mbus.encode(b"\x73" + raw))[1], Telegram | Unread)


pieces = st.one_of(
    st.just(b"\xe5"),
    st.just(bytes.fromhex("105B005B16")),
    st.binary(min_size=1, max_size=30).map(mbus.encode),
    st.binary(min_size=1, max_size=3),
)


@given(st.lists(pieces, max_size=6).map(b"".join), st.integers(0, 200))
def test_cutting_a_wire_elsewhere_gives_the_same_frames(buffer, place):
    frames = [found for found in framing.split_wired(buffer)[0] if isinstance(found, WiredFrame)]
    first, rest = framing.split_wired(buffer[:place])
    second, _ = framing.split_wired(rest + buffer[place:])
    assert [found for found in first + second if isinstance(found, WiredFrame)] == frames


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-9, 9))
def test_scaling_is_exact(number, exponent):
    assert Decimal(coding.scaled(number, 1, exponent)) == Decimal(number).scaleb(exponent)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_floating_point_number_is_the_shortest_decimal_with_the_same_bits(number):
    raw = struct.pack("<f", number)
    assert struct.pack("<f", float(coding.real(raw))) == raw
