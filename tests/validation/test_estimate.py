from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.quantity.clock import CityClock
from citygate.validation.backtest import backtest
from citygate.validation.estimate import Known, estimate, split, standard_ladder
from citygate.validation.profile import Sigmoid, effective_temperature_c, profile_of

HOUR_US = 3_600_000_000
DAY = 24


def known(hours=60 * DAY, volume_l=None, temperature_c=8.0):
    volume_l = [100] * hours if volume_l is None else volume_l
    at_us = [i * HOUR_US for i in range(hours)]
    meters = {"meter": pl.Series([0] * hours, dtype=pl.Int32), "hour_start_us": at_us, "volume_l": volume_l}
    mk = np.full(hours, temperature_c) * 1000 + 273_150
    weather = pl.DataFrame({"hour_start_us": at_us, "temperature_mk": mk.astype(np.int64)})
    return Known(pl.DataFrame(meters), weather, ["household"], CityClock("UTC", 0))


def gaps(*bounds):
    columns = zip(*bounds, strict=True)
    names = ("from_us", "to_us", "volume_l")
    frame = pl.DataFrame(dict(zip(names, columns, strict=True)), schema=dict.fromkeys(names, pl.Int64))
    return frame.select(pl.lit(0, pl.Int32).alias("meter"), *names)


def test_sigmoid_of_the_german_house():  # N-61
    house = Sigmoid(3.0469695, -37.1833141, 5.6727847, 0.0961931)
    assert np.round(house.factor(np.array([8.0, 0.0, 15.0])), 5).tolist() == [1.00752, 1.93077, 0.38619]


def test_effective_temperature_weighs_four_days():
    assert effective_temperature_c(np.array([0.0, 0.0, 0.0, 15.0])).tolist()[3] == pytest.approx(8.0)
    assert effective_temperature_c(np.array([5.0, 5.0])).tolist() == pytest.approx([5.0, 5.0])
    assert effective_temperature_c(np.zeros(0)).tolist() == []


@pytest.mark.parametrize("kind", ["household", "flats", "commercial", "no such type"])
def test_the_hours_of_a_profile_make_a_day(kind):
    profile = profile_of(kind)
    assert np.abs(profile.share.sum(axis=1) - 1).max() < 0.002


def test_the_ladder_by_length():
    at = 30 * DAY * HOUR_US
    lengths = [at + hours * HOUR_US for hours in (2, 3, 168, 169)]
    cases = gaps(*((at, to, 100) for to in lengths), (400 * DAY * HOUR_US, 401 * DAY * HOUR_US, 100))
    filled = estimate(cases, known())
    assert filled.group_by("gap").agg(pl.col("method").first()).sort("gap")["method"].to_list() == [
        "linear",
        "similar_day",
        "similar_day",
        "own_hours",
        "profile",
    ]
    assert filled["error_l"].min() > 0


def test_a_short_gap_is_shared_out_by_time():
    filled = estimate(gaps((HOUR_US // 2, 2 * HOUR_US, 90)), known())
    assert filled.select("hour_start_us", "volume_l").rows() == [(0, 30), (HOUR_US, 60)]


def test_a_similar_day_has_the_hours_of_the_days_around():
    day = [0] * 6 + [30] * 3 + [5] * 9 + [20] * 4 + [0] * 2
    at = 30 * DAY * HOUR_US
    filled = estimate(gaps((at, at + DAY * HOUR_US, sum(day))), known(volume_l=day * 60))
    assert filled["volume_l"].to_list() == day


def test_a_colder_day_of_the_gap_gets_more():
    celsius = np.full(60 * DAY, 10.0)
    celsius[30 * DAY : 31 * DAY] = 0.0
    at = 30 * DAY * HOUR_US
    filled = estimate(gaps((at, at + 2 * DAY * HOUR_US, 2400)), known(temperature_c=celsius))
    cold, mild = (filled["volume_l"][i * DAY : (i + 1) * DAY].sum() for i in (0, 1))
    assert cold == pytest.approx(2400 * 17 / 24, abs=1)
    assert cold + mild == 2400


def test_a_meter_that_never_used_gas_is_filled_from_the_profile():
    at = 30 * DAY * HOUR_US
    filled = estimate(gaps((at, at + DAY * HOUR_US, 500)), known(volume_l=[0] * 60 * DAY))
    assert set(filled["method"]) == {"profile"}
    assert filled["volume_l"].sum() == 500


def test_without_weather_no_day_is_colder():
    calm = known()
    at = 30 * DAY * HOUR_US
    filled = estimate(
        gaps((at, at + 20 * DAY * HOUR_US, 48_000)), Known(calm.hours, calm.weather.clear(), ["flats"], calm.clock)
    )
    assert set(filled["volume_l"]) == {100}


def test_many_gaps_are_numbered_through():
    at = 30 * DAY * HOUR_US
    cases = gaps(*((at, at + 24 * HOUR_US, volume_l) for volume_l in range(6_000)))
    totals = estimate(cases, known()).group_by("gap").agg(pl.col("volume_l").sum()).sort("gap")
    assert totals.rows() == [(volume_l, volume_l) for volume_l in range(6_000)]


def test_no_gap_no_hour():
    assert len(estimate(gaps((0, HOUR_US, 1)).clear(), known())) == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 58 * DAY * 3600), st.integers(1, 40 * DAY * 3600), st.integers(0, 2**33 - 1)),
        min_size=1,
        max_size=5,
    )
)
def test_a_gap_closes_to_the_litre(cases):
    bounds = [(start * 1_000_000, (start + length) * 1_000_000, volume_l) for start, length, volume_l in cases]
    filled = estimate(gaps(*bounds), known())
    assert filled["volume_l"].min() >= 0
    assert filled.group_by("gap").agg(pl.col("volume_l").sum()).sort("gap")["volume_l"].to_list() == [
        v for _, _, v in bounds
    ]


@given(
    st.lists(
        st.tuples(st.integers(0, 2**33 - 1), st.lists(st.floats(0, 1e6), min_size=1, max_size=9)),
        min_size=1,
        max_size=6,
    )
)
def test_split_closes_and_follows_the_weights(groups):
    volume_l = np.array([volume for volume, _ in groups])
    group = np.repeat(np.arange(len(groups)), [len(weights) for _, weights in groups])
    weight = np.concatenate([weights for _, weights in groups])
    shared = split(volume_l, group, weight)
    assert np.bincount(group, shared).astype(np.int64).tolist() == volume_l.tolist()
    for place, (volume, weights) in enumerate(groups):
        if sum(weights) > 0:
            ideal = volume * np.array(weights) / sum(weights)
            assert np.abs(shared[group == place] - ideal).max() <= 1 + volume * 1e-9


def test_backtest_tells_the_error_of_each_method():
    day = [0] * 6 + [30] * 3 + [5] * 9 + [20] * 4 + [0] * 2
    table = backtest(known(volume_l=day * 60), [24, 240], gap_count=20, seed=1)
    assert table["chosen"].sum() == 2
    errors = {(row["gap_hours"], row["method"]): row["mae_l"] for row in table.iter_rows(named=True)}
    assert errors[24, "similar_day"] < 0.1
    assert errors[24, "linear"] > 5


def test_real_homes_are_told_as_wrong_as_they_are(shared):
    folder = shared / "data" / "pip_real_gas"
    home = pl.read_parquet(folder / "uk_home_hourly.parquet").select(
        meter=pl.lit(0, pl.Int32),
        hour_start_us=pl.col("start_utc").cast(pl.Datetime("us")).dt.epoch("us"),
        volume_l=(pl.col("gas_kwh") / 0.011).round().cast(pl.Int64),
        temperature_mk=((pl.col("temperature_c") + 273.15) * 1000).round().cast(pl.Int64),
    )
    weather = home.select("hour_start_us", "temperature_mk")
    real = Known(home.drop("temperature_mk"), weather, ["household"], CityClock("Europe/London", 5))
    table = backtest(real, [2, 24, 336], gap_count=100, seed=7)
    rmse = {(row["gap_hours"], row["method"]): row["rmse_l"] for row in table.iter_rows(named=True)}
    assert rmse[24, "similar_day"] < 0.85 * rmse[24, "linear"]
    assert rmse[336, "own_hours"] < 0.85 * rmse[336, "profile"] < rmse[336, "linear"]
    told = standard_ladder().relative_error
    for row in table.filter("chosen").iter_rows(named=True):
        assert row["relative_error"] == pytest.approx(told[row["method"]], rel=0.5)
