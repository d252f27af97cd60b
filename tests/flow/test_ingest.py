"""From files to the store: each row counted once, through interruptions, repetitions and faults."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import random
import signal
import threading
import time
import tomllib
from pathlib import Path

import killable
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citygate.flow import ingest as flow
from citygate.flow.inbox import watch
from citygate.flow.ingest import IngestCount, Intake, Strangers, ingest
from citygate.flow.retry import retry
from citygate.link import files
from citygate.link.chunk import Chunk
from citygate.link.json_rows import read_lines
from citygate.reading.mapping import ColumnMissingError, parse_mapping
from citygate.store.city import City
from citygate.store.records import DiskFullError

NOW_US = 1_769_904_000_000_000  # 2026-02-01T00:00:00Z
COLUMNS = ("meter", "time", "index_l", "volume_l", "energy_wh", "span_s", "flow_lph", "pressure_pa", "temperature_mk")
FAULTS = tomllib.loads((Path(__file__).parents[1] / "golden/faults.toml").read_text(encoding="utf-8"))["fault"]


def now_us():
    return NOW_US


@pytest.fixture
def city(tmp_path):
    return City.create(tmp_path / "store")


def total(count: IngestCount) -> int:
    return count.stored + count.duplicate + count.revised + sum(count.refused.values()) + count.unread


def write_rows(path, rows, first=0):
    lines = [
        f"M{row % 7},2026-01-01T{row // 60 % 24:02d}:{row % 60:02d}:00Z,{row}" for row in range(first, first + rows)
    ]
    path.write_text("meter,time,index_l\n" + "\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def fault_city(tmp_path_factory):
    city = City.create(tmp_path_factory.mktemp("faults") / "store")
    hung = {"valid_from_us": [None, 1_704_067_200_000_000], "valid_to_us": [None, 1_735_689_600_000_000]}
    city.register(pl.DataFrame({"meter": ["G4", "G25"], "zone": ["north"] * 2, "qmax_lph": [6_000, 40_000]} | hung))
    return city


def test_there_are_at_least_forty_faults():
    assert len(FAULTS) >= 40
    assert len({fault["name"] for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["name"])
def test_a_fault_gets_its_code_and_nothing_else(fault, fault_city, tmp_path):
    line = fault.get("raw") or ",".join(fault["row"].get(column, "") for column in COLUMNS)
    path = tmp_path / "fault.csv"
    path.write_text(",".join(COLUMNS) + "\n" + line + "\n")
    mapping = None
    if "zone" in fault:
        mapping = parse_mapping(
            f'[meter]\ncolumn="meter"\n[time]\ncolumn="time"\nzone="{fault["zone"]}"\n[register]\ncolumn="index_l"\n'
        )
    count = Intake(fault_city, now_us, mapping=mapping).ingest(path)
    held = fault_city.quarantine.rows(source=str(path))
    assert held["code"].to_list() == [fault["code"]]
    assert held["row"].to_list() == [2]
    assert count.read == total(count) == 1
    assert count.stored == 0
    assert count.refused == ({} if count.unread else {fault["code"]: 1})


def test_repeating_a_file_stores_nothing_and_quarantines_nothing_twice(city, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "meter,time,index_l\nA,2026-01-01T00:00:00Z,1\nA,2026-01-01T01:00:00Z,1.5\nbroken\nB,2026-01-01T00:00:00Z,1\n"
    )
    intake = Intake(city, now_us, strangers=Strangers.REGISTER)
    first = intake.ingest(path)
    assert first == IngestCount(4, 2, 0, 0, {"register_not_whole": 1}, 1, 2)
    assert intake.ingest(path) == IngestCount(4, 0, 2, 0, {"register_not_whole": 1}, 1, 0)
    assert city.quarantine.counts() == {"columns_wrong": 1, "register_not_whole": 1}
    assert city.registry().latest()["zone"].to_list() == ["unassigned"] * 2
    (tmp_path / "b.csv").write_text("meter,time,index_l\nA,2026-01-01T00:00:00Z,2\n")
    assert intake.ingest(tmp_path / "b.csv").revised == 1


def test_strangers_wait_in_quarantine_until_they_are_registered(city, tmp_path):
    path = tmp_path / "a.csv"
    write_rows(path, 50)
    assert Intake(city, now_us).ingest(path).refused == {"meter_unknown": 50}
    again = retry(city, now_us)
    assert (again.tried, again.refused) == (50, {"meter_unknown": 50})
    city.register(pl.DataFrame({"meter": ["M1", "M2"]}))
    again = retry(city, now_us, code="meter_unknown")
    assert again.stored == 14
    assert again.tried == again.stored + sum(again.refused.values())
    assert city.quarantine.counts() == {"meter_unknown": 36}
    kept = city.quarantine.row(2)
    assert json.loads(kept["raw"])["meter"] == "M1"
    assert kept["settled_us"] == NOW_US
    assert Intake(city, now_us).ingest(path).duplicate == 14
    assert city.quarantine.counts() == {"meter_unknown": 36}


def test_a_mapping_is_kept_for_the_retry(city, tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text("Zeit;A;B\n01.01.2026 06:00;1,5;2\n")
    text = (
        '[time]\ncolumn="Zeit"\nformat="%d.%m.%Y %H:%M"\nzone="Europe/Berlin"\n[wide]\nquantity="register"\n'
        '[register]\nunit="m3"\n[file]\ndecimal=","\n'
    )
    assert Intake(city, now_us, mapping=parse_mapping(text)).ingest(path).refused == {"meter_unknown": 2}
    city.register(pl.DataFrame({"meter": ["A", "B"]}))
    assert retry(city, now_us).stored == 2
    assert city.readings.latest()["index_l"].to_list() == [1500, 2000]


def test_an_interrupted_file_goes_on_with_its_counts(city, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BYTES_PER_CHUNK", 700)
    path = tmp_path / "a.csv"
    write_rows(path, 200)
    with path.open("a") as file:
        file.write("broken\n")
    taken = []

    def stop(count):
        taken.append(count)
        if len(taken) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Intake(city, now_us, strangers=Strangers.REGISTER).ingest(path, stop)
    before = taken[-1].read
    assert 0 < before < 200
    calls = []
    count = Intake(city, now_us, strangers=Strangers.REGISTER).ingest(path, calls.append)
    assert calls[0].read > before
    assert count == IngestCount(201, 200, 0, 0, {}, 1, 7)
    assert Intake(city, now_us, strangers=Strangers.REGISTER).ingest(path).duplicate == 200


def test_a_full_disk_stops_intake_and_the_same_call_goes_on(city, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BYTES_PER_CHUNK", 700)
    path = tmp_path / "a.csv"
    write_rows(path, 200)
    intake = Intake(city, now_us, strangers=Strangers.REGISTER)
    real, calls = flow.hold, []

    def full(*args, **more):
        calls.append(1)
        if len(calls) == 4:
            raise DiskFullError(tmp_path)
        real(*args, **more)

    monkeypatch.setattr(flow, "hold", full)
    with pytest.raises(DiskFullError, match="repeat the command") as caught:
        intake.ingest(path)
    assert caught.value.retryable
    assert intake.ingest(path) == IngestCount(200, 200, 0, 0, {}, 0, 7)


def test_a_file_without_the_columns_is_refused_whole(city, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Zähler,Stand\nA,1\n")
    with pytest.raises(ColumnMissingError, match="meter"):
        Intake(city, now_us).ingest(path)
    assert city.quarantine.counts() == {}


def test_several_files_add_up(city, tmp_path):
    for name, first in (("a.csv", 0), ("b.csv", 100)):
        write_rows(tmp_path / name, 150, first)
    told = []
    count = ingest(
        Intake(city, now_us, strangers=Strangers.REGISTER), [tmp_path / "a.csv", tmp_path / "b.csv"], told.append
    )
    assert (count.read, count.stored, count.duplicate) == (300, 250, 50)
    assert told[-1] == count


def test_a_watched_folder_is_emptied(city, tmp_path):
    inbox, stop, told = tmp_path / "in", threading.Event(), []
    inbox.mkdir()
    write_rows(inbox / "a.csv", 20)
    (inbox / "b.csv").write_text("x,y\n1,2\n")

    def seen(path, count, reason):
        told.append((path.name, count and count.stored, reason))
        if len(told) == 2:
            stop.set()

    watch(Intake(city, now_us, strangers=Strangers.REGISTER), [inbox], seen, poll_s=0.01, stop=stop)
    assert [entry[:2] for entry in told] == [("a.csv", 20), ("b.csv", None)]
    assert (inbox / "done/a.csv").exists()
    assert (inbox / "failed/b.csv").exists()


@pytest.fixture(scope="module")
def fuzz_city(tmp_path_factory):
    return City.create(tmp_path_factory.mktemp("fuzz") / "store")


word = st.sampled_from(
    ["A", "", "é", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00", "1.5", "-1", "1e99", "99999999999999999999", "nan"]
)
row = st.dictionaries(
    st.sampled_from(COLUMNS),
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), word),
    max_size=5,
)
line = st.one_of(row.map(json.dumps), st.text(max_size=5).map(lambda text: text.replace("\n", "")))


@settings(max_examples=20)
@given(st.lists(line, max_size=12))
def test_any_rows_are_counted_once_and_the_second_time_stores_nothing(fuzz_city, lines):
    frame, unread, _ = read_lines("\n".join(lines).encode(), 1)
    chunk = Chunk("fuzz", 0, frame, unread, free=True)
    for strangers in Strangers:
        intake = Intake(fuzz_city, now_us, strangers=strangers)
        count, again = intake.take(chunk), intake.take(chunk)
        assert count.read == total(count) == again.read == total(again) == chunk.count
        assert again.stored == again.revised == 0


@pytest.mark.parametrize("kills", [4])
def test_kill_at_any_moment_loses_nothing_and_counts_nothing_twice(tmp_path, kills):
    """Kills the process that ingests, again and again, and lets it go on each time."""
    path, store = tmp_path / "a.csv", tmp_path / "store"
    write_rows(path, 2_000)
    with path.open("a") as file:
        file.writelines(f"M1,2026-01-01T00:00:00,{row}\n" for row in range(20))
    City.create(store)
    spawn = multiprocessing.get_context("forkserver")
    spawn.set_forkserver_preload(["killable"])
    luck = random.Random(7)  # noqa: S311 - moments, not secrets
    acknowledged = 0
    for _ in range(kills):
        here, there = spawn.Pipe(duplex=False)
        child = spawn.Process(target=killable.take, args=(path, store, NOW_US, there))
        child.start()
        there.close()
        told = [here.recv() for _ in range(luck.randint(1, 3))]
        time.sleep(luck.uniform(0, 0.03))
        child.kill()
        child.join()
        with contextlib.suppress(EOFError):
            while True:
                told.append(here.recv())
        assert child.exitcode == -signal.SIGKILL
        acknowledged = max(acknowledged, *told)
        city = City.open(store)
        assert int(city.readings.commits()["stored"].sum()) + sum(city.quarantine.counts().values()) >= acknowledged
        city.records.dispose()
    assert acknowledged > 0
    city = City.open(store)
    count = Intake(city, now_us, strangers=Strangers.REGISTER).ingest(path)
    assert (count.read, count.stored + count.duplicate, count.refused) == (2_020, 2_000, {"time_naive": 20})
    assert int(city.readings.commits()["stored"].sum()) == 2_000
    assert city.readings.scan(None, 0, NOW_US).height == 2_000
    assert city.quarantine.counts() == {"time_naive": 20}
