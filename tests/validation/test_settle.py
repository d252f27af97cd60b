"""Consumption between edges equals its definition, whatever the readings."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from citygate.quantity.clock import US_PER_HOUR, US_PER_SECOND
from citygate.reading.batch import ValidatedBatch
from citygate.validation.settle import ESTIMATED, MEASURED, MISSING, curve, settle
from citygate.validation.steps import MeterFacts, steps

MINUTE = 60 * US_PER_SECOND
FACTS = MeterFacts(*(np.full(3, value, dtype=np.int64) for value in (10_000, 1, 6_000)))
EDGES = np.arange(0, 49) * US_PER_HOUR


def cells(rows, edges=EDGES, **columns):
    frame = pl.DataFrame({"meter": [row[0] for row in rows], "at_us": [row[1] for row in rows], **columns})
    if not columns:
        frame = frame.with_columns(index_l=pl.Series([row[2] for row in rows]))
    batch = ValidatedBatch.of(frame).rows
    return settle(
        curve(batch["meter"].to_numpy().astype(np.int64), batch["at_us"].to_numpy(), steps(batch, FACTS), 3), edges
    )


def register_at(readings, edge):
    """Return the register of one meter at an instant and its quality, by definition."""
    for (start, low), (end, high) in itertools.pairwise(readings):
        if start <= edge <= end:
            near = end - start <= 70 * MINUTE or min(edge - start, end - edge) <= 10 * MINUTE
            return low + np.floor((high - low) * ((edge - start) / (end - start))), MEASURED if near else ESTIMATED
    exact = [value for at, value in readings if at == edge]
    if exact:
        return exact[0], MEASURED
    return (readings[0][1] if readings and edge < readings[0][0] else readings[-1][1] if readings else 0), MISSING


SERIES = st.lists(st.tuples(st.integers(-600, 3600), st.integers(0, 90)), max_size=60).map(
    lambda pairs: sorted(dict(pairs).items())
)


@given(st.lists(SERIES, min_size=3, max_size=3))
def test_cells_equal_their_definition(series):
    rows, meters = [], []
    for meter, pairs in enumerate(series):
        total, readings = 0, []
        for minute, use in pairs:
            total += use
            readings.append((minute * MINUTE, total))
        meters.append(readings)
        rows += [(meter, at, index) for at, index in readings]
    if not rows:
        return
    found = cells(rows)
    for meter, readings in enumerate(meters):
        edges = [register_at(readings, int(edge)) for edge in EDGES]
        assert found.volume_l[meter].tolist() == [b[0] - a[0] for a, b in itertools.pairwise(edges)]
        assert found.edge_quality[meter].tolist() == [quality for _, quality in edges]
        expected = [min(a[1], b[1]) for a, b in itertools.pairwise(edges)]
        assert found.quality[meter].tolist() == expected


@given(st.lists(st.integers(0, 200), min_size=2, max_size=40), st.integers(1, 7))
def test_parts_add_up_to_the_register_difference(uses, every_h):
    index = np.cumsum(uses)
    rows = [(1, int(number) * every_h * US_PER_HOUR, int(value)) for number, value in enumerate(index)]
    wide = np.array([-US_PER_HOUR, *range(0, 300 * US_PER_HOUR, 50 * MINUTE)])
    assert cells(rows, wide).volume_l[1].sum() == index[-1] - index[0]


def test_a_rollover_is_consumption():
    found = cells([(0, 0, 9_999), (0, US_PER_HOUR, 5)])
    assert (found.volume_l[0, 0], found.quality[0, 0]) == (6, MEASURED)


def test_a_step_back_is_missing_and_what_lies_around_is_not():
    found = cells([(0, hour * US_PER_HOUR, index) for hour, index in enumerate([500, 510, 100, 110, 120])])
    assert found.volume_l[0, :4].tolist() == [10, 0, 10, 10]
    assert found.quality[0, :4].tolist() == [MEASURED, MISSING, MEASURED, MEASURED]


def test_a_single_outlier_does_not_bound_consumption():
    found = cells([(0, hour * US_PER_HOUR, index) for hour, index in enumerate([500, 510, 9_000, 530, 540])])
    assert found.volume_l[0, :4].tolist() == [10, 10, 10, 10]
    assert found.quality[0, :4].tolist() == [MEASURED, ESTIMATED, ESTIMATED, MEASURED]


def test_interval_volumes_and_holes_between_them():
    rows = [(2, hour * US_PER_HOUR) for hour in (1, 2, 4)]
    found = cells(rows, volume_l=[7, 8, 9], span_s=[3600, 3600, 3600])
    assert found.volume_l[2, :4].tolist() == [7, 8, 0, 9]
    assert found.quality[2, :4].tolist() == [MEASURED, MEASURED, MISSING, MEASURED]


def test_interval_energies_stay_energies():
    found = cells([(2, US_PER_HOUR), (2, 2 * US_PER_HOUR)], energy_wh=[700, 800], span_s=[3600, 3600])
    assert found.energy_wh[2, :2].tolist() == [700, 800]
    assert not found.volume_l.any()


def test_a_daily_reading_measures_the_day_and_estimates_its_hours():
    rows = [(0, day * 24 * US_PER_HOUR, day * 240) for day in range(3)]
    assert (cells(rows).quality[0, 1:23] == ESTIMATED).all()
    assert (cells(rows, EDGES[::24]).quality[0] == MEASURED).all()
    assert cells(rows).volume_l[0, :48].tolist() == [10] * 48


def test_nothing_is_expected_before_the_first_reading():
    found = cells([(0, 90 * MINUTE, 5), (0, 3 * US_PER_HOUR, 9)])
    assert found.expected[0, :4].tolist() == [False, False, True, True]
    assert not found.expected[1].any()
