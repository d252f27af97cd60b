from __future__ import annotations

import io

import polars as pl
import pytest


def test_pages_visit_every_meter_once(client):
    seen, cursor = [], None
    while True:
        answer = client.get("/v1/meters", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        assert len(answer["rows"]) <= 2
        seen += [row["meter"] for row in answer["rows"]]
        cursor = answer["next"]
        if cursor is None:
            break
    assert seen == ["A-1", "A-2", "A-3", "B-1", "B / 2"]


def test_search_filters_and_states(client):
    def names(**asked):
        return [row["meter"] for row in client.get("/v1/meters", params=asked).json()["rows"]]

    assert names(q="a-") == ["A-1", "A-2", "A-3"]
    assert names(zone="south", state="silent") == ["B / 2"]
    assert names(nature="measured") == ["A-1"]
    assert names(q=".*") == []


def test_a_name_may_hold_a_slash(client):
    assert client.get("/v1/meters/B%20%2F%202").json()["meter"] == "B / 2"
    assert client.get("/v1/meters/B%20%2F%202/readings").json()["rows"] == []
    assert client.get("/v1/figures/meters/B%20%2F%202/register.json").status_code == 200


def test_facts_of_a_meter(client):
    facts = client.get("/v1/meters/A-2").json()
    assert facts["newest"]["index_l"] == 1_000_000 + 200 * 72
    assert facts["newest"]["at"] == "2026-01-13T06:00:00+01:00"
    assert facts["state"] == "reporting"
    assert facts["quality"] == {"measured_share": 1.0, "estimated_share": 0.0, "missing_share": 0.0}


def test_readings_page_and_stand_as_of_a_moment(client, city):
    asked = {"from": "2026-01-10", "to": "2026-01-11", "limit": 10}
    first = client.get("/v1/meters/A-2/readings", params=asked).json()
    rest = client.get("/v1/meters/A-2/readings", params={**asked, "limit": 1000, "cursor": first["next"]}).json()
    values = [row["index_l"] for row in first["rows"] + rest["rows"]]
    assert len(values) == 24
    assert values[5] == 1_001_010
    before = city.clock.format(int(city.readings.commits()["recorded_us"][0]))
    old = client.get("/v1/meters/A-2/readings", params={**asked, "as_of": before}).json()
    assert old["rows"][5]["index_l"] == 1_001_000


def test_revisions_name_commit_and_source(client):
    rows = client.get("/v1/meters/A-2/revisions", params={"from": "2026-01-10", "changed": True}).json()["rows"]
    assert [(row["index_l"], row["source"]) for row in rows] == [(1_001_000, "first.csv"), (1_001_010, "late.csv")]


@pytest.mark.parametrize(("by", "rows"), [("hour", 24), ("gas-day", 1)])
def test_consumption_adds_up_to_the_register(client, by, rows):
    asked = {"by": by, "from": "2026-01-11", "to": "2026-01-12"}
    found = client.get("/v1/meters/B-1/consumption", params=asked).json()["rows"]
    assert len(found) == rows
    assert round(sum(row["volume_m3"] for row in found), 3) == 9.6


def test_files_say_the_same_as_json(client):
    asked = {"by": "gas-day", "group": "zone", "from": "2026-01-10", "to": "2026-01-13"}
    rows = client.get("/v1/totals", params=asked).json()["rows"]
    table = client.get("/v1/totals", params={**asked, "format": "csv"})
    assert table.headers["content-disposition"] == 'attachment; filename="totals-gas-day-zone.csv"'
    assert pl.read_csv(table.content).to_dicts() == rows
    assert (
        pl.read_parquet(io.BytesIO(client.get("/v1/totals", params={**asked, "format": "parquet"}).content)).to_dicts()
        == rows
    )


def test_zones_add_up_to_the_city(client):
    asked = {"from": "2026-01-10", "to": "2026-01-13"}
    zones = client.get("/v1/totals", params={**asked, "group": "zone"}).json()["rows"]
    city = client.get("/v1/totals", params={**asked, "group": "city"}).json()["rows"]
    assert round(sum(row["volume_m3"] for row in zones), 3) == round(sum(row["volume_m3"] for row in city), 3) == 72.0


def test_map_has_pipes_and_placed_meters(client):
    features = client.get("/v1/map").json()["features"]
    layers = [feature["properties"]["layer"] for feature in features]
    assert layers == ["pipe", "meter", "meter", "meter", "meter"]
    assert features[1]["geometry"] == {"type": "Point", "coordinates": [7.87, 48.46]}


def test_temperature(client):
    rows = client.get("/v1/temperature", params={"from": "2026-01-10"}).json()["rows"]
    assert rows == [{"at": "2026-01-10T06:00:00+01:00", "temperature_mk": 275_150}]


def test_status_counts(client):
    status = client.get("/v1/status").json()
    assert status["meters"] == {
        "total": 5, "measured": 1, "modelled": 4, "reporting": 4, "late": 0, "silent": 1,
    }  # fmt: skip
    assert status["readings"] == {"stored": 292, "duplicate": 0, "revised": 1}
    assert status["data_age_s"] == 600
    assert [row["rows"] for row in status["arrivals"]][-2:] == [292, 1]
    assert len(status["arrivals"]) == 60
    assert status["gas_day"] == "2026-01-13"
