"""The first rows of a file, for a look at what it holds."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from citygate.link.chunk import no_rows
from citygate.link.files import FileKind, kind_of, open_bytes, read_chunks
from citygate.reading.mapping import FileStyle

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

_HEAD_BYTES = 65_536
_ROWS = 5_000
_FEW_LINES = 40


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of a file, and how its bytes were read."""

    frame: pl.DataFrame
    style: FileStyle


def sample(path: Path) -> Sample:
    """Return the first rows of a file with its encoding, delimiter and header found.

    Raises:
        FileKindError: The ending is not known.
    """
    style = FileStyle()
    if kind_of(path) is FileKind.CSV:
        with open_bytes(path) as file:
            style = _sniff(file.read(_HEAD_BYTES))
    for chunk in read_chunks(path, style):
        return Sample(chunk.frame.head(_ROWS), style)
    return Sample(no_rows(), style)


def _sniff(head: bytes) -> FileStyle:
    encoding = _encoding(head)
    lines = head.decode(encoding, errors="replace").lstrip("\ufeff").splitlines()[:_FEW_LINES]
    lines = lines[:-1] if len(lines) > 1 else lines
    best, most = ",", 1
    for mark in ";\t|,":
        widths = [len(next(csv.reader([line], delimiter=mark), [])) for line in lines if line.strip()]
        # The true mark splits most lines into the same number of fields; a decimal comma does not split the header.
        common = max(set(widths), key=widths.count) if widths else 1
        if common > most and widths.count(common) * 2 > len(widths):
            best, most = mark, common
            break
    skip = next((at for at, line in enumerate(lines) if len(next(csv.reader([line], delimiter=best), [])) == most), 0)
    return replace(FileStyle(), encoding=encoding, delimiter=best, skip_rows=skip)


def _encoding(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        head[: head.rfind(b"\n") + 1 or len(head)].decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"
