"""Files in chunks: any kind, any cut, each row once."""

from __future__ import annotations

import gzip

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.link import files
from citygate.link.files import FileKindError, NoFileError, find_files, read_chunks
from citygate.reading.mapping import ROW, FileStyle

ROWS = [(f"M{row}", "2026-01-01T00:00:00Z", row * 10) for row in range(1000)]
FRAME = pl.DataFrame(ROWS, schema=["meter", "time", "index_l"], orient="row")


def write(folder, kind):
    path = folder / f"rows.{kind}"
    match kind:
        case "csv":
            FRAME.write_csv(path)
        case "csv.gz":
            path.write_bytes(gzip.compress(FRAME.write_csv().encode()))
        case "ndjson":
            FRAME.write_ndjson(path)
        case "json":
            FRAME.write_json(path)
        case "parquet":
            FRAME.write_parquet(path)
        case "arrow":
            FRAME.write_ipc(path)
    return path


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "ndjson", "json", "parquet", "arrow"])
def test_chunks_are_the_same_each_time_and_can_be_skipped(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(files, "BYTES_PER_CHUNK", 5_000)
    monkeypatch.setattr(files, "NDJSON_BYTES_PER_CHUNK", 9_000)
    monkeypatch.setattr(files, "ROWS_PER_CHUNK", 130)
    path = write(tmp_path, kind)
    chunks = list(read_chunks(path, FileStyle()))
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
    assert len(chunks) > 3 or kind == "json"
    rows = pl.concat([chunk.frame.select("meter", pl.col("index_l").cast(pl.Int64), ROW) for chunk in chunks])
    assert rows["meter"].to_list() == [meter for meter, _, _ in ROWS]
    first = 2 if kind.startswith("csv") else 1
    assert rows[ROW].to_list() == list(range(first, first + 1000))
    for skip in range(len(chunks) + 1):
        rest = list(read_chunks(path, FileStyle(), skip))
        assert [chunk.number for chunk in rest] == [chunk.number for chunk in chunks[skip:]]
        assert all(one.frame.equals(other.frame) for one, other in zip(rest, chunks[skip:], strict=True))


@given(
    body=st.binary(max_size=300),
    ending=st.sampled_from(["csv", "csv.gz", "ndjson", "json", "parquet", "arrow", "xlsx"]),
)
def test_any_bytes_in_a_file(tmp_path_factory, body, ending):
    path = tmp_path_factory.getbasetemp() / f"any.{ending}"
    path.write_bytes(body)
    for chunk in read_chunks(path, FileStyle()):
        assert chunk.frame[ROW].null_count() == 0


@pytest.mark.parametrize("kind", ["csv.gz", "parquet", "arrow", "json"])
def test_a_file_that_breaks_off_is_told(tmp_path, kind):
    path = write(tmp_path, kind)
    path.write_bytes(path.read_bytes()[:-200])
    unread = [row for chunk in read_chunks(path, FileStyle()) for row in chunk.unread]
    assert unread[-1].code in {"file_broken", "json_broken"}


def test_encodings_header_and_skipped_lines(tmp_path):
    for encoding in ("cp1252", "utf-16", "utf-8-sig"):
        path = tmp_path / f"{encoding}.csv"
        path.write_bytes("Export von heute\n\nZähler;Wert\r\nÄ1;1,5\r\n".encode(encoding))
        (chunk,) = read_chunks(path, FileStyle(encoding=encoding, skip_rows=1))
        assert chunk.frame.rows() == [("Ä1", "1,5", 4)]
    path.write_bytes(b"A,1\nB,2\n")
    (chunk,) = read_chunks(path, FileStyle(header=False))
    assert chunk.frame.rows() == [("A", "1", 1), ("B", "2", 2)]


def test_a_line_without_an_end_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BYTES_PER_CHUNK", 100)
    path = tmp_path / "endless.csv"
    path.write_bytes(b"a,b\n1,2\n" + b"x" * 1000)
    assert [row.code for chunk in read_chunks(path, FileStyle()) for row in chunk.unread] == ["line_too_long"]


def test_find_files(tmp_path):
    for name in ("b.csv", "a.parquet", "notes.md", ".hidden.csv", "deep/c.ndjson"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = [path.relative_to(tmp_path).as_posix() for path in find_files([str(tmp_path), str(tmp_path / "b.csv")])]
    assert found == ["a.parquet", "b.csv", "deep/c.ndjson"]
    for name in ("readings", "meters", "truth"):
        (tmp_path / f"deep/{name}.parquet").write_text("")
    assert find_files([str(tmp_path / "deep")]) == [tmp_path / "deep/readings.parquet"]
    assert find_files([str(tmp_path / "*.csv")]) == [tmp_path / "b.csv"]
    with pytest.raises(NoFileError):
        find_files([str(tmp_path / "nothing.csv")])
    with pytest.raises(FileKindError, match=r"\.parquet"):
        find_files([str(tmp_path / "notes.md")])
