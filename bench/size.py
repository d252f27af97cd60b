"""Bytes of a reading on disk, beside Parquet with zstd of the same rows as they arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.measure import Results, timed
from bench.traffic import batches, registry
from citygate.reading.batch import ValidatedBatch
from citygate.store.city import City
from citygate.store.compaction import compact
from citygate.store.readings import now_us

if TYPE_CHECKING:
    from pathlib import Path


def run(folder: Path, meters: int, hours: int) -> Results:
    results = Results(f"Bytes of a reading: {meters:,} meters, {hours} hours, rows shuffled, some late or repeated")
    for full in (False, True):
        label = "register, flow, pressure, temperature" if full else "register only"
        path = folder / ("full" if full else "register")
        plain_b = rows = 0
        city = City.create(path)
        city.register(registry(meters))
        for number, frame in enumerate(batches(meters, hours, 2, full=full)):
            frame.write_parquet(path / f"plain-{number}.parquet", compression="zstd")
            plain_b += (path / f"plain-{number}.parquet").stat().st_size
            (path / f"plain-{number}.parquet").unlink()
            rows += len(frame)
            city.readings.append(ValidatedBatch.of(frame), source="bench", recorded_us=now_us())
        with timed() as watch:
            compact(city.readings)
        size_b = sum(file.stat().st_size for file in (path / "readings").glob("part-*.parquet"))
        held = int(city.readings.commits()["stored"].sum())
        ratio = f"{plain_b / rows:.2f} as plain Parquet zstd: {size_b / held / (plain_b / rows):.2f} x"
        results.add(f"{label}: after compaction", f"{size_b / held:.2f} B/reading", ratio)
        results.add(f"{label}: compaction", f"{held / watch.seconds:,.0f} rows/s")
    return results
