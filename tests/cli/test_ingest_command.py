"""The commands that take readings in, as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys

import polars as pl
import pytest

from citygate.cli import main


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that types a command and gives its exit code, output and messages."""

    def typed(*words):
        monkeypatch.setattr("sys.argv", ["citygate", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        return (ended.value.code or 0, *capsys.readouterr())

    return typed


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "meter,time,index_l\nA,2026-01-01T00:00:00Z,1\nA,2026-01-01T01:00:00Z,1.5\nB,2026-01-01T00:00:00,1\nx\n"
    )
    return path


def test_ingest_tells_counts_and_fails_when_rows_were_not_taken(run, data, tmp_path):
    store = tmp_path / "store"
    code, out, _ = run("ingest", data, "--store", store, "--format", "json")
    told = json.loads(out)
    assert code == 1
    assert told.pop("seconds") >= 0
    assert told == {
        "read": 4,
        "stored": 1,
        "duplicate": 0,
        "revised": 0,
        "refused": {"register_not_whole": 1, "time_naive": 1},
        "unread": 1,
        "meters_registered": 1,
    }
    good = tmp_path / "good.csv"
    good.write_text("meter,time,index_l\nA,2026-01-01T00:00:00Z,1\n")
    code, out, _ = run("ingest", good, "--store", store, "--format", "json")
    assert (code, json.loads(out)["duplicate"]) == (0, 1)
    code, out, _ = run("ingest", good, "--store", store)
    assert code == 0
    assert "duplicate" in out


def test_wrong_usage_names_the_fix(run, data, tmp_path):
    store = tmp_path / "store"
    mapping = tmp_path / "m.toml"
    mapping.write_text('[meter]\ncolum = "x"\n[time]\ncolumn = "t"\n')
    for words, told in (
        (
            ["ingest", data, "--store", store, "--mapping", mapping],
            "meter.colum' in the mapping; did you mean 'column'",
        ),
        (["ingest", tmp_path / "none.csv", "--store", store], "no such file"),
        (["ingest", data], "--store"),
        (["ingest", data, "--store", store, "--mapping", tmp_path / "none.toml"], "does not exist"),
        (["quarantine", "list", "--store", tmp_path / "none"], "citygate init"),
        (["init", store, "--zone", "Mars/Base"], "Mars/Base"),
    ):
        code, _, errors = run(*words)
        assert code == 2
        assert told in errors
    assert not store.exists()


def test_init_quarantine_and_retry(run, data, tmp_path):
    store, meters = tmp_path / "store", tmp_path / "meters.csv"
    meters.write_text("meter,zone,lat\nA,north,52.2\n")
    assert run("init", store, "--zone", "Europe/London", "--gas-day-hour", 5, "--name", "Cambridge")[0] == 0
    assert run("init", store)[0] == 2
    assert run("ingest", data, "--store", store, "--known-meters-only")[0] == 1
    code, out, _ = run("quarantine", "list", "--store", store, "--format", "jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(row["file"], row["row"], row["field"], row["code"]) for row in rows] == [
        (str(data), 3, "index_l", "register_not_whole"),
        (str(data), 4, "at_us", "time_naive"),
        (str(data), 2, "meter", "meter_unknown"),
        (str(data), 5, "", "columns_wrong"),
    ]
    assert "A" in run("quarantine", "show", rows[2]["number"], "--store", store)[1]
    assert run("quarantine", "show", 99, "--store", store)[0] == 2
    assert "1 meters" in run("init", store, "--meters", meters)[1]
    code, out, _ = run("quarantine", "retry", "--store", store, "--format", "json")
    assert (code, json.loads(out)["stored"]) == (1, 1)
    assert run("quarantine", "export", "--store", store, "--output", tmp_path / "out.csv")[0] == 0
    assert pl.read_csv(tmp_path / "out.csv")["code"].sort().to_list() == [
        "columns_wrong",
        "register_not_whole",
        "time_naive",
    ]


def test_suggest_prints_a_mapping_that_works(run, tmp_path):
    path, mapping = tmp_path / "a.csv", tmp_path / "m.toml"
    path.write_text("Zähler;Datum;Stand m3\nX;01.01.2026 00:00;1,5\nX;01.01.2026 01:00;2,25\nX;01.01.2026 02:00;2,25\n")
    code, out, _ = run("ingest", "--suggest", path)
    mapping.write_text(out)
    assert code == 0
    code, out, _ = run("ingest", path, "--store", tmp_path / "store", "--mapping", mapping, "--format", "json")
    assert (code, json.loads(out)["stored"]) == (0, 3)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("time,celsius\n2026-01-01T00:00:00+01:00,3.5\n", 0),
        ("at_us,temperature_mk\n1767222000000000,276650\n", 0),
        ("time,celsius\n2026-01-01T00:00:00,3.5\n", 2),
        ("when,warm\n1,2\n", 2),
    ],
)
def test_weather_is_kept_or_refused_with_what_is_wanted(tmp_path, text, code):
    (tmp_path / "w.csv").write_text(text)
    command = [sys.executable, "-m", "citygate", "init", str(tmp_path / "c"), "--weather", str(tmp_path / "w.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert code == 0 or "[weather_file]" in done.stderr
