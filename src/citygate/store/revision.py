"""What rows say beside what is held of the same meters and instants: nothing new, something else, or it again."""

from __future__ import annotations

import polars as pl

from citygate.reading.batch import QUANTITIES

_KEY = ["meter", "at_us"]


def compare(rows: pl.DataFrame, held: pl.DataFrame, recorded_us: int) -> tuple[pl.DataFrame, int, int]:
    """Return the rows to keep, and how many of them are first readings and how many are revisions.

    Args:
        rows: Columns of `citygate.reading.batch.ValidatedBatch`, sorted by meter and time.
        held: Every revision held of these meters and instants, with ``seen_us``: when it was received [µs UTC].
        recorded_us: When the rows are recorded, after all that is held was [µs UTC].
    """
    content = [name for name in QUANTITIES if any(frame[name].null_count() < len(frame) for frame in (rows, held))]
    identity = [*_KEY, *content]
    several = rows
    if rows["received_us"].null_count() == len(rows):
        # Recorded after all that is held, so what is held already has nothing to add.
        several = rows.join(held, on=identity, how="anti", nulls_equal=True, maintain_order="left")
    place = pl.int_range(pl.len(), dtype=pl.Int64).over(_KEY)
    several = several.with_columns(pl.coalesce("received_us", recorded_us + place).alias("seen_us"))
    others = [name for name in QUANTITIES if name not in content]
    several = several.group_by(identity, maintain_order=True).agg(
        pl.col("seen_us", "received_us").max(), pl.col(others).first()
    )
    known = held.group_by(identity).agg(pl.col("seen_us").max().alias("held_us"))
    several = several.join(known, on=identity, how="left", nulls_equal=True, maintain_order="left")
    fresh = several.filter(pl.col("held_us").is_null())
    # Said again later by the head-end: it may come after another value, then the first one holds again.
    again = several.filter(pl.col("received_us").is_not_null() & (pl.col("seen_us") > pl.col("held_us")))
    answers = held.sort(*_KEY, "seen_us").unique(_KEY, keep="last")
    returned = again.join(answers.select(identity), on=identity, how="anti", nulls_equal=True)
    first = fresh.select(_KEY).unique().join(held.select(_KEY), on=_KEY, how="anti")
    received = pl.when(pl.col("seen_us") == recorded_us).then(pl.col("received_us")).otherwise(pl.col("seen_us"))
    kept = pl.concat([fresh, again]).with_columns(received.alias("received_us")).select(rows.columns)
    return kept, len(first), len(fresh) - len(first) + len(returned)
