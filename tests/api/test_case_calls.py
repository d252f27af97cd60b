from __future__ import annotations

import json

import city_of_five
import polars as pl
import pytest

from citygate.detection.alarm import COLUMNS
from citygate.quantity.clock import US_PER_HOUR
from citygate.store.cases import CaseStore

LEAK = "A-2@2026-01-11"


def alarm(meter: str, kind: str, hour: int, zone: str = "north") -> dict[str, object]:
    at_us = city_of_five.START_US + hour * US_PER_HOUR
    readings = [{"meter": "A-2", "at_us": at_us - US_PER_HOUR, "index_l": 1_000_000}]
    evidence = {
        "statistic": "sum", "unit": "spreads", "own_past": 1.5, "smallest_leak_lph": 12.5, "sentence": "Gas flows.",
        "readings": readings,
    }  # fmt: skip
    return {
        "meter": meter, "zone": zone, "kind": kind, "from_us": at_us - 5 * US_PER_HOUR, "to_us": at_us, "at_us": at_us,
        "statistic": 9.0, "threshold": 8.0, "evidence": json.dumps(evidence),
    }  # fmt: skip


@pytest.fixture
def alarmed(client, city):
    rows = [
        alarm("A-2", "continuous_flow", 30),
        alarm("A-2", "night_flow", 40),
        alarm("zone:south", "zone_balance", 50, "south"),
    ]
    CaseStore.of(city).keep(pl.DataFrame(rows, schema=COLUMNS), city_of_five.NOW_US)
    return client


def test_the_list_has_the_most_severe_first(alarmed):
    found = alarmed.get("/v1/cases").json()
    assert [(row["id"], row["severity"], row["title"]) for row in found["rows"]] == [
        (LEAK, "safety", "Continuous flow"),
        ("zone:south@2026-01-12", "urgent", "Zone balance"),
    ]
    assert alarmed.get("/v1/cases", params={"meter": "zone:south"}).json()["total"] == 1
    assert alarmed.get("/v1/cases", params={"state": "closed"}).json()["rows"] == []
    assert alarmed.get("/v1/status").json()["cases"]["open"] == 2
    first = alarmed.get("/v1/cases", params={"limit": 1}).json()
    rest = alarmed.get("/v1/cases", params={"limit": 1, "cursor": first["next"]}).json()
    assert (rest["rows"][0]["meter"], rest["next"]) == ("zone:south", None)


def test_a_case_carries_its_evidence(alarmed):
    found = alarmed.get(f"/v1/cases/{LEAK}").json()
    assert (found["statistic"], found["threshold"], found["unit"], found["smallest_leak_lph"]) == (
        9.0,
        8.0,
        "spreads",
        12.5,
    )
    assert [row["kind"] for row in found["alarms"]] == ["continuous_flow", "night_flow"]
    assert found["readings"][0] == {
        "meter": "A-2", "at": "2026-01-11T11:00:00+01:00", "index_l": 1_000_000, "pressure_pa": None,
    }  # fmt: skip
    assert found["actions"] == ["acknowledge", "close"]


def test_cases_move_as_the_table_says_and_are_seen_at_once(alarmed):
    def do(action, **said):
        return alarmed.post(f"/v1/cases/{LEAK}/{action}", json=said)

    assert do("acknowledge", by="Ada").json()["state"] == "acknowledged"
    assert do("acknowledge", by="Ada").status_code == 409
    assert do("close", by="Ada").status_code == 422
    assert do("close", by="", note="x").status_code == 422
    closed = do("close", by="Ada", note="boiler valve").json()
    assert closed["history"][-1] == {
        "at": "2026-01-13T06:10:00+01:00", "action": "close", "by": "Ada", "note": "boiler valve",
    }  # fmt: skip
    assert alarmed.get("/v1/status").json()["cases"] == {
        "open": 1, "acknowledged": 0, "closed": 1, "info": 0, "watch": 0, "urgent": 1, "safety": 0,
    }  # fmt: skip
    assert do("reopen", by="Ada").json()["state"] == "open"
    assert alarmed.post("/v1/cases/none/close", json={"by": "a", "note": "b"}).status_code == 404
    assert alarmed.get("/v1/cases/none").json()["code"] == "no_case"


def test_open_cases_stand_on_the_map_those_of_a_zone_in_its_middle(alarmed):
    features = [
        feature for feature in alarmed.get("/v1/map").json()["features"] if feature["properties"]["layer"] == "case"
    ]
    assert [feature["geometry"]["coordinates"] for feature in features] == [[7.88, 48.46], [7.89, 48.45]]


@pytest.mark.parametrize("case", [LEAK, "zone:south@2026-01-12"])
def test_evidence_is_drawn(alarmed, case):
    spec = alarmed.get(f"/v1/figures/cases/{case}.json").json()
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["rect", "line", "rule"]


def test_pages_preview_before_they_act(alarmed):
    page = alarmed.get(f"/cases/{LEAK}?do=close").text
    assert "Close this case?" in page
    assert 'method="post"' in page
    assert '<form class="row" method' not in alarmed.get(f"/cases/{LEAK}").text
    done = alarmed.post(
        f"/cases/{LEAK}/close", data={"by": "Ada", "note": "valve"}, headers={"origin": "http://127.0.0.1:8080"}
    )
    assert done.status_code == 200
    assert "close by Ada: valve" in done.text
    refused = alarmed.post(f"/cases/{LEAK}/close", data={"by": "Ada", "note": "again"}, headers={"accept": "text/html"})
    assert refused.status_code == 409
    assert "wrong_transition" in refused.text
    assert "A-2" in alarmed.get("/cases?state=all").text
