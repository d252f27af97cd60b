from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from citygate.quantity.clock import CityClock
from citygate.simulate import city
from citygate.simulate.city import CityPlan
from citygate.simulate.event import SIZES, Kind
from citygate.simulate.inject import TRUTH, TooFewMetersError, apply, inject, label

CLOCK = CityClock()
START_US = CLOCK.parse("2026-01-01")
HOUR_US = 3_600_000_000
PLAN = city.clean(CityPlan(60, 12, 8, START_US))
FRAME = pl.concat(list(city.stream(PLAN)))
METERS = city.meters(PLAN)
UNKNOWN = pl.DataFrame(schema={"meter": pl.String})


def steps(frame: pl.DataFrame) -> pl.DataFrame:
    step = pl.col("index_l").diff().over("meter")
    joined = (
        frame.unique(["meter", "at_us"], keep="last", maintain_order=True)
        .sort("meter", "at_us")
        .join(METERS, on="meter")
    )
    return joined.with_columns(
        pl.when(step < -pl.col("register_max_l") // 2)
        .then(step + pl.col("register_max_l"))
        .otherwise(step)
        .alias("step_l"),
        pl.col("at_us").shift(1).over("meter").alias("begin_us"),
    )


@given(
    seed=st.integers(0, 2**32),
    known=st.booleans(),
    classes=st.lists(st.sampled_from(list(SIZES)), min_size=1, unique=True),
)
def test_only_labelled_meters_change_only_in_the_labelled_time(seed, known, classes):
    shuffled = FRAME.sample(fraction=1.0, shuffle=True, seed=seed % 1_000)
    meters = METERS if known else METERS.select("meter", "register_max_l", "role")
    faulty, truth = inject(shuffled, classes, 3, seed, meters, CLOCK)
    assert_frame_equal(faulty.drop("index_l", "flow_lph"), shuffled.drop("index_l", "flow_lph"))
    assert truth["meter"].is_unique().all()
    assert dict(truth.schema) == TRUTH
    both = (
        steps(shuffled)
        .select("meter", "at_us", "begin_us", "step_l")
        .join(
            steps(faulty).select(
                "meter", "at_us", "index_l", "pulse_l", "register_max_l", pl.col("step_l").alias("now_l")
            ),
            on=["meter", "at_us"],
        )
    )
    changed = both.filter(pl.col("step_l") != pl.col("now_l")).join(truth, on="meter", how="left")
    assert changed["kind"].null_count() == 0
    assert ((changed["at_us"] > changed["start_us"]) & (changed["begin_us"] < changed["end_us"])).all()
    assert both["now_l"].min() >= 0
    assert (both["now_l"].fill_null(0) % both["pulse_l"]).max() == 0
    assert both["index_l"].is_between(0, both["register_max_l"] - 1).all()


@given(size=st.floats(5, 500), kind=st.sampled_from([Kind.LEAK, Kind.LEAK_GROWTH]), hours=st.integers(1, 200))
def test_a_leak_adds_its_volume(size, kind, hours):
    meter = METERS["meter"][3]
    start_us = START_US + 20 * HOUR_US + 600_000_000
    truth = pl.DataFrame(
        [(meter, kind, start_us, start_us + hours * HOUR_US, size, "l/h", None)], schema=TRUTH, orient="row"
    )
    more_l = steps(apply(FRAME, truth, METERS, CLOCK))["step_l"].sum() - steps(FRAME)["step_l"].sum()
    expected_l = size * hours * (0.5 if kind == Kind.LEAK_GROWTH else 1.0)
    assert -100 <= more_l - expected_l <= 0.001


@given(size=st.floats(0.2, 1.0), kind=st.sampled_from([Kind.BYPASS, Kind.NIGHT_BYPASS, Kind.STUCK]))
def test_a_theft_takes_its_share(size, kind):
    meter = METERS["meter"][5]
    truth = pl.DataFrame(
        [(meter, kind, START_US, START_US + 300 * HOUR_US, size, "ratio", None)], schema=TRUTH, orient="row"
    )
    was, now = (
        steps(frame).filter(pl.col("meter") == meter).drop_nulls("begin_us")
        for frame in (FRAME, apply(FRAME, truth, METERS, CLOCK))
    )
    hour = CLOCK.local_hours(was["begin_us"].to_numpy())
    hit = (hour >= 22) | (hour < 6) if kind == Kind.NIGHT_BYPASS else np.ones(len(hour), bool)
    share = 1.0 if kind == Kind.STUCK else size
    expected_l = (was["step_l"].to_numpy() * np.where(hit, 1 - share, 1.0)).sum()
    assert abs(now["step_l"].sum() - expected_l) <= was["pulse_l"][0]


def test_a_spike_multiplies_and_a_fault_keeps_the_base():
    faulty, truth = inject(FRAME, [Kind.SPIKE, Kind.FAULT_SLOPE], 10, 1, METERS, CLOCK)
    more = (
        steps(FRAME)
        .group_by("meter")
        .agg(pl.col("step_l").sum())
        .join(steps(faulty).group_by("meter").agg(pl.col("step_l").sum().alias("now_l")), on="meter")
    )
    for _, was_l, now_l, kind, size in (
        more.join(truth, on="meter").select("meter", "step_l", "now_l", "kind", "size").rows()
    ):
        if kind == Kind.SPIKE:
            assert now_l - was_l >= 100 * 0.99 * (size - 1) * 0.9 - 100
        else:
            assert was_l <= now_l <= was_l * (1 + size)


def test_sizes_cover_their_range_evenly_and_the_seed_decides():
    one, same, other = (label(FRAME, [Kind.LEAK], 40, seed, METERS) for seed in (1, 1, 2))
    assert_frame_equal(one, same)
    assert not one.equals(other)
    assert np.histogram(np.log(one["size"].to_numpy()), bins=4, range=(np.log(5), np.log(500)))[0].tolist() == [
        10,
        10,
        10,
        10,
    ]
    spikes = label(FRAME, [Kind.SPIKE], 40, 1, METERS)
    assert ((spikes["end_us"] - spikes["start_us"]) / HOUR_US).is_between(1, 6).all()


def test_duplicates_move_together_and_other_columns_stay():
    rows = FRAME.sort("at_us").select("meter", "at_us", "index_l", pl.lit("x").alias("note"))
    doubled = pl.concat([rows, rows])
    faulty, _ = inject(doubled, [Kind.LEAK], 10, 3, UNKNOWN, CLOCK)
    assert faulty.head(rows.height).equals(faulty.tail(rows.height))
    assert faulty.columns == doubled.columns


def test_too_few_meters_and_none():
    with pytest.raises(TooFewMetersError):
        inject(FRAME, list(SIZES), 50, 1, METERS, CLOCK)
    faulty, truth = inject(FRAME, list(SIZES), 0, 1, METERS, CLOCK)
    assert truth.is_empty()
    assert_frame_equal(faulty, FRAME)


def test_real_measured_registers_take_faults(shared):
    hours = pl.read_parquet(shared / "data" / "pip_real_gas" / "be_gas_2016_hour.parquet")
    frame = hours.sort("meter", "start_utc").select(
        "meter",
        pl.col("start_utc").dt.epoch("us").alias("at_us"),
        (pl.col("gas_w").cum_sum().over("meter") / 10.85).floor().cast(pl.Int64).alias("index_l"),
    )
    faulty, truth = inject(frame, [Kind.LEAK, Kind.BYPASS, Kind.SPIKE], 1, 5, UNKNOWN, CLOCK)
    assert truth.height == 3
    assert faulty.select(pl.col("index_l").diff().over("meter")).to_series().min() >= 0
