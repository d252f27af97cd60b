from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from series_rows import HOUR_US, amounts, facts, registers

from citygate.quantity.status import Status
from citygate.validation.rules import WrongRulesError, parse_rules, standard_rules
from citygate.validation.series import examine

RULES = standard_rules()
DAYS = 120
USE = [0] * 6 + [40, 60, 30] + [5, 0, 0] * 3 + [20, 35, 40, 20] + [0] * 2
YEAR = np.tile(USE, DAYS)


def found(volume_l, code=None, **columns):
    told, _ = examine(amounts(volume_l, **columns), facts(), RULES)
    return told if code is None else told.filter(pl.col("code") == code)


def test_a_sound_home_is_clean():
    assert set(found(YEAR)["code"]) == set()


@pytest.mark.parametrize(("hours", "told"), [(23, 0), (24, 1), (400, 1)])
def test_zero_runs(hours, told):
    volume_l = np.maximum(YEAR, 1)
    volume_l[100 : 100 + hours] = 0
    runs = found(volume_l, "zero_run")
    assert runs["count"].to_list() == [hours] * told
    if told:
        assert runs.select("from_us", "to_us").row(0) == (100 * HOUR_US, (100 + hours) * HOUR_US)
        assert runs["size"].to_list() == [hours]


def test_an_absence_is_unexpected_where_half_the_runs_are_short():
    volume_l = YEAR.copy()
    volume_l[50 * 24 : 60 * 24] = 0
    assert found(volume_l, "zero_run_unexpected")["size"].to_list() == pytest.approx([240], abs=16)


def test_a_summer_without_heating_is_expected():
    heating = np.concatenate([YEAR, np.zeros(150 * 24, dtype=np.int64), YEAR[: 30 * 24]])
    assert len(found(heating, "zero_run")) == 1
    assert len(found(heating, "zero_run_unexpected")) == 0


@pytest.mark.parametrize(("equal", "told"), [(12, 0), (13, 1), (30, 1)])
def test_stuck_amounts_are_repeated_for_twelve_hours(equal, told):
    volume_l = np.arange(1, 200)
    volume_l[50 : 50 + equal] = 500
    assert found(volume_l, "stuck")["count"].to_list() == [equal] * told


def test_two_equal_days_are_not_stuck():
    daily = amounts([500, 500, 500, 480])
    day_us = 24 * HOUR_US
    daily = daily.with_columns(at_us=pl.col("at_us") // HOUR_US * day_us, span_s=pl.lit(86_400, pl.Int64))
    assert "stuck" not in examine(daily, facts(), RULES)[0]["code"]


def test_rates_far_above_the_median():
    volume_l = np.tile([0, 10, 0, 12], 200)
    volume_l[100:103] = [260, 270, 300]
    runs = found(volume_l, "far_above_median")
    assert runs["count"].to_list() == [3]
    assert runs["size"].to_list() == pytest.approx([300 / 12], rel=0.2)


def test_a_spike_stands_out_of_the_peaks_of_its_season():
    winter = (YEAR * np.repeat(np.linspace(1, 4, DAYS), 24)).astype(np.int64)
    assert len(found(winter, "spike")) == 0
    winter[40 * 24 + 3] = 900
    spikes = found(winter, "spike")
    assert spikes["from_us"].to_list() == [(40 * 24 + 3) * HOUR_US]
    assert spikes["count"].to_list() == [1]


def test_flow_that_never_stops():
    leak = np.maximum(YEAR, 3)
    runs = found(leak, "low_flow")
    assert runs["size"].to_list() == [3]
    assert runs["count"].to_list() == [DAYS * 24]
    leak[:: 24 * 20] = 0
    assert len(found(leak, "low_flow")) == 0


def test_registers_and_volumes_tell_the_same():
    volume_l = YEAR.copy()
    volume_l[500:540] = 0
    volume_l[900:920] = 7
    of_volumes, _ = examine(amounts(volume_l), facts(), RULES)
    of_registers, _ = examine(registers(np.concatenate([[0], np.cumsum(volume_l)])), facts(), RULES)
    assert of_volumes.rows() == of_registers.rows()
    assert len(of_volumes) > 0


def test_a_hole_ends_a_run():
    rows = amounts(np.zeros(40, dtype=np.int64))
    later = pl.when(pl.col("at_us") > 20 * HOUR_US).then(5 * HOUR_US).otherwise(0)
    assert len(examine(rows.with_columns(at_us=pl.col("at_us") + later), facts(), RULES)[0]) == 0


def test_verdicts_of_steps_are_told_in_runs():
    status = [0, int(Status.TILT), int(Status.TILT), 0, int(Status.CASE_TAMPER), 0]
    told, _ = examine(registers([10, 11, 12, 13, 14, 9_999_999], status=status), facts(), RULES)
    assert told.select("code", "count").rows() == [("tamper", 2), ("tamper", 1), ("above_limit", 1)]


def test_the_blocks_change_nothing():
    volume_l = YEAR.copy()
    volume_l[500:540] = 0
    one = amounts(volume_l)
    two = pl.concat([one, one.with_columns(meter=pl.lit(1, pl.Int32))])
    together, _ = examine(two, facts(2), RULES)
    alone, _ = examine(one, facts(), RULES)
    assert together.filter(pl.col("meter") == 0).rows() == alone.rows()
    assert together.drop("meter").rows() == pl.concat([alone, alone]).drop("meter").rows()


def test_rules_are_data():
    with pytest.raises(WrongRulesError, match="limit_ratio"):
        parse_rules("[surprise]\nvalue = 1\n")
