"""Apportioned meters: series that are shares of one and the same meter.

All pairs of a city are too many to compare. Every series gets a sketch instead: the signs of its hourly changes
projected on random directions, of which two proportional series have nearly all in common whatever their scale [1].
Only meters that agree in all bits of some band are compared.

References:
    [1] M. Charikar, Similarity estimation techniques from rounding algorithms, STOC 2002. DOI 10.1145/509907.509965.
"""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from citygate.quantity.clock import US_PER_HOUR
from citygate.validation.finding import Code, findings_of, no_findings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from citygate.validation.rules import RuleSet
    from citygate.validation.series import Flow

Floats = npt.NDArray[np.float32]

_WINDOW_HOURS = 2_048
_BANDS, _BITS = 24, 24
_SEED = 20_020_519
#: Steps up to this long say in which hour the use was.
_HOURLY = 1.1
#: A bucket this small is compared in full, a larger one each with the next.
_SMALL_BUCKET = 8
#: Pairs whose series are held at once.
_PAIRS_AT_ONCE = 200
#: Of the hours in common, this share must have use.
_IN_USE = 8

Pair = tuple[int, int]


def sketch(flow: Flow, rules: RuleSet) -> pl.DataFrame:
    """Return the sketches of the meters of a block: ``meter``, ``window``, ``band``, ``bits``, a row for each band.

    A sketch needs an eighth of `RuleSet.apportioned_hours` with use in its window of 2,048 hours.
    """
    hourly = _hourly(flow).with_columns(window=pl.col("hour") // _WINDOW_HOURS)
    busy = pl.col("amount").filter(pl.col("amount") > 0).len() >= rules.apportioned_hours // _IN_USE
    places = hourly.group_by("window", "meter").agg(busy=busy).filter("busy").sort("window", "meter")
    places = places.with_columns(place=pl.int_range(pl.len(), dtype=pl.Int64).over("window"))
    directions = np.random.default_rng(_SEED).standard_normal((_WINDOW_HOURS - 1, _BANDS * _BITS), dtype=np.float32)
    parts = []
    for here in hourly.join(places, on=["window", "meter"]).partition_by("window"):
        mine = places.filter(pl.col("window") == here["window"][0])
        grid = np.zeros((len(mine), _WINDOW_HOURS), dtype=np.float32)
        grid[here["place"].to_numpy(), (here["hour"] % _WINDOW_HOURS).to_numpy()] = here["amount"].to_numpy()
        signs = (np.diff(grid, axis=1) @ directions > 0).reshape(-1, _BANDS, _BITS)
        bits = signs.astype(np.int64) @ (1 << np.arange(_BITS, dtype=np.int64))
        parts.append(
            pl.DataFrame(
                {
                    "meter": np.repeat(mine["meter"].to_numpy(), _BANDS),
                    "window": np.repeat(mine["window"].to_numpy(), _BANDS),
                    "band": np.tile(np.arange(_BANDS, dtype=np.int16), len(mine)),
                    "bits": bits.ravel().astype(np.int32),
                }
            )
        )
    empty = {"meter": pl.Int32(), "window": pl.Int64(), "band": pl.Int16(), "bits": pl.Int32()}
    return pl.concat(parts) if parts else pl.DataFrame(schema=empty)


def candidates(sketches: pl.DataFrame) -> list[Pair]:
    """Return the pairs of meters, the smaller code first, whose sketches agree in some band, sorted."""
    buckets = (
        sketches.group_by("window", "band", "bits").agg(pl.col("meter").sort()).filter(pl.col("meter").list.len() > 1)
    )
    pairs: set[Pair] = set()
    for members in buckets["meter"].unique().to_list():
        pairs.update(combinations(members, 2) if len(members) <= _SMALL_BUCKET else pairwise(members))
    return sorted(pairs)


def apportioned(
    pairs: Sequence[Pair], fetch: Callable[[Sequence[int]], Flow], names: Sequence[str], rules: RuleSet
) -> pl.DataFrame:
    """Return a finding for each meter that moves with others as shares of one meter do.

    Args:
        pairs: Of codes, as `candidates` gives them.
        fetch: Gives the steps of meters.
        names: Of the meters, by code.
        rules: Limits.

    Returns:
        Findings (columns of `citygate.validation.finding`): size is the share relative to the first meter of the group.
    """
    alike: list[tuple[int, int, float]] = []
    span: dict[int, tuple[int, int, int]] = {}
    total: dict[int, float] = {}
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        chunk = pairs[start : start + _PAIRS_AT_ONCE]
        hourly = _hourly(fetch(sorted({code for pair in chunk for code in pair})))
        series = {int(code): part for (code,), part in hourly.group_by("meter")}
        for first, second in chunk:
            together = series[first].join(series[second], on="hour").sort("hour")
            correlation = _correlation(together, rules)
            if correlation < rules.apportioned_correlation_ratio:
                continue
            alike.append((first, second, correlation))
            ends = int(together["hour"][0]) * US_PER_HOUR, (int(together["hour"][-1]) + 1) * US_PER_HOUR, len(together)
            for code, column in ((first, "amount"), (second, "amount_right")):
                span.setdefault(code, ends)
                total.setdefault(code, float(together[column].mean()))  # type: ignore[arg-type]
    return _group_findings(alike, span, total, names)


def groups_of(pairs: Sequence[Pair]) -> list[list[int]]:
    """Return the groups that pairs connect: each sorted, the groups in the order of their first members."""
    root: dict[int, int] = {}

    def find(code: int) -> int:
        while root.setdefault(code, code) != code:
            code = root[code]
        return code

    for first, second in pairs:
        one, other = find(first), find(second)
        root[max(one, other)] = min(one, other)
    groups: dict[int, list[int]] = {}
    for code in sorted(root):
        groups.setdefault(find(code), []).append(code)
    return list(groups.values())


def _group_findings(
    alike: Sequence[tuple[int, int, float]],
    span: dict[int, tuple[int, int, int]],
    total: dict[int, float],
    names: Sequence[str],
) -> pl.DataFrame:
    best: dict[int, float] = {}
    for first, second, correlation in alike:
        for code in (first, second):
            best[code] = max(best.get(code, 0.0), correlation)
    rows = []
    for group in groups_of([(first, second) for first, second, _ in alike]):
        label = " ".join(names[code] for code in group)
        rows += [(code, *span[code], total[code] / total[group[0]], label, best[code]) for code in group]
    if not rows:
        return no_findings()
    columns = pl.DataFrame(
        rows,
        schema=["meter", "from_us", "to_us", "count", "size", "label", "best"],
        orient="row",
        infer_schema_length=None,
    )
    words = pl.format("shares of one meter: {} (correlation {})", "label", pl.col("best").round(5))
    return findings_of(Code.APPORTIONED, columns.to_dict(), "ratio", words).sort("meter")


def _correlation(together: pl.DataFrame, rules: RuleSet) -> float:
    """Return the correlation of two series in their common hours; 0 where they have too little in common."""
    used = together.select(((pl.col("amount") > 0) & (pl.col("amount_right") > 0)).sum()).item()
    if len(together) < rules.apportioned_hours or used < len(together) // _IN_USE:
        return 0.0
    value = together.select(pl.corr("amount", "amount_right")).item()
    return 0.0 if value is None or not np.isfinite(value) else float(value)


def _hourly(flow: Flow) -> pl.DataFrame:
    """Return ``meter``, ``hour`` (since 1970, UTC) and ``amount`` of the steps that are no longer than an hour."""
    short = flow.hours() <= _HOURLY
    middle_us = (flow.from_us + flow.to_us) // 2
    frame = pl.DataFrame(
        {"meter": flow.meter, "hour": middle_us // US_PER_HOUR, "amount": flow.amount.astype(np.float64)}
    )
    return frame.filter(pl.Series(short)).group_by("meter", "hour", maintain_order=True).agg(pl.col("amount").sum())
