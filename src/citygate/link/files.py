"""Files of readings, a chunk at a time, in bounded memory."""

from __future__ import annotations

import codecs
import glob
import gzip
import zlib
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import fastexcel
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from citygate.errors import CitygateError
from citygate.link.chunk import RAW_BYTES_MAX, Chunk, Unread, no_rows, numbered
from citygate.link.csv_rows import Header, read_block, read_header
from citygate.link.json_rows import read_document, read_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from citygate.reading.mapping import FileStyle

ROWS_PER_CHUNK = 1_000_000
#: Text is cut into blocks of about this size: near a million short lines [byte].
BYTES_PER_CHUNK = 32 * 2**20
#: NDJSON takes about eight times its size in memory while it is read [byte].
NDJSON_BYTES_PER_CHUNK = 16 * 2**20
#: A JSON document has to be held whole [byte].
DOCUMENT_BYTES_MAX = 256 * 2**20


class FileKind(StrEnum):
    """How a file is written."""

    CSV = "csv"
    NDJSON = "ndjson"
    JSON = "json"
    PARQUET = "parquet"
    ARROW = "arrow"
    EXCEL = "excel"


_KINDS = {
    **dict.fromkeys((".csv", ".txt", ".tsv"), FileKind.CSV),
    **dict.fromkeys((".ndjson", ".jsonl"), FileKind.NDJSON),
    ".json": FileKind.JSON,
    ".parquet": FileKind.PARQUET,
    **dict.fromkeys((".arrow", ".arrows", ".ipc"), FileKind.ARROW),
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".xlsb", ".ods"), FileKind.EXCEL),
}


class FileKindError(CitygateError):
    """The name of a file does not say what is in it."""

    code = "file_kind_unknown"

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path} is of no known kind; known endings are {', '.join(_KINDS)} (text also with .gz)")


def kind_of(path: Path) -> FileKind:
    """Return the kind of a file by its ending.

    Raises:
        FileKindError: The ending is not known.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    kind = _KINDS.get(suffixes[-1]) if suffixes else None
    if kind is None:
        raise FileKindError(path)
    return kind


def cut_of_files() -> str:
    """Return what decides where files are cut into chunks; chunk numbers mean the same only while it is the same."""
    return f"1/{ROWS_PER_CHUNK}/{BYTES_PER_CHUNK}/{NDJSON_BYTES_PER_CHUNK}"


def read_chunks(path: Path, style: FileStyle, skip: int = 0) -> Iterator[Chunk]:
    """Yield the rows of a file in chunks; the same file gives the same chunks each time.

    What cannot be read becomes `Unread`: a line, or the rest of a file that breaks off. Rows are numbered by line in
    text and Excel files (the header is line 1 or later) and from 1 in the others.

    Args:
        path: File of a known kind; text also as .gz.
        style: Delimiter, encoding, sheet and the like.
        skip: Number of first chunks to leave out.

    Raises:
        FileKindError: The ending is not known.
        OSError: The file cannot be opened.
    """
    kind = kind_of(path)
    match kind:
        case FileKind.CSV | FileKind.NDJSON:
            yield from _text_chunks(path, kind, style, skip)
        case FileKind.JSON:
            yield from _document(path, style, skip)
        case FileKind.PARQUET:
            yield from _parquet(path, skip)
        case FileKind.ARROW:
            yield from _arrow(path, skip)
        case FileKind.EXCEL:
            yield from _excel(path, style, skip)


def open_bytes(path: Path) -> IO[bytes]:
    """Return a file, unpacked when it ends with .gz."""
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def _blocks(path: Path, style: FileStyle, block_bytes: int) -> Iterator[bytes | Unread]:
    """Yield a text file as UTF-8 blocks of whole lines; `Unread` with row 0 where it breaks off."""
    decoder = (
        None if style.encoding.lower() in {"utf-8", "utf8"} else codecs.getincrementaldecoder(style.encoding)("replace")
    )
    rest = b""
    with open_bytes(path) as file:
        while True:
            try:
                block = file.read(block_bytes)
            except (EOFError, zlib.error, gzip.BadGzipFile) as cause:
                if rest:
                    yield rest
                yield Unread(0, "file_broken", f"the file breaks off here: {cause}", b"")
                return
            last = len(block) < block_bytes
            if decoder is not None:
                block = decoder.decode(block, final=last).encode()
            rest += block
            if last:
                break
            cut = rest.rfind(b"\n") + 1
            if cut:
                yield rest[:cut]
                rest = rest[cut:]
            elif len(rest) > block_bytes:
                yield Unread(0, "line_too_long", f"no line ends within {block_bytes} bytes", rest[:RAW_BYTES_MAX])
                return
    if rest:
        yield rest


def _text_chunks(path: Path, kind: FileKind, style: FileStyle, skip: int) -> Iterator[Chunk]:
    header: Header | None = None
    row = 1
    number = 0
    size = BYTES_PER_CHUNK if kind is FileKind.CSV else NDJSON_BYTES_PER_CHUNK
    for piece in _blocks(path, style, size):
        if isinstance(piece, Unread):
            yield Chunk(str(path), number, no_rows(), [piece._replace(row=row)], free=True)
            return
        block = piece.removeprefix(b"\xef\xbb\xbf") if row == 1 else piece
        if kind is FileKind.CSV and header is None:
            header, block, row = _take_header(block, style, row)
            if header is None:
                continue
        if number < skip:
            row += block.count(b"\n") + (not block.endswith(b"\n"))
        elif header is not None:
            frame, unread, lines = read_block(block, header, row)
            yield Chunk(str(path), number, frame, unread)
            row += lines
        else:
            frame, unread, lines = read_lines(block, row)
            yield Chunk(str(path), number, frame, unread, free=True)
            row += lines
        number += 1


def _take_header(block: bytes, style: FileStyle, row: int) -> tuple[Header | None, bytes, int]:
    """Return the header, the rest of the block, and the number of the first line of that rest."""
    for line in block.splitlines(keepends=True) if len(block) < RAW_BYTES_MAX else _lines(block):
        if row > style.skip_rows and line.strip():
            header = read_header(line, style)
            return (header, block[len(line) :], row + 1) if style.header else (header, block, row)
        block = block[len(line) :]
        row += 1
    return None, b"", row


def _lines(block: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(block):
        end = block.find(b"\n", start) + 1 or len(block)
        yield block[start:end]
        start = end


def _broken(path: Path, number: int, row: int, cause: BaseException) -> Chunk:
    unread = Unread(row, "file_broken", f"the file cannot be read from here on: {cause}", b"")
    return Chunk(str(path), number, no_rows(), [unread], free=True)


def _document(path: Path, style: FileStyle, skip: int) -> Iterator[Chunk]:
    with open_bytes(path) as file:
        try:
            body = file.read(DOCUMENT_BYTES_MAX + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as cause:
            yield _broken(path, 0, 1, cause)
            return
    if len(body) > DOCUMENT_BYTES_MAX:
        yield _broken(
            path,
            0,
            1,
            ValueError(f"a JSON document over {DOCUMENT_BYTES_MAX} bytes; write NDJSON, one object on each line"),
        )
        return
    if not body.strip():
        return
    try:
        frame, unread = read_document(body.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as cause:
        if body.lstrip()[:1] == b"{" and b"\n" in body.strip():
            yield from _text_chunks(path, FileKind.NDJSON, style, skip)
            return
        raw = body[:RAW_BYTES_MAX]
        yield Chunk(
            str(path), 0, no_rows(), [Unread(1, "json_broken", f"the document is not JSON: {cause}", raw)], free=True
        )
        return
    if not skip:
        yield Chunk(str(path), 0, frame, unread, free=True)


def _parquet(path: Path, skip: int) -> Iterator[Chunk]:
    number, row = 0, 1
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROWS_PER_CHUNK):
                if number >= skip:
                    yield Chunk(str(path), number, from_arrow(pa.Table.from_batches([batch]), row))
                number, row = number + 1, row + batch.num_rows
    except (pa.ArrowException, EOFError) as cause:
        yield _broken(path, number, row, cause)
    except OSError as cause:
        if cause.errno is not None:
            raise
        yield _broken(path, number, row, cause)


def _arrow(path: Path, skip: int) -> Iterator[Chunk]:
    number, row = 0, 1
    try:
        with pa.OSFile(str(path)) as source:
            table = read_arrow(source)
            while row <= table.num_rows:
                piece = table.slice(row - 1, ROWS_PER_CHUNK)
                if number >= skip:
                    yield Chunk(str(path), number, from_arrow(piece, row))
                number, row = number + 1, row + piece.num_rows
    except (pa.ArrowException, EOFError) as cause:
        yield _broken(path, number, row, cause)


def read_arrow(source: pa.NativeFile) -> pa.Table:
    """Return an Arrow IPC file or stream, checked through and through.

    Raises:
        pyarrow.ArrowException: The bytes are no Arrow IPC, or break its rules.
    """
    try:
        table = pa.ipc.open_file(source).read_all()
    except (pa.ArrowException, OSError):
        source.seek(0)
        try:
            table = pa.ipc.open_stream(source).read_all()
        except OSError as cause:
            raise pa.ArrowInvalid(str(cause)) from cause
    table.validate(full=True)
    return table


def from_arrow(table: pa.Table, first_row: int) -> pl.DataFrame:
    """Return the columns of an Arrow table that hold plain values, with the numbers of the rows."""
    kept = [place for place, entry in enumerate(table.schema) if _is_plain(entry.type)]
    names = [table.schema.names[place] for place in kept]
    unique = [place for at, place in enumerate(kept) if names[at] not in names[:at]]
    frame = (
        cast("pl.DataFrame", pl.from_arrow(table.select(unique)))
        if unique
        else pl.DataFrame({"": [None] * table.num_rows})
    )
    return numbered(frame, first_row)


def _is_plain(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return not pa.types.is_nested(kind) and any(bool(check(kind)) for check in _PLAIN)


_PLAIN = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_timestamp,
    pa.types.is_date,
    pa.types.is_decimal128,
    pa.types.is_boolean,
    pa.types.is_null,
)


def _excel(path: Path, style: FileStyle, skip: int) -> Iterator[Chunk]:
    if skip:
        return
    try:
        sheet = fastexcel.read_excel(path).load_sheet(
            style.sheet or 0, header_row=style.skip_rows if style.header else None, dtypes="string"
        )
        frame = sheet.to_polars()
    except fastexcel.FastExcelError as cause:
        yield _broken(path, 0, 1, cause)
        return
    first_row = style.skip_rows + 1 + style.header
    yield Chunk(str(path), 0, numbered(frame, first_row))


class NoFileError(CitygateError):
    """A path or a pattern names no file of readings."""

    code = "no_file"

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{path}: no such file, or no file of readings in this folder")


def find_files(paths: Sequence[str]) -> list[Path]:
    """Return the files that paths, folders and patterns name, in order and each once.

    Of a folder, all files of a known kind in it and below it are taken, sorted by name; hidden ones are not. Of a
    simulated city (``readings.parquet`` beside ``meters.parquet``) only the readings are.

    Raises:
        NoFileError: A path or a pattern names nothing.
        FileKindError: A file that is named itself is of no known kind.
    """
    found: dict[Path, None] = {}
    for text in paths:
        path = Path(text)
        if path.is_dir():
            files = [file for file in sorted(path.rglob("*")) if _is_data(file, path)]
        elif path.exists():
            kind_of(path)
            files = [path]
        else:
            files = [Path(name) for name in sorted(glob.glob(text, recursive=True)) if Path(name).is_file()]  # noqa: PTH207 - patterns may be absolute
        if not files:
            raise NoFileError(text)
        found |= dict.fromkeys(files)
    return list(found)


def _is_data(file: Path, folder: Path) -> bool:
    simulated = (file.parent / "readings.parquet").exists() and (file.parent / "meters.parquet").exists()
    if simulated and file.name != "readings.parquet":
        return False
    if not file.is_file() or any(part.startswith(".") for part in file.relative_to(folder).parts):
        return False
    try:
        kind_of(file)
    except FileKindError:
        return False
    return True
