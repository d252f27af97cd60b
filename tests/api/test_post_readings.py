from __future__ import annotations

import io
import json

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROWS = [
    {"meter": "B / 2", "time": "2026-01-12T07:00:00+01:00", "index_l": 500},
    {"meter": "B / 2", "time": "2026-01-12T08:00:00+01:00", "index_l": 700},
    {"meter": "stranger", "time": "2026-01-12T08:00:00+01:00", "index_l": 1},
    {"meter": "A-1", "time": "2026-01-12T08:00:00", "index_l": 1},
]


def _arrow(rows):
    buffer = io.BytesIO()
    pl.DataFrame(rows).write_ipc_stream(buffer)
    return buffer.getvalue()


BODIES = {
    "application/json": json.dumps(ROWS).encode(),
    "application/x-ndjson": "\n".join(json.dumps(row) for row in ROWS).encode(),
    "text/csv": pl.DataFrame(ROWS).write_csv().encode(),
    "application/vnd.apache.arrow.stream": _arrow(ROWS),
}


@pytest.mark.parametrize("media", BODIES)
def test_every_form_is_counted_once_and_repeats_are_duplicates(client, media):
    def send():
        answer = client.post("/v1/readings", content=BODIES[media], headers={"content-type": media})
        assert answer.status_code == 200
        return answer.json()

    first, again = send(), send()
    assert (first["read"], first["stored"], first["duplicate"]) == (4, 2, 0)
    assert first["refused"] == {"meter_unknown": 1, "time_naive": 1}
    assert {reason["code"] for reason in first["reasons"]} == {"meter_unknown", "time_naive"}
    assert (again["stored"], again["duplicate"]) == (0, 2)
    assert again["reasons"] == first["reasons"]
    counts = client.get("/v1/quarantine").json()["counts"]
    assert counts == {"meter_unknown": 1, "time_naive": 1}


def test_what_cannot_be_read_is_a_problem(client):
    def send(body, media, **more):
        answer = client.post("/v1/readings", content=body, headers={"content-type": media, **more})
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code, answer.json()["code"]

    assert send(b"<x/>", "application/xml") == (415, "media_unknown")
    assert send(b"{", "application/json") == (400, "body_unreadable")
    assert send(b"{}", "application/json", **{"content-encoding": "br"}) == (415, "media_unknown")
    assert send(b"{}", "application/json", **{"content-length": str(10**9)}) == (413, "body_too_large")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(body=st.binary(max_size=300), media=st.sampled_from([*BODIES, "text/plain", ""]))
def test_any_bytes_get_an_answer(client, body, media):
    answer = client.post("/v1/readings", content=body, headers={"content-type": media})
    assert answer.status_code in {200, 400, 413, 415}
    if answer.status_code == 200:
        found = answer.json()
        parts = (
            found["stored"] + found["duplicate"] + found["revised"] + sum(found["refused"].values()) + found["unread"]
        )
        assert found["read"] == parts


def test_quarantine_pages_and_files(client):
    rows = [{"meter": f"stranger-{k}", "time": "2026-01-12T08:00:00+01:00", "index_l": k} for k in range(5)]
    client.post("/v1/readings", json=rows)
    first = client.get("/v1/quarantine", params={"limit": 3, "code": "meter_unknown"}).json()
    rest = client.get("/v1/quarantine", params={"cursor": first["next"]}).json()
    assert [row["row"] for row in first["rows"] + rest["rows"]] == [1, 2, 3, 4, 5]
    assert rest["next"] is None
    table = pl.read_csv(client.get("/v1/quarantine", params={"format": "csv"}).content)
    assert table["code"].to_list() == ["meter_unknown"] * 5
