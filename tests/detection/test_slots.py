"""The two laws of every detector: it is its own one-at-a-time definition, and cutting the stream changes nothing."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import citygate.detection
from citygate.detection.own_past import OwnPast
from citygate.detection.slots import NEVER_US, Now, OutOfOrderError, Rows, State, run
from citygate.quantity.clock import CityClock
from detection.houses import HOUR_US, START_US, meters_of

CLOCK = CityClock()
WEATHER = pl.DataFrame(
    {
        "at_us": [START_US + day * 24 * HOUR_US for day in range(60)],
        "temperature_mk": [270_000 + 9_000 * (day // 5 % 2) for day in range(60)],
    }
)
SHARP = OwnPast(
    slack=0.25, alarm=1.0, floor_lph=1.0, excess_max=5.0, memory_count=5, warm_count=2, release_count=4, horizon_count=3
)
ARGUMENTS = {
    "continuous_flow": {"past": SHARP},
    "night_flow": {"past": SHARP},
    "flow_step": {"past": SHARP},
    "zone_balance": {"past": SHARP},
    "sustained_flow": {"alarm_lph": 10.0, "warm_count": 3},
    "uninterrupted_flow": {"alarm": 2.0, "lowest_lph": 2.0, "steady_ratio": 3.0, "mild_class": 8},
    "stuck_register": {"alarm": 1.5, "zero_min_us": 6 * HOUR_US, "warm_us": 5 * HOUR_US},
    "low_pressure": {"alarm": 300.0, "warm_us": 5 * HOUR_US},
    "sudden_drop": {"alarm": 200.0},
}


def detectors() -> list[object]:
    """Every class of the package that looks like a detector, made easy to alarm."""
    found = {}
    for module in pkgutil.iter_modules(citygate.detection.__path__, "citygate.detection."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if (
                kind.__module__ == module.name
                and hasattr(kind, "advance")
                and isinstance(getattr(kind, "kind", None), str)
            ):
                found[kind.kind] = kind(**ARGUMENTS.get(kind.kind, {}))
    return list(found.values())


DETECTORS = detectors()
METERS = meters_of(5, pulse_l=[1, 10, 1, 100, 1], register_max_l=[100_000_000, 5_000, 100_000_000, 100_000_000, 2_000])


@st.composite
def readings(draw: st.DrawFn) -> pl.DataFrame:
    """Irregular readings of a few meters, with gaps, still registers, rollovers and corrections."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    parts = []
    for code in range(5):
        count = draw(st.integers(0, 150))
        spans = rng.choice([900, 3_600, 3_600, 3_600, 3_600, 7_201, 86_400], count)
        at_us = START_US + np.cumsum(spans) * 1_000_000
        burning = np.repeat(rng.random(count // 20 + 1) < 0.7, 20)[:count]
        steps = rng.integers(0, 60, count) * burning * (1 if code != 3 else 100)
        steps[rng.random(count) < 0.01] = -40
        top = int(METERS.register_max_l[code])
        value = np.cumsum(steps) % top
        parts.append(
            pl.DataFrame(
                {"meter": np.full(count, code, dtype=np.int32), "at_us": at_us, "value": value.astype(np.int64)}
            )
        )
    return pl.concat(parts)


def test_every_detector_is_found() -> None:
    assert {detector.kind for detector in DETECTORS} == set(ARGUMENTS)


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.kind)
@settings(max_examples=5, deadline=None)
@given(frame=readings(), cuts=st.lists(st.integers(0, 400), max_size=4))
def test_cutting_the_stream_elsewhere_changes_nothing(detector: object, frame: pl.DataFrame, cuts: list[int]) -> None:
    whole = run(detector, State.fresh(detector, 5), rows_of(frame), METERS)
    state, alarms = State.fresh(detector, 0), []
    bounds = [-1, *sorted({cut * HOUR_US // 2 for cut in cuts}), 10**9 * HOUR_US]
    for begin, end in pairwise(bounds):
        part = frame.filter((pl.col("at_us") - START_US > begin) & (pl.col("at_us") - START_US <= end))
        outcome = run(detector, State.from_bytes(state.to_bytes()), rows_of(part), METERS)
        state, alarms = outcome.state, [*alarms, outcome.alarms]
    assert state.to_bytes() == whole.state.to_bytes()
    assert pl.concat(alarms).sort("at_us", "meter").equals(whole.alarms)


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.kind)
@settings(max_examples=3, deadline=None)
@given(frame=readings())
def test_it_equals_the_one_reading_at_a_time_definition(detector: object, frame: pl.DataFrame) -> None:
    whole = run(detector, State.fresh(detector, 5), rows_of(frame), METERS)
    state, times = one_at_a_time(detector, rows_of(frame))
    assert sorted(times) == sorted(zip(whole.alarms["at_us"].to_list(), whole.alarms["meter"].to_list(), strict=True))
    for code, held in state.items():
        for name, value in held.items():
            assert np.array_equal(whole.state.columns[name][code], value), (code, name)


def one_at_a_time(detector: object, rows: Rows) -> tuple[dict[int, dict[str, object]], list[tuple[int, int]]]:
    """The plain definition: one meter, one reading, arrays of length one."""
    fresh = State.fresh(detector, 1).columns
    states: dict[int, dict[str, object]] = {}
    alarms = []
    for code, at_us, read, hour, day, warmth in zip(*(getattr(rows, name) for name in Rows.__slots__), strict=True):
        held = states.setdefault(int(code), {name: column[0].copy() for name, column in fresh.items()})
        span_us = 0 if held["at_us"] == NEVER_US else at_us - held["at_us"]
        value = read
        if detector.column == "index_l":
            value = read - held["last"]
            if value < 0:
                value += METERS.register_max_l[code]
                possible_l = METERS.qmax_lph[code] * 1.2 * (span_us / 3.6e9) + METERS.pulse_l[code]
                if not 0 <= value <= possible_l:
                    span_us = value = 0
        now = Now(
            *(
                np.array([number])
                for number in (at_us, span_us, value, held["last"], hour, day, warmth, METERS.pulse_l[code])
            )
        )
        place = {name: hour if field.by == "hour" else int(held["warmth"]) for name, field in detector.fields.items()}
        seen = {name: np.array([item[place[name]] if np.ndim(item) else item]) for name, item in held.items()}
        after, rises = detector.advance(seen, now)
        for name, column in after.items():
            kind = fresh[name].dtype
            if np.ndim(held[name]):
                held[name][place[name]] = column.astype(kind)[0]
            else:
                held[name] = column.astype(kind)[0]
        held["at_us"], held["last"], held["warmth"] = at_us, read, warmth
        if rises[0]:
            alarms.append((int(at_us), int(code)))
    return states, alarms


def rows_of(frame: pl.DataFrame) -> Rows:
    return Rows.of(frame, "value", CLOCK, WEATHER)


def test_readings_older_than_the_state_are_refused_by_count() -> None:
    detector = DETECTORS[0]
    frame = pl.DataFrame(
        {"meter": [0, 1], "at_us": [START_US, START_US], "value": [1, 1]}, schema_overrides={"meter": pl.Int32}
    )
    outcome = run(detector, State.fresh(detector, 2), rows_of(frame), METERS)
    with pytest.raises(OutOfOrderError) as caught:
        run(detector, outcome.state, rows_of(frame), METERS)
    assert caught.value.meter_count == 2


def test_of_two_values_for_one_instant_the_newest_revision_counts() -> None:
    frame = pl.DataFrame(
        {"meter": [0, 0, 0], "at_us": [1, 1, 2], "value": [5, 7, None]}, schema_overrides={"meter": pl.Int32}
    )
    assert rows_of(frame).value.tolist() == [7]


def test_a_span_belongs_to_the_hour_and_gas_day_in_which_it_ends() -> None:
    frame = pl.DataFrame(
        {"meter": [0, 0], "at_us": [START_US, START_US + 1], "value": [1, 2]}, schema_overrides={"meter": pl.Int32}
    )
    rows = rows_of(frame)
    assert rows.hour.tolist() == [5, 6]
    assert np.diff(rows.day).tolist() == [1]


def test_every_detector_raises_in_the_law_data_or_the_law_would_be_empty() -> None:
    kinds = set()
    for seed in range(2):
        rng = np.random.default_rng(seed)
        count = 400
        steps = np.where(np.arange(count) < 150, rng.integers(0, 3, count), rng.integers(30, 60, count))
        steps[250:] = 0
        for value in (
            np.cumsum(steps),
            100_000 - np.where(np.arange(count) > 200, 900, 0) + rng.integers(0, 20, count),
            steps * 10,
        ):
            at_us = START_US + np.arange(1, count + 1) * HOUR_US
            frame = pl.DataFrame(
                {"meter": np.zeros(count, dtype=np.int32), "at_us": at_us, "value": value.astype(np.int64)}
            )
            for detector in DETECTORS:
                if len(run(detector, State.fresh(detector, 1), rows_of(frame), METERS).alarms):
                    kinds.add(detector.kind)
    assert kinds == set(ARGUMENTS)
