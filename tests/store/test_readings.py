"""Laws of a store of readings, against a model of a few lines."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citygate.quantity.clock import US_PER_HOUR
from citygate.reading.batch import QUANTITIES, ValidatedBatch
from citygate.store.city import City
from citygate.store.compaction import compact, compact_if_due
from citygate.store.readings import AppendCount

if TYPE_CHECKING:
    import random

NOW_US = 1_800_000_000_000_000
HOUR = US_PER_HOUR
METERS = pl.DataFrame({"meter": ["a", "b", "c"], "zone": ["north", "north", "south"], "provider": ["p", "q", "q"]})


def batch(*rows: tuple) -> ValidatedBatch:
    """Rows of (meter, hour, register, received hour or None)."""
    columns = {"meter": pl.Int32, "at_us": pl.Int64, "index_l": pl.Int64, "received_us": pl.Int64}
    frame = [
        (meter, hour * HOUR, index, None if received is None else received * HOUR)
        for meter, hour, index, received in rows
    ]
    return ValidatedBatch.of(pl.DataFrame(frame, schema=columns, orient="row"))


@pytest.fixture
def city(tmp_path):
    city = City.create(tmp_path / "city", window_days=2, block_meters=2)
    city.register(METERS)
    return city


def append(city, *rows, recorded_us=NOW_US):
    return city.readings.append(batch(*rows), source="test", recorded_us=recorded_us)


def held(city, **options):
    rows = city.readings.scan(None, 0, 2**62, **options)
    return list(zip(rows["meter"], rows["at_us"] // HOUR, rows["index_l"], strict=True))


def test_append_twice_is_append_once(city):
    rows = [(0, 1, 10, None), (0, 2, 20, None), (2, 1, 5, None)]
    assert append(city, *rows) == AppendCount(3, 0, 0)
    assert append(city, *rows) == AppendCount(0, 3, 0)
    assert held(city) == [(0, 1, 10), (0, 2, 20), (2, 1, 5)]


def test_another_value_is_a_revision_and_the_old_answer_stays_askable(city):
    append(city, (0, 1, 10, None), recorded_us=NOW_US)
    assert append(city, (0, 1, 11, None), recorded_us=NOW_US + HOUR) == AppendCount(0, 0, 1)
    assert held(city) == [(0, 1, 11)]
    assert held(city, as_of_us=NOW_US) == [(0, 1, 10)]
    assert held(city, as_of_us=NOW_US - 1) == []
    assert city.readings.revisions(0, 0, 2**62)["index_l"].to_list() == [10, 11]


def test_repeating_an_old_file_does_not_undo_a_correction(city):
    append(city, (0, 1, 10, None))
    append(city, (0, 1, 11, None))
    assert append(city, (0, 1, 10, None)) == AppendCount(0, 1, 0)
    assert held(city) == [(0, 1, 11)]


def test_a_value_that_the_head_end_gives_again_later_holds_again(city):
    append(city, (0, 1, 10, 300))
    assert append(city, (0, 1, 11, 301)) == AppendCount(0, 0, 1)
    assert append(city, (0, 1, 10, 302)) == AppendCount(0, 0, 1)
    assert held(city) == [(0, 1, 10)]
    assert append(city, (0, 1, 10, 300), (0, 1, 11, 301), (0, 1, 10, 303)) == AppendCount(0, 3, 0)
    assert held(city) == [(0, 1, 10)]


def test_the_last_value_of_one_file_wins(city):
    assert append(city, (0, 1, 10, None), (0, 1, 12, None), (0, 1, 11, None)) == AppendCount(1, 0, 2)
    assert held(city) == [(0, 1, 11)]


def test_a_revision_speaks_only_of_what_it_says(city):
    append(city, (0, 1, 10, None))
    pressure = pl.DataFrame({"meter": [0], "at_us": [HOUR], "pressure_pa": [103_000]})
    city.readings.append(ValidatedBatch.of(pressure), source="logger", recorded_us=NOW_US)
    rows = city.readings.scan(None, 0, 2**62)
    assert rows.select("index_l", "pressure_pa").row(0) == (10, 103_000)


def test_what_was_appended_since_a_commit(city):
    append(city, (0, 1, 10, None))
    first, newest = city.readings.appended(-1)
    assert (len(first), newest) == (1, 0)
    append(city, (0, 2, 20, None), (2, 7, 3, None))
    append(city, (0, 2, 20, None))
    compact(city.readings)
    rows, newest = city.readings.appended(0)
    assert (sorted(rows["at_us"] // HOUR), newest) == ([2, 7], 2)
    assert len(city.readings.appended(2)[0]) == 0


def test_latest_looks_back_through_all_windows(city):
    append(city, (0, 1, 10, None), (0, 500, 20, None), (1, 3, 7, None), (2, 100, 1, None))
    rows = city.readings.latest()
    assert rows.select("meter", "index_l").rows() == [(0, 20), (1, 7), (2, 1)]
    assert city.readings.latest([1])["index_l"].to_list() == [7]


def test_two_open_stores_see_each_other(city, tmp_path):
    other = City.open(tmp_path / "city")
    append(city, (0, 1, 10, None))
    assert append(other, (0, 1, 10, None), (0, 2, 20, None)) == AppendCount(1, 1, 0)
    assert append(city, (0, 2, 20, None), (0, 3, 30, None)) == AppendCount(1, 1, 0)
    assert held(city) == held(other) == [(0, 1, 10), (0, 2, 20), (0, 3, 30)]


def test_compaction_changes_no_answer(city):
    append(city, (0, 1, 10, None), (0, 200, 30, None), (2, 5, 1, None))
    append(city, (0, 1, 12, None), (1, 7, 3, None))
    before = held(city), held(city, as_of_us=NOW_US)
    compact(city.readings)
    assert (held(city), held(city, as_of_us=NOW_US)) == before
    append(city, (0, 2, 13, None))
    compact(city.readings)
    assert held(city)[:2] == [(0, 1, 12), (0, 2, 13)]


def test_many_small_commits_become_few_files(city):
    for hour in range(40):
        append(city, (0, hour, hour, None))
        compact_if_due(city.readings)
    assert len(held(city)) == 40
    with city.records.connect() as connection:
        live = connection.exec_driver_sql("SELECT count(*) FROM segments WHERE retired_us IS NULL").scalar()
    assert live <= 16


def test_a_failed_transaction_keeps_nothing(city):
    def fail(_connection):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        city.readings.append(batch((0, 1, 10, None)), source="test", recorded_us=NOW_US, also=fail)
    assert held(city) == []
    assert not list((city.path / "readings").glob("*.parquet"))


def test_columns_are_kept_whole(city):
    row = {name: [number] for number, name in enumerate(QUANTITIES, start=1)}
    given_rows = ValidatedBatch.of(pl.DataFrame({"meter": [1], "at_us": [HOUR], **row, "received_us": [5]}))
    city.readings.append(given_rows, source="test", recorded_us=NOW_US)
    assert city.readings.scan([1], 0, 2 * HOUR).equals(given_rows.rows)


#: Small enough to hit the same meter and hour often; hours reach over five windows.
ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([0, 1, 2, 30, 31, 60, 240]), st.integers(0, 3), st.integers(0, 3)),
    min_size=1,
    max_size=40,
)


@settings(max_examples=12)
@given(ROWS, st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_bytes(tmp_path_factory, rows, luck):
    rows = [(meter, hour, hour * 5 + value, received + 300) for meter, hour, value, received in rows]
    rows += luck.sample(rows, len(rows) // 2)
    answers = []
    for number in range(2):
        city = City.create(tmp_path_factory.mktemp("city") / "c", window_days=2, block_meters=2)
        city.register(METERS)
        arrivals = list(rows)
        luck.shuffle(arrivals)
        counted = 0
        for part in _cut(arrivals, luck):
            count = append(city, *part)
            counted += count.stored + count.duplicate + count.revised
            if luck.random() < 0.3 * number:
                city.rollups.settle()
                compact(city.readings)
        assert counted == len(rows)
        answers.append(
            [
                city.rollups.totals(by, group, 0, 300 * HOUR).write_csv()
                for by in ("hour", "gas-day", "gas-month")
                for group in ("meter", "zone", "provider", "customer-type", "city")
            ]
            + [
                city.rollups.totals("gas-day", "zone", 0, 300 * HOUR, as_of_us=2**62).write_csv(),
                city.rollups.nights(0, 300 * HOUR).write_csv(),
            ]
        )
        answers[-1].append(held(city))
        assert answers[-1][6] == answers[-1][-3]
    assert answers[0] == answers[1]


def _cut(rows: list, luck: random.Random) -> list[list]:
    cuts = sorted(luck.sample(range(len(rows) + 1), min(3, len(rows))))
    return [rows[start:end] for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True) if end > start]


def test_weather_can_be_read_while_it_is_replaced(city):
    stop = threading.Event()
    failed = []

    def read():
        while not stop.is_set():
            try:
                city.temperature()
            except Exception as error:  # noqa: BLE001 - any error is the failure
                failed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for hour in range(60):
        frame = pl.DataFrame({"at_us": [hour * HOUR + step for step in range(hour * 50 + 1)]})
        city.keep_temperature(frame.with_columns(temperature_mk=280_000 + pl.col("at_us") % 977))
    stop.set()
    reader.join()
    assert not failed
