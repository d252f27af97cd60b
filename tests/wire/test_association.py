"""Messages of the association: they go round, and public frames read right."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.wire import association
from citygate.wire.association import Association, Initiate, Kind
from citygate.wire.axdr import MalformedError

TITLE = bytes.fromhex("4D4D4D0000BC614E")
MESSAGES = [
    Association(Kind.AARQ, 1, 0, user=b"\x01"),
    Association(Kind.AARQ, 1, 1, secret=b"12345678", user=b"\x01" * 200),
    Association(Kind.AARQ, 3, 5, title=TITLE, secret=bytes(16), user=b"\x21"),
    Association(Kind.AARE, 1, result_code=0, diagnostic_code=0, user=b"\x08"),
    Association(Kind.AARE, 3, 5, TITLE, bytes(16), 0, 14, user=b"\x28"),
    Association(Kind.RLRQ, reason_code=0),
    Association(Kind.RLRE, reason_code=0, user=b"\x08"),
]
PROPOSALS = st.builds(
    Initiate,
    response=st.sampled_from([False]),
    conformance_code=st.integers(0, 2**24 - 1),
    pdu_b_max=st.integers(0, 65535),
    dedicated_key=st.none() | st.binary(min_size=16, max_size=16),
    quality_code=st.none() | st.integers(0, 255),
    response_allowed=st.booleans(),
)
ANSWERS = st.builds(
    Initiate,
    response=st.sampled_from([True]),
    conformance_code=st.integers(0, 2**24 - 1),
    pdu_b_max=st.integers(0, 65535),
    quality_code=st.none() | st.integers(0, 255),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.kind.name)
def test_messages_go_round(message):
    assert association.decode(association.encode(message)) == message


@given(PROPOSALS | ANSWERS)
def test_initiate_messages_go_round(message):
    assert association.decode_initiate(association.encode_initiate(message)) == message


def test_the_corpus(shared):
    cases = json.loads((shared / "protocols" / "dlms.dev.json").read_text())["cases"]
    read = 0
    for case in (case for case in cases if case["licence"].startswith("MIT")):
        for value in case["values"]:
            content = bytes.fromhex(value["hex"])
            if value.get("kind") in ("AARE", "AARQ", "RLRE", "RLRQ"):
                assert association.encode(association.decode(content)) == content, case["id"]
                read += 1
            elif str(value.get("kind")).startswith("initiate") and "initiate" in case["file"]:
                assert association.encode_initiate(association.decode_initiate(content)) == content, case["id"]
                read += 1
    assert read > 8


@given(st.sampled_from(list(Kind)), st.binary(max_size=60))
def test_any_bytes_are_a_message_or_malformed(kind, noise):
    for content in (bytes([kind]) + noise, bytes([kind, len(noise)]) + noise):
        try:
            assert isinstance(association.decode(content), Association)
        except MalformedError:
            continue


@given(st.sampled_from([b"\x01", b"\x08"]), st.binary(max_size=40))
def test_any_bytes_are_an_initiate_message_or_malformed(tag, noise):
    try:
        assert isinstance(association.decode_initiate(tag + noise), Initiate)
    except MalformedError:
        return
