"""Queries over a year of hourly readings, quiet and while readings come in, beside DuckDB on the same Parquet files."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import duckdb
import numpy as np

from bench.measure import Results, percentile, timed
from bench.traffic import HOUR_US, START_US, batches, registry
from citygate.reading.batch import ValidatedBatch
from citygate.store.city import City
from citygate.store.compaction import compact, compact_if_due
from citygate.store.readings import now_us

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_REPEATS = 20


def run(folder: Path, meters: int, hours: int) -> Results:
    results = Results(f"Queries: {meters:,} meters, {hours} hours ({meters * hours / 1e6:,.0f} M rows)")
    path = folder / "year"
    city = City.create(path)
    city.register(registry(meters))
    with timed() as load:
        for frame in batches(meters, hours, 4, full=False, hours_at_once=48):
            city.readings.append(ValidatedBatch.of(frame), source="bench", recorded_us=now_us())
            compact_if_due(city.readings)
        compact(city.readings)
    with timed() as settle:
        city.rollups.settle()
    results.add("loaded and compacted", f"{meters * hours / load.seconds:,.0f} rows/s")
    results.add("consumption derived", f"{meters * hours / settle.seconds:,.0f} rows/s")
    questions = _questions(city, meters, hours)
    quiet = {name: _times(question) for name, question in questions.items()}
    writer = subprocess.Popen([sys.executable, "-m", "bench.writer", str(path), str(meters), str(hours)])
    time.sleep(3)
    busy = {name: _times(question) for name, question in questions.items()}
    writer.terminate()
    writer.wait()
    peers = _peers(path, meters, hours)
    for name in questions:
        beside = f"{percentile(busy[name], 0.95) * 1e3:,.0f} ms while readings come in"
        if name in peers:
            beside += f"; DuckDB on the same files {peers[name] * 1e3:,.0f} ms"
        results.add(f"{name}, p95 of {_REPEATS}", f"{percentile(quiet[name], 0.95) * 1e3:,.0f} ms", beside)
    return results


def _questions(city: City, meters: int, hours: int) -> dict[str, Callable[[], object]]:
    luck = np.random.default_rng(5)
    end_us = START_US + hours * HOUR_US

    def one() -> int:
        return int(luck.integers(0, meters))

    return {
        "last value of a meter": lambda: city.readings.latest([one()]),
        "a meter's whole time": lambda: city.readings.scan([one()], START_US, end_us, columns=["at_us", "index_l"]),
        "city by hour": lambda: city.rollups.totals("hour", "city", START_US, end_us, settled=False),
        "zones by gas day": lambda: city.rollups.totals("gas-day", "zone", START_US, end_us, settled=False),
        "top 100 by night flow": lambda: city.rollups.nights(START_US, end_us, settled=False).head(100),
    }


def _times(question: Callable[[], object]) -> list[float]:
    found = []
    for _ in range(_REPEATS):
        with timed() as watch:
            question()
        found.append(watch.seconds)
    return found


def _peers(path: Path, meters: int, hours: int) -> dict[str, float]:
    files = f"read_parquet('{path}/readings/part-*.parquet')"
    middle = meters // 2
    questions = {
        "last value of a meter": f"SELECT max(at_us), arg_max(index_l, at_us) FROM {files} WHERE meter = {middle}",
        "a meter's whole time": f"SELECT at_us, index_l FROM {files} WHERE meter = {middle} ORDER BY at_us",
        "city by hour": (
            "SELECT at_us, sum(used) FROM (SELECT at_us, index_l - lag(index_l) OVER "
            f"(PARTITION BY meter ORDER BY at_us) AS used FROM {files}) GROUP BY at_us"
        ),
    }
    found = {}
    with duckdb.connect() as connection:
        for name, query in questions.items():
            with timed() as watch:
                connection.execute(query).fetchnumpy()
            found[name] = watch.seconds
    del hours
    return found
