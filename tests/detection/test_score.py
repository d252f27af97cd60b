from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from citygate.detection.alarm import COLUMNS
from citygate.detection.calibrate import calibrate, with_threshold
from citygate.detection.score import score
from citygate.detection.slots import Rows, State, run
from citygate.flow.watch import default_panel
from citygate.quantity.clock import CityClock
from detection.houses import house_flows, meters_of, registers

HOUR = 3_600_000_000


def alarms(*rows: tuple[str, str, str, float]) -> pl.DataFrame:
    filled = [(meter, zone, kind, 0, 0, int(hour * HOUR), 1.0, 1.0, "{}") for meter, zone, kind, hour in rows]
    return pl.DataFrame(filled, schema=COLUMNS, orient="row")


TRUTH = pl.DataFrame(
    {
        "meter": ["a", "b", "c", "inlet"],
        "zone": ["n", "n", "n", "n"],
        "kind": ["leak", "leak", "spike", "pressure_drop"],
        "start_us": [10 * HOUR, 10 * HOUR, 10 * HOUR, 10 * HOUR],
        "end_us": [100 * HOUR, 100 * HOUR, 12 * HOUR, 12 * HOUR],
        "size": [40.0, 6.0, 3.0, 900.0],
    }
)


def test_events_are_found_explained_or_missed() -> None:
    found = alarms(
        ("a", "n", "night_flow", 34),
        ("a", "n", "flow_step", 50),
        ("c", "n", "flow_step", 11),
        ("zone:n", "n", "sudden_drop", 11),
        ("d", "m", "night_flow", 20),
        ("b", "n", "night_flow", 5),
    )
    result = score(found, TRUTH, meter_days=2_000)
    leaks = {row["size_from"]: row for row in result.by_size.filter(pl.col("kind") == "leak").iter_rows(named=True)}
    assert (leaks[25.0]["recall"], leaks[25.0]["hours_p50"]) == (1.0, 24.0)
    assert leaks[0.0]["recall"] == 0.0
    assert result.by_size.filter(pl.col("kind") == "pressure_drop")["recall"].to_list() == [1.0]
    assert result.by_alarm.filter(pl.col("kind") == "flow_step").row(0, named=True)["explained_count"] == 1
    assert result.precision == pytest.approx(3 / 5)
    assert result.false_per_1000_meter_days == 1.0


def test_nothing_found_is_no_precision() -> None:
    assert score(alarms(), TRUTH, meter_days=10).precision is None


def test_calibration_keeps_the_wanted_rate_and_says_where_it_came_from() -> None:
    frame = registers(house_flows(40, 40, seed=2))
    meters = meters_of(40)
    rows = Rows.of(frame, "index_l", CityClock())
    detector = next(one for one in default_panel().register if one.kind == "flow_step")
    best, record = calibrate(detector, rows, meters, wanted_rate=5.0, bounds=(0.5, 2_000.0), seed=1)
    count = len(run(best, State.fresh(best, 0), rows, meters).alarms)
    assert record.got_rate == pytest.approx(1_000 * count / record.meter_days, abs=1e-3)
    assert record.got_rate <= 5.0
    assert record.got_rate_min <= record.got_rate <= record.got_rate_max
    assert (record.meter_count, record.threshold) == (40, best.past.alarm)
    lower = with_threshold(detector, best.past.alarm * 0.9)
    assert 1_000 * len(run(lower, State.fresh(lower, 0), rows, meters).alarms) / record.meter_days > 5.0
    assert calibrate(detector, rows, meters, 5.0, (0.5, 2_000.0), seed=1)[1] == record


def test_pulses_are_read_off_the_register() -> None:
    frame = registers(np.full((2, 100), 37.0), pulse_l=10)
    assert meters_of(2, pulse_l=[1, 100]).with_pulses(frame).pulse_l.tolist() == [10, 100]
