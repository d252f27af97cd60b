"""The ciphers of DLMS, on the examples of the Green Book and of RFC 3394."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.wire import dlms_cipher
from citygate.wire.dlms_cipher import Keys, Opened, Shut

ENCRYPTION = bytes(range(16))
AUTHENTICATION = bytes(range(0xD0, 0xE0))
TITLE = bytes.fromhex("4D4D4D0000BC614E")
KEYS = Keys(ENCRYPTION, AUTHENTICATION, TITLE)
COUNTER = 0x01234567
#: Get-request for the clock, and what the Green Book's example makes of it.
PLAIN = bytes.fromhex("C0010000080000010000FF0200")
SEALED = bytes.fromhex("3001234567411312FF935A47566827C467BC7D825C3BE4A77C3FCC056B6B")


def test_the_example_of_the_green_book():
    assert dlms_cipher.protect(0x30, COUNTER, KEYS, PLAIN) == SEALED
    assert dlms_cipher.unprotect(SEALED, KEYS) == Opened(PLAIN, verified=True)


def test_the_challenge_of_the_green_book():
    keys = Keys(ENCRYPTION, AUTHENTICATION, bytes.fromhex("4D4D4D0000000001"))
    answer = dlms_cipher.answer(bytes.fromhex("503677524A323146"), 1, keys)
    assert answer.hex().upper() == "10000000011A52FE7DD3E72748973C1E28"


@given(st.binary(min_size=8, max_size=64), st.integers(0, 2**32 - 1), st.integers(0, 16), st.integers(0, 7))
def test_only_the_right_answer_proves_a_challenge(challenge, counter, place, bit):
    answered = dlms_cipher.answer(challenge, counter, KEYS)
    assert dlms_cipher.proves(answered, challenge, KEYS)
    assert not dlms_cipher.proves(answered, challenge + b"\0", KEYS)
    assert not dlms_cipher.proves(answered[:-1], challenge, KEYS)
    changed = bytearray(answered)
    changed[place] ^= 1 << bit
    assert not dlms_cipher.proves(bytes(changed), challenge, KEYS)


def test_the_key_wrap_of_rfc_3394():
    master, key = bytes(range(16)), bytes.fromhex("00112233445566778899AABBCCDDEEFF")
    wrapped = dlms_cipher.wrap_key(master, key)
    assert wrapped.hex() == "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"
    assert dlms_cipher.unwrap_key(master, wrapped) == key
    assert dlms_cipher.unwrap_key(key, wrapped) is None
    assert dlms_cipher.unwrap_key(master, b"short") is None


def test_the_corpus(shared):
    for case in json.loads((shared / "protocols" / "dlms_crypto.all.json").read_text()):
        title = bytes.fromhex(case["system_title"])
        keys = Keys(bytes.fromhex(case["ek"]), bytes.fromhex(case["ak"]), title)
        if case["policy"] == "gmac":
            answer = dlms_cipher.answer(bytes.fromhex(case["challenge"]), int(case["ic"], 16), keys)
            assert answer.hex().upper() == case["expected"]
            continue
        content = bytes.fromhex(case["apdu"])[2:]
        opened = dlms_cipher.unprotect(content, keys)
        assert opened == Opened(bytes.fromhex(case["plain"]), verified="auth" in case["policy"])
        assert dlms_cipher.protect(content[0], int(case["ic"], 16), keys, opened.plain) == content


@given(
    st.sampled_from([0, 1, 2]),
    st.sampled_from([0x00, 0x10, 0x20, 0x30]),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=80),
)
def test_messages_go_round(suite, policy, counter, plain):
    width = dlms_cipher.KEY_B[suite]
    keys = Keys(bytes(range(width)), bytes(range(100, 100 + width)), TITLE)
    content = dlms_cipher.protect(policy | suite, counter, keys, plain)
    assert dlms_cipher.unprotect(content, keys) == Opened(plain, verified=bool(policy & 0x10))


@given(st.integers(5, len(SEALED) - 1), st.integers(0, 7))
def test_a_changed_bit_is_refused(place, bit):
    changed = bytearray(SEALED)
    changed[place] ^= 1 << bit
    outcome = dlms_cipher.unprotect(bytes(changed), KEYS)
    assert isinstance(outcome, Shut)
    assert outcome.reason == "mac_wrong"


def test_without_an_authentication_key_nothing_is_verified():
    assert dlms_cipher.unprotect(SEALED, Keys(ENCRYPTION, None, TITLE)) == Opened(PLAIN, verified=False)
    only_proved = dlms_cipher.protect(0x10, COUNTER, KEYS, PLAIN)
    assert isinstance(dlms_cipher.unprotect(only_proved, Keys(ENCRYPTION, None, TITLE)), Shut)


@pytest.mark.parametrize(
    ("content", "keys", "reason"),
    [
        (SEALED[:4], KEYS, "too_short"),
        (SEALED[:10], KEYS, "too_short"),
        (SEALED, Keys(ENCRYPTION, AUTHENTICATION), "key_missing"),
        (SEALED, Keys(bytes(32), bytes(32), TITLE), "key_wrong"),
        (b"\x37" + SEALED[1:], KEYS, "not_supported"),
        (b"\xb0" + SEALED[1:], KEYS, "not_supported"),
    ],
)
def test_why_a_message_stays_shut(content, keys, reason):
    outcome = dlms_cipher.unprotect(content, keys)
    assert isinstance(outcome, Shut)
    assert outcome.reason == reason


def test_protecting_needs_what_it_needs():
    with pytest.raises(ValueError, match="title"):
        dlms_cipher.protect(0x20, 1, Keys(ENCRYPTION), PLAIN)
    with pytest.raises(ValueError, match="authentication"):
        dlms_cipher.answer(PLAIN, 1, Keys(ENCRYPTION, None, TITLE))


def test_keys_written_in_one():
    both = ENCRYPTION + AUTHENTICATION
    assert dlms_cipher.parse_keys(ENCRYPTION, 0) == Keys(ENCRYPTION)
    assert dlms_cipher.parse_keys(both + TITLE, 0) == KEYS
    assert dlms_cipher.parse_keys(both, 2) == Keys(both)
    assert dlms_cipher.parse_keys(both + both + TITLE, 2) == Keys(both, both, TITLE)
    assert dlms_cipher.parse_keys(b"short", 0) is None
    assert "D0" not in repr(KEYS).upper()


@given(st.binary(max_size=60))
def test_any_bytes_have_an_outcome(noise):
    assert isinstance(dlms_cipher.unprotect(noise, KEYS), Opened | Shut)
