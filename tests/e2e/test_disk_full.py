"""A full disk stops intake with one typed error and nothing half-written; with room the same command goes on."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
import sqlalchemy as sa
from faulty_year import write_readings
from starlette.testclient import TestClient
from test_kill import CUT, held, orphans, progress, same_totals, zygote  # noqa: F401 - a fixture and its tools

from citygate.api.app import create_app
from citygate.flow.ingest import Intake, Strangers
from citygate.link import files
from citygate.store.city import City
from citygate.store.records import DiskFullError

SIZE = "8m"


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def whole(zygote, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("whole")
    facts = write_readings(folder / "rows.csv", meters=20, days=4, seed=9)
    end = zygote.run("ingest", str(folder / "rows.csv"), "--store", str(folder / "store"), "--format", "json", set=CUT)
    counts = json.loads(end.out)
    assert counts["stored"] == facts["stored"]
    return folder / "rows.csv", folder / "store", counts


def fill(folder, free_bytes):
    """Leave so much room on the disk."""
    facts = os.statvfs(folder)
    room = facts.f_bavail * facts.f_frsize - free_bytes
    with (folder / "ballast").open("ab") as file:
        file.write(b"x" * max(room, 0))


@pytest.mark.parametrize("free_kib", [0, 4, 32, 64, 100, 180, 260])
def test_intake_stops_and_goes_on(zygote, whole, small_disk, free_kib):  # noqa: F811
    path, store, counts = whole
    mine = small_disk / "store"
    order = ("ingest", str(path), "--store", str(mine), "--format", "json")
    fill(small_disk, free_kib * 1_024)
    acknowledged = 0
    for _ in range(2):
        end = zygote.run(*order, set=CUT)
        assert (end.code, end.out) == (1, ""), end
        assert end.err.endswith("[disk_full]\n"), end.err
        assert "free some space" in end.err
        assert end.err.count("\n") == 1
        before, (acknowledged, finished) = acknowledged, progress(mine)
        assert acknowledged >= before
        assert not finished
    (small_disk / "ballast").unlink()
    end = zygote.run(*order, set=CUT)
    assert json.loads(end.out) | {"seconds": 0} == counts | {"seconds": 0}, end
    assert held(mine) == held(store)
    assert orphans(mine) == []
    assert same_totals(zygote, mine, store)


def test_deriving_and_merging_stop_and_go_on(zygote, whole, small_disk):  # noqa: F811
    path, store, _ = whole
    mine = small_disk / "store"
    assert zygote.run("ingest", str(path), "--store", str(mine), "--format", "json", set=CUT).code == 1
    before = held(mine)
    fill(small_disk, 8_192)
    end = zygote.run("query", "totals", "--store", str(mine))
    assert (end.code, end.out) == (1, ""), end
    assert "[disk_full]" in end.err
    stopped = zygote.run(str(mine), do="compact")
    assert stopped.code == 98
    assert "DiskFullError" in stopped.err
    (small_disk / "ballast").unlink()
    assert zygote.run(str(mine), do="compact").code == 0
    assert held(mine) == before
    assert orphans(mine) == []
    assert same_totals(zygote, mine, store)


def test_a_request_is_told_and_may_be_repeated(small_disk):
    city = City.create(small_disk / "store")
    rows = [{"meter": f"stranger-{k:050}", "time": "2026-01-01T00:00:00Z", "index_l": k} for k in range(3_000)]
    with TestClient(create_app(city), base_url="http://127.0.0.1") as client:
        fill(small_disk, 64 * 1_024)
        answer = client.post("/v1/readings", json=rows)
        assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
        assert client.get("/v1/quarantine").json()["counts"] == {}
        (small_disk / "ballast").unlink()
        answer = client.post("/v1/readings", json=rows)
        assert answer.json()["refused"] == {"meter_unknown": 3_000}
        assert client.get("/v1/quarantine").json()["counts"] == {"meter_unknown": 3_000}
    city.close()


def test_a_database_at_its_limit_is_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BYTES_PER_CHUNK", 4_000)
    write_readings(tmp_path / "rows.csv", meters=100, days=1, seed=2)
    city = City.create(tmp_path / "store")
    with city.records.connect() as connection:
        limit = [connection.scalar(sa.text("PRAGMA page_count")) + 4]

    @sa.event.listens_for(city.records, "checkout")
    def _limited(connection, *_):
        connection.execute(f"PRAGMA max_page_count = {limit[0]}")

    intake = Intake(city, lambda: 1_769_904_000_000_000, strangers=Strangers.REGISTER)
    with pytest.raises(DiskFullError, match="free some space"):
        intake.ingest(tmp_path / "rows.csv")
    stopped = len(city.readings.commits())
    limit[0] = 1_000_000
    count = intake.ingest(tmp_path / "rows.csv")
    assert count.stored == 2_400
    assert 0 < stopped < len(city.readings.commits())
    city.close()
