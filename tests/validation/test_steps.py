from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from series_rows import HOUR_US, amounts, facts, names, registers

from citygate.fleet.registry import Registry
from citygate.quantity.status import Status
from citygate.validation.steps import (
    CONTEXT_AFTER,
    CONTEXT_BEFORE,
    ENERGY,
    NONE,
    NOTHING,
    REGISTER,
    VOLUME,
    MeterFacts,
    judge,
    steps,
)

MAX_L = 100_000_000


def test_rollover_of_five_and_three_digits_gives_six_litres():  # N-62: 99999.998 -> 0.004 m³
    found = steps(registers([99_999_998, 4]), facts())
    assert found.amount.tolist() == [NONE, 6]
    assert names(found.verdict) == ["", "ROLLOVER"]


@pytest.mark.parametrize(
    ("index_l", "codes", "amount"),
    [
        # A single low reading, and a single high one.
        ([1000, 990, 1001, 1002], ["", "OUTLIER", "", ""], [NONE, NONE, 1, 1]),
        ([1000, 90_000, 1001, 1002], ["", "OUTLIER", "", ""], [NONE, NONE, 1, 1]),
        ([1000, 1010, 1001, 1002], ["", "OUTLIER", "", ""], [NONE, NONE, 1, 1]),
        # A reading of zero just before the rollover, and one just after it.
        ([99_999_990, 0, 99_999_995, 99_999_996], ["", "OUTLIER", "", ""], [NONE, NONE, 5, 1]),
        ([99_999_990, 5, 99_999_991, 8], ["", "OUTLIER", "", "ROLLOVER"], [NONE, NONE, 1, 17]),
        # The level moves, and stays.
        ([1000, 90_000, 90_001], ["", "ABOVE_LIMIT", ""], [NONE, NONE, 1]),
        ([1000, 1005, 990, 992], ["", "", "REGISTER_BACK", ""], [NONE, 5, NONE, 2]),
        ([54_321_000, 54_321_001, 12, 20], ["", "", "EXCHANGE", ""], [NONE, 1, NONE, 8]),
        # Nothing after it says which it is.
        ([54_321_000, 54_321_001, 12], ["", "", "REGISTER_BACK"], [NONE, 1, NONE]),
        # Two meters under one name: one of them is kept.
        ([1000, 500, 1001, 501, 1002], ["", "OUTLIER", "", "OUTLIER", ""], [NONE, NONE, 1, NONE, 1]),
        # Exactly 1.2 Qmax is possible, one litre more is not.
        ([0, 7200, 14_401], ["", "", "ABOVE_LIMIT"], [NONE, 7200, NONE]),
        # Half of the register is no rollover.
        ([50_000_000, 10], ["", "REGISTER_BACK"], [NONE, NONE]),
        ([7], [""], [NONE]),
        ([], [], []),
    ],
)
def test_registers(index_l, codes, amount):
    found = steps(registers(index_l), facts())
    assert names(found.verdict) == codes
    assert found.amount.tolist() == amount


def test_an_outlier_is_no_previous_reading():
    found = steps(registers([1000, 90_000, 1001, 1002]), facts())
    assert found.previous.tolist() == [NONE, NONE, 0, 2]
    assert found.from_us.tolist() == [0, HOUR_US, 0, 2 * HOUR_US]


def test_pulses():
    found = steps(registers([10, 20, 33, 40, 50]), facts(pulse_l=10))
    assert names(found.verdict) == ["", "", "PULSE_QUANTUM", "PULSE_QUANTUM", ""]
    assert steps(registers([5, 15, 35]), facts(pulse_l=10)).verdict.tolist() == [0, 0, 0], "an offset is no fault"


def test_a_pulse_may_fall_on_either_side_of_a_reading():
    minute = registers([0, 100, 100], step_us=60_000_000)
    assert names(steps(minute, facts(pulse_l=100, qmax_lph=4_000)).verdict) == ["", "", ""]


def test_tamper_flags_do_not_stop_a_step():
    status = [0, int(Status.MAGNETIC_TAMPER), int(Status.BATTERY_LOW)]
    found = steps(registers([1, 2, 3], status=status), facts())
    assert names(found.verdict) == ["", "TAMPER", ""]
    assert found.amount.tolist() == [NONE, 1, 1]


def test_volumes_bring_their_own_span():
    found = steps(amounts([5, 7_201, 9]), facts())
    assert found.kind.tolist() == [VOLUME] * 3
    assert found.from_us.tolist() == [0, HOUR_US, 2 * HOUR_US]
    assert found.amount.tolist() == [5, NONE, 9]
    assert names(found.verdict) == ["", "ABOVE_LIMIT", ""]


def test_a_span_that_overlaps_does_not_count_twice():
    day = amounts([5, 5, 10]).with_columns(span_s=pl.Series([3600, 3600, 3 * 3600]))
    found = steps(day, facts())
    assert names(found.verdict) == ["", "", "OVERLAP"]
    assert found.amount.tolist() == [5, 5, NONE]
    jitter = amounts([5, 5, 10]).with_columns(span_s=pl.Series([3600, 3610, 3600]))
    assert names(judge(jitter, facts())) == ["", "", ""]


def test_energies_are_held_against_the_size_of_the_meter():
    rows = amounts([0, 0]).with_columns(volume_l=pl.lit(None, pl.Int64), energy_wh=pl.Series([90_000, 95_000]))
    found = steps(rows, facts())
    assert found.kind.tolist() == [ENERGY] * 2
    assert found.amount.tolist() == [90_000, NONE]


def test_kinds_of_row_do_not_see_each_other():
    rows = registers(
        [100, None, 103, None], pressure_pa=[None, 102_000, None, None], volume_l=[None, None, 9, 4], span_s=[3600] * 4
    )
    found = steps(rows, facts())
    assert found.kind.tolist() == [REGISTER, NOTHING, REGISTER, VOLUME]
    assert found.amount.tolist() == [NONE, NONE, 3, 4]
    assert found.previous.tolist() == [NONE, NONE, 0, NONE]


def test_a_meter_of_unknown_size_has_no_limit():
    assert names(judge(registers([0, 9_000_000]), facts(qmax_lph=0))) == ["", ""]
    assert names(judge(registers([9_000, 8_000, 8_001]), facts(qmax_lph=0))) == ["", "REGISTER_BACK", ""]
    assert names(judge(registers([9_000, 800, 801]), facts(qmax_lph=0))) == ["", "EXCHANGE", ""]


def test_facts_come_from_the_newest_row_of_a_meter():
    rows = pl.DataFrame({"meter": ["a", "b", "a"], "pulse_l": [1, 10, 100], "valid_from_us": [0, 0, 5]})
    found = MeterFacts.of(Registry.of(rows))
    assert found.pulse_l.tolist() == [100, 10]
    assert found.qmax_lph.tolist() == [0, 0]


LEVELS = st.lists(
    st.one_of(st.integers(0, 30), st.integers(0, 9_000), st.integers(MAX_L - 9_000, MAX_L - 1)), max_size=14
)
SERIES = st.lists(LEVELS, min_size=1, max_size=3)


def fleet(series):
    return pl.concat([registers(levels, meter) for meter, levels in enumerate(series)])


@given(SERIES)
def test_a_meter_is_judged_as_if_it_were_alone(series):
    together = steps(fleet(series), facts(len(series)))
    alone = [steps(registers(levels, meter), facts(len(series))) for meter, levels in enumerate(series)]
    assert together.verdict.tolist() == np.concatenate([one.verdict for one in alone]).tolist()
    assert together.amount.tolist() == np.concatenate([one.amount for one in alone]).tolist()


@given(SERIES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(series, random):
    rows = fleet(series)
    order = list(range(len(rows)))
    random.shuffle(order)
    again = rows[order].sort("meter", "at_us")
    assert steps(again, facts(len(series))).verdict.tolist() == steps(rows, facts(len(series))).verdict.tolist()


@given(LEVELS, st.integers(0, 13), st.integers(0, 13))
def test_a_part_with_its_context_is_judged_as_the_whole(levels, first, count):
    whole = steps(registers(levels), facts())
    last = min(first + count, len(levels))
    start, stop = max(0, first - CONTEXT_BEFORE), min(len(levels), last + CONTEXT_AFTER)
    part = steps(registers(levels)[start:stop], facts())
    inside = slice(first - start, last - start)
    assert part.verdict[inside].tolist() == whole.verdict[first:last].tolist()
    assert part.amount[inside].tolist() == whole.amount[first:last].tolist()


@given(LEVELS)
def test_valid_steps_sum_to_the_register_difference(levels):
    found = steps(registers(levels), facts())
    chain, total = None, 0
    for row, amount in enumerate(found.amount.tolist()):
        if "OUTLIER" in names(found.verdict[row : row + 1])[0]:
            continue
        if amount == NONE:
            chain, total = row, 0
            continue
        assert found.previous[row] == chain or chain is None or found.previous[row] > chain
        total += amount
        assert (levels[row] - levels[chain]) % MAX_L == total % MAX_L


@given(LEVELS)
def test_no_two_neighbours_are_outliers(levels):
    found = [name == "OUTLIER" for name in names(judge(registers(levels), facts()))]
    assert not any(one and two for one, two in pairwise(found))


@given(st.integers(1, 8), st.lists(st.integers(0, 7_200), min_size=3, max_size=30))
def test_a_sound_register_is_clean(start_turns, use_l):
    index_l = (np.cumsum([MAX_L - start_turns * 1_000, *use_l]) % MAX_L).tolist()
    found = steps(registers(index_l), facts())
    assert set(names(found.verdict)) <= {"", "ROLLOVER"}
    assert found.amount[1:].tolist() == use_l
