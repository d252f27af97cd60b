"""Clock drift: the delay between a reading and its arrival grows or shrinks with the meter's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from citygate.quantity.clock import US_PER_SECOND
from citygate.validation.finding import Code, findings_of

if TYPE_CHECKING:
    from citygate.validation.rules import RuleSet

_S_PER_DAY = 86_400
#: Of normal values: the standard deviation over the median deviation, and the error of a median over that of a mean.
_MAD_TO_SIGMA, _MEDIAN_ERROR = 1.4826, 1.2533
#: Standard errors by which a drift must differ from 0.
_SURE = 5
#: So many meters make a fleet.
_FLEET = 3


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
    """Return the meters whose clock runs away, also where it is set right now and then.

    A clock that is late stamps readings too early, so its delay grows. The drift is the median change of the least
    delay from day to day: a clock that is set jumps on few days, which do not move a median. A meter is told when its
    drift differs from 0 by five standard errors of that median, and its clock was off by more than
    `RuleSet.drift_share` of its interval: against the delay that half of the fleet has at least, or against its own
    first day where there is no fleet. Steeper drifts than `RuleSet.drift_ppm_max` are deliveries in bulk.

    Args:
        daily: As `delays` gives it, of the whole fleet.
        rules: Limits.

    Returns:
        Findings (columns of `citygate.validation.finding`): size is how far the clock was off at its worst [s], above 0
        when it was late.
    """
    days = (pl.col("day") - pl.col("day").shift()).over("meter")
    moved = (pl.col("delay_s") - pl.col("delay_s").shift()).over("meter")
    least_s = daily.group_by("meter").agg(pl.col("delay_s").min())["delay_s"]
    usual = pl.col("delay_s").first().over("meter") if len(least_s) < _FLEET else pl.lit(least_s.median())
    each = daily.sort("meter", "day").with_columns(drift=moved / days, off=pl.col("delay_s") - usual)
    spread = (pl.col("drift") - pl.col("drift").median()).abs().median()
    fitted = each.group_by("meter").agg(
        count=pl.len(),
        from_us=pl.col("day").min() * _S_PER_DAY * US_PER_SECOND,
        to_us=(pl.col("day").max() + 1) * _S_PER_DAY * US_PER_SECOND,
        interval=pl.col("interval_s").median(),
        drift=pl.col("drift").median(),
        error=_MEDIAN_ERROR * _MAD_TO_SIGMA * spread / pl.len().sqrt(),
        size=pl.col("off").get(pl.col("off").abs().arg_max()),
    )
    told = fitted.filter(
        (pl.col("count") >= rules.drift_days)
        & (pl.col("drift").abs() <= rules.drift_ppm_max * 1e-6 * _S_PER_DAY)
        & (pl.col("drift").abs() > _SURE * pl.col("error"))
        & (pl.col("size").abs() > rules.drift_share * pl.col("interval"))
    )
    words = pl.format("the clock moves by {} s a day, up to {} s", pl.col("drift").round(2), pl.col("size").round(0))
    return findings_of(Code.CLOCK_DRIFT, told.sort("meter").to_dict(), "s", words)
