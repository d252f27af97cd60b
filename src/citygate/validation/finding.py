"""What the rules on a series found: runs with their count and size, not rows."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

#: Columns of findings: meter (code), rule, time [µs UTC, the end of the last step], steps, how much, of what, in words.
FINDING_COLUMNS: dict[str, pl.DataType] = {
    "meter": pl.Int32(),
    "code": pl.String(),
    "from_us": pl.Int64(),
    "to_us": pl.Int64(),
    "count": pl.Int64(),
    "size": pl.Float64(),
    "unit": pl.String(),
    "sentence": pl.String(),
}


class Code(StrEnum):
    """Names of findings. Stable: reports, the API and the docs show these names."""

    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    NEGATIVE = "negative"
    REGISTER_BACK = "register_back"
    ABOVE_LIMIT = "above_limit"
    OUTLIER = "outlier"
    ROLLOVER = "rollover"
    PULSE_QUANTUM = "pulse_quantum"
    EXCHANGE = "exchange"
    TAMPER = "tamper"
    OVERLAP = "overlap"
    SPIKE = "spike"
    FAR_ABOVE_MEDIAN = "far_above_median"
    ZERO_RUN = "zero_run"
    ZERO_RUN_UNEXPECTED = "zero_run_unexpected"
    STUCK = "stuck"
    LOW_FLOW = "low_flow"
    UNIT_SUSPECT = "unit_suspect"
    APPORTIONED = "apportioned"
    CLOCK_DRIFT = "clock_drift"


def no_findings() -> pl.DataFrame:
    """Return findings without a row."""
    return pl.DataFrame(schema=FINDING_COLUMNS)


def findings_of(
    code: Code, columns: Mapping[str, npt.NDArray[np.generic] | pl.Series], unit: str | pl.Expr, sentence: pl.Expr
) -> pl.DataFrame:
    """Return findings of one code.

    Args:
        code: The rule.
        columns: ``meter``, ``from_us``, ``to_us``, ``count``, ``size``, and what the sentence needs.
        unit: Of the size, or built from the columns.
        sentence: Built from the columns.
    """
    of = pl.lit(unit) if isinstance(unit, str) else unit
    frame = pl.DataFrame(columns).with_columns(code=pl.lit(code.value), unit=of, sentence=sentence)
    return frame.select(pl.col(name).cast(kind) for name, kind in FINDING_COLUMNS.items())
