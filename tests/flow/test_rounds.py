"""Rounds beside intake end in what one look at everything finds, and an export can be taken in again."""

from __future__ import annotations

import threading
from dataclasses import replace

import polars as pl
import pytest

from citygate.flow.export import export
from citygate.flow.ingest import Intake, Strangers
from citygate.flow.rounds import Rounds
from citygate.link.chunk import Chunk, numbered
from citygate.quantity.clock import US_PER_HOUR
from citygate.report.table import Format
from citygate.simulate import city as made_up
from citygate.simulate.event import LeakPlan
from citygate.store.cases import CaseStore
from citygate.store.city import City


@pytest.fixture(scope="module")
def plan():
    start_us = 1_767_243_600_000_000
    leaks = LeakPlan(6, smallest_lph=200, largest_lph=500, growing_share=0)
    return made_up.CityPlan(30, 24, 4, start_us, leaks=leaks, chunk_rows=2_000)


def settle_in(path, plan):
    city = City.create(path)
    city.register(made_up.meters(plan))
    city.keep_temperature(made_up.build(plan).observed_weather)
    return city


def take_all(city, plan, between):
    intake = Intake(city, lambda: plan.start_us + 40 * 24 * US_PER_HOUR)
    for number, frame in enumerate(made_up.stream(plan)):
        intake.take(Chunk("test", number, numbered(frame, 1)))
        between()


def test_many_rounds_end_in_what_one_round_finds(tmp_path, plan):
    found = []
    for name, many in (("many", True), ("one", False)):
        city = settle_in(tmp_path / name, plan)
        rounds = Rounds(city, lambda: plan.start_us)
        take_all(city, plan, rounds.once if many else lambda: None)
        rounds.once()
        found.append((rounds.alarms(), city.rollups.totals("gas-day", "zone", 0, 2**62).write_csv()))
        assert CaseStore.of(city).alarms().drop("seen_us").equals(rounds.alarms())
        assert rounds.once().raised == 0
    assert len(found[0][0]) > 0
    assert found[0][0].write_csv() == found[1][0].write_csv()
    assert found[0][1] == found[1][1]


def test_a_round_that_fails_does_not_end_the_rounds(tmp_path, plan, caplog):
    city = settle_in(tmp_path / "c", replace(plan, days=1))
    rounds, stop, calls = Rounds(city, lambda: 0), threading.Event(), []

    def fail():
        calls.append(1)
        if len(calls) > 1:
            stop.set()
        raise RuntimeError("broken")

    rounds.once = fail
    rounds.run(stop, 0.001)
    assert len(calls) == 2
    assert "broken" in caplog.text


@pytest.mark.parametrize("form", [Format.PARQUET, Format.CSV, Format.JSONL])
def test_an_export_can_be_taken_in_again(tmp_path, plan, form):
    city = settle_in(tmp_path / "c", plan)
    take_all(city, plan, lambda: None)
    counts = export(city, tmp_path / "out", form, 0, 2**62)
    assert counts["meters"] == 30
    again = settle_in(tmp_path / "again", plan)
    if form is Format.PARQUET:
        again.register(pl.read_parquet(tmp_path / "out" / "meters.parquet"))
        again.keep_temperature(pl.read_parquet(tmp_path / "out" / "weather.parquet"))
    intake = Intake(again, lambda: plan.start_us + 40 * 24 * US_PER_HOUR, strangers=Strangers.REFUSE)
    taken = intake.ingest(tmp_path / "out" / f"readings.{form.value}")
    assert (taken.stored, taken.read) == (counts["readings"], counts["readings"])
    for by in ("hour", "gas-day"):
        assert again.rollups.totals(by, "zone", 0, 2**62).equals(city.rollups.totals(by, "zone", 0, 2**62))
