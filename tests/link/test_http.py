"""Bodies of requests: each row once, or one typed error."""

from __future__ import annotations

import contextlib
import io

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.link.http import ARROW, MEDIA_TYPES, BodyTooLargeError, BodyUnreadableError, MediaUnknownError, decode
from citygate.reading.assemble import assemble
from citygate.reading.mapping import plain_mapping

FRAME = pl.DataFrame({"meter": ["A", "B"], "at_us": [1, 2], "index_l": [3, None]})


def arrow(frame, *, stream):
    out = io.BytesIO()
    if stream:
        frame.write_ipc_stream(out)
    else:
        frame.write_ipc(out, compression="zstd")
    return out.getvalue()


BODIES = {
    "application/json": b'[{"meter":"A","at_us":1,"index_l":3},{"meter":"B","at_us":2}]',
    "application/x-ndjson": b'{"meter":"A","at_us":1,"index_l":3}\n{"meter":"B","at_us":2}\n',
    "text/csv": b"meter,at_us,index_l\nA,1,3\nB,2,\n",
    "application/vnd.apache.arrow.stream": arrow(FRAME, stream=True),
    "application/vnd.apache.arrow.file": arrow(FRAME, stream=False),
}


@pytest.mark.parametrize("media", list(BODIES))
def test_all_forms_say_the_same(media):
    chunk = decode(BODIES[media], f"{media}; charset=utf-8")
    batch, refused = assemble(chunk.frame, plain_mapping())
    assert batch.rows.select("meter", "at_us", "index_l").rows() == [("A", 1, 3), ("B", 2, None)]
    assert (refused.height, len(chunk.unread)) == (0, 0)


def test_refusals():
    with pytest.raises(MediaUnknownError, match="text/csv"):
        decode(b"", "image/png")
    with pytest.raises(BodyTooLargeError, match="10 bytes"):
        decode(b"x" * 11, "text/csv", bytes_max=10)
    with pytest.raises(BodyUnreadableError):
        decode(b"{", "application/json")
    assert decode(b"", "text/csv").count == decode(b"", "application/x-ndjson").count == 0


@given(st.binary(max_size=300), st.sampled_from(MEDIA_TYPES))
def test_any_body_gives_rows_or_one_typed_error(body, media):
    with contextlib.suppress(BodyUnreadableError):
        chunk = decode(body, media)
        batch, refused = assemble(chunk.frame, plain_mapping())
        assert batch.rows.height + refused.height + len(chunk.unread) == chunk.count


@given(st.data())
def test_broken_arrow_gives_rows_or_one_typed_error(data):
    body = bytearray(BODIES[data.draw(st.sampled_from(ARROW))])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BodyUnreadableError):
        chunk = decode(bytes(body[: data.draw(st.integers(0, len(body)))]), ARROW[0])
        assemble(chunk.frame, plain_mapping())
