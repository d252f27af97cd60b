from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from series_rows import HOUR_US, amounts, facts

from citygate.reading.batch import ValidatedBatch
from citygate.validation.drift import clock_drifts, delays
from citygate.validation.rules import standard_rules
from citygate.validation.shares import groups_of
from citygate.validation.survey import Fleet, held, survey
from citygate.validation.usage import unit_suspects

RULES = standard_rules()
HOURS = 60 * 24


def fleet(count, area_m2=None):
    areas = [None] * count if area_m2 is None else area_m2
    kinds = {"meter": pl.Series(range(count), dtype=pl.Int32), "area_m2": pl.Series(areas, dtype=pl.Float64)}
    return Fleet(
        [f"m{code}" for code in range(count)],
        facts(count),
        pl.DataFrame(kinds).with_columns(customer_type=pl.lit("household")),
    )


def surveyed(rows, count, **traits):
    """The survey of rows in blocks of two meters."""
    blocks = [rows.filter(pl.col("meter") // 2 == block) for block in range((count + 1) // 2)]

    def fetch(codes):
        return rows.filter(pl.col("meter").is_in(list(codes)))

    return survey(blocks, fetch, fleet(count, **traits), RULES)


def homes(count, rng):
    use = rng.gamma(0.6, 60, (count, HOURS)) * (rng.random((count, HOURS)) < 0.6)
    return use.astype(np.int64)


def rows_of(use_l):
    return pl.concat([amounts(use).with_columns(meter=pl.lit(code, pl.Int32)) for code, use in enumerate(use_l)])


def test_shares_of_one_meter_are_found_across_blocks():
    use_l = homes(7, np.random.default_rng(5))
    use_l[4] = use_l[1] * 37 // 10
    use_l[6] = use_l[1] // 3
    told = surveyed(rows_of(use_l), 7).filter(pl.col("code") == "apportioned")
    assert told["meter"].to_list() == [1, 4, 6]
    assert told["size"].to_list() == pytest.approx([1, 3.7, 1 / 3], rel=0.05)
    assert "m1 m4 m6" in told["sentence"][0]


def test_homes_that_follow_the_same_weather_are_not_shares():
    rng = np.random.default_rng(6)
    weather = 60 + 40 * np.sin(np.arange(HOURS) / 24 * 2 * np.pi)
    use_l = (weather * rng.gamma(8, 1 / 8, (6, HOURS))).astype(np.int64)
    assert "apportioned" not in surveyed(rows_of(use_l), 6)["code"]


def test_groups_are_what_pairs_connect():
    assert groups_of([(1, 4), (2, 9), (4, 6), (0, 9)]) == [[0, 2, 9], [1, 4, 6]]
    assert groups_of([]) == []


def yearly(use_kwh, hours=8_760, zero_hours=0):
    count = len(use_kwh)
    columns = {"meter": pl.Series(range(count), dtype=pl.Int32), "year": [2025] * count, "from_us": [0] * count}
    span = {"to_us": [HOUR_US * 8_760] * count, "hours": [hours] * count, "zero_hours": [zero_hours] * count}
    return pl.DataFrame({**columns, **span, "use_kwh": [float(use) for use in use_kwh]})


def test_a_use_per_area_too_low_is_a_unit():
    traits = fleet(3, area_m2=[100.0, 100.0, 100.0]).traits
    assert unit_suspects(yearly([12_000, 1_090, 2_001]), traits, RULES)["meter"].to_list() == [1]
    assert len(unit_suspects(yearly([12_000, 1_090, 900], hours=4_000), traits, RULES)) == 0
    assert len(unit_suspects(yearly([12_000, 1_090, 900], zero_hours=6_000), traits, RULES)) == 0


def test_without_areas_a_meter_is_held_against_its_peers():
    use_kwh = [10_000 + 500 * i for i in range(14)] + [1_000]
    told = unit_suspects(yearly(use_kwh), fleet(15).traits, RULES)
    assert told["meter"].to_list() == [14]
    wild = [10.0**i for i in range(15)]
    assert len(unit_suspects(yearly(wild), fleet(15).traits, RULES)) == 0
    assert len(unit_suspects(yearly([1_000, *[10_000] * 4]), fleet(5).traits, RULES)) == 0


@pytest.mark.parametrize(("ppm", "told"), [(0, 0), (100, 1), (-100, 1), (40_000, 0)])
def test_clocks_that_drift(ppm, told):
    rng = np.random.default_rng(1)
    true_us = np.arange(1, 40 * 24) * HOUR_US
    received_us = true_us + (rng.exponential(30, len(true_us)) * 1e6).astype(np.int64) + 2_000_000
    at_us = (true_us * (1 - ppm * 1e-6)).astype(np.int64)
    rows = ValidatedBatch.of(pl.DataFrame({"meter": 0, "at_us": at_us, "index_l": 0, "received_us": received_us})).rows
    drifts = clock_drifts(delays(rows), RULES)
    assert len(drifts) == told
    if told:
        assert drifts["size"][0] == pytest.approx(ppm * 1e-6 * 40 * 86_400, rel=0.1)


def test_a_clock_that_is_set_each_month_drifts_all_the_same():
    rng = np.random.default_rng(2)
    true_us = np.arange(1, 60 * 24) * HOUR_US
    wrong_us = (8 * (np.arange(1, 60 * 24) / 24 % 30) * 1e6).astype(np.int64)
    received_us = true_us + (rng.exponential(5, len(true_us)) * 1e6).astype(np.int64)
    frame = {"meter": 0, "index_l": 0, "received_us": received_us}
    drifting = ValidatedBatch.of(pl.DataFrame({**frame, "at_us": true_us - wrong_us})).rows
    sound = [
        ValidatedBatch.of(pl.DataFrame({**frame, "at_us": true_us})).rows.with_columns(meter=pl.lit(i, pl.Int32))
        for i in (1, 2)
    ]
    told = clock_drifts(delays(pl.concat([drifting, *sound])), RULES)
    assert told["meter"].to_list() == [0]
    assert told["size"][0] == pytest.approx(240, rel=0.1)


def test_rows_are_held_once_and_told():
    rows = amounts([5, 6, 7, 8])
    repeated = pl.concat(
        [
            rows,
            rows[1:3],
            rows[1:2],
            rows[2:3].with_columns(volume_l=pl.lit(9, pl.Int64)),
            rows[3:].with_columns(volume_l=pl.lit(-1, pl.Int64)),
        ]
    )
    latest, told = held(repeated)
    assert latest["volume_l"].to_list() == [5, 6, 9, 8]
    assert dict(told.select("code", "count").rows()) == {"duplicate": 3, "conflict": 1, "negative": 1}
    shuffled = repeated.sample(fraction=1, shuffle=True, seed=3)
    assert held(shuffled)[0].rows() == latest.rows()
    assert held(rows)[1].is_empty()


def test_the_row_received_last_stands():
    rows = amounts([5, 5]).with_columns(
        at_us=pl.lit(HOUR_US), volume_l=pl.Series([5, 4]), received_us=pl.Series([1, 2])
    )
    assert held(rows)[0]["volume_l"].to_list() == [4]


def test_nothing_is_found_in_nothing():
    assert surveyed(amounts([]), 0).is_empty()
    assert surveyed(amounts([]), 2).is_empty()
