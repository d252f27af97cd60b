"""Findings back on the readings they speak of: the verdict of every reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from citygate.validation.finding import Code
from citygate.validation.verdict import Verdict

if TYPE_CHECKING:
    import polars as pl

    from citygate.validation.steps import Bits

_BITS = {
    Code.SPIKE: Verdict.SPIKE,
    Code.ZERO_RUN_UNEXPECTED: Verdict.ZERO_RUN,
    Code.STUCK: Verdict.STUCK,
    Code.LOW_FLOW: Verdict.LOW_FLOW,
    Code.UNIT_SUSPECT: Verdict.UNIT_SUSPECT,
    Code.APPORTIONED: Verdict.APPORTIONED,
    Code.CLOCK_DRIFT: Verdict.CLOCK_DRIFT,
}


def mark(rows: pl.DataFrame, findings: pl.DataFrame) -> Bits:
    """Return the bits of `Verdict` that findings on series give to readings, shape (rows,).

    A finding marks the readings of its meter after its beginning and up to its end. The verdicts on neighbours are
    those of `citygate.validation.steps.judge`; the two are joined with ``|``.

    Args:
        rows: Readings with ``meter`` and ``at_us``, sorted by both.
        findings: Columns of `citygate.validation.finding`.
    """
    bits = np.zeros(len(rows), dtype=np.int32)
    at_us = rows["at_us"].to_numpy()
    codes = rows["meter"].to_numpy()
    for (meter, code), found in findings.group_by("meter", "code"):
        verdict = _BITS.get(Code(code))
        if verdict is None:
            continue
        first, last = (int(np.searchsorted(codes, np.int32(meter), side=side)) for side in ("left", "right"))
        mine = at_us[first:last]
        begins = np.searchsorted(mine, found["from_us"].to_numpy(), side="right")
        ends = np.searchsorted(mine, found["to_us"].to_numpy(), side="right")
        depth = np.bincount(begins, minlength=len(mine) + 1) - np.bincount(ends, minlength=len(mine) + 1)
        bits[first:last][np.cumsum(depth)[: len(mine)] > 0] |= int(verdict)
    return bits
