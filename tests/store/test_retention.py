"""Thinning keeps every total of a gas day; dropping keeps what was derived; nothing comes back."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from citygate.flow.ingest import Intake
from citygate.quantity.clock import US_PER_HOUR
from citygate.reading.batch import ValidatedBatch
from citygate.store.city import City
from citygate.store.retention import RetentionRules, Step, WrongRetentionError, apply, due, kept_from_us

DAY = 24 * US_PER_HOUR


@pytest.fixture
def city(tmp_path):
    city = City.create(tmp_path / "c", window_days=7, block_meters=4)
    city.register(pl.DataFrame({"meter": ["a", "b"], "zone": ["z", "z"]}))
    start_us = city.clock.parse("2026-01-01")
    luck = np.random.default_rng(1)
    for meter in range(2):
        at_us = start_us + np.arange(0, 30 * 24) * US_PER_HOUR + luck.integers(0, 600_000_000, 30 * 24)
        frame = {
            "meter": np.full(len(at_us), meter),
            "at_us": at_us,
            "index_l": np.cumsum(luck.integers(0, 300, len(at_us))),
        }
        city.readings.append(ValidatedBatch.of(pl.DataFrame(frame)), source="t", recorded_us=at_us[-1])
    city.rollups.settle()
    return city


def totals(city):
    start_us = city.clock.parse("2026-01-01")
    return city.rollups.totals("gas-day", "meter", start_us, start_us + 30 * DAY)


def test_thinning_keeps_the_totals_of_gas_days(city):
    before, now_us = totals(city), city.clock.parse("2026-02-20")
    rules = RetentionRules(readings_days=30, daily_days=400)
    plan = due(city.readings, rules, now_us)
    done = apply(city.readings, rules, now_us)
    assert not plan or plan == done
    assert {each.step for each in done} == {Step.THIN}
    assert totals(city).equals(before)
    span = city.readings.span_us()
    start_us = city.clock.parse("2026-01-01")
    again = city.rollups.totals("gas-day", "meter", start_us, start_us + 30 * DAY, as_of_us=2**62)
    assert again["volume_l_e5"].to_list() == before["volume_l_e5"].to_list()
    assert span == city.readings.span_us()
    assert not apply(city.readings, rules, now_us)


def test_dropping_keeps_derived_consumption(city):
    before = totals(city)
    done = apply(city.readings, RetentionRules(10, 20), city.clock.parse("2026-02-05"))
    assert Step.DROP in {each.step for each in done}
    with city.records.begin() as connection:
        city.rollups.mark_meters([0, 1], connection)
    assert totals(city).head(10).equals(before.head(10))
    edge_us = kept_from_us(city.records)
    assert edge_us > city.clock.parse("2026-01-08")


@pytest.mark.parametrize(
    "text", ["", "[readings]\nkeep_days = 5", "[readings]\nkeep_days = 9\n[daily]\nkeep_days = 5", "x = "]
)
def test_rules_that_make_no_sense_are_refused(text):
    with pytest.raises(WrongRetentionError):
        RetentionRules.parse(text)


def test_the_packaged_rules_load():
    assert RetentionRules.default().daily_days > RetentionRules.default().readings_days


def test_readings_of_a_time_that_was_thinned_are_refused(city, tmp_path):
    apply(city.readings, RetentionRules(30, 400), city.clock.parse("2026-02-20"))
    path = tmp_path / "late.csv"
    path.write_text("meter,time,index_l\na,2026-01-01T07:30:00+01:00,1\nb,2026-01-31T05:30:00+01:00,999999\n")
    count = Intake(city, lambda: city.clock.parse("2026-02-20")).ingest(path)
    assert count.refused == {"time_too_old": 1}
    assert count.stored == 1
