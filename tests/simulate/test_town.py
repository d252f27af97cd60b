from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from citygate.fleet.registry import Registry
from citygate.quantity.clock import CityClock
from citygate.simulate import home, town
from citygate.simulate.gas import WH_PER_LITRE
from citygate.simulate.network import SUPPLY_JUNCTION, schutterwald
from citygate.simulate.radio import Faults
from citygate.simulate.town import TownPlan

START_US = CityClock().parse("2026-01-01")
HOUR_US = 3_600_000_000
CLEAN = TownPlan(START_US, 2, 1, planted_days=0, faults=Faults.NONE, inlet_error_ratio=0.0)


def test_every_house_hangs_in_one_zone_of_one_network():
    network = schutterwald()
    assert (network.pipes.height, network.houses.height) == (2_559, 1_506)
    assert 6 <= network.zones.height <= 9
    assert network.zones["house_count"].sum() == 1_506
    assert network.zones["head_junction"][0] == SUPPLY_JUNCTION
    assert network.pipes.null_count().sum_horizontal().item() == 0
    assert network.pipes.filter(pl.col("kind") == "main")["length_m"].sum() == pytest.approx(10_400, abs=150)
    for outline in network.zones["outline"].to_list():
        assert outline[0] == outline[-1]
        assert len(outline) > 3


def test_pipes_lead_away_from_the_supply():
    pipes = schutterwald().pipes
    reached = pipes["to_junction"].value_counts().filter(pl.col("count") > 1)
    assert reached.height <= 1, "the network is a tree but for one pipe"
    assert pipes.filter(pl.col("from_junction") == SUPPLY_JUNCTION).height > 0


def test_four_homes_are_measured_and_all_others_modelled():
    meters = town.meters(CLEAN)
    assert Registry.of(meters).count() == meters.height == 1_506 + schutterwald().zones.height
    assert set(meters.filter(pl.col("nature") == "measured")["meter"]) == {f"home-{name}" for name in home.HOMES}
    assert meters["provider"].n_unique() == 3


def test_registers_of_measured_homes_follow_their_energy():
    plan = replace(CLEAN, days=10)
    frame = pl.concat(list(town.stream(plan))).filter(pl.col("meter").str.starts_with("home-")).sort("meter", "at_us")
    hours = int((plan.end_us - START_US) // HOUR_US)
    for column, name in enumerate(home.HOMES):
        index_l = frame.filter(pl.col("meter") == f"home-{name}")["index_l"].to_numpy()
        litres = home.litres(START_US + np.arange(hours - 1) * HOUR_US, 1.0)[:, column]
        assert index_l[-1] - index_l[0] == pytest.approx(litres.sum(), abs=11)


def test_a_measured_home_keeps_hour_weekday_and_season():
    first_us = CityClock().parse("2016-01-01")
    at_us = CityClock().parse("2026-01-20") + np.arange(340) * 24 * HOUR_US
    source_us = home.source_instant(at_us, first_us)
    assert ((at_us - source_us) % (7 * 24 * HOUR_US) == 0).all()
    days = (
        pl.Series(source_us).cast(pl.Datetime("us")).dt.ordinal_day()
        - pl.Series(at_us).cast(pl.Datetime("us")).dt.ordinal_day()
    )
    assert days.abs().max() <= 5
    assert (source_us >= first_us).all()


def test_measured_energy_is_that_of_the_source(shared):
    kept = pl.read_parquet(home.resources.files("citygate.simulate") / "data" / "homes" / "measured_hour.parquet")
    source = pl.read_parquet(shared / "data" / "pip_real_gas" / "be_gas_2016_hour.parquet")
    for meter in source["meter"].unique():
        given = source.filter(pl.col("meter") == meter)["gas_w"].sum()
        assert kept.filter(pl.col("home") == f"be-{meter}")["energy_wh"].sum() == pytest.approx(given, rel=1e-4)


def test_the_town_uses_what_the_profiles_expect():
    plan = replace(CLEAN, days=21)
    world = town.build(plan)
    profiled, _ = world.demand.parts
    weight = np.array([profiled.value_l[profiled.kind == kind].sum() for kind in range(3)])
    expected_l = float((weight[:, None] * (profiled.heat + profiled.water)).sum())
    inflow_l = sum(
        float(profiled.litres(slot, np.random.default_rng(slot)).sum(dtype=np.float64))
        for slot in range(len(world.at_us))
    )
    assert inflow_l == pytest.approx(expected_l, rel=0.01)
    assert 5_000 < inflow_l * WH_PER_LITRE / 1_000 / 1_502 / 21 * 365 < 25_000, "kWh a year if all year were January"


def test_inlets_count_their_zones():
    frame = pl.concat(list(town.stream(CLEAN)))
    ends = frame.sort("at_us").group_by("meter").agg((pl.col("index_l").last() - pl.col("index_l").first()).alias("l"))
    world = town.build(CLEAN)
    rows = ends.join(world.meters, on="meter").filter(pl.col("l") >= 0)
    zones = (
        rows.filter(pl.col("role") == "customer").group_by("zone").agg(pl.col("l").sum().alias("customers_l"), pl.len())
    )
    both = zones.join(rows.filter(pl.col("role") == "inlet"), on="zone")
    assert both.height >= 6
    for customers_l, count, inlet_l in both.select("customers_l", "len", "l").rows():
        assert inlet_l == pytest.approx(customers_l, abs=40 * count)


def test_nothing_is_planted_on_a_measured_home_nor_after_the_planted_days():
    plan = TownPlan(START_US, 60, 3, planted_days=31)
    truth, meters = town.truth(plan), town.meters(plan)
    planted = truth.join(meters, on="meter").filter(pl.col("nature") == "measured")
    assert planted.is_empty()
    assert truth["end_us"].max() <= START_US + 31 * 24 * HOUR_US
    assert truth["kind"].n_unique() == 11


def test_the_same_seed_gives_the_same_rows_and_a_slot_a_chunk():
    plan = replace(CLEAN, faults=Faults.TYPICAL, planted_days=None)
    whole, slots = pl.concat(list(town.stream(plan))), list(town.stream(replace(plan, chunk_rows=1)))
    assert len(slots) == 48
    assert_frame_equal(pl.concat(slots), whole)
    assert_frame_equal(
        pl.concat(list(town.town(START_US, 2, 1).readings())), pl.concat(list(town.stream(TownPlan(START_US, 2, 1))))
    )
