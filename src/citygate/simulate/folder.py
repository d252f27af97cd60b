"""A simulated city as four Parquet files (and its buildings), written while it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from citygate.errors import CitygateError
from citygate.simulate.metering import SCHEMA, readings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from citygate.simulate.world import World

_ARROW = pa.schema([(name, pa.large_string() if name == "meter" else pa.int64()) for name in SCHEMA])


class OutputError(CitygateError):
    """The folder of a simulation cannot be written."""

    code = "output"

    def __init__(self, folder: Path, cause: OSError) -> None:
        self.folder = folder
        super().__init__(f"{folder} cannot be written: {cause.strerror or cause}")


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        meter_count: Meters, inlets included.
        reading_count: Rows of ``readings.parquet``.
        due_count: Readings that were due, one for each meter and slot.
        event_count: Rows of ``truth.parquet``.
    """

    meter_count: int
    reading_count: int
    due_count: int
    event_count: int


def write(world: World, folder: Path, progress: Callable[[int, int], None]) -> Written:
    """Write ``readings``, ``meters``, ``buildings``, ``weather`` and ``truth`` of a city into a folder.

    Args:
        world: What to write; the same world gives the same bytes.
        folder: Made when absent; files of these names are replaced.
        progress: Called after each chunk with the rows written so far and the readings that are due in all.

    Raises:
        OutputError: The folder cannot be written.
    """
    due, count = world.meters.height * len(world.at_us), 0
    try:
        tables = {
            "meters": world.meters,
            "buildings": world.buildings,
            "weather": world.observed_weather,
            "truth": world.truth,
        }
        write_tables(tables, folder)
        with pq.ParquetWriter(
            folder / "readings.parquet", _ARROW, compression="zstd", compression_level=1, store_schema=False
        ) as writer:
            for chunk in readings(world):
                writer.write_table(
                    chunk.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(_ARROW), row_group_size=1_000_000
                )
                count += chunk.height
                progress(count, due)
    except OSError as cause:
        raise OutputError(folder, cause) from cause
    return Written(world.meters.height, count, due, world.events.rows.height)


def write_tables(tables: Mapping[str, pl.DataFrame], folder: Path) -> None:
    """Write tables as Parquet files of their names into a folder, which is made when absent.

    Raises:
        OutputError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            table.write_parquet(folder / f"{name}.parquet", compression="zstd")
    except OSError as cause:
        raise OutputError(folder, cause) from cause
