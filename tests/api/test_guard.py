from __future__ import annotations

import asyncio
import json

import pytest

from citygate.api.guard import HEADERS


@pytest.mark.parametrize("path", ["/", "/v1/status", "/v1/nothing", "/assets/site.css", "/assets/nothing"])
def test_every_answer_carries_the_headers(client, path):
    answer = client.get(path)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_foreign_hosts_are_not_answered(client):
    answer = client.get("/v1/status", headers={"host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (421, "foreign_host")
    assert client.get("/v1/status", headers={"host": "localhost:9"}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),
        ({"origin": "http://127.0.0.1:8080"}, True),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "http://127.0.0.1:9999"}, False),
        ({"origin": "null"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8080"}, True),
    ],
)
def test_writes_of_other_sites_are_refused(client, headers, passes):
    answer = client.post("/v1/readings", content=b"[]", headers={"content-type": "application/json", **headers})
    assert (answer.status_code == 200) is passes
    if not passes:
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/meters/nobody", 404, "meter_not_found"),
        ("/v1/meters/A-1/readings?from=yesterday", 400, "bad_time"),
        ("/v1/meters/A-1/readings?from=9999-01-01", 400, "bad_time"),
        ("/v1/meters/A-1/readings?from=2026-01-12&to=2026-01-11", 400, "empty_period"),
        ("/v1/meters?cursor=zzz", 400, "bad_cursor"),
        ("/v1/meters?limit=0", 422, "invalid_request"),
        ("/v1/totals?by=week", 422, "invalid_request"),
        ("/v1/totals?group=meter&by=hour&from=1980-01-01", 400, "too_many_rows"),
        ("/v1/nothing", 404, "not_found"),
    ],
)
def test_problems(client, path, status, code):
    answer = client.get(path)
    found = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, found["status"], found["code"]) == (status, status, code)
    assert found["detail"]


def test_a_plus_sign_that_came_as_a_blank(client):
    answer = client.get("/v1/meters/A-1/readings?from=2026-01-10T06:00:00+01:00&to=2026-01-10T08:00:00%2B01:00")
    assert len(answer.json()["rows"]) == 2


def test_the_description_is_openapi_3_1_and_every_call_says_what_it_does(client):
    described = client.get("/v1/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    calls = [call for methods in described["paths"].values() for call in methods.values()]
    assert all(call["summary"] and call["description"] and call["tags"] for call in calls)
    assert all("application/problem+json" in call["responses"]["default"]["content"] for call in calls)


def test_the_status_stream_tells_at_once(client):
    """Read the ASGI stream itself: the test client would wait for its end."""
    sent: list[bytes] = []

    async def first_event():
        scope = {
            "type": "http", "method": "GET", "path": "/v1/status/events", "raw_path": b"/v1/status/events",
            "query_string": b"", "headers": [(b"host", b"127.0.0.1")], "http_version": "1.1", "scheme": "http",
            "root_path": "", "client": None, "server": None, "asgi": {"version": "3.0"}, "state": {},
        }  # fmt: skip
        asked = False

        async def receive():
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await asyncio.sleep(30)
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message.get("body", b""))
            if b"event: status" in message.get("body", b""):
                client.app.state.stopping.set()

        await asyncio.wait_for(client.app(scope, receive, send), 10)

    asyncio.run(first_event())
    event = next(part for part in sent if b"event: status" in part).decode()
    told = json.loads(event.split("data: ")[1])
    assert told["readings"]["stored"] == 292
    assert told["now"].startswith("2026-01-13T06:10")
