"""The pages in a real browser: they draw, fit, answer the keyboard, and nothing is asked from elsewhere."""

from __future__ import annotations

import os
import shutil
import threading
import time

import city_of_five
import pytest

from citygate.cli.site import SiteServer, site
from citygate.reading.batch import ValidatedBatch

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = os.environ.get("CITYGATE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium found; install it or set CITYGATE_CHROMIUM")
PAGES = ["/", "/meters", "/meters/A-2", "/totals", "/cases", "/intake", "/quarantine", "/v1/docs"]
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--enable-unsafe-swiftshader"]


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    return city_of_five.make(tmp_path_factory.mktemp("e2e") / "store")


@pytest.fixture(scope="module")
def base(city):
    server = SiteServer(site(city, now_us=lambda: city_of_five.NOW_US), "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.stop()
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield found
        found.close()


@pytest.fixture
def page(browser, base):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=base)
    found = context.new_page()
    found.problems = []
    found.on("pageerror", lambda error: found.problems.append(str(error)))
    found.on("console", lambda said: found.problems.append(said.text) if said.type == "error" else None)
    found.on(
        "request",
        lambda asked: None if asked.url.startswith((base, "blob:", "data:")) else found.problems.append(asked.url),
    )
    yield found
    context.close()
    assert not found.problems


@pytest.mark.parametrize("path", PAGES)
def test_pages_fit_and_say_no_error(page, path):
    page.goto(path, wait_until="load")
    page.wait_for_selector("#live.on")
    for width in (1600, 1024, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, width


def test_the_map_draws_and_a_legend_filters(page):
    page.goto("/")
    page.wait_for_selector("#map[data-ready=yes]", timeout=20_000)
    page.uncheck("[data-nature=modelled]")
    page.check("[data-nature=modelled]")


def test_charts_answer_to_the_mouse(page):
    page.goto("/meters/A-2?from=2026-01-10&to=2026-01-13")
    page.wait_for_selector(".chart canvas", timeout=20_000)
    box = page.query_selector(".chart canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.6)
    playwright.expect(page.locator("#hint")).to_contain_text("volume")


def test_the_keyboard_searches_and_steps_the_period(page):
    page.goto("/totals?from=2026-01-10&to=2026-01-11")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/totals?*from=2026-01-11&to=2026-01-12")
    page.keyboard.press("/")
    page.keyboard.type("B-1")
    page.keyboard.press("Enter")
    page.wait_for_url("**/meters?q=B-1")
    assert page.inner_text("h1") == "1 meter with “B-1” in the name of 5"


def test_tables_sort(page):
    page.goto("/meters")
    page.click("th:has-text('Meter') button")
    page.click("th:has-text('Meter') button")
    assert page.inner_text("tbody tr:first-child td:first-child") == "B-1"


def test_counts_change_while_one_looks(page, city):
    page.goto("/intake")
    page.wait_for_selector("#live.on")
    before = int(page.inner_text("[data-live='readings.stored']").replace(",", ""))
    row = city.readings.scan([3], city_of_five.START_US, city_of_five.START_US + 1)
    later = row.with_columns(at_us=city_of_five.START_US + 1_000_000 * before)
    city.readings.append(ValidatedBatch.of(later), source="live", recorded_us=city_of_five.NOW_US)
    playwright.expect(page.locator("[data-live='readings.stored']")).to_have_text(str(before + 1))


def test_pages_read_without_javascript(browser, base):
    context = browser.new_context(java_script_enabled=False, base_url=base)
    found = context.new_page()
    found.goto("/meters/A-2?from=2026-01-10&to=2026-01-13")
    assert found.inner_text("h1") == "A-2: 14.4 m³ in 3 gas days"
    assert found.query_selector(".chart img") is not None
    context.close()
