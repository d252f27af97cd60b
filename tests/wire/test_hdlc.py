"""HDLC frames: check sequences, segments, and the law of cutting."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.wire import hdlc
from citygate.wire.hdlc import BrokenFrame, Frame

FRAMES = st.builds(
    Frame,
    target_code=st.integers(0, 127),
    source_code=st.integers(0, 127),
    control_code=st.integers(0, 255),
    information=st.binary(max_size=40),
    more=st.booleans(),
)


def test_the_check_sequence_of_the_standard():
    assert hdlc.checksum_code(b"123456789") == 0x906E  # X-25, the check value of its catalogue entry


@given(FRAMES, st.sampled_from([1, 2, 4]))
def test_frames_go_round(frame, address_b):
    assert hdlc.decode(hdlc.encode(frame, address_b)) == frame


@given(FRAMES, st.integers(0, 2000), st.integers(0, 7))
def test_a_changed_bit_is_seen(frame, place, bit):
    raw = bytearray(hdlc.encode(frame))
    raw[place % len(raw)] ^= 1 << bit
    assert isinstance(hdlc.decode(bytes(raw)), BrokenFrame)


def test_a_frame_that_is_too_long_is_not_written():
    with pytest.raises(ValueError, match="longer"):
        hdlc.encode(Frame(1, 1, 0x13, bytes(2040)))


@given(st.lists(FRAMES, max_size=4), st.binary(max_size=12), st.lists(st.integers(0, 400), max_size=6))
def test_any_cutting_gives_the_same_frames(frames, noise, cuts):
    stream = noise + b"".join(hdlc.encode(frame) + noise[:place] for place, frame in enumerate(frames)) + noise
    whole, rest = hdlc.split(stream)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    got, left = [], b""
    for start, end in pairwise(places):
        pieces, left = hdlc.split(left + stream[start:end])
        got += pieces
    assert (got, left) == (whole, rest)


@given(st.lists(FRAMES, min_size=1, max_size=4))
def test_frames_in_a_row_are_all_found(frames):
    apart = b"".join(hdlc.encode(frame) for frame in frames)
    # two frames in a row may share one flag
    shared = b"\x7e" + b"".join(hdlc.encode(frame)[1:] for frame in frames)
    for stream in (apart, shared, b"\x00noise" + apart):
        pieces, rest = hdlc.split(stream)
        assert [read for read in map(hdlc.decode, pieces) if isinstance(read, Frame)] == frames
        assert rest in (b"", b"\x7e")


@given(st.binary(max_size=120))
def test_any_bytes_are_cut(noise):
    pieces, rest = hdlc.split(noise)
    assert sum(map(len, pieces)) + len(rest) <= len(noise) + len(pieces)
    assert all(isinstance(hdlc.decode(piece), Frame | BrokenFrame) for piece in [*pieces, noise])


def test_a_run_without_a_flag_is_given_up():
    pieces, rest = hdlc.split(bytes(5000))
    assert sum(map(len, pieces)) + len(rest) == 5000
    assert len(rest) < 2100


@given(st.lists(st.binary(max_size=30), max_size=4), st.integers(0, 200))
def test_the_wrapper_goes_round(messages, cut):
    stream = b"".join(hdlc.wrap(message, 1, 16) for message in messages)
    first, rest = hdlc.unwrap(stream[:cut])
    second, rest = hdlc.unwrap(rest + stream[cut:])
    assert (first + second, rest) == (messages, b"")
