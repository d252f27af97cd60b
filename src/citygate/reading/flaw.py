"""Rows that cannot be taken: found as masks over columns, told as a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What is told of a row that was not taken.
REFUSED: dict[str, pl.DataType] = {
    "row": pl.Int64(),
    "field": pl.String(),
    "code": pl.String(),
    "message": pl.String(),
    "raw": pl.String(),
}


@dataclass(frozen=True, slots=True)
class Flaw:
    """One reason, and the rows it holds for.

    Args:
        field: Column of the batch.
        code: Why; a value of `citygate.validation.verdict.Refusal`.
        message: For a person, with what to do.
        mask: Boolean for each row, no nulls.
    """

    field: str
    code: str
    message: str
    mask: pl.Series


def any_flaw(flaws: Sequence[Flaw], height: int) -> pl.Series | None:
    """Return a mask of the rows that have a flaw, or None when no row has one."""
    if not flaws:
        return None
    mask = pl.repeat(value=False, n=height, dtype=pl.Boolean, eager=True)
    for flaw in flaws:
        mask = mask | flaw.mask
    return mask


def refused_frame(flaws: Sequence[Flaw], rows: pl.Series) -> pl.DataFrame:
    """Return one line for each row that has a flaw: the first of its flaws, in the order given.

    Args:
        flaws: What was found.
        rows: Number of each row in its source.

    Returns:
        Columns of `REFUSED` with ``raw`` null, sorted by row.
    """
    told: list[pl.DataFrame] = []
    taken = pl.repeat(value=False, n=len(rows), dtype=pl.Boolean, eager=True)
    for flaw in flaws:
        fresh = flaw.mask & ~taken
        if fresh.any():
            told.append(
                pl.DataFrame({"row": rows.filter(fresh)}).select(
                    pl.col("row").cast(pl.Int64),
                    pl.lit(flaw.field).alias("field"),
                    pl.lit(str(flaw.code)).alias("code"),
                    pl.lit(flaw.message).alias("message"),
                    pl.lit(None, pl.String()).alias("raw"),
                )
            )
            taken = taken | fresh
    return pl.concat([pl.DataFrame(schema=REFUSED), *told]).sort("row", maintain_order=True)


def with_raw(refused: pl.DataFrame, source: pl.DataFrame, row: str) -> pl.DataFrame:
    """Return refused rows with their source row as a JSON object, so that they can be shown and tried again.

    Args:
        refused: Columns of `REFUSED`.
        source: The rows as they came.
        row: Name of the column of ``source`` that carries the row number.
    """
    if refused.is_empty():
        return refused
    columns = [
        pl.col(name).map_elements(repr, pl.String()).alias(name)
        if kind == pl.Binary() or kind == pl.Object()
        else pl.col(name).cast(pl.String())
        if kind.is_temporal() or kind == pl.Categorical()
        else pl.col(name)
        for name, kind in source.schema.items()
        if name != row
    ]
    wanted = source.join(refused.select("row"), left_on=row, right_on="row", how="semi")
    key = wanted[row].cast(pl.Int64).alias("row")
    if not columns:
        told = pl.DataFrame({"row": key}).with_columns(pl.lit("{}").alias("raw"))
    else:
        told = wanted.select(pl.struct(columns).struct.json_encode().alias("raw")).with_columns(key)
    # Rows of a wide file share a line number; the first tells of them all.
    told = told.unique("row", keep="first", maintain_order=True)
    return refused.drop("raw").join(told, on="row", how="left", maintain_order="left").select(list(REFUSED))
