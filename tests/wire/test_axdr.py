"""A-XDR items: every type goes round, and no bytes make the reader fail otherwise than by name."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.wire import axdr
from citygate.wire.axdr import Item, MalformedError, Tag


def whole(tag: Tag, low: int, high: int) -> st.SearchStrategy[Item]:
    return st.integers(low, high).map(lambda number: Item(tag, number))


SCALARS = st.one_of(
    st.just(Item(Tag.NULL)),
    st.booleans().map(lambda flag: Item(Tag.BOOLEAN, flag)),
    whole(Tag.INT8, -128, 127),
    whole(Tag.INT16, -(2**15), 2**15 - 1),
    whole(Tag.INT32, -(2**31), 2**31 - 1),
    whole(Tag.INT64, -(2**63), 2**63 - 1),
    whole(Tag.UINT8, 0, 255),
    whole(Tag.UINT16, 0, 2**16 - 1),
    whole(Tag.UINT32, 0, 2**32 - 1),
    whole(Tag.UINT64, 0, 2**64 - 1),
    whole(Tag.ENUM, 0, 255),
    whole(Tag.BCD, 0, 255),
    st.text("01", max_size=20).map(lambda bits: Item(Tag.BIT_STRING, bits)),
    st.binary(max_size=200).map(lambda raw: Item(Tag.OCTETS, raw)),
    st.text(st.characters(codec="latin-1"), max_size=20).map(lambda text: Item(Tag.VISIBLE, text)),
    st.text(max_size=20).map(lambda text: Item(Tag.UTF8, text)),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(lambda x: Item(Tag.FLOAT32, Decimal(x))),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda x: Item(Tag.FLOAT64, Decimal(x))),
    st.binary(min_size=12, max_size=12).map(lambda raw: Item(Tag.DATE_TIME, raw)),
    st.binary(min_size=5, max_size=5).map(lambda raw: Item(Tag.DATE, raw)),
    st.binary(min_size=4, max_size=4).map(lambda raw: Item(Tag.TIME, raw)),
)
ITEMS = st.recursive(
    SCALARS,
    lambda inner: st.builds(Item, st.sampled_from([Tag.ARRAY, Tag.STRUCTURE]), st.lists(inner, max_size=4).map(tuple)),
    max_leaves=12,
)


@given(ITEMS)
def test_items_go_round(item):
    assert axdr.decode(axdr.encode(item)) == item


@pytest.mark.parametrize("count", [0, 127, 128, 255, 256, 70_000])
def test_lengths_go_round(count):
    reader = axdr.Reader(axdr.length_bytes(count))
    assert reader.length() == count
    assert reader.left_b() == 0


def test_a_compact_array_is_an_array():
    shape = "02 02 12 11"  # a structure of an unsigned of two bytes and one of one byte
    content = bytes.fromhex(f"13 {shape} 06 0102 03 0405 06".replace(" ", ""))
    rows = ((0x0102, 0x03), (0x0405, 0x06))
    assert axdr.decode(content) == Item(
        Tag.ARRAY,
        tuple(Item(Tag.STRUCTURE, (Item(Tag.UINT16, first), Item(Tag.UINT8, second))) for first, second in rows),
    )


def test_what_is_no_number_is_nothing():
    assert axdr.decode(axdr.encode(Item(Tag.FLOAT32))) == Item(Tag.FLOAT32)
    assert axdr.decode(bytes.fromhex("177F800000")) == Item(Tag.FLOAT32)
    assert math.isclose(axdr.decode(bytes.fromhex("173DCCCCCD")).value, 0.1, rel_tol=1e-6)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        ("07E40106FF00030000FFC400", "2020-01-06T00:03:00+01:00"),
        ("07E40101FF00030000FF8800", "2020-01-01T00:03:00+02:00"),
        ("07E2020CFF00000000800000", "2018-02-12T00:00:00"),
        ("07E30C1001073B28FF8000FF", "2019-12-16T07:59:40"),
        ("07E70606021F1F1412FF8880", None),
        ("FFFF0101FF00000000800000", None),
        ("07E4021EFF00000000800000", None),
        ("07E40101", None),
    ],
)
def test_moments(octets, text):
    assert axdr.moment(bytes.fromhex(octets)) == text


OFFSETS = st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=OFFSETS))  # noqa: DTZ001 - bounds are bare
def test_moments_go_round(when):
    whole = when.replace(microsecond=when.microsecond // 10_000 * 10_000)
    assert datetime.fromisoformat(axdr.moment(axdr.moment_bytes(when))) == whole


def test_a_bare_time_is_no_moment():
    with pytest.raises(ValueError, match="offset"):
        axdr.moment_bytes(datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused


@pytest.mark.parametrize(
    "content",
    ["", "FF", "0902", "020100"[:4], "1200", "0984FFFFFFFF", "0985", "0100" * 2, "13000000", "1301000000", "01" * 60],
)
def test_what_is_malformed_is_named(content):
    with pytest.raises(MalformedError):
        axdr.decode(bytes.fromhex(content))


def test_deep_trees_are_refused():
    with pytest.raises(MalformedError, match="deep"):
        axdr.decode(b"\x01\x01" * 5000 + b"\x00")
    with pytest.raises(MalformedError, match="deep"):
        axdr.decode(b"\x13" + b"\x02\x01" * 5000 + b"\x11")


def test_a_compact_array_makes_no_more_items_than_the_limit():
    # an array of 65535 nulls for each byte of content
    bomb = bytes.fromhex("13 01FFFF 01FFFF 00 01 00".replace(" ", ""))
    with pytest.raises(MalformedError):
        axdr.decode(bomb)


@given(st.binary(max_size=200))
def test_any_bytes_are_items_or_malformed(noise):
    try:
        item = axdr.decode(noise)
    except MalformedError:
        return
    assert isinstance(item, Item)
