"""Trying quarantined rows again, after meters were registered or limits changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from citygate.flow.ingest import standing_limits
from citygate.link.json_rows import read_lines
from citygate.reading.assemble import assemble, long_mapping
from citygate.reading.mapping import parse_mapping, plain_mapping
from citygate.store.quarantine import correct, settle
from citygate.validation.admit import Limits, admit

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from citygate.store.city import City


@dataclass(frozen=True, slots=True)
class RetryCount:
    """What became of quarantined rows; ``tried`` is the sum of the others.

    Attributes:
        tried: Open rows that were looked at.
        stored, duplicate, revised: As in `citygate.flow.ingest.IngestCount`; these rows are settled.
        refused: Rows that stay in quarantine, by the code of their reason now.
        unread: Rows that cannot be split into fields and stay; correct the file and ingest it again.
    """

    tried: int = 0
    stored: int = 0
    duplicate: int = 0
    revised: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    unread: int = 0


def retry(
    city: City, now_us: Callable[[], int], *, code: str | None = None, limits: Limits | None = None
) -> RetryCount:
    """Take the open rows of the quarantine through the rules again; those that pass are stored and settled.

    A row is read from what was kept of it, with the mapping that it came with; numbers are the decimal texts kept.

    Args:
        city: The store.
        now_us: Tells the present [µs UTC].
        code: Only rows with this code.
        limits: What a row may say.
    """
    totals: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for page in city.quarantine.pages(code):
        totals["tried"] += page.height
        totals["unread"] += page.height - int(page["readable"].sum())
        for group in page.filter("readable").partition_by("source", "mapping", maintain_order=True):
            counts, reasons = _retry_group(city, group, now_us(), limits or standing_limits(city))
            totals.update(counts)
            refused.update(reasons)
    return RetryCount(refused=dict(sorted(refused.items())), **totals)


def _retry_group(city: City, rows: pl.DataFrame, now_us: int, limits: Limits) -> tuple[Counter[str], Counter[str]]:
    text = city.quarantine.mapping_text(rows["mapping"][0])
    mapping = long_mapping(parse_mapping(text)) if text else plain_mapping()
    frame, lost, _ = read_lines(b"\n".join(rows["raw"].to_list()), 0)
    batch, unfit = assemble(frame, mapping)
    valid, unwanted = admit(batch, city.registry(), now_us, limits)
    refused = pl.concat([unfit, unwanted])
    numbers = rows["number"]
    still = set(refused["row"].to_list()) | {row.row for row in lost}
    settled = [number for place, number in enumerate(numbers) if place not in still]
    reasons = [(numbers[row], name, code, message) for row, name, code, message, _ in refused.iter_rows()]

    def also(connection: sa.Connection) -> None:
        settle(connection, settled, now_us)
        correct(connection, reasons)

    kept = city.readings.append(valid, source=f"quarantine: {rows['source'][0]}", recorded_us=now_us, also=also)
    counts = Counter(stored=kept.stored, duplicate=kept.duplicate, revised=kept.revised, unread=len(lost))
    return counts, Counter(refused["code"].to_list())
