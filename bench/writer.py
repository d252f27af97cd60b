"""A process that appends one new hour of every meter to a store, again and again, until it is stopped."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

from bench.traffic import HOUR_US, START_US
from citygate.reading.batch import ValidatedBatch
from citygate.store.city import City
from citygate.store.compaction import compact_if_due
from citygate.store.readings import now_us


def main() -> None:
    path, meters, hours = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    city = City.open(path)
    while True:
        columns = {
            "meter": np.arange(meters, dtype=np.int32),
            "at_us": np.full(meters, START_US + hours * HOUR_US),
            "index_l": np.full(meters, 90_000_000 + hours),
        }
        city.readings.append(ValidatedBatch.of(pl.DataFrame(columns)), source="bench", recorded_us=now_us())
        compact_if_due(city.readings)
        hours += 1


if __name__ == "__main__":
    main()
