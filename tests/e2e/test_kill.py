"""kill -9 at any moment loses nothing that was acknowledged, counts nothing twice and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from random import Random

import polars as pl
import pytest
import sqlalchemy as sa
from faulty_year import write_readings
from zygote import Zygote

from citygate.store.city import City
from citygate.store.manifest import rollups_table, segments_table

KILLS = 50
CUT = {"citygate.link.files:BYTES_PER_CHUNK": 4_000}
TOTALS = ("query", "totals", "--by", "hour", "--group", "meter", "--format", "csv", "--store")
#: Calls at which intake is killed, before and after, once each.
PLACES = [
    "citygate.store.readings:write_segment",
    "citygate.store.segments:sync_folder",
    "citygate.store.readings:add_segments",
    "citygate.store.readings:save_presence",
    "citygate.store.readings:mark_dirty",
    "citygate.flow.ingest:hold",
    "citygate.flow.ingest:note_progress",
]


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    with_children = Zygote(tmp_path_factory.mktemp("zygote"))
    yield with_children
    with_children.close()


@pytest.fixture(scope="module")
def whole(zygote, tmp_path_factory):
    """The file, what must be counted, and the store of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    facts = write_readings(folder / "rows.csv", meters=30, days=8, seed=3)
    end = zygote.run("ingest", str(folder / "rows.csv"), "--store", str(folder / "store"), "--format", "json", set=CUT)
    assert (end.code, end.err) == (1, "")
    counts = json.loads(end.out)
    for name in ("read", "stored", "duplicate", "revised"):
        assert counts[name] == facts[name]
    assert sum(counts["refused"].values()) + counts["unread"] == facts["faulty"]
    return folder / "rows.csv", folder / "store", counts


def held(store):
    """What a store says: commits, every revision, quarantine, meters."""
    city = City.open(store)
    rows = city.readings._rows(None, 0, 2**62, None, ["meter", "at_us", "index_l", "commit"])
    waiting = pl.concat(list(city.quarantine.pages())).drop("recorded_us", "number")
    found = (
        city.readings.commits().drop("recorded_us").rows(),
        rows.sort(pl.all()).rows(),
        sorted(waiting.rows()),
        city.registry().rows.rows(),
    )
    city.close()
    return found


def orphans(store):
    """Files that the records do not name, once the time for readers is over."""
    for path in (store / "rollups").iterdir():
        os.utime(path, (0, 0))
    city = City.open(store)
    with city.records.connect() as connection:
        named = set(connection.scalars(sa.select(segments_table.c.name)))
        derived = set(connection.scalars(sa.select(rollups_table.c.name)))
    city.close()
    found = [path.name for path in (store / "readings").iterdir() if path.name not in named]
    found += [path.name for path in (store / "rollups").iterdir() if path.name.split(".")[0] not in derived]
    known = {"readings", "rollups", "records.db", "writer.lock"}
    return found + [path.name for path in store.iterdir() if path.name not in known]


def progress(store):
    """Rows acknowledged as durable, and whether the file is finished, as the records say."""
    if not (store / "records.db").exists():
        return 0, False
    with closing(sqlite3.connect(store / "records.db")) as connection:
        row = connection.execute("select counts, finished from ingest_progress").fetchone()
        kept = connection.execute("select coalesce(sum(stored + duplicate + revised), 0) from commits").fetchone()[0]
        waiting = connection.execute("select count(*) from quarantine").fetchone()[0]
    counts, finished = (json.loads(row[0]), row[1]) if row else ({"read": 0}, 0)
    assert counts["read"] == kept + waiting, "each acknowledged row is held, and no other"
    return counts["read"], bool(finished)


def mark(store):
    city = City.open(store)
    with city.records.begin() as connection:
        city.rollups.mark_meters(range(30), connection)
    city.close()


def same_totals(zygote, store, other):
    return zygote.run(*TOTALS, str(store)).out.encode() == zygote.run(*TOTALS, str(other)).out.encode()


@pytest.mark.slow
def test_fifty_kills_of_intake(zygote, whole, tmp_path):
    path, store, counts = whole
    luck, kills, rounds = Random(11), 0, 0  # noqa: S311 - no secret
    while kills < KILLS:
        mine = tmp_path / f"store-{rounds}"
        acknowledged, finished, end = 0, False, None
        while not finished:
            order = ("ingest", str(path), "--store", str(mine), "--format", "json")
            end = zygote.run(*order, set=CUT, kill_s=luck.uniform(0.05, 0.6) if kills < KILLS else None)
            assert end.code in {-signal.SIGKILL, 1}, end.err
            kills += end.code < 0
            before, (acknowledged, finished) = acknowledged, progress(mine)
            assert acknowledged >= before, "what was acknowledged stays"
        if end.code == 1:
            assert json.loads(end.out) | {"seconds": 0} == counts | {"seconds": 0}
        assert orphans(mine) == []
        assert held(mine) == held(store)
        rounds += 1
    assert same_totals(zygote, mine, store)


@pytest.mark.parametrize("place", PLACES)
def test_kill_at_the_worst_moments_of_intake(zygote, whole, tmp_path, place):
    path, store, counts = whole
    cut = {"citygate.link.files:BYTES_PER_CHUNK": 40_000}
    order = ("ingest", str(path), "--format", "json", "--store")
    for number in (1, 2, 3, 4):
        end = zygote.run(*order, str(tmp_path / "store"), set=cut, die_at=(place, number))
        assert end.code == -signal.SIGKILL, end.err
        progress(tmp_path / "store")
    end = zygote.run(*order, str(tmp_path / "store"), set=cut)
    assert json.loads(end.out) | {"seconds": 0} == counts | {"seconds": 0}
    assert orphans(tmp_path / "store") == []
    assert held(tmp_path / "store")[2:] == held(store)[2:]
    assert same_totals(zygote, tmp_path / "store", store)


@pytest.mark.slow
def test_the_command_itself_is_killed_and_goes_on(whole, tmp_path):
    path, _, counts = whole
    small = "from citygate.link import files; files.BYTES_PER_CHUNK = 4_000; import citygate.__main__"
    command = [sys.executable, "-c", small, "ingest", str(path), "--store", str(tmp_path / "store"), "--format", "json"]
    luck, ends = Random(5), []  # noqa: S311 - no secret
    while not ends or ends[-1][0] < 0:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while child.poll() is None and not (tmp_path / "store/records.db").exists():
            time.sleep(0.01)
        if len(ends) < 4:
            before = progress(tmp_path / "store")[0] if ends else 0
            while child.poll() is None and progress(tmp_path / "store")[0] == before:
                time.sleep(0.01)
            time.sleep(luck.uniform(0, 0.2))
            child.kill()
        ends.append((child.wait(), child.communicate()[0]))
    assert len(ends) == 5
    assert json.loads(ends[-1][1]) | {"seconds": 0} == counts | {"seconds": 0}


@pytest.mark.parametrize(
    ("task", "place"),
    [
        ("compact", "citygate.store.compaction:write_segment"),
        ("compact", "citygate.store.compaction:add_segments"),
        ("compact", "citygate.store.compaction:retire_segments"),
        ("settle", "citygate.store.rollup:write_durably"),
        ("settle", "citygate.store.rollup:derive"),
        ("settle", "citygate.store.rollup:days_frame"),
    ],
)
def test_kill_while_files_are_merged_or_totals_derived(zygote, whole, tmp_path, task, place):
    _, store, _ = whole
    mine = tmp_path / "store"
    shutil.copytree(store, mine)
    if task == "settle":
        mark(mine)
    before = held(mine)
    for number in (1, 2, 3, 4):
        end = zygote.run(str(mine), do=task, die_at=(place, number))
        assert end.code in {-signal.SIGKILL, 0}, end.err
        if number < 3:
            assert end.code == -signal.SIGKILL
        assert orphans(mine) == []
        assert held(mine) == before
    assert zygote.run(str(mine), do=task).code == 0
    assert held(mine) == before
    assert orphans(mine) == []
    assert same_totals(zygote, mine, store)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["compact", "settle"])
def test_kills_at_random_moments_of_merging_and_deriving(zygote, whole, tmp_path, task):
    _, store, _ = whole
    before, luck, killed = held(store), Random(17), 0  # noqa: S311 - no secret
    for number in range(10):
        mine = tmp_path / f"store-{number}"
        shutil.copytree(store, mine)
        if task == "settle":
            mark(mine)
        killed += zygote.run(str(mine), do=task, kill_s=luck.uniform(0.02, 0.25)).code < 0
        assert orphans(mine) == []
        assert held(mine) == before
        assert same_totals(zygote, mine, store)
    assert killed
