"""Bodies of requests as rows, by their content type."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from citygate.errors import CitygateError
from citygate.link.chunk import Chunk, Unread, no_rows
from citygate.link.csv_rows import read_block, read_header
from citygate.link.files import from_arrow, read_arrow
from citygate.link.json_rows import read_document, read_lines
from citygate.reading.mapping import FileStyle

#: Larger bodies are refused [byte].
BODY_BYTES_MAX = 64 * 2**20
#: Arrow bodies may be packed; unpacked they must stay below this [byte].
TABLE_BYTES_MAX = 512 * 2**20

JSON = ("application/json",)
NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
CSV = ("text/csv",)
ARROW = ("application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file")
MEDIA_TYPES = (*JSON, *NDJSON, *CSV, *ARROW)


class BodyTooLargeError(CitygateError):
    """A body has more bytes than are taken at once."""

    code = "body_too_large"

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        super().__init__(f"the body is larger than {bytes_max} bytes; send it in parts")


class MediaUnknownError(CitygateError):
    """The content type of a body is none of those that are read."""

    code = "media_unknown"

    def __init__(self, content_type: str) -> None:
        self.content_type = content_type
        super().__init__(f"'{content_type}' cannot be read; send one of {', '.join(MEDIA_TYPES)}")


class BodyUnreadableError(CitygateError):
    """A body as a whole is not what its content type says; none of it was taken."""

    code = "body_unreadable"

    def __init__(self, content_type: str, reason: str) -> None:
        self.content_type = content_type
        self.reason = reason
        super().__init__(f"the body is not {content_type}: {reason}")


def decode(body: bytes, content_type: str, source: str = "http", *, bytes_max: int = BODY_BYTES_MAX) -> Chunk:
    """Return the rows of a body.

    Args:
        body: Bytes of the request.
        content_type: One of `MEDIA_TYPES`; parameters such as a charset are ignored, text is UTF-8.
        source: Where it came from, for the quarantine.
        bytes_max: Largest body taken [byte].

    Returns:
        One chunk; broken lines of NDJSON and CSV and items that are no objects are in its ``unread``. A JSON object
        with ``readings`` is a list of readings, another object is one reading. Rows count from 1; in CSV the header is
        line 1.

    Raises:
        BodyTooLargeError: The body, or the table packed in it, is too large.
        MediaUnknownError: The content type is not read.
        BodyUnreadableError: JSON or Arrow that is broken as a whole.
    """
    if len(body) > bytes_max:
        raise BodyTooLargeError(bytes_max)
    media = content_type.split(";", maxsplit=1)[0].strip().lower()
    unread: list[Unread]
    if media in JSON:
        try:
            frame, unread = read_document(body)
        except ValueError as cause:
            raise BodyUnreadableError(media, str(cause)) from cause
    elif media in NDJSON:
        frame, unread, _ = read_lines(body, 1)
    elif media in CSV:
        frame, unread = _csv(body)
    elif media in ARROW:
        frame, unread = _arrow(body, media), []
    else:
        raise MediaUnknownError(content_type)
    return Chunk(source, 0, frame, unread, free=True)


def _csv(body: bytes) -> tuple[pl.DataFrame, list[Unread]]:
    head, _, rest = body.partition(b"\n")
    if not head.strip():
        return no_rows(), []
    frame, unread, _ = read_block(rest, read_header(head, FileStyle()), 2)
    return frame, unread


def _arrow(body: bytes, media: str) -> pl.DataFrame:
    try:
        table = read_arrow(pa.BufferReader(body))
        if table.nbytes > TABLE_BYTES_MAX:
            raise BodyTooLargeError(TABLE_BYTES_MAX)
        return from_arrow(table, 1)
    except (pa.ArrowException, OSError, EOFError, ValueError, OverflowError, pl.exceptions.PolarsError) as cause:
        raise BodyUnreadableError(media, str(cause)) from cause
