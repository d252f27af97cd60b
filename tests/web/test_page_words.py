from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from citygate.cli.site import site
from citygate.store.city import City
from citygate.web import words

if TYPE_CHECKING:
    from pathlib import Path

PAGES = ["/", "/meters", "/totals", "/intake", "/quarantine", "/cases", "/cases?state=all", "/v1/docs"]
#: A page without its map and charts must be lighter than this [byte].
PAGE_BYTES_MAX = 300_000


@pytest.fixture
def empty(tmp_path: Path):
    with TestClient(site(City.create(tmp_path / "bare", name="Bare")), base_url="http://127.0.0.1:8080") as found:
        yield found


def headline(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", re.search(r"<h1>(.*?)</h1>", html, re.DOTALL)[1]).split())


@pytest.mark.parametrize(
    "path", [*PAGES, "/meters/A-2", "/meters/B%20%2F%202", "/meters/A-1?from=2026-02-01&to=2026-02-03"]
)
def test_pages_are_whole_light_and_free_of_inline_code(client, path):
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert len(answer.content) < PAGE_BYTES_MAX
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|javascript:", answer.text)
    assert re.search(r"\d|[Nn]o ", headline(answer.text))
    assert "Europe/Berlin" in answer.text
    assert not re.search(r"https?://(?!127\.0\.0\.1:8080)", re.sub(r'xmlns="[^"]*"', "", answer.text))


@pytest.mark.parametrize("path", PAGES)
def test_empty_cities_say_what_to_do(empty, path):
    assert empty.get(path).status_code == 200


def test_headlines_are_sentences_with_numbers(client):
    assert headline(client.get("/meters").text) == "5 meters"
    assert headline(client.get("/meters?q=A").text) == "3 meters with “A” in the name of 5"
    assert headline(client.get("/totals?from=2026-01-10&to=2026-01-13").text) == "72 m³ in 3 gas days, 0.8 MWh"
    assert headline(client.get("/meters/A-2?from=2026-01-10&to=2026-01-12").text) == "A-2: 9.6 m³ in 2 gas days"


def test_a_page_keeps_its_period_and_filters_in_links(client):
    html = client.get("/totals?from=2026-01-10&to=2026-01-12&by=hour&group=city").text
    assert "by=hour&amp;group=city&amp;from=2026-01-08&amp;to=2026-01-10" in html
    assert "citygate query totals --store DIR --by hour --group city --from 2026-01-10 --to 2026-01-12" in html


def test_what_is_wrong_is_said_on_a_page(client):
    browser = {"accept": "text/html"}
    missing = client.get("/nowhere", headers=browser)
    assert (missing.status_code, missing.headers["content-type"]) == (404, "text/html; charset=utf-8")
    meter = client.get("/meters/nobody", headers=browser)
    assert meter.status_code == 404
    assert "meter_not_found" in meter.text
    period = client.get("/totals?from=never", headers=browser)
    assert period.status_code == 400
    assert "bad_time" in period.text


def test_names_from_the_field_cannot_inject_markup(client, city):
    nasty = '<img src=x onerror=alert(1)>"'
    city.register(__import__("polars").DataFrame({"meter": [nasty], "zone": [nasty]}))
    html = client.get("/meters").text
    assert nasty not in html
    assert "&lt;img" in html


@pytest.mark.parametrize(
    "path", ["/assets/../site.py", "/assets/%2e%2e/site.py", "/assets/..%2fsite.py", "/assets//etc/passwd"]
)
def test_assets_stay_in_their_folder(client, path):
    assert client.get(path).status_code == 404


def test_assets_and_chart_library_are_served_by_ourselves(client):
    for path in [
        "site.css",
        "site.js",
        "chart.js",
        "town.js",
        "icon.svg",
        "vendor/maplibre/maplibre-gl.mjs",
        "vendor/maplibre/LICENSE.txt",
    ]:
        assert client.get(f"/assets/{path}").status_code == 200
    bundle = client.get("/assets/vega.js")
    assert bundle.headers["content-type"].startswith("text/javascript")
    assert "vegaEmbed" in bundle.text


def test_words():
    assert [words.percent(share) for share in (1.0, 0.99999, 0.00001, 0.0, None)] == [
        "100 %",
        "99.9 %",
        "0.1 %",
        "0 %",
        words.NOTHING,
    ]
    assert words.celsius(283_150) == "10.0"
    assert words.plural(0, "open case") == "no open cases"
