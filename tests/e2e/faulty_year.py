"""Files of readings as life writes them: shuffled, repeated, corrected, faulty."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

START = "2026-01-{day:02d}T{hour:02d}:00:00Z"


def write_readings(path: Path, *, meters: int, days: int, seed: int) -> dict[str, int]:
    """Write hourly registers as CSV, and return what intake must count.

    One row in 40 comes twice, one in 50 is corrected by a later row, one in 60 is faulty.
    """
    luck = random.Random(seed)  # noqa: S311 - no secret
    lines = []
    for meter in range(meters):
        register = luck.randrange(10**6)
        for hour in range(days * 24):
            register += luck.choice((0, 0, 0, 40, 700))
            lines.append([f"M{meter:03d}", START.format(day=1 + hour // 24, hour=hour % 24), register])
    stored = len(lines)
    again = [list(line) for line in luck.sample(lines, stored // 40)]
    other = [[meter, time, register + 5] for meter, time, register in luck.sample(lines, stored // 50)]
    late = [",".join(map(str, line)) for line in again + other]
    early = [",".join(map(str, line)) for line in lines]
    luck.shuffle(late)
    _shuffle_nearby(early, luck, meters * 6)
    faults = [
        "M000,2026-01-01T00:00:00,{n}",
        "M001,2026-01-01T00:00:00Z,{n}.5",
        "M002,2026-01-01T00:00:00Z",
        "M003,2999-01-01T00:00:00Z,{n}",
    ]
    count = stored // 60
    rows = early + late
    for number in range(count):
        rows.insert(luck.randrange(len(rows)), faults[number % 4].format(n=number))
    path.write_text("meter,time,index_l\n" + "\n".join(rows) + "\n")
    return {"read": len(rows), "stored": stored, "duplicate": len(again), "revised": len(other), "faulty": count}


def _shuffle_nearby(rows: list[str], luck: random.Random, reach: int) -> None:
    """Bring hours of all meters in the order of time, each a little early or late."""
    rows.sort(key=lambda row: row.split(",")[1])
    keys = {row: place + luck.uniform(0, reach) for place, row in enumerate(rows)}
    rows.sort(key=keys.__getitem__)
