"""A store as plain files, part by part, so that a city of any size can be taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from citygate.report.table import Format, to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from citygate.store.city import City


def export(
    city: City,
    out: Path,
    form: Format,
    start_us: int,
    end_us: int,
    as_of_us: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Write readings, meters, weather and consumption by gas day to a folder, and return the rows of each file.

    Every row says whether its meter is measured or modelled. The readings can be ingested again as they are.

    Args:
        city: Store to export.
        out: Folder; made when absent.
        form: `Format.PARQUET`, `Format.CSV` or `Format.JSONL`.
        start_us, end_us: Time of the readings [µs UTC].
        as_of_us: As the store would have answered then; None for now [µs UTC].
        progress: Told how many parts are done, of how many.
    """
    out.mkdir(parents=True, exist_ok=True)
    registry = city.registry().latest()
    names = registry.select(pl.col("code").alias("meter"), pl.col("meter").alias("name"), "nature")
    counts = {"readings": 0}
    with _Writer(out / f"readings.{form.value}", form) as writer:
        for rows in _parts(city, start_us, end_us, as_of_us, progress):
            named = rows.join(names, on="meter", how="left", maintain_order="left")
            writer.add(named.select(pl.col("name").alias("meter"), pl.exclude("meter", "name")))
            counts["readings"] += len(rows)
    days = city.rollups.totals("gas-day", "meter", start_us, end_us, as_of_us)
    natures = registry.select(pl.col("meter").alias("group"), "nature")
    days = days.join(natures, on="group", how="left", maintain_order="left").rename({"group": "meter"})
    tables = {
        "meters": registry.drop("code"),
        "weather": city.temperature(),
        "consumption": days.drop("modelled_share"),
    }
    for name, frame in tables.items():
        (out / f"{name}.{form.value}").write_bytes(to_bytes(frame, form))
        counts[name] = len(frame)
    return counts


def _parts(
    city: City, start_us: int, end_us: int, as_of_us: int | None, progress: Callable[[int, int], None] | None
) -> Iterator[pl.DataFrame]:
    partition = city.readings.partition
    first, last = partition.window(start_us), partition.window(max(end_us - 1, start_us))
    parts = sorted((window, block) for block, window in city.readings.presence() if first <= window <= last)
    for done, (window, block) in enumerate(parts):
        low, high = max(start_us, partition.window_start_us(window)), min(end_us, partition.window_start_us(window + 1))
        codes = np.arange(block * partition.block_meters, (block + 1) * partition.block_meters).tolist()
        rows = city.readings.scan(codes, low, high, as_of_us)
        if len(rows):
            yield rows
        if progress:
            progress(done + 1, len(parts))


class _Writer:
    """Appends frames of one schema to a file, without holding more than one."""

    def __init__(self, path: Path, form: Format) -> None:
        self._path, self._form = path, form
        self._parquet: pq.ParquetWriter | None = None
        self._begun = False

    def __enter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._parquet:
            self._parquet.close()

    def add(self, frame: pl.DataFrame) -> None:
        """Append rows."""
        if self._form is Format.PARQUET:
            table = frame.to_arrow()
            self._parquet = self._parquet or pq.ParquetWriter(self._path, table.schema, compression="zstd")
            self._parquet.write_table(table)
        else:
            with self._path.open("ab") as file:
                if self._form is Format.CSV:
                    file.write(frame.write_csv(include_header=not self._begun).encode())
                else:
                    file.write(to_bytes(frame, self._form))
        self._begun = True
