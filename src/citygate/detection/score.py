"""Score alarms against a known truth, by event: what was found, how late, and how often for nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from citygate.detection.lowest import HOUR_US

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LEAK = ("continuous_flow", "sustained_flow", "uninterrupted_flow", "night_flow", "flow_step")

#: Kinds of alarm that answer each kind of planted event. Events of other kinds are known, but nobody looks for them.
ANSWERS: Mapping[str, Sequence[str]] = {
    "leak": _LEAK,
    "leak_growth": _LEAK,
    "stuck": ("stuck_register",),
    "network_leak": ("zone_balance",),
    "pressure_drop": ("sudden_drop", "low_pressure"),
}
#: Events of a whole zone: any alarm in the zone answers.
ZONE_KINDS = frozenset({"network_leak", "pressure_drop"})
#: Lower bounds of the bins of sizes, in the unit of the event.
SIZE_BINS: Mapping[str, Sequence[float]] = {"leak": (0, 10, 25, 50, 100, 250), "leak_growth": (0, 10, 25, 50, 100, 250)}


@dataclass(frozen=True, slots=True)
class Score:
    """What alarms are worth.

    Attributes:
        by_size: One row for each kind of event and bin of sizes: ``kind``, ``size_from``, ``event_count``,
            ``found_count``, ``recall``, ``hours_p50``, ``hours_p90`` (from the start of the event to its first alarm).
        by_alarm: One row for each kind of alarm: ``kind``, ``alarm_count``, ``true_count``, ``explained_count``
            (something else was planted there), ``false_count``, ``false_per_1000_meter_days``.
        precision: True alarms over true and false ones; None without any.
        false_per_1000_meter_days: Of all kinds together.
        meter_days: Meter days watched.
    """

    by_size: pl.DataFrame
    by_alarm: pl.DataFrame
    precision: float | None
    false_per_1000_meter_days: float
    meter_days: float


def score(alarms: pl.DataFrame, truth: pl.DataFrame, meter_days: float, grace_us: int = 72 * HOUR_US) -> Score:
    """Compare alarms with planted events.

    An alarm is true when it rises within an event that its kind answers, or within ``grace_us`` after, on the same
    meter or anywhere in the zone of the event; explained when any other event was going on there; false otherwise.

    Args:
        alarms: Frame of `citygate.detection.alarm.COLUMNS`.
        truth: ``meter``, ``zone``, ``kind``, ``start_us``, ``end_us``, ``size``.
        meter_days: Meter days that were watched.
        grace_us: Time after an event within which its alarm still counts [µs].
    """
    events = truth.with_row_index("event")
    of_zone = pl.col("event_kind").is_in(list(ZONE_KINDS))
    rows = alarms.with_row_index("alarm").select("alarm", "meter", "zone", "kind", "at_us")
    answers = pl.DataFrame(
        [(event, alarm) for event, alarms_of in ANSWERS.items() for alarm in alarms_of],
        schema={"event_kind": pl.String, "kind": pl.String},
        orient="row",
    )
    facts = events.select("event", "meter", "zone", "start_us", "end_us", pl.col("kind").alias("event_kind"))
    on_meter = rows.join(facts.filter(~of_zone).drop("zone"), on="meter")
    on_zone = rows.join(facts.filter(of_zone).drop("meter"), on="zone")
    within = pl.col("at_us").is_between("start_us", pl.col("end_us") + grace_us)
    pairs = pl.concat([on_meter, on_zone], how="diagonal").filter(within)
    hits = pairs.join(answers, on=["event_kind", "kind"], how="semi")
    judged = rows.with_columns(
        pl.col("alarm").is_in(hits["alarm"].implode()).alias("is_true"),
        pl.col("alarm").is_in(pairs["alarm"].implode()).alias("is_known"),
    )
    true_count, false_count = int(judged["is_true"].sum()), int((~judged["is_known"]).sum())
    return Score(
        by_size=_by_size(events, hits),
        by_alarm=_by_alarm(judged, meter_days),
        precision=true_count / (true_count + false_count) if true_count + false_count else None,
        false_per_1000_meter_days=1_000 * false_count / meter_days,
        meter_days=meter_days,
    )


def _by_size(events: pl.DataFrame, hits: pl.DataFrame) -> pl.DataFrame:
    first = hits.group_by("event").agg(((pl.col("at_us") - pl.col("start_us")).min() / HOUR_US).alias("hours"))
    watched = events.filter(pl.col("kind").is_in(list(ANSWERS))).join(first, on="event", how="left")
    size_from = pl.lit(0.0)
    for kind, bounds in SIZE_BINS.items():
        for bound in bounds:
            size_from = (
                pl.when((pl.col("kind") == kind) & (pl.col("size") >= bound)).then(float(bound)).otherwise(size_from)
            )
    return (
        watched.with_columns(size_from.alias("size_from"))
        .group_by("kind", "size_from")
        .agg(
            pl.len().alias("event_count"),
            pl.col("hours").is_not_null().sum().alias("found_count"),
            pl.col("hours").is_not_null().mean().alias("recall"),
            pl.col("hours").quantile(0.5, "linear").alias("hours_p50"),
            pl.col("hours").quantile(0.9, "linear").alias("hours_p90"),
        )
        .sort("kind", "size_from")
    )


def _by_alarm(judged: pl.DataFrame, meter_days: float) -> pl.DataFrame:
    false_count = (~pl.col("is_known")).sum()
    return (
        judged.group_by("kind")
        .agg(
            pl.len().alias("alarm_count"),
            pl.col("is_true").sum().alias("true_count"),
            (pl.col("is_known") & ~pl.col("is_true")).sum().alias("explained_count"),
            false_count.alias("false_count"),
            (1_000 * false_count / meter_days).alias("false_per_1000_meter_days"),
        )
        .sort("kind")
    )
