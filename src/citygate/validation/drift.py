"""Clock drift: the delay between a reading and its arrival grows or shrinks with the meter's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from citygate.quantity.clock import US_PER_SECOND
from citygate.validation.finding import Code, findings_of

if TYPE_CHECKING:
    from citygate.validation.rules import RuleSet

_S_PER_DAY = 86_400


def delays(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the least delay of every meter and day, the part of the delay that is not the way's.

    Args:
        rows: Readings with the columns of ``ValidatedBatch``, sorted by meter and time.

    Returns:
        ``meter``, ``day`` (since 1970, UTC), ``delay_s`` (the least), ``interval_s`` (median between readings).
    """
    interval = ((pl.col("at_us") - pl.col("at_us").shift().over("meter")) / US_PER_SECOND).alias("interval_s")
    day = (pl.col("at_us") // (_S_PER_DAY * US_PER_SECOND)).alias("day")
    return (
        rows.select("meter", "at_us", day, interval, delay_s=(pl.col("received_us") - pl.col("at_us")) / US_PER_SECOND)
        .filter(pl.col("delay_s").is_not_null())
        .group_by("meter", "day", maintain_order=True)
        .agg(pl.col("delay_s").min(), pl.col("interval_s").median())
    )


def clock_drifts(daily: pl.DataFrame, rules: RuleSet) -> pl.DataFrame:
    """Return the meters whose clock runs away: regression of the least daily delay on time.

    A clock that is late stamps readings too early, so its delay grows. A meter is told when the regression says that
    its clock moved by more than `RuleSet.drift_share` of its interval since its first day, or stands that far off the
    delay that half of the fleet has at least; the line must explain the delays to a fifth of what it moved. Steeper
    slopes than `RuleSet.drift_ppm_max` are deliveries in bulk.

    Args:
        daily: As `delays` gives it, of the whole fleet.
        rules: Limits.

    Returns:
        Findings (columns of `citygate.validation.finding`): size is how far the clock is off at the end [s], above 0
        when it is late.
    """
    slope = pl.cov("day", "delay_s") / pl.col("day").var()
    fitted = daily.group_by("meter").agg(
        count=pl.len(),
        first=pl.col("day").min(),
        last=pl.col("day").max(),
        least=pl.col("delay_s").min(),
        interval=pl.col("interval_s").median(),
        slope=slope,
        middle=pl.col("day").mean(),
        mean=pl.col("delay_s").mean(),
        noise=(pl.col("delay_s") - pl.col("delay_s").mean() - slope * (pl.col("day") - pl.col("day").mean())).std(),
    )
    fitted = fitted.with_columns(
        moved=pl.col("slope") * (pl.col("last") - pl.col("first")),
        end=pl.col("mean") + pl.col("slope") * (pl.col("last") - pl.col("middle")),
        floor=pl.col("least").median(),
    ).with_columns(off=pl.col("end") - pl.col("floor"))
    size = pl.when(pl.col("off").abs() > pl.col("moved").abs()).then("off").otherwise("moved")
    steep = pl.col("slope").abs() > rules.drift_ppm_max * 1e-6 * _S_PER_DAY
    limit = rules.drift_share * pl.col("interval")
    told = fitted.with_columns(size=size).filter(
        (pl.col("count") >= rules.drift_days)
        & ~steep
        & (pl.col("size").abs() > limit)
        & (pl.col("noise") <= pl.col("moved").abs() / 5)
    )
    day_us = _S_PER_DAY * US_PER_SECOND
    told = told.with_columns(from_us=pl.col("first") * day_us, to_us=(pl.col("last") + 1) * day_us).sort("meter")
    words = pl.format(
        "the clock moves by {} s a day and is {} s off", pl.col("slope").round(2), pl.col("size").round(0)
    )
    return findings_of(Code.CLOCK_DRIFT, told.to_dict(), "s", words)
