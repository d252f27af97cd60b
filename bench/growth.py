"""How ingest, derivation and questions grow with the number of meters: two days of hourly readings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.measure import Results, peak_mib, timed
from bench.traffic import HOUR_US, START_US, batches, registry
from citygate.reading.batch import ValidatedBatch
from citygate.store.city import City
from citygate.store.readings import now_us

if TYPE_CHECKING:
    from pathlib import Path


def run(folder: Path, meters: int, hours: int) -> Results:
    results = Results(f"Growth, {hours} hours")
    for size in [size for size in (10_000, 100_000, 1_000_000) if size <= meters]:
        city = City.create(folder / str(size))
        city.register(registry(size))
        seconds = rows = 0.0
        for frame in batches(size, hours, 6, full=False, hours_at_once=max(1, min(24, 4_000_000 // size))):
            with timed() as watch:
                city.readings.append(ValidatedBatch.of(frame), source="bench", recorded_us=now_us())
            seconds, rows = seconds + watch.seconds, rows + len(frame)
        with timed() as settle:
            city.rollups.settle()
        with timed() as question:
            city.rollups.totals("hour", "zone", START_US, START_US + hours * HOUR_US)
        value = f"{rows / seconds:,.0f} rows/s in"
        asked = f"zones by hour {question.seconds * 1e3:,.0f} ms"
        beside = f"{rows / settle.seconds:,.0f} rows/s derived; {asked}; {peak_mib():,.0f} MiB"
        results.add(f"{size:,} meters", value, beside)
    return results
