"""Radio frames: the standard's examples, real meters, and whatever else may come."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.wire import cipher, framing, wmbus
from citygate.wire.framing import Checksums
from citygate.wire.telegram import Basis, Function, Security, Telegram, Unread, Value
from citygate.wire.wmbus import Protection

KEY_A = bytes.fromhex("0102030405060708090A0B0C0D0E0F11")
KEY_B = bytes(range(16))
ANNEX_N = (
    "2E44931578563412330333637A2A0020255923C95AAA26D1B2E7493BC2AD013EC4A6F6D3529B520EDFF0EA6DEFC955B29D6D69EBF3EC8A"
)
PROFILE_B = (
    "434493157856341233038C2075900F002C25B30A000021924D4F2FB66E017A75002007109058475F4BC91DF878B80A1B0F98B629024AAC7279"
    "42BFC549233C0140829B93"
)
#: Shares of the frames of real meters that give a telegram, by how they are protected and laid out.
REACHED = {
    "plain": 0.92,
    "mode 5": 0.96,
    "AFL": 1.0,
    "ELL short": 1.0,
    "ELL with session": 1.0,
    "manufacturer": 1.0,
    "without header": 1.0,
}


def told(outcome, name):
    assert isinstance(outcome, Telegram), outcome
    return next(value.value for value in outcome.values if value.name == name)


def test_the_gas_meter_of_oms_annex_n_in_mode_5():
    said = wmbus.decode(bytes.fromhex(ANNEX_N), KEY_A)
    assert (said.manufacturer, said.serial, said.version, said.medium) == ("ELS", "12345678", 51, "gas")
    assert told(said, "volume") == Decimal("28504.27")
    assert said.time == "2008-05-31T23:50"
    assert said.security == Security("mode 5 (AES-128-CBC)", verified=False)
    assert any("unverified" in note for note in said.notes)


def test_the_gas_meter_of_oms_annex_n_in_mode_7():
    said = wmbus.decode(bytes.fromhex(PROFILE_B), KEY_B)
    assert told(said, "volume") == Decimal("28504.27")
    assert said.security == Security("mode 7 (AES-128-CBC, AES-CMAC)", verified=True)


@pytest.mark.parametrize(
    ("frame", "volume"),
    [
        (
            "3644E61E32616600020E7250521123E61E3C031B0020652F2F03745E00000413FE8D0100441300000000426C000002FD74B10F0F0100A8",
            "101.886",
        ),
        (
            "3644A511640010253837722550100593158103E70020052F2F0374E602000C137034220302FD74EE0F2F2F2F2F2F2F2F2F2F2F2F2F2F2F",
            "3223.470",
        ),
        ("2E44A5119870659930037A060020052F2F0C933E842784060A3B00000A5A5901C4016D3B37DF2CCC01933E24032606", "6842.784"),
    ],
    ids=["gwf", "elster", "aerius"],
)
def test_three_more_gas_meters(frame, volume):
    said = wmbus.decode(bytes.fromhex(frame))
    assert str(told(said, "volume")) == volume
    assert "the payload was already decrypted on arrival" in said.notes


def test_a_volume_bears_its_basis():
    aerius = "2E44A5119870659930037A060020052F2F0C933E842784060A3B00000A5A5901C4016D3B37DF2CCC01933E24032606"
    said = wmbus.decode(bytes.fromhex(aerius))
    assert [(value.basis, value.storage) for value in said.values if value.name == "volume"] == [
        (Basis.BASE, 0),
        (Basis.BASE, 3),
    ]


@pytest.mark.parametrize(
    ("frame", "key", "reason"),
    [
        (ANNEX_N, None, "key_missing"),
        (ANNEX_N, KEY_B, "key_wrong"),
        (ANNEX_N, b"short", "key_length"),
        (ANNEX_N[:-4] + "0000", KEY_A, "crc_wrong"),
        (ANNEX_N[:-2], KEY_A, "too_short"),
        (PROFILE_B, bytes(16), "mac_wrong"),
        (PROFILE_B.replace("4F2F", "4F3F"), KEY_B, "mac_wrong"),
        (PROFILE_B.replace("9B93", "9B94"), KEY_B, "mac_wrong"),
        (PROFILE_B, None, "key_missing"),
        ("0844931578563412", None, "too_short"),
        ("0D4493157856341233037A2A00", None, "too_short"),
        ("0F449315785634123303780413010203", None, "record_short"),
        ("0F4493157856341233037A2A0010290000", KEY_A, "security_unsupported"),
        ("0F4493157856341233037A2A00100D0000", KEY_A, "security_unsupported"),
        ("0F449315785634123303790102030400", None, "format_unknown"),
        ("0E4493157856341233036C0102030400", None, "too_short"),
    ],
)
def test_why_a_frame_is_unread(frame, key, reason):
    raw = bytes.fromhex(frame)
    said = wmbus.decode(raw, key)
    assert isinstance(said, Unread)
    assert said.reason == reason
    assert said.detail


def test_a_reason_still_says_who_spoke():
    said = wmbus.decode(bytes.fromhex(ANNEX_N))
    assert (said.partial.manufacturer, said.partial.serial, said.partial.values) == ("ELS", "12345678", ())


def test_mode_7_without_an_authentication_code_is_refused():
    layer = bytes.fromhex("7A75002007109058475F4BC91DF878B80A1B0F98B629024AAC727942BFC549233C0140829B93")
    head = bytes.fromhex("44931578563412330300")[:-1]
    frame = bytes([len(head + layer)]) + head + layer
    assert wmbus.decode(frame, KEY_B).reason == "afl_missing"
    afl = bytes.fromhex("9007002825B30A0000")
    frame = bytes([len(head + afl + layer)]) + head + afl + layer
    assert wmbus.decode(frame, KEY_B).reason == "mac_missing"


def test_a_session_of_the_extended_link_layer():
    """Kamstrup meter in frame format B; the payload's checksum proves the key."""
    frame = bytes.fromhex("24442D2C692845631B168D3050209CD621B006B1140AEF4953AE5B86FAFC0B00E70705B846")
    key = bytes.fromhex("4E5508544202058100DFEFA06B0934A5")
    said = wmbus.decode(frame, key)
    assert [value.value for value in said.values if value.name == "volume"] == [Decimal("474.24"), Decimal("473.247")]
    assert wmbus.decode(frame, bytes(16)).reason == "key_wrong"
    assert wmbus.decode(frame).reason == "key_missing"


def test_a_format_learned_from_a_full_frame_reads_the_compact_one():
    body = bytes.fromhex("0413010000000223AB00")
    form = bytes.fromhex("04130223")
    data = bytes.fromhex("01000000AB00")
    head = bytes.fromhex("44931578563412330379")
    signatures = framing.crc16(form).to_bytes(2, "little") + framing.crc16(body).to_bytes(2, "little")
    frame = head + signatures + data
    frame = bytes([len(frame)]) + frame
    assert wmbus.decode(frame).reason == "format_unknown"
    said = wmbus.decode(frame, formats={framing.crc16(form): form})
    assert told(said, "volume") == Decimal("0.001")
    changed = frame[:-1] + b"\x01"
    assert wmbus.decode(changed, formats={framing.crc16(form): form}).reason == "crc_wrong"


def test_full_frames_and_format_frames_teach_the_format():
    head = bytes.fromhex("449315785634123303")
    form = bytes.fromhex("04130223")
    full = head + bytes.fromhex("780413010000000223AB00")
    shown = head + bytes([0x69, 2 + len(form)]) + framing.crc16(form).to_bytes(2, "little") + form
    for frame in (full, shown):
        assert wmbus.learn(bytes([len(frame)]) + frame) == {framing.crc16(form): form}
    damaged = shown[:-1] + b"\x00"
    assert wmbus.learn(bytes([len(damaged)]) + damaged) == {}
    assert wmbus.learn(bytes.fromhex(ANNEX_N)) == {}
    assert len(wmbus.learn(bytes.fromhex(ANNEX_N), KEY_A)) == 1


def test_a_frame_is_taken_apart_without_a_gap():
    parts, said = wmbus.take_apart(bytes.fromhex(ANNEX_N), KEY_A)
    assert isinstance(said, Telegram)
    at_b = 0
    for part in parts:
        assert part.start_b == at_b
        at_b += len(part.raw)
    assert [part.text for part in parts][-3:] == [
        "volume: 28504.27 m3",
        "datetime: 2008-05-31T23:50",
        "error_flags: 0",
    ]


def layer_of(case):
    first = case["ci"][0]
    if int(first, 16) >= 0xA0:
        return "manufacturer"
    if "90" in case["ci"]:
        return "AFL"
    named = {"8C": "ELL short", "8D": "ELL with session", "78": "without header"}.get(first)
    return named or ("mode 5" if case["tpl_sec_mode"] == 5 else "plain")


def test_real_meters(shared):
    cases = json.loads((shared / "protocols" / "wmbus.dev.json").read_text())["cases"]
    cases = [case for case in cases if case["link"] == "wmbus" and case["l_field_ok"]]
    of, read = Counter(), Counter()
    for case in cases:
        key = bytes.fromhex(case["key"]) if case["key"] else None
        said = wmbus.decode(bytes.fromhex(case["hex"]), key)
        of[layer_of(case)] += 1
        read[layer_of(case)] += isinstance(said, Telegram)
        if case["gas"]:
            wanted = Decimal(str(case["expected"]["total_m3"]))
            assert abs(told(said, "volume") - wanted) <= Decimal("1e-6"), case["id"]
            assert said.serial == case["expected"]["id"].upper()
    shares = {layer: read[layer] / of[layer] for layer in of}
    assert {layer for layer in shares if shares[layer] < REACHED[layer]} == set(), shares


def test_vectors_of_the_standard(shared):
    cases = json.loads((shared / "protocols" / "oms_vectors.dev.json").read_text())["cases"]
    for case in cases:
        raw = bytes.fromhex(case["hex"])
        if case["kind"] == "crc_strip":
            known = Checksums.PRESENT if case["contains_crc"] == "true" else Checksums.DETECT
            found = framing.strip(raw, known)
            wanted = case["expected"]["stripped"]
            assert isinstance(found, Unread) == (wanted is None), case["id"]
            if wanted is not None:
                assert found.frame[1:] == bytes.fromhex(wanted)[1:], case["id"]
        elif case["kind"] == "negative":
            key = bytes.fromhex(case["key"]) if case["key"] else None
            assert isinstance(wmbus.decode(raw, key), Unread), case["id"]


values = st.one_of(
    st.builds(
        Value,
        st.just("volume"),
        st.integers(-(2**47), 2**47).flatmap(
            lambda number: st.integers(-6, -1).map(lambda exponent: Decimal(number).scaleb(exponent))
        ),
        st.just("m3"),
        storage=st.integers(0, 2**9),
        tariff=st.integers(0, 63),
        subunit=st.integers(0, 7),
        function=st.sampled_from(Function),
        basis=st.sampled_from([None, Basis.MEASURED, Basis.BASE]),
    ),
    st.builds(Value, st.just("error_flags"), st.integers(0, 2**32 - 1)),
    st.builds(Value, st.just("battery_remaining"), st.integers(-5, 7000), st.just("d")),
    st.builds(
        Value,
        st.just("datetime"),
        st.datetimes(
            min_value=datetime(1981, 1, 1),  # noqa: DTZ001  (a meter's time has no zone)
            max_value=datetime(2080, 12, 31),  # noqa: DTZ001
        ).map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M")),
        storage=st.integers(0, 20),
    ),
    st.builds(
        Value,
        st.just("date"),
        st.dates(min_value=date(1981, 1, 1), max_value=date(2080, 12, 31)).map(str),
        storage=st.integers(1, 20),
    ),
)
telegrams = st.builds(
    Telegram,
    st.just("ELS"),
    st.integers(0, 99_999_999).map(lambda number: f"{number:08}"),
    st.integers(0, 255),
    st.sampled_from(["gas", "water", "gas_converter", "valve"]),
    values=st.lists(values, min_size=1, max_size=7).map(tuple),
    status=st.sampled_from([(), ("low_power",), ("alarm", "permanent_error"), ("temporary_error",)]),
)
protections = st.one_of(
    st.none(),
    st.builds(Protection, st.just(5), st.binary(min_size=16, max_size=16)),
    st.builds(Protection, st.just(7), st.binary(min_size=16, max_size=16), st.integers(0, 2**32 - 1)),
)


@given(
    telegrams,
    st.integers(0, 255),
    protections,
    st.sampled_from([lambda frame: frame, framing.dress_a, framing.dress_b]),
)
def test_what_is_encoded_is_decoded(telegram, access, protection, dress):
    frame = wmbus.encode(telegram, access, protection)
    said = wmbus.decode(dress(frame), protection.key if protection else None)
    assert isinstance(said, Telegram), said
    assert replace(said, time=None, notes=(), security=Security()) == telegram
    assert said.security.verified == (protection is not None and protection.mode == 7)
    if protection:
        assert isinstance(wmbus.decode(dress(frame)), Unread)


@given(st.binary(max_size=300), st.none() | st.binary(min_size=16, max_size=16))
def test_any_bytes_give_a_telegram_or_a_reason(raw, key):
    assert isinstance(wmbus.decode(raw, key), Telegram | Unread)
    assert isinstance(wmbus.take_apart(raw, key)[1], Telegram | Unread)


@given(
    st.sampled_from([0x72, 0x7A, 0x78, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x79, 0x69, 0x70, 0xA0]), st.binary(max_size=120)
)
def test_any_application_gives_a_telegram_or_a_reason(ci, rest):
    head = bytes.fromhex("449315785634123303")
    frame = bytes([len(head) + 1 + len(rest)]) + head + bytes([ci]) + rest
    assert isinstance(wmbus.decode(frame, KEY_A, checksums=Checksums.ABSENT), Telegram | Unread)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_never_read_as_another_volume_in_mode_7(place, change):
    frame = bytearray(bytes.fromhex(PROFILE_B))
    place = 11 + place % (len(frame) - 11)
    frame[place] ^= change
    said = wmbus.decode(bytes(frame), KEY_B, checksums=Checksums.ABSENT)
    if isinstance(said, Telegram) and said.security.verified:
        assert told(said, "volume") == Decimal("28504.27")


def test_the_authentication_code_of_rfc_4493():
    key = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C")
    message = bytes.fromhex("6BC1BEE22E409F96E93D7E117393172A")
    assert cipher.cmac(key, message).hex() == "070a16b46b4d4144f79bdd9dd04a287c"


def in_fragments(frame: bytes, size_b: int) -> list[bytes]:
    """A frame of mode 7 as the same message in fragments: covered fields in the first, the code in the last."""
    head, signed, mac, message = frame[1:13], frame[17:22], frame[22:30], frame[30:]
    pieces = [message[start : start + size_b] for start in range(0, len(message), size_b)]
    frames = []
    for number, piece in enumerate(pieces, start=1):
        last = number == len(pieces)
        control = number | (0 if last else 0x4000) | (0x2800 if number == 1 else 0) | (0x0400 if last else 0)
        fields = control.to_bytes(2, "little") + (signed if number == 1 else b"") + (mac if last else b"")
        body = head + bytes([0x90, len(fields)]) + fields + piece
        frames.append(bytes([len(body)]) + body)
    return frames


@given(st.integers(8, 30), st.sampled_from([lambda frame: frame, framing.dress_a, framing.dress_b]))
def test_a_message_in_fragments_is_put_together(size_b, dress):
    frames = [dress(frame) for frame in in_fragments(bytes.fromhex(PROFILE_B), size_b)]
    said = wmbus.decode(b"".join(frames), KEY_B)
    assert told(said, "volume") == Decimal("28504.27")
    assert said.security.verified
    assert wmbus.decode(frames[0], KEY_B).reason == "fragment"
    assert wmbus.decode(b"".join(frames[:-1]), KEY_B).reason == "fragment"
    assert wmbus.decode(b"".join(frames[::-1]), KEY_B).reason == "fragment"
    assert wmbus.decode(b"".join(frames), bytes(16)).reason == "mac_wrong"
