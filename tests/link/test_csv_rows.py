"""Lines of CSV: a broken line costs only itself."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from citygate.link.csv_rows import read_block, read_header
from citygate.reading.mapping import ROW, FileStyle

HEADER = read_header(b"a,b,c\n", FileStyle())


def test_header():
    assert read_header("\ufeffZähler;Wert;Wert;\r\n".encode(), FileStyle()).names == [
        "Zähler",
        "Wert",
        "Wert_2",
        "column_4",
    ]
    assert read_header(b"x\ty\n", FileStyle()).delimiter == "\t"
    assert read_header(b"1,2\n", FileStyle(header=False)).names == ["column_1", "column_2"]


def test_broken_lines():
    block = b'1,2,3\r\n\r\n"x,y",2,3\n1,"2,3\n1,2\n\xff,2,3\n1,2,3,4\n"a""b",,3'
    frame, unread, lines = read_block(block, HEADER, 2)
    assert frame.rows() == [("1", "2", "3", 2), ("x,y", "2", "3", 4), ('a"b', None, "3", 9)]
    assert [(row.row, row.code) for row in unread] == [
        (5, "quote_open"),
        (6, "columns_wrong"),
        (7, "encoding_broken"),
        (8, "columns_wrong"),
    ]
    assert unread[0].raw == b'1,"2,3'
    assert lines == 8


@given(st.binary(max_size=200))
def test_any_bytes_give_each_line_once(block):
    frame, unread, lines = read_block(block, HEADER, 1)
    expected = [row for row, line in enumerate(block.split(b"\n"), 1) if line not in {b"", b"\r"}]
    assert sorted(frame[ROW].to_list() + [row.row for row in unread]) == expected
    assert lines == len(block.split(b"\n")) - (block.endswith(b"\n") or not block)


lines = st.lists(st.sampled_from(["a", '"', '""', ",", "\r", "é", " ", "'", "\t"]), max_size=12).map("".join)


@given(st.lists(lines, max_size=8))
def test_lines_with_quotes_give_each_line_once(parts):
    test_any_bytes_give_each_line_once.hypothesis.inner_test("\n".join(parts).encode())


cells = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=6)


@given(st.lists(st.tuples(cells, cells, cells), max_size=10))
def test_what_a_csv_writer_writes_is_read_back(rows):
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(rows)
    frame, unread, _ = read_block(out.getvalue().encode(), HEADER, 1)
    assert unread == []
    assert [tuple(cell or "" for cell in row[:3]) for row in frame.rows()] == rows
