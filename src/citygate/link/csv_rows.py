"""CSV from blocks of bytes: every physical line is one row, and a broken line costs only itself."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from citygate.link.chunk import RAW_BYTES_MAX, Unread
from citygate.reading.mapping import ROW

if TYPE_CHECKING:
    import numpy.typing as npt

    from citygate.reading.mapping import FileStyle

    Flags = npt.NDArray[np.bool_]
    Places = npt.NDArray[np.int64]

_NEWLINE, _RETURN, _QUOTE = 10, 13, 34
_FIRST_BEYOND_ASCII = 128
_DELIMITERS = ";\t|,"


@dataclass(frozen=True, slots=True)
class Header:
    """Names of the columns, and what stands between them."""

    names: list[str]
    delimiter: str


def read_header(line: bytes, style: FileStyle) -> Header:
    """Return the columns that a first line names; without a header they are column_1, column_2 and so on.

    Two columns of one name become ``name`` and ``name_2``.
    """
    text = line.decode("utf-8", errors="replace").lstrip("\ufeff").rstrip("\r\n")
    delimiter = style.delimiter or _likely(text)
    try:
        cells = next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:
        cells = text.split(delimiter)
    if not style.header:
        return Header([f"column_{place}" for place in range(1, len(cells) + 1)], delimiter)
    names: list[str] = []
    for place, cell in enumerate(cells, 1):
        name = cell.strip() or f"column_{place}"
        again = 2
        while name in names or name == ROW:
            name, again = f"{cell.strip()}_{again}", again + 1
        names.append(name)
    return Header(names, delimiter)


def _likely(text: str) -> str:
    counts = {mark: text.count(mark) for mark in _DELIMITERS}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else ","


def read_block(block: bytes, header: Header, first_row: int) -> tuple[pl.DataFrame, list[Unread], int]:
    """Return the rows of a block of whole lines as columns of text.

    Args:
        block: UTF-8 text, cut at the end of a line.
        header: Columns that each line must have.
        first_row: Line number of the first line.

    Returns:
        The rows with `ROW`; the lines that cannot be read; and the number of lines seen. Blank lines are no rows.
    """
    body = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(body == _NEWLINE)
    if len(body) and (not len(ends) or ends[-1] != len(body) - 1):
        ends = np.append(ends, len(body))
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64) if len(ends) else ends
    lengths = ends - starts
    blank = (lengths == 0) | ((lengths == 1) & (body[np.minimum(starts, max(len(body) - 1, 0))] == _RETURN))
    unread = _Broken(block, starts, ends, first_row)
    odd = _odd_quotes(body, starts, ends)
    unread.add(odd & ~blank, "quote_open", "a quote is opened and not closed in this line")
    count = _count_fields(body, starts, ends, header.delimiter, odd)
    wrong = (count != len(header.names)) & ~blank & ~odd
    unread.add(wrong, "columns_wrong", f"the line has not the {len(header.names)} fields of the header")
    garbled = _not_utf8(block, body, starts, ends) & ~blank & ~odd & ~wrong
    unread.add(
        garbled,
        "encoding_broken",
        'the line is not UTF-8; give the encoding in a mapping, such as encoding = "cp1252" under [file]',
    )
    good = ~(blank | odd | wrong | garbled)
    rows = np.flatnonzero(good) + first_row
    if not len(rows):
        return _empty(header), unread.sorted(), len(ends)
    if not good.all():
        spans = np.minimum(ends + 1, len(body)) - starts
        block = body[np.repeat(good, spans)].tobytes()
    frame, lost = _columns(block, header, rows)
    return frame, unread.sorted() + lost, len(ends)


class _Broken:
    """Lines of a block that cannot be read."""

    def __init__(self, block: bytes, starts: Places, ends: Places, first_row: int) -> None:
        self._block, self._starts, self._ends, self._first_row = block, starts, ends, first_row
        self._found: list[Unread] = []

    def add(self, mask: Flags, code: str, message: str) -> None:
        for place in np.flatnonzero(mask):
            raw = self._block[self._starts[place] : self._ends[place]][:RAW_BYTES_MAX]
            self._found.append(Unread(int(place) + self._first_row, code, message, raw))

    def sorted(self) -> list[Unread]:
        return sorted(self._found)


def _empty(header: Header) -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys(header.names, pl.String()) | {ROW: pl.Int64()})


def _per_line(places: Places, starts: Places, ends: Places) -> Places:
    return np.searchsorted(places, ends) - np.searchsorted(places, starts)


def _odd_quotes(body: npt.NDArray[np.uint8], starts: Places, ends: Places) -> Flags:
    quotes = np.flatnonzero(body == _QUOTE)
    if not len(quotes):
        return np.zeros(len(starts), dtype=np.bool_)
    odd: Flags = _per_line(quotes, starts, ends) % 2 == 1
    return odd


def _count_fields(body: npt.NDArray[np.uint8], starts: Places, ends: Places, delimiter: str, odd: Flags) -> Places:
    marks = np.flatnonzero(body == ord(delimiter))
    quotes = np.flatnonzero(body == _QUOTE)
    if len(quotes):
        if odd.any():
            quotes = quotes[~odd[np.searchsorted(ends, quotes)]]
        # Every line left has an even number of quotes: a mark after an odd number of them stands within quotes.
        marks = marks[np.searchsorted(quotes, marks) % 2 == 0]
    return _per_line(marks, starts, ends) + 1


def _not_utf8(block: bytes, body: npt.NDArray[np.uint8], starts: Places, ends: Places) -> Flags:
    garbled = np.zeros(len(starts), dtype=np.bool_)
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        beyond = _per_line(np.flatnonzero(body >= _FIRST_BEYOND_ASCII), starts, ends)
        for place in np.flatnonzero(beyond):
            try:
                block[starts[place] : ends[place]].decode("utf-8")
            except UnicodeDecodeError:
                garbled[place] = True
    return garbled


def _columns(block: bytes, header: Header, rows: Places) -> tuple[pl.DataFrame, list[Unread]]:
    try:
        frame = pl.read_csv(
            block,
            has_header=False,
            schema=dict.fromkeys(header.names, pl.String()),
            separator=header.delimiter,
            raise_if_empty=False,
        )
    except pl.exceptions.PolarsError:
        frame = _empty(header)
    if frame.height == len(rows):
        return frame.with_columns(pl.Series(ROW, rows, dtype=pl.Int64())), []
    # Some line is split in another way by a strict reader: take the lines one at a time.
    kept: list[list[str | None]] = []
    places: list[int] = []
    lost: list[Unread] = []
    for row, line in zip(rows.tolist(), block.split(b"\n"), strict=False):
        try:
            cells = next(csv.reader([line.decode("utf-8").rstrip("\r")], delimiter=header.delimiter))
        except (csv.Error, StopIteration):
            cells = []
        if len(cells) == len(header.names):
            kept.append([cell or None for cell in cells])
            places.append(row)
        else:
            lost.append(
                Unread(
                    row, "columns_wrong", "the quotes of this line do not enclose whole fields", line[:RAW_BYTES_MAX]
                )
            )
    slow = (
        pl.DataFrame(kept, schema=dict.fromkeys(header.names, pl.String()), orient="row")
        if kept
        else _empty(header).drop(ROW)
    )
    return slow.with_columns(pl.Series(ROW, places, dtype=pl.Int64())), lost
