"""Totals: right at every edge, exact in sum, honest about what was not measured."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citygate.quantity.clock import US_PER_HOUR
from citygate.reading.batch import ValidatedBatch
from citygate.store.city import City

HOUR = US_PER_HOUR
NOW_US = 1_800_000_000_000_000


def make(path, meters=("a", "b")):
    city = City.create(path / "city", window_days=4, block_meters=2)
    city.register(pl.DataFrame({"meter": list(meters), "zone": [f"zone {meter}" for meter in meters]}))
    return city


def put(city, meter, at_us, index_l):
    frame = pl.DataFrame({"meter": np.full(len(at_us), meter), "at_us": at_us, "index_l": index_l})
    city.readings.append(ValidatedBatch.of(frame), source="test", recorded_us=NOW_US)


@settings(max_examples=10)
@given(st.lists(st.tuples(st.integers(1, 90), st.integers(0, 5_000)), min_size=2, max_size=25))
def test_filled_gaps_add_up_to_the_register_difference_across_windows(tmp_path_factory, steps):
    city = make(tmp_path_factory.mktemp("x"))
    start_us = city.clock.parse("2026-01-01")
    at_us = start_us + np.cumsum([hours for hours, _ in steps]) * HOUR
    index_l = np.cumsum([litres for _, litres in steps])
    put(city, 0, at_us, index_l)
    weather = start_us + np.arange(0, 2_400) * HOUR
    city.keep_temperature(pl.DataFrame({"at_us": weather, "temperature_mk": 273_150 + weather // HOUR % 15_000}))
    for by in ("hour", "gas-day", "gas-month"):
        totals = city.rollups.totals(by, "meter", start_us, int(at_us[-1]) + HOUR)
        assert totals["volume_l_e5"].sum() == (index_l[-1] - index_l[0]) * 100_000
        assert (totals["volume_l_e5"] >= 0).all()


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 23), ("2026-03-29", 24), ("2026-10-24", 25)])
def test_gas_day_of_a_clock_change_is_the_sum_of_its_hours(tmp_path, day, hours):
    city = make(tmp_path)
    start_us = city.clock.parse(day)
    at_us = start_us + np.arange(0, 30) * HOUR
    put(city, 0, at_us, np.arange(30) * 10)
    total = city.rollups.totals("gas-day", "city", start_us, start_us + 1).row(0, named=True)
    hourly = city.rollups.totals("hour", "city", start_us, total["period_end_us"])
    assert len(hourly) == hours
    assert total["volume_l_e5"] == hourly["volume_l_e5"].sum() == hours * 10 * 100_000
    assert total["measured_share"] == 1.0


def test_a_silent_meter_is_missing_until_it_speaks_again(tmp_path):
    city = make(tmp_path)
    start_us = city.clock.parse("2026-01-01")
    put(city, 0, start_us + np.arange(0, 20 * 24 + 1) * HOUR, np.arange(0, 20 * 24 + 1) * 10)
    put(city, 1, start_us + np.arange(0, 25) * HOUR, np.arange(0, 25) * 10)
    end_us = start_us + 20 * 24 * HOUR
    days = city.rollups.totals("gas-day", "zone", start_us, end_us).filter(pl.col("group") == "zone b")
    assert days["missing_share"].to_list() == [0.0] + [1.0] * 19
    put(city, 1, np.array([end_us]), np.array([5_000]))
    days = city.rollups.totals("gas-day", "zone", start_us, end_us).filter(pl.col("group") == "zone b")
    assert days["missing_share"].to_list() == [0.0] * 20
    assert days["estimated_share"].sum() > 18
    assert days["volume_l_e5"].sum() == 5_000 * 100_000


def test_monthly_readings_measure_the_month(tmp_path):
    city = make(tmp_path)
    edges = [city.clock.parse(f"2026-{month:02}-01") for month in (1, 2, 3)]
    put(city, 0, np.array(edges), np.array([0, 310_000, 590_000]))
    months = city.rollups.totals("gas-month", "city", edges[0], edges[2])
    assert months["measured_share"].to_list() == [1.0, 1.0]
    assert months["volume_l_e5"].to_list() == [310_000 * 100_000, 280_000 * 100_000]
    assert (city.rollups.totals("gas-day", "city", edges[0], edges[2])["measured_share"] < 1).any()


def test_as_of_gives_the_total_of_then(tmp_path):
    city = make(tmp_path)
    start_us = city.clock.parse("2026-01-01")
    at_us = start_us + np.arange(0, 25) * HOUR
    put(city, 0, at_us, np.arange(25) * 10)
    first = city.readings.commits()["recorded_us"][0]
    put(city, 0, at_us[-1:], np.array([1_000]))
    end_us = int(at_us[-1])
    assert city.rollups.totals("gas-day", "city", start_us, end_us)["volume_l_e5"].to_list() == [1_000 * 100_000]
    then = city.rollups.totals("gas-day", "city", start_us, end_us, as_of_us=first)
    assert then["volume_l_e5"].to_list() == [240 * 100_000]


def test_a_meter_that_moves_takes_its_old_use_with_no_zone(tmp_path):
    city = make(tmp_path)
    start_us = city.clock.parse("2026-01-01")
    moved_us = city.clock.parse("2026-01-03")
    put(city, 0, start_us + np.arange(0, 24 * 4 + 1) * HOUR, np.arange(0, 24 * 4 + 1) * 10)
    rows = {
        "meter": ["a", "a"],
        "zone": ["old", "new"],
        "valid_from_us": [0, moved_us],
        "valid_to_us": [moved_us, 2**62],
    }
    city.register(pl.DataFrame(rows))
    for by in ("gas-day", "hour"):
        totals = city.rollups.totals(by, "zone", start_us, start_us + 96 * HOUR)
        sums = totals.group_by("group").agg(pl.col("volume_l_e5").sum() // 100_000).sort("group")
        assert sums.rows() == [("new", 480), ("old", 480)]


def test_inlets_and_loggers_do_not_count_as_customers(tmp_path):
    city = make(tmp_path)
    city.register(pl.DataFrame({"meter": ["b"], "zone": ["zone a"], "role": ["inlet"]}))
    start_us = city.clock.parse("2026-01-01")
    for meter in (0, 1):
        put(city, meter, start_us + np.arange(0, 25) * HOUR, np.arange(25) * 10)
    assert city.rollups.totals("gas-day", "city", start_us, start_us + HOUR)["volume_l_e5"].sum() == 240 * 100_000
    assert len(city.rollups.totals("gas-day", "meter", start_us, start_us + HOUR)) == 2
