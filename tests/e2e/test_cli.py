"""The command line as a user meets it: exit codes, keys and columns, refusals by name, pipes and Ctrl-C."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from typer.testing import CliRunner
from zygote import Zygote

from citygate.cli.main import app

COUNTS = ["read", "stored", "duplicate", "revised", "refused", "unread"]
TOTALS = [
    "period_start",
    "period_end",
    "group",
    "volume_m3",
    "energy_kwh",
    "measured_share",
    "estimated_share",
    "missing_share",
]
ALARM = {"meter", "kind", "from", "to", "at", "statistic", "threshold", "evidence"}
COMMANDS = [
    "init",
    "simulate",
    "ingest",
    "quarantine",
    "validate",
    "query",
    "detect",
    "cases",
    "export",
    "status",
    "serve",
    "demo",
]
COLUMNS = ("meter", "time", "index_l", "volume_l", "energy_wh", "span_s", "flow_lph", "pressure_pa", "temperature_mk")
FAULTS = tomllib.loads((Path(__file__).parents[1] / "golden/faults.toml").read_text(encoding="utf-8"))["fault"]


@pytest.fixture(scope="module")
def cli(tmp_path_factory):
    zygote = Zygote(tmp_path_factory.mktemp("zygote"))
    yield zygote.run
    zygote.close()


def write(path, lines, header="meter,time,index_l"):
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return str(path)


def ingest(cli, store, *args):
    end = cli("ingest", *args, "--store", str(store), "--format", "json")
    counts = json.loads(end.out)
    assert list(counts)[: len(COUNTS)] == COUNTS
    parts = [counts[name] for name in ("stored", "duplicate", "revised", "unread")]
    assert counts["read"] == sum(parts) + sum(counts["refused"].values())
    assert end.code == int(bool(counts["refused"] or counts["unread"]))
    return counts


def totals(cli, store, *args):
    end = cli("query", "totals", "--store", str(store), "--format", "csv", *args)
    assert (end.code, end.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(end.out)))
    assert [name for name in end.out.splitlines()[0].split(",") if name in TOTALS] == TOTALS
    return rows


def hours(day, first, count, start, step, meter="A"):
    """Registers on the hour, local times with the offset that the hour has."""
    base = datetime.fromisoformat(day).replace(hour=first, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
    moments = [(base + timedelta(hours=k)).astimezone(ZoneInfo("Europe/Berlin")).isoformat() for k in range(count)]
    return [f"{meter},{moment},{start + step * k}" for k, moment in enumerate(moments)]


def test_a_repeated_file_is_duplicates_and_a_corrected_one_revisions(cli, tmp_path):
    store = tmp_path / "store"
    rows = hours("2026-01-10", 6, 25, 1_000, 100)
    first = ingest(cli, store, write(tmp_path / "a.csv", rows))
    assert (first["read"], first["stored"], first["meters_registered"]) == (25, 25, 1)
    again = ingest(cli, store, str(tmp_path / "a.csv"))
    assert (again["stored"], again["duplicate"], again["revised"]) == (0, 25, 0)
    (before,) = totals(cli, store, "--by", "gas-day", "--from", "2026-01-10", "--to", "2026-01-11")
    assert (before["group"], float(before["volume_m3"]), float(before["measured_share"])) == ("city", 2.4, 1.0)
    moment = cli("query", "revisions", "--meter", "A", "--store", str(store), "--format", "csv").out
    recorded = max(row["recorded"] for row in csv.DictReader(io.StringIO(moment)))
    time.sleep(1.1)
    corrected = [row.replace(",3400", ",3500") for row in rows]
    assert ingest(cli, store, write(tmp_path / "b.csv", corrected))["revised"] == 1
    (now,) = totals(cli, store, "--by", "gas-day", "--from", "2026-01-10", "--to", "2026-01-11")
    assert float(now["volume_m3"]) == 2.5
    seconds = re.sub(r"(:\d\d)(\.\d+)?([+-])", r"\1\3", recorded)
    later = pl.Series([seconds]).str.to_datetime("%Y-%m-%dT%H:%M:%S%z").dt.offset_by("1s")
    as_of = later.dt.to_string("%Y-%m-%dT%H:%M:%S%:z")[0]
    (old,) = totals(cli, store, "--from", "2026-01-10", "--to", "2026-01-11", "--as-of", as_of)
    assert old == before
    (none,) = [totals(cli, store, "--as-of", "2020-01-01T00:00:00Z")]
    assert not any(float(row["measured_share"]) for row in none)


@pytest.mark.parametrize(("day", "length"), [("2026-03-28", 23), ("2025-10-25", 25), ("2026-02-10", 24)])
def test_the_gas_day_when_the_clock_changes(cli, tmp_path, day, length):
    store = tmp_path / "store"
    ingest(cli, store, write(tmp_path / "a.csv", hours(day, 6, length + 1, 0, 100)))
    (row,) = totals(cli, store, "--by", "gas-day", "--group", "meter", "--from", day, "--to", f"{day}T20:00:00+01:00")
    assert (row["group"], float(row["volume_m3"])) == ("A", length / 10)
    moment = pl.Series([row["period_start"], row["period_end"]]).str.to_datetime("%Y-%m-%dT%H:%M:%S%z")
    assert (moment[1] - moment[0]).total_seconds() == length * 3_600
    assert [row[name][11:16] for name in ("period_start", "period_end")] == ["06:00", "06:00"]
    by_hour = totals(cli, store, "--by", "hour", "--from", row["period_start"], "--to", row["period_end"])
    assert len(by_hour) == length


@pytest.mark.parametrize("group", ["meter", "zone", "provider", "customer-type", "city"])
@pytest.mark.parametrize("by", ["hour", "gas-day", "gas-month"])
def test_every_period_and_group_adds_up_to_the_same(cli, store_of_ten, by, group):
    rows = totals(cli, store_of_ten, "--by", by, "--group", group)
    assert sum(float(row["volume_m3"]) for row in rows) == pytest.approx(10 * 72 * 0.1)


@pytest.fixture(scope="module")
def store_of_ten(cli, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ten")
    rows = [row for k in range(10) for row in hours("2026-01-10", 6, 73, k, 100, f"M{k}")]
    ingest(cli, folder / "store", write(folder / "a.csv", rows))
    return folder / "store"


def test_unknown_meters(cli, tmp_path):
    rows = hours("2026-01-10", 6, 3, 5, 1, "new")
    path = write(tmp_path / "a.csv", rows)
    counts = ingest(cli, tmp_path / "strict", path, "--known-meters-only")
    assert (counts["stored"], counts["refused"]) == (0, {"meter_unknown": 3})
    counts = ingest(cli, tmp_path / "open", path)
    assert (counts["stored"], counts["meters_registered"]) == (3, 1)
    (row,) = totals(cli, tmp_path / "open", "--by", "gas-day", "--group", "zone")
    assert row["group"] == "unassigned"


def test_a_long_register_of_an_unknown_meter_is_taken(cli, tmp_path):
    rows = hours("2026-01-10", 6, 3, 4_000_000_000, 1_000, "big") + hours("2026-01-10", 6, 3, 7, 1, "small")
    assert ingest(cli, tmp_path / "store", write(tmp_path / "a.csv", rows))["stored"] == 6
    later = hours("2026-01-11", 6, 2, 123_456_789, 1, "small")
    assert ingest(cli, tmp_path / "store", write(tmp_path / "b.csv", later))["stored"] == 2


FIXES = [
    ("A,2026-01-10T06:00:00Z,12.5", "register_not_whole", 'unit = "m3"'),
    ("A,2026-01-10T06:00:00,12", "time_naive", 'zone = "Europe/Berlin"'),
    ("A,2026-01-10T06:00:00Z,12 m3", "unit_mismatch", "correct the unit in the mapping"),
]


@pytest.mark.parametrize(("line", "code", "fix"), FIXES)
def test_a_refusal_names_the_fix(cli, tmp_path, line, code, fix):
    counts = ingest(cli, tmp_path / "store", write(tmp_path / "a.csv", [line]))
    assert counts["refused"] == {code: 1}
    shown = cli("quarantine", "list", "--store", str(tmp_path / "store"), "--format", "jsonl")
    row = json.loads(shown.out)
    assert (row["row"], row["code"]) == (2, code)
    assert fix in row["reason"]
    assert row["file"].endswith("a.csv")


def test_a_float_register_of_parquet_is_refused(cli, tmp_path):
    frame = pl.DataFrame({"meter": ["A"], "time": ["2026-01-10T06:00:00Z"], "index_l": [12.0]})
    frame.write_parquet(tmp_path / "a.parquet")
    assert ingest(cli, tmp_path / "store", str(tmp_path / "a.parquet"))["refused"] == {"register_not_whole": 1}


def test_a_column_in_another_unit_is_refused(cli, tmp_path):
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('[meter]\ncolumn="id"\n[time]\ncolumn="t"\n[register]\ncolumn="Stand_m3"\nunit="l"\n')
    path = write(tmp_path / "a.csv", ["A,2026-01-10T06:00:00Z,12"], "id,t,Stand_m3")
    assert ingest(cli, tmp_path / "store", path, "--mapping", str(mapping))["refused"] == {"unit_mismatch": 1}
    mapping.write_text(mapping.read_text().replace('"l"', '"m3"'))
    assert ingest(cli, tmp_path / "store", path, "--mapping", str(mapping))["stored"] == 1
    rows = cli("query", "readings", "--store", str(tmp_path / "store"), "--format", "csv").out
    assert rows.splitlines()[1].split(",")[2] == "12000"


def test_forty_faults_through_the_command(cli, tmp_path):
    """All faults that need no mapping, in one file, each with its code at its line."""
    hung = "1704067200000000,1735689600000000"
    meters = f"meter,zone,qmax_lph,valid_from_us,valid_to_us\nG4,north,6000,,\nG25,north,40000,{hung}\n"
    (tmp_path / "meters.csv").write_text(meters)
    assert cli("init", str(tmp_path / "store"), "--meters", str(tmp_path / "meters.csv")).code == 0
    faults = [fault for fault in FAULTS if "zone" not in fault and fault["name"] != "three minutes ahead"]
    assert len(faults) >= 40
    lines = [fault.get("raw") or ",".join(fault["row"].get(name, "") for name in COLUMNS) for fault in faults]
    path = write(tmp_path / "faults.csv", lines, ",".join(COLUMNS))
    counts = ingest(cli, tmp_path / "store", path, "--known-meters-only")
    assert (counts["read"], counts["stored"]) == (len(faults), 0)
    end = cli("quarantine", "export", "--store", str(tmp_path / "store"), "--format", "jsonl")
    found = {row["row"]: row["code"] for row in map(json.loads, end.out.splitlines())}
    assert found == {line: fault["code"] for line, fault in enumerate(faults, 2)}


def test_wrong_usage_and_missing_things_are_one_line_and_two(cli, tmp_path):
    wrong = [
        (["status", "--store", str(tmp_path / "nowhere")], "no_store"),
        (["ingest", str(tmp_path / "none.csv"), "--store", str(tmp_path / "s")], "no_file"),
        (["ingest", write(tmp_path / "a.csv", ["1,2"], "x,y"), "--store", str(tmp_path / "s")], "column_missing"),
        (["ingest", write(tmp_path / "a.bin", [])], "store_not_named"),
    ]
    for args, code in wrong:
        end = cli(*args)
        assert (end.code, end.out) == (2, ""), end
        assert end.err.endswith(f"[{code}]\n")
        assert end.err.count("\n") == 1
    for args in (["nonsense"], ["query", "totals"], ["query", "totals", "--store", "x", "--by", "year"]):
        assert cli(*args).code == 2
    assert "Traceback" not in cli("ingest", "/proc/self/mem.csv", "--store", str(tmp_path / "s")).err


def test_help_of_every_command():
    told = CliRunner().invoke(app, ["--help"]).output
    for name in COMMANDS:
        assert name in told
        found = CliRunner().invoke(app, [name, "--help"])
        assert found.exit_code == 0
        assert "Usage" in found.output


def test_simulate_then_ingest_then_detect(cli, tmp_path):
    out = tmp_path / "city"
    end = cli("simulate", "--meters", "12", "--days", "3", "--seed", "4", "--out", str(out))
    assert end.code == 0, end.err
    for name in ("readings", "meters", "weather", "truth"):
        assert (out / f"{name}.parquet").is_file()
    again = tmp_path / "again"
    cli("simulate", "--meters", "12", "--days", "3", "--seed", "4", "--out", str(again))
    assert (again / "readings.parquet").read_bytes() == (out / "readings.parquet").read_bytes()
    end = cli("ingest", str(out / "readings.parquet"), "--store", str(tmp_path / "store"), "--format", "json")
    assert json.loads(end.out)["stored"] > 0
    found = cli("detect", "--store", str(tmp_path / "store"), "--format", "jsonl")
    assert found.code in {0, 1}, found.err
    for line in found.out.splitlines():
        assert set(json.loads(line)) >= ALARM


def test_a_reader_that_leaves_early_meets_no_traceback(store_of_ten):
    command = f"{sys.executable} -m citygate query readings --store {store_of_ten} --format csv | head -2"
    end = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert len(end.stdout.splitlines()) == 2
    assert end.stderr == ""


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_130_and_the_command_goes_on(tmp_path):
    path = write(tmp_path / "a.csv", [row for k in range(300) for row in hours("2026-01-01", 6, 700, 0, 10, f"M{k}")])
    small = "from citygate.link import files; files.BYTES_PER_CHUNK = 50_000; import citygate.__main__"
    command = [sys.executable, "-c", small, "ingest", path, "--store", str(tmp_path / "store"), "--format", "json"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "store").glob("readings/commit-*.parquet")):
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err.count("\n")) == (130, "", 1)
    assert err.startswith("citygate: interrupted")


def watching(folder, store):
    command = [sys.executable, "-m", "citygate", "ingest", str(folder), "--watch", "--store", str(store)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def appear(path, wait_s=60.0):
    end = time.monotonic() + wait_s
    while not path.exists():
        assert time.monotonic() < end, f"{path} does not appear"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_watched_folder_takes_each_file_once_through_kills(cli, tmp_path):
    inbox, store = tmp_path / "inbox", tmp_path / "store"
    inbox.mkdir()
    child = watching(inbox, store)
    write(inbox / "a.csv", hours("2026-01-10", 6, 25, 0, 100))
    write(inbox / "wrong.csv", ["1,2"], "x,y")
    write(inbox / "b.csv.part", hours("2026-01-11", 6, 25, 0, 100))
    appear(inbox / "done" / "a.csv")
    appear(inbox / "failed" / "wrong.csv")
    child.kill()
    child.communicate()
    assert (inbox / "b.csv.part").exists()
    (inbox / "b.csv.part").rename(inbox / "b.csv")
    child = watching(inbox, store)
    write(inbox / "a.csv", hours("2026-01-10", 6, 26, 0, 100))
    appear(inbox / "done" / "b.csv")
    appear(inbox / "done" / "a.1.csv")
    os.kill(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=30)
    told = [json.loads(line) for line in out.splitlines()]
    assert [(row["file"], row["stored"], row["duplicate"]) for row in told] == [
        ("a.csv", 1, 25),
        ("b.csv", 24, 0),
    ] or told
    assert "Traceback" not in err
    rows = cli("query", "readings", "--store", str(store), "--format", "csv").out.splitlines()
    assert len(rows) == 1 + 49
