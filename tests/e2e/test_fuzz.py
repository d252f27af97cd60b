"""Whatever comes in: no crash, each row counted once, and what was not taken is kept as it came."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from random import Random

import polars as pl
import pytest
from starlette.testclient import TestClient

from citygate.api.app import create_app
from citygate.flow.ingest import Intake, Strangers
from citygate.store.city import City

sys.path.insert(0, str(Path(__file__).parents[1] / "link"))

from workbook import write_workbook

NOW_US = 1_769_904_000_000_000
ROWS = 100_000
REQUESTS = 2_000
COLUMNS = ("meter", "time", "index_l", "volume_l", "energy_wh", "span_s", "flow_lph", "pressure_pa", "temperature_mk")
METERS = [
    "M1",
    "M2",
    "\u03a9",
    "",
    " ",
    None,
    7,
    1.5,
    "'; DROP TABLE meters; --",
    "a" * 300,
    "\x00",
    "\ud7ff",
    "M\u202e",
]
TIMES = [
    "2026-01-01T00:00:00Z", "2026-01-01T00:00:00+01:00", "2026-01-01 00:00", "2026-01-01T24:00:00Z",
    "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789Z", "2026-02-30T00:00:00Z",
    "", None, 0, -1, 2**63, 1e300, "now",
    "2026-01-01T00:00:00+99:99", "\u0662\u0660\u0662\u0666-\u0660\u0661-\u0660\u0661T00:00:00Z",
]  # fmt: skip
NUMBERS = [
    0, 1, 12, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**64, 10**30, 0.5, -0.0, 1e300, "1", "01", "+1", "1.0", "1,5",
    "1e3", "1e999", "NaN", "inf", "-", "", None, True, "12 m3", "3 kWh", "0x1F",
    "\uff11\uff12", "1_000", "\t5 ", [1], {"a": 1},
]  # fmt: skip


def value(name, luck):
    if luck.random() < 0.6:
        return {
            "meter": f"M{luck.randrange(50)}",
            "time": f"2026-01-{luck.randint(1, 28)}T0{luck.randrange(10)}:00:00Z",
        }.get(name, luck.randrange(10**6))
    return luck.choice({"meter": METERS, "time": TIMES}.get(name, NUMBERS))


def row(luck):
    names = ["meter", "time", *luck.sample(COLUMNS[2:], luck.randrange(4))]
    return {name: value(name, luck) for name in names if luck.random() > 0.02}


def bent(line, luck):
    """A line with a few of its bytes changed, lost or doubled; never a new line."""
    body = bytearray(line)
    for _ in range(luck.randrange(3)):
        if body:
            place = luck.randrange(len(body))
            body[place : place + luck.randrange(2)] = bytes(
                [luck.choice(b'",;{}[]\\\x00\xff\xc3 \r-9e')] * luck.randrange(3)
            )
    return bytes(body).replace(b"\n", b" ")


def csv_bytes(rows, luck):
    lines = [",".join("" if item is None else str(item) for item in (r.get(name) for name in COLUMNS)) for r in rows]
    return (
        b"\n".join([",".join(COLUMNS).encode(), *(bent(line.encode("utf-8", "replace"), luck) for line in lines)])
        + b"\n"
    )


def ndjson_bytes(rows, luck):
    return b"\n".join(bent(json.dumps(r).encode(), luck) for r in rows) + b"\n"


def frame_of(rows, luck):
    """Columns of one kind each, as a table of a database would be."""
    kinds = {"text": pl.String, "whole": pl.Int64, "float": pl.Float64, "small": pl.Int16, "unsigned": pl.UInt64}
    columns = {}
    for name in COLUMNS:
        kind = "text" if name in {"meter", "time"} else luck.choice(list(kinds))
        said = [r.get(name) for r in rows]
        if kind == "text":
            columns[name] = pl.Series([None if item is None else str(item) for item in said], dtype=pl.String)
        else:
            plain = [item if isinstance(item, int | float) and abs(item) < 2**63 else None for item in said]
            columns[name] = pl.Series(plain, dtype=pl.Float64, strict=False).cast(kinds[kind], strict=False)
    return pl.DataFrame(columns)


def total(count):
    return count["stored"] + count["duplicate"] + count["revised"] + sum(count["refused"].values()) + count["unread"]


def write_file(folder, kind, rows, luck):
    path = folder / f"fuzz.{kind}"
    if kind == "csv":
        path.write_bytes(csv_bytes(rows, luck))
    elif kind == "ndjson":
        path.write_bytes(ndjson_bytes(rows, luck))
    elif kind == "json":
        path.write_text(json.dumps(rows))
    elif kind == "parquet":
        frame_of(rows, luck).write_parquet(path)
    elif kind == "arrow":
        frame_of(rows, luck).write_ipc(path)
    else:
        cells = [[item if isinstance(item, str | float) else str(item) for item in r.values()] for r in rows]
        clean = [[c.replace("\x00", "") if isinstance(c, str) else c for c in line] for line in cells]
        write_workbook(path, [list(COLUMNS), *(line[: len(COLUMNS)] for line in clean)])
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "rows"),
    [("csv", 30_000), ("ndjson", 30_000), ("json", 15_000), ("parquet", 12_000), ("arrow", 10_000), ("xlsx", 3_000)],
)
def test_fuzzed_files(tmp_path, kind, rows):
    luck = Random(kind)  # noqa: S311 - no secret
    city = City.create(tmp_path / "store")
    path = write_file(tmp_path, kind, [row(luck) for _ in range(rows)], luck)
    for strangers in (Strangers.REFUSE, Strangers.REGISTER):
        intake = Intake(city, lambda: NOW_US, strangers=strangers)
        count, again = intake.ingest(path).as_dict(), intake.ingest(path).as_dict()
        assert count["read"] == total(count)
        assert again["read"] == total(again) == count["read"]
        assert again["stored"] == again["revised"] == 0
        if kind not in {"csv", "ndjson"}:
            assert count["read"] == rows
        else:
            assert rows * 0.99 < count["read"] <= rows
    assert count["stored"] > 0
    held = pl.concat(list(city.quarantine.pages()))
    assert held["raw"].bin.size().min() > 0, "what came is kept"
    assert city.readings.scan(None, -(2**62), 2**62).height == city.readings.commits()["stored"].sum()
    city.rollups.settle()
    city.close()


def test_the_files_hold_a_hundred_thousand_rows():
    marks = {mark.name: mark for mark in test_fuzzed_files.pytestmark}
    assert sum(rows for _, rows in marks["parametrize"].args[1]) == ROWS


def body(rows, luck):
    """A body and its content type, sometimes one that does not belong to it."""
    kind = luck.choice(["csv", "ndjson", "json", "arrow", "noise"])
    if kind == "csv":
        made = csv_bytes(rows, luck), "text/csv"
    elif kind == "ndjson":
        made = ndjson_bytes(rows, luck), "application/x-ndjson"
    elif kind == "json":
        whole = json.dumps(rows if luck.random() < 0.8 else {"readings": rows}).encode()
        made = (whole if luck.random() < 0.7 else bent(whole, luck)), "application/json"
    elif kind == "arrow":
        out = io.BytesIO()
        frame_of(rows, luck).write_ipc_stream(out)
        whole = out.getvalue()
        made = (whole if luck.random() < 0.5 else bent(whole, luck)), "application/vnd.apache.arrow.stream"
    else:
        made = luck.randbytes(luck.randrange(200)), luck.choice(["text/csv", "application/json", "", "x/y", "\x7f"])
    other = luck.choice(["text/csv", "application/json", "application/vnd.apache.arrow.file"])
    return made[0], made[1] if luck.random() < 0.9 else other


@pytest.mark.slow
def test_fuzzed_requests(tmp_path):
    luck = Random(42)  # noqa: S311 - no secret
    city = City.create(tmp_path / "store")
    city.register(pl.DataFrame({"meter": [f"M{k}" for k in range(50)]}))
    kept, answers = 0, {}
    with TestClient(create_app(city, now_us=lambda: NOW_US), base_url="http://127.0.0.1") as client:
        for _ in range(REQUESTS):
            content, media = body([row(luck) for _ in range(luck.randrange(8))], luck)
            answer = client.post("/v1/readings", content=content, headers={"content-type": media.encode()})
            answers[answer.status_code] = answers.get(answer.status_code, 0) + 1
            assert answer.status_code in {200, 400, 413, 415}, (answer.text, content, media)
            told = answer.json()
            if answer.status_code == 200:
                assert told["read"] == total(told), (told, content, media)
                kept += told["stored"]
            else:
                assert told["code"] in {"body_unreadable", "body_too_large", "media_unknown", "column_missing"}
        paths = [f"/v1/{''.join(luck.choices('abmeters/%20?=&.-_0', k=luck.randrange(30)))}" for _ in range(200)]
        assert all(client.get(path).status_code < 500 for path in paths)
    assert answers[200] > REQUESTS / 2
    assert kept == city.readings.commits()["stored"].sum()
    city.close()
