from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from citygate.fleet.registry import Registry
from citygate.quantity.clock import CityClock
from citygate.reading.batch import ReadingBatch
from citygate.simulate import city, folder, metering
from citygate.simulate.city import BadPlanError, CityPlan
from citygate.simulate.event import BadLeaksError, Events, Kind, LeakPlan
from citygate.simulate.radio import Faults
from citygate.simulate.weather import BadWeatherError

START_US = CityClock().parse("2026-01-01")
HOUR_US = 3_600_000_000


def unrolled(frame: pl.DataFrame, meters: pl.DataFrame) -> pl.DataFrame:
    """Steps of every register in the order of time, rollovers undone."""
    step = pl.col("index_l").diff().over("meter")
    joined = frame.sort("meter", "at_us").join(
        meters.select("meter", "register_max_l", "pulse_l", "role", "zone"), on="meter"
    )
    return joined.with_columns(
        pl.when(step < -pl.col("register_max_l") // 2)
        .then(step + pl.col("register_max_l"))
        .otherwise(step)
        .alias("step_l")
    )


def totals(frame: pl.DataFrame, meters: pl.DataFrame) -> dict[str, int]:
    return dict(unrolled(frame, meters).group_by("meter").agg(pl.col("step_l").sum()).rows())


def everything(world: metering.World) -> pl.DataFrame:
    return pl.concat(list(metering.readings(world)))


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    plan = CityPlan(60, 3, 5, START_US)
    digests = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        folder.write(city.build(replace(plan, seed=seed)), tmp_path / name, lambda _written, _due: None)
        digests.append({path.name: sha256(path.read_bytes()).hexdigest() for path in (tmp_path / name).iterdir()})
    assert set(digests[0]) == {f"{name}.parquet" for name in ("readings", "meters", "buildings", "weather", "truth")}
    assert digests[0] == digests[1]
    assert digests[0]["readings.parquet"] != digests[2]["readings.parquet"]


@given(chunk_rows=st.integers(1, 20_000))
@settings(max_examples=8)
def test_the_size_of_a_chunk_changes_no_row(chunk_rows):
    plan = CityPlan(40, 4, 2, START_US, faults=Faults.HEAVY)
    whole = pl.concat(list(city.stream(replace(plan, chunk_rows=10**9))))
    chunks = list(city.stream(replace(plan, chunk_rows=chunk_rows)))
    assert_frame_equal(pl.concat(chunks), whole)
    assert whole["received_us"].is_sorted()


def test_a_chunk_holds_about_the_rows_that_it_may():
    plan = CityPlan(100, 3, 1, START_US, chunk_rows=1_000)
    assert max(chunk.height for chunk in city.stream(plan)) < 2_000


def test_a_clean_city_brings_every_reading_once_and_its_registers_only_rise_by_whole_pulses():
    plan = city.clean(CityPlan(300, 31, 3, START_US))
    world = city.build(plan)
    frame = everything(world)
    assert frame.height == frame.unique(["meter", "at_us"]).height == 300 * 31 * 24
    assert world.truth.is_empty()
    steps = unrolled(frame, world.meters)
    assert steps["step_l"].min() == 0
    assert (steps["step_l"].fill_null(0) % steps["pulse_l"]).max() == 0
    assert (steps["index_l"] < steps["register_max_l"]).all()
    assert frame.filter(pl.col("index_l").diff().over("meter") < 0).height > 0, "no register rolled over"
    assert set(world.meters["pulse_l"]) == {1, 10, 100}


def test_frames_are_readings_and_meters_a_registry():
    plan = CityPlan(30, 1, 1, START_US)
    chunk = next(city.stream(plan))
    assert dict(chunk.schema) == metering.SCHEMA
    assert ReadingBatch.of(chunk).rows.height == chunk.height
    assert Registry.of(city.meters(plan)).count() == 30
    assert chunk["pressure_pa"].drop_nulls().is_between(101_000, 104_000).all()
    assert chunk["flow_lph"].null_count() > 0


def test_an_inlet_counts_its_customers_and_the_leaks():
    plan = city.clean(CityPlan(250, 6, 9, START_US, inlet_error_ratio=0.0))
    world, rich = city.build(plan), city.build(replace(plan, planted=True))
    leaks = rich.events.rows.filter(pl.col("kind").is_in([Kind.LEAK, Kind.LEAK_GROWTH, Kind.NETWORK_LEAK]))
    assert leaks["kind"].n_unique() == 2, "a leak and a leak in the network"
    before = totals(everything(world), world.meters)
    after = totals(everything(replace(world, events=Events(leaks))), world.meters)
    inlet, last_us = "inlet-zone-001", int(world.at_us[-1])
    customers = sum(litres for meter, litres in before.items() if meter != inlet)
    assert before[inlet] == pytest.approx(customers, abs=world.meters["pulse_l"].sum())
    hours = ((leaks["end_us"].clip(None, last_us) - leaks["start_us"]) / HOUR_US).to_list()
    lost = dict(zip(leaks["row"].to_list(), np.array(hours) * leaks["size"].to_numpy(), strict=True))
    assert after[inlet] - before[inlet] == pytest.approx(sum(lost.values()), abs=200)
    names = world.meters["meter"].to_list()
    for row, litres in lost.items():
        if names[row] != inlet:
            assert after[names[row]] - before[names[row]] == pytest.approx(litres, abs=100)


@pytest.mark.parametrize("kind", [Kind.BYPASS, Kind.NIGHT_BYPASS, Kind.STUCK])
def test_what_passes_a_meter_unseen_still_passes_the_inlet(kind):
    plan = city.clean(CityPlan(250, 8, 9, START_US))
    world, rich = city.build(plan), city.build(replace(plan, planted=True))
    events = rich.events.rows.filter(pl.col("kind") == kind)
    before = totals(everything(world), world.meters)
    after = totals(everything(replace(world, events=Events(events))), world.meters)
    thief = world.meters["meter"][int(events["row"][0])]
    assert after[thief] < before[thief]
    assert {meter for meter in before if before[meter] != after[meter]} == {thief}


def test_truth_names_meters_of_the_city_within_its_time():
    plan = CityPlan(1_000, 10, 4, START_US)
    truth, meters = city.truth(plan), city.meters(plan)
    assert truth.columns == ["meter", "kind", "start_us", "end_us", "size", "unit", "zone"]
    assert set(truth["kind"]) == set(Kind)
    assert (truth["start_us"] < truth["end_us"]).all()
    assert truth["start_us"].min() >= plan.start_us
    assert truth["end_us"].max() <= plan.end_us
    assert truth.join(meters, on=["meter", "zone"]).height == truth.height
    alone = truth.filter(~pl.col("kind").is_in([Kind.CLOCK_DRIFT, Kind.NETWORK_LEAK, Kind.PRESSURE_DROP]))
    assert alone["meter"].is_unique().all()


def test_a_typical_radio_loses_doubles_delays_and_corrects():
    plan = CityPlan(500, 10, 4, START_US)
    world, frame = city.build(plan), pl.concat(list(city.stream(plan)))
    due = 500 * 240
    distinct = frame.unique(["meter", "at_us"]).height
    assert 0.9 * due < distinct < due
    assert frame.height > distinct
    assert frame.unique(["meter", "at_us", "index_l"]).height > distinct, "nothing was corrected"
    assert (frame["received_us"] - frame["at_us"]).max() > 12 * HOUR_US
    clocks = world.truth.filter(pl.col("kind") == Kind.CLOCK_DRIFT)["meter"]
    assert set(frame.filter(pl.col("at_us") % HOUR_US != 0)["meter"]) == set(clocks)


def test_pressure_falls_in_the_zone_of_a_drop_only():
    plan = replace(CityPlan(500, 10, 4, START_US), faults=Faults.NONE, full_share=1.0)
    world = city.build(plan)
    drop = world.truth.filter(
        (pl.col("kind") == Kind.PRESSURE_DROP) & (pl.col("end_us") - pl.col("start_us") > HOUR_US)
    ).row(0, named=True)
    during = (
        everything(world)
        .filter(pl.col("at_us").is_between(drop["start_us"], drop["end_us"] - 1))
        .join(world.meters, on="meter")
    )
    inside = pl.col("zone") == drop["zone"]
    fall_pa = during.filter(~inside)["pressure_pa"].mean() - during.filter(inside)["pressure_pa"].mean()
    assert fall_pa == pytest.approx(drop["size"], abs=60)


def test_cold_hours_need_more_gas_than_warm_ones():
    days = 60
    world = city.build(city.clean(CityPlan(200, days, 1, CityClock().parse("2026-03-01"))))
    inlet = everything(world).filter(pl.col("meter").str.starts_with("inlet")).sort("at_us")
    daily_l = inlet["flow_lph"].to_numpy().reshape(days, 24).sum(1)
    celsius = world.observed_weather["temperature_mk"].to_numpy().reshape(days, 24).mean(1)
    assert np.corrcoef(daily_l, celsius)[0, 1] < -0.85


def test_quarter_hours_and_the_smallest_city():
    plan = CityPlan(10, 1, 1, START_US, interval_s=900, faults=Faults.NONE)
    frame = pl.concat(list(city.stream(plan)))
    assert frame.height == 10 * 96
    assert city.meters(plan)["role"].to_list() == ["customer"] * 9 + ["inlet"]


@pytest.mark.parametrize(
    "wrong", [{"meter_count": 9}, {"meter_count": 1_000_001}, {"days": 0}, {"seed": -1}, {"interval_s": 60}]
)
def test_a_plan_that_cannot_be_made_is_refused(wrong):
    with pytest.raises(BadPlanError):
        CityPlan(**{"meter_count": 10, "days": 1, "seed": 0, "start_us": START_US, **wrong})


def test_weather_of_the_user_is_used_and_must_cover_the_period():
    plan = city.clean(CityPlan(20, 2, 1, START_US))
    at_us = START_US + np.arange(49) * HOUR_US
    hot, cold = (pl.DataFrame({"at_us": at_us, "temperature_mk": np.full(49, mk)}) for mk in (305_150, 258_150))
    use = [
        sum(totals(pl.concat(list(city.stream(replace(plan, weather=heard)))), city.meters(plan)).values())
        for heard in (hot, cold)
    ]
    assert use[1] > 5 * use[0]
    with pytest.raises(BadWeatherError):
        city.build(replace(plan, weather=hot.head(10)))
    with pytest.raises(BadWeatherError):
        city.build(replace(plan, weather=hot.rename({"temperature_mk": "t"})))


@pytest.mark.parametrize("kind", [Kind.SPIKE, Kind.FAULT_SLOPE, Kind.DRIFT])
def test_every_other_kind_shows_in_its_meter(kind):
    plan = city.clean(CityPlan(250, 12, 9, START_US))
    world, rich = city.build(plan), city.build(replace(plan, planted=True))
    event = rich.events.rows.filter(pl.col("kind") == kind).head(1)
    before = totals(everything(world), world.meters)
    after = totals(everything(replace(world, events=Events(event))), world.meters)
    meter = world.meters["meter"][int(event["row"][0])]
    assert (after[meter] - before[meter]) * event["size"][0] > 0
    assert {name for name in before if before[name] != after[name]} <= {meter, "inlet-zone-001"}
    assert (after["inlet-zone-001"] == before["inlet-zone-001"]) == (kind == Kind.DRIFT)


def test_leaks_are_as_many_as_asked_for_or_refused():
    plan = CityPlan(10, 5, 1, START_US, leaks=LeakPlan(9))
    assert city.truth(plan)["kind"].str.starts_with("leak").sum() == 9
    with pytest.raises(BadLeaksError):
        city.build(replace(plan, leaks=LeakPlan(10)))
