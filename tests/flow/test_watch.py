"""Live and replay give equal bytes, whatever the order of arrival."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citygate.flow.watch import PanelUnreadableError, Watch, Watched, default_panel, panel_of
from citygate.quantity.clock import CityClock
from detection.houses import HOUR_US, START_US, house_flows, meters_of, registers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citygate.detection.meters import Meters

CLOCK = CityClock()
DAYS = 24
COUNT = 12
METERS = meters_of(
    COUNT, zone=["north"] * 6 + ["south"] * 6, role=["inlet"] + ["customer"] * 10 + ["inlet"], qmax_lph=[10**6] * COUNT
)


@cache
def city() -> pl.DataFrame:
    """Two zones with an inlet each: a leak behind meter 3, a stuck meter 8, a loss and a fall of pressure."""
    rng = np.random.default_rng(4)
    flow = house_flows(COUNT, DAYS, 4) / 4
    flow[3, 15 * 24 :] += 80
    flow[0], flow[11] = flow[1:6].sum(axis=0), flow[6:11].sum(axis=0)
    flow[11, 16 * 24 :] += 3_000
    flow[8, 18 * 24 :] = 0
    rows = registers(flow)
    pressure_pa = 103_500 + rng.integers(-40, 40, len(rows)) + np.where(rows["meter"] > 5, 30, 0)
    hour = (rows["at_us"].to_numpy() - START_US) // HOUR_US
    pressure_pa = pressure_pa - np.where((rows["meter"].to_numpy() > 5) & (hour > 20 * 24), 900, 0)
    pressure_pa = pressure_pa - np.where((rows["meter"].to_numpy() == 2) & (hour > 19 * 24), 800, 0)
    return rows.with_columns(pl.Series("pressure_pa", pressure_pa))


def sharp() -> Watch:
    """A watch whose detectors learn in days, over whatever is held."""
    panel = default_panel()
    register = tuple(
        replace(detector, past=replace(detector.past, warm_count=3, alarm=6.0))
        if hasattr(detector, "past")
        else detector
        for detector in panel.register
    )
    balance = replace(panel.balance, past=replace(panel.balance.past, warm_count=8, alarm=5.0))
    low = replace(panel.low_pressure, alarm=2_000.0)
    return Watch(replace(panel, register=register, balance=balance, low_pressure=low), CLOCK, lambda *_: city())


def scan_of(rows: pl.DataFrame):
    def scan(meters: Sequence[int] | None, start_us: int, end_us: int) -> pl.DataFrame:
        kept = rows.filter(pl.col("at_us").is_between(start_us, end_us, closed="left"))
        return kept if meters is None else kept.filter(pl.col("meter").is_in(list(meters)))

    return scan


def replayed(rows: pl.DataFrame, until_us: int, meters: Meters = METERS) -> Watched:
    watch = replace(sharp(), scan=scan_of(rows))
    return watch.advance(watch.begin(meters, START_US), until_us, meters)


def test_a_leak_a_stuck_meter_a_loss_and_pressures_are_found_with_evidence() -> None:
    alarms = replayed(city(), START_US + DAYS * 24 * HOUR_US).alarms()
    found = set(zip(alarms["meter"], alarms["kind"], strict=True))
    assert {
        ("m3", "continuous_flow"),
        ("m8", "stuck_register"),
        ("zone:south", "zone_balance"),
        ("zone:south", "sudden_drop"),
        ("m2", "low_pressure"),
        ("m2", "pressure_sensor"),
    } <= found
    leak = alarms.filter((pl.col("meter") == "m3") & (pl.col("kind") == "continuous_flow"))
    said = leak["evidence"].str.json_decode(
        pl.Struct({"smallest_leak_lph": pl.Float64, "readings": pl.List(pl.Struct({"at_us": pl.Int64}))})
    )[0]
    assert 0 < said["smallest_leak_lph"] < 80
    assert 2 <= len(said["readings"]) <= 24
    assert said["readings"][-1]["at_us"] == leak["at_us"][0]


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), steps=st.lists(st.integers(1, DAYS * 24), min_size=1, max_size=3))
def test_any_order_of_arrival_ends_in_the_same_bytes(seed: int, steps: list[int]) -> None:
    rng = np.random.default_rng(seed)
    rows = city()
    until = [START_US + step * HOUR_US for step in sorted(steps)] + [START_US + DAYS * 24 * HOUR_US]
    delay = np.where(rng.random(len(rows)) < 0.02, rng.integers(0, 20 * 24, len(rows)), 0) * HOUR_US
    # Some rows come late, some are first wrong and then corrected.
    arrival = rows["at_us"].to_numpy() + delay
    wrong = rng.random(len(rows)) < 0.002
    watch, watched, seen_us = sharp(), None, START_US
    for now_us in until:
        here = arrival <= now_us if now_us < until[-1] else np.ones(len(rows), dtype=np.bool_)
        index_l = rows["index_l"].to_numpy() + np.where(wrong & (now_us < until[-1]), 7, 0)
        held = rows.with_columns(pl.Series("index_l", index_l)).filter(pl.Series(here))
        new = here & (arrival > seen_us) | wrong
        watch = replace(watch, scan=scan_of(held))
        watched = watch.begin(METERS, START_US) if watched is None else watched
        watched = watch.advance(watched, now_us, METERS, rows.filter(pl.Series(new)).select("meter", "at_us"))
        seen_us = now_us
    whole = replayed(rows, until[-1])
    assert watched.alarms().equals(whole.alarms())
    assert {name: state.to_bytes() for name, state in watched.states.items()} == {
        name: state.to_bytes() for name, state in whole.states.items()
    }


def test_meters_that_join_and_facts_that_change_are_as_if_they_had_always_been_so() -> None:
    half, end = START_US + 10 * 24 * HOUR_US, START_US + DAYS * 24 * HOUR_US
    few = meters_of(6, zone=["north"] * 6)
    watch = replace(sharp(), scan=scan_of(city().filter(pl.col("meter") < 6)))
    watched = watch.advance(watch.begin(few, START_US), half, few)
    later = replace(watch, scan=scan_of(city())).advance(
        watched, end, METERS, city().filter(pl.col("meter") >= 6).select("meter", "at_us")
    )
    assert later.alarms().equals(replayed(city(), end).alarms())


def test_checkpoints_are_dense_near_the_end_and_sparse_far_back() -> None:
    watched = replayed(city(), START_US + DAYS * 24 * HOUR_US)
    assert 4 <= len(watched.checkpoints) <= 10
    assert max(watched.checkpoints) == START_US + DAYS * 24 * HOUR_US


def test_a_panel_that_is_no_toml_is_refused_by_name(tmp_path) -> None:
    path = tmp_path / "panel.toml"
    path.write_text("[broken")
    with pytest.raises(PanelUnreadableError):
        panel_of(path)
