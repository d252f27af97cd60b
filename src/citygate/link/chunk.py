"""A piece of an input: rows that could be split into columns, and those that could not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from citygate.reading.mapping import ROW

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Of a row that cannot be read no more than this is kept [byte].
RAW_BYTES_MAX = 4_096


class Unread(NamedTuple):
    """A row that could not even be split into columns.

    Attributes:
        row: Its number in the source; the line number in a text file, the header being line 1.
        code: Why; docs/reference/refusals.md lists the codes.
        message: For a person, with what to do.
        raw: Its bytes, cut at `RAW_BYTES_MAX`.
    """

    row: int
    code: str
    message: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of one source, in their order.

    Attributes:
        source: File or channel that they came from.
        number: Place among the chunks of the source, 0 and up; the same when the source is read again.
        frame: Columns as they came, and `ROW` with the number of each row.
        unread: Rows that could not be read.
        free: Whether a column that is absent speaks only of these rows (JSON), not of the source (a table).
    """

    source: str
    number: int
    frame: pl.DataFrame
    unread: Sequence[Unread] = field(default=())
    free: bool = False

    @property
    def count(self) -> int:
        """Number of rows, read and unread."""
        return self.frame.height + len(self.unread)


def numbered(frame: pl.DataFrame, first_row: int) -> pl.DataFrame:
    """Return a frame with the numbers of its rows as `ROW`; columns that hold no plain values are left out."""
    plain = [
        name for name, kind in frame.schema.items() if name != ROW and not kind.is_nested() and kind != pl.Object()
    ]
    return frame.select(plain).with_columns(
        pl.int_range(first_row, first_row + frame.height, dtype=pl.Int64()).alias(ROW)
    )


def no_rows() -> pl.DataFrame:
    """Return a frame without rows or columns but `ROW`."""
    return pl.DataFrame(schema={ROW: pl.Int64()})
