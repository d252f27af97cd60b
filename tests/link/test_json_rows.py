"""JSON rows: digits kept, broken lines counted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.link.json_rows import FIELDS_MAX, read_document, read_lines
from citygate.reading.mapping import ROW


def test_digits_are_kept():
    frame, unread, lines = read_lines(b'{"m": 12.10, "n": 5}\n{"m": 123456789012345678901234567890, "n": null}', 1)
    assert frame.rows() == [("12.10", 5, 1), ("1.234568e+29", None, 2)]
    assert (unread, lines) == ([], 2)


def test_broken_lines_and_items():
    frame, unread, lines = read_lines(b'{"a":1}\n\n[1]\n{"a"\n{"a":true}\n', 5)
    assert frame.rows() == [("1", 5), ("true", 9)]
    assert [(row.row, row.raw) for row in unread] == [(7, b"[1]"), (8, b'{"a"')]
    assert lines == 5
    frame, unread = read_document(b'{"readings": [{"a": 1}, 7]}')
    assert (frame.height, [row.row for row in unread]) == (1, [2])
    assert read_document(b'{"a": 1}')[0].height == 1
    for body in (b"", b"7", b'{"readings": 3}', b"[", b"[" * 100_000):
        with pytest.raises(ValueError, match=r"."):
            read_document(body)


def test_rows_of_a_thousand_names_are_not_readings():
    rows = [{f"f{row}_{at}": 1 for at in range(20)} for row in range(50)]
    frame, unread = read_document(json.dumps(rows).encode())
    assert frame.height + len(unread) == 50
    assert frame.width <= FIELDS_MAX + 1
    assert {row.code for row in unread} == {"fields_many"}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)
objects = st.dictionaries(st.sampled_from(["meter", "time", "index_l", ROW, ""]), values, max_size=4)


@given(
    st.lists(
        st.one_of(objects.map(json.dumps), st.text(max_size=10).map(lambda text: text.replace("\n", " "))), max_size=10
    )
)
def test_each_line_is_counted_once(texts):
    frame, unread, _ = read_lines("\n".join(texts).encode(), 1)
    expected = [row for row, text in enumerate(texts, 1) if text.encode().strip()]
    assert sorted(frame[ROW].to_list() + [row.row for row in unread]) == expected


@given(st.binary(max_size=100))
def test_any_bytes(body):
    read_lines(body, 1)
