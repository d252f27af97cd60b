"""Small series for the tests of validation."""

from __future__ import annotations

import numpy as np
import polars as pl

from citygate.reading.batch import ValidatedBatch
from citygate.validation.steps import MeterFacts
from citygate.validation.verdict import Verdict

HOUR_US = 3_600_000_000


def registers(index_l, meter=0, step_us=HOUR_US, **columns):
    """Rows of one meter, an hour apart."""
    count = len(index_l)
    frame = {"meter": [meter] * count, "at_us": [i * step_us for i in range(count)], "index_l": index_l}
    return ValidatedBatch.of(pl.DataFrame({**frame, **columns}, schema_overrides={"index_l": pl.Int64})).rows


def amounts(volume_l, span_s=3600, **columns):
    """Interval rows of one meter, back to back; an hour each unless said otherwise."""
    count = len(volume_l)
    at_us = [(i + 1) * HOUR_US for i in range(count)]
    frame = {"meter": [0] * count, "at_us": at_us, "volume_l": volume_l, "span_s": [span_s] * count}
    return ValidatedBatch.of(pl.DataFrame({**frame, **columns})).rows


def facts(meters=1, register_max_l=100_000_000, pulse_l=1, qmax_lph=6_000):
    return MeterFacts(*(np.full(meters, value, dtype=np.int64) for value in (register_max_l, pulse_l, qmax_lph)))


def names(bits):
    """Names of the verdicts of each row; empty for a clean row."""
    return ["|".join(str(one.name) for one in Verdict if one & int(value)) for value in bits]
