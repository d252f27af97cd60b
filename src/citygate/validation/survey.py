"""All rules on series over a whole fleet, meter block by meter block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from citygate.reading.batch import QUANTITIES
from citygate.validation.drift import clock_drifts, delays
from citygate.validation.finding import Code, findings_of, no_findings
from citygate.validation.series import Flow, examine
from citygate.validation.shares import apportioned, candidates, sketch
from citygate.validation.steps import MeterFacts, steps
from citygate.validation.usage import unit_suspects, years

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from citygate.validation.rules import RuleSet

_KEY = ["meter", "at_us"]


@dataclass(frozen=True, slots=True)
class Fleet:
    """The meters of a survey, all by code.

    Args:
        names: As the head-end writes them.
        facts: Register, pulse and size.
        traits: ``meter`` (code), ``area_m2`` (null where unknown), ``customer_type``.
    """

    names: Sequence[str]
    facts: MeterFacts
    traits: pl.DataFrame


def survey(
    blocks: Iterable[pl.DataFrame], fetch: Callable[[Sequence[int]], pl.DataFrame], fleet: Fleet, rules: RuleSet
) -> pl.DataFrame:
    """Return what all rules on series find; holds one block at a time, and little of each.

    Args:
        blocks: Readings with the columns of ``ValidatedBatch``, in any order; each meter is whole in one block.
        fetch: Gives the readings of some meters again, to compare meters of different blocks.
        fleet: The meters.
        rules: Limits.

    Returns:
        Findings (columns of `citygate.validation.finding`), sorted by code, meter and time.
    """
    parts, sketches, yearly, daily = [no_findings()], [], [], []
    for block in blocks:
        rows, repeated = held(block)
        found, flow = examine(rows, fleet.facts, rules)
        parts += [repeated, found]
        sketches.append(sketch(flow, rules))
        yearly.append(years(flow))
        daily.append(delays(rows))
    if sketches:
        parts.append(unit_suspects(pl.concat(yearly), fleet.traits, rules))
        parts.append(clock_drifts(pl.concat(daily), rules))
        pairs = candidates(pl.concat(sketches))

        def flow_of(codes: Sequence[int]) -> Flow:
            rows, _ = held(fetch(codes))
            return Flow.of(rows, steps(rows, fleet.facts, rules))

        parts.append(apportioned(pairs, flow_of, fleet.names, rules))
    return pl.concat(parts).sort("code", "meter", "from_us")


def held(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the readings in order, one for each meter and instant, and what was repeated or below zero.

    The row received last stands for its instant; of rows received together that is the one with the larger values, so
    the order of the rows changes nothing.

    Args:
        rows: Readings with the columns of ``ValidatedBatch``, or those of them that the rules look at, in any order.
    """
    negative = pl.any_horizontal(pl.col("index_l", "volume_l", "energy_wh") < 0).fill_null(value=False)
    below = rows.filter(negative)
    rows = rows.filter(~negative) if len(below) else rows
    if _in_order(rows):
        return rows, _told(below, Code.NEGATIVE, "register or amount below zero")
    said = [name for name in QUANTITIES if name in rows.columns]
    content = rows.sort("received_us", nulls_last=True).unique([*_KEY, *said], keep="first", maintain_order=True)
    latest = content.sort(*_KEY, "received_us", *said, nulls_last=False).unique(_KEY, keep="last", maintain_order=True)
    repeated = rows.group_by(*_KEY, *said).agg(extra=pl.len() - 1).filter(pl.col("extra") > 0)
    repeated = repeated.select(*_KEY, pl.lit(1).repeat_by("extra").alias("one")).explode("one")
    differing = content.group_by(_KEY).agg(others=pl.len() - 1).filter(pl.col("others") > 0)
    return latest, pl.concat(
        [
            _told(below, Code.NEGATIVE, "register or amount below zero"),
            _told(repeated, Code.DUPLICATE, "the same reading again"),
            _told(differing, Code.CONFLICT, "another value for the same instant; the last received stands"),
        ]
    )


def _in_order(rows: pl.DataFrame) -> bool:
    meter, at_us = rows["meter"].to_numpy(), rows["at_us"].to_numpy()
    later = (meter[1:] > meter[:-1]) | ((meter[1:] == meter[:-1]) & (at_us[1:] > at_us[:-1]))
    return bool(later.all())


def _told(rows: pl.DataFrame, code: Code, words: str) -> pl.DataFrame:
    counted = rows.group_by("meter").agg(
        from_us=pl.col("at_us").min(), to_us=pl.col("at_us").max(), count=pl.len(), size=pl.len()
    )
    return findings_of(code, counted.sort("meter").to_dict(), "readings", pl.lit(words))
