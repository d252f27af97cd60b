"""A small real store: five meters in two zones, three gas days of hourly registers, one late correction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from citygate.quantity.clock import US_PER_HOUR, CityClock
from citygate.reading.batch import ValidatedBatch
from citygate.store.city import City

if TYPE_CHECKING:
    from pathlib import Path

CLOCK = CityClock()
START_US = CLOCK.parse("2026-01-10")
HOURS = 72
NOW_US = START_US + HOURS * US_PER_HOUR + 600_000_000
METERS = pl.DataFrame(
    {
        "meter": ["A-1", "A-2", "A-3", "B-1", "B / 2"],
        "zone": ["north", "north", "north", "south", "south"],
        "nature": ["measured", "modelled", "modelled", "modelled", "modelled"],
        "lon": [7.87, 7.88, 7.875, 7.89, None],
        "lat": [48.46, 48.46, 48.465, 48.45, None],
    }
)
PIPE = {
    "type": "Feature",
    "geometry": {"type": "LineString", "coordinates": [[7.87, 48.46], [7.89, 48.45]]},
    "properties": {
        "layer": "pipe", "pipe": 1, "kind": "main", "zone": "north", "length_m": 10.0, "inner_diameter_mm": 100.0,
    },
}  # fmt: skip


def make(folder: Path) -> City:
    """Make the store. Meter k takes k + 1 hundred litres an hour; the fifth is never read; A-2 is corrected once."""
    city = City.create(folder, name="Five")
    city.register(METERS)
    city.keep_geometry([PIPE])
    city.keep_temperature(pl.DataFrame({"at_us": [START_US], "temperature_mk": [275_150]}))
    hours = range(HOURS + 1)
    rows = pl.DataFrame(
        {
            "meter": [code for code in range(4) for _ in hours],
            "at_us": [START_US + k * US_PER_HOUR for _ in range(4) for k in hours],
            "index_l": [1_000_000 + (code + 1) * 100 * k for code in range(4) for k in hours],
            "temperature_mk": [283_150] * (4 * len(hours)),
        },
        schema_overrides={"meter": pl.Int32},
    )
    city.readings.append(ValidatedBatch.of(rows), source="first.csv", recorded_us=NOW_US - 120_000_000)
    late = rows.filter((pl.col("meter") == 1) & (pl.col("at_us") == START_US + 5 * US_PER_HOUR))
    corrected = late.with_columns(pl.col("index_l") + 10)
    city.readings.append(ValidatedBatch.of(corrected), source="late.csv", recorded_us=NOW_US - 60_000_000)
    return city
