from __future__ import annotations

import numpy as np
import pytest

from citygate.quantity.clock import CityClock
from citygate.simulate import weather
from citygate.simulate.profile import day_heat, day_water, design_hour, table

START_US = CityClock().parse("2026-01-01T00:00")
HOUR_US = 3_600_000_000
KINDS = [("EFH", 11), ("MFH", 11), ("GKO", 0), ("GHA", 0), ("GBD", 0), ("GMK", 0)]


def test_sigmoid_of_german_houses():
    h = day_heat("EFH", 11, np.array([8.0, 15.0])) + day_water("EFH", 11)
    assert h == pytest.approx([1.0276419, 0.4063157], abs=1e-7)  # coefficients of demandlib 0.2.2


def test_the_hours_of_a_day_add_up_to_the_day():
    days = 14
    begin_us = START_US + np.arange(24 * days) * HOUR_US
    heard = weather.hourly(START_US, int(begin_us[-1]) + HOUR_US)
    heat, water = table(KINDS, begin_us, heard, CityClock())
    week = (heat + water).reshape(len(KINDS), days, 24).sum(2)
    assert week[0] == pytest.approx(heat[0].reshape(days, 24).sum(1) + day_water("EFH", 11), rel=0.02)
    assert (week > 0.5).all()
    assert (week < 3.5).all()


def test_the_design_hour_is_the_largest():
    begin_us = START_US + np.arange(24 * 365) * HOUR_US
    heat, water = table(KINDS, begin_us, weather.hourly(START_US, int(begin_us[-1])), CityClock())
    for row, kind in enumerate(KINDS[:2]):
        assert (heat + water)[row].max() < design_hour(*kind)


def test_the_test_year_keeps_month_day_and_hour():
    ordinary, leap = (
        weather.hourly(CityClock().parse(f"{year}-01-01"), CityClock().parse(f"{year + 1}-01-01"))
        for year in (2026, 2028)
    )
    assert ordinary["temperature_mk"].mean() == pytest.approx(284_000, abs=1_000)
    noon = CityClock(gas_day_hour=12)
    for frame, year in ((ordinary, 2026), (leap, 2028)):
        july_us = noon.parse(f"{year}-07-14T12:00+01:00")
        assert (
            weather.at(frame, np.array([july_us]))[0]
            == weather.at(ordinary, np.array([noon.parse("2026-07-14T12:00+01:00")]))[0]
        )
