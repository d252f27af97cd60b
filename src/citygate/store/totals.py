"""Totals by period and group, out of consumption that was derived."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from citygate.validation.settle import MEASURED

if TYPE_CHECKING:
    from citygate.fleet.registry import Registry
    from citygate.quantity.clock import CityClock, Micros
    from citygate.quantity.gas import Conversion

Group = Literal["meter", "zone", "provider", "customer-type", "city"]

TOTALS: dict[str, pl.DataType] = {
    "period_start_us": pl.Int64(),
    "period_end_us": pl.Int64(),
    "group": pl.String(),
    "volume_l_e5": pl.Int64(),
    "energy_wh_e5": pl.Int64(),
    "measured_share": pl.Float64(),
    "estimated_share": pl.Float64(),
    "missing_share": pl.Float64(),
    "modelled_share": pl.Float64(),
}
#: Columns that name the groups.
_LABELS = {"meter": "meter", "zone": "zone", "provider": "provider", "customer-type": "customer_type"}
SUMS = ["volume_l", "energy_wh", "measured_h", "estimated_h", "expected_h"]


def labelled(rows: pl.DataFrame, registry: Registry, group: Group) -> pl.DataFrame:
    """Return rows of meters with ``group`` (Categorical) and ``modelled``, as each meter was at the time of the row.

    Args:
        rows: ``code``, ``at_us``, and any other columns.
        registry: The meters.
        group: What to group by; for all but meters, only customers that were in place count.
    """
    facts = registry.rows if group == "meter" else registry.rows.filter(pl.col("role") == "customer")
    label = pl.col(_LABELS[group]) if group in _LABELS else pl.lit("city")
    modelled = (pl.col("nature") == "modelled").alias("modelled")
    facts = facts.select(
        "code", label.cast(pl.Categorical).alias("group"), modelled, "valid_from_us", "valid_to_us"
    ).sort("valid_from_us")
    first_us, last_us = (rows["at_us"].to_numpy().min(), rows["at_us"].to_numpy().max()) if len(rows) else (0, 0)
    always = ((facts["valid_from_us"] <= first_us) & (facts["valid_to_us"] > last_us)).all()
    if always and facts["code"].is_unique().all():
        return rows.join(facts.select("code", "group", "modelled"), on="code", how="inner")
    joined = rows.sort("at_us").join_asof(
        facts, left_on="at_us", right_on="valid_from_us", by="code", check_sortedness=False
    )
    in_place = pl.col("group").is_not_null() & ((pl.col("at_us") < pl.col("valid_to_us")) | (group == "meter"))
    return joined.filter(in_place).drop("valid_from_us", "valid_to_us")


def labelled_kinds(rows: pl.DataFrame, group: Group) -> pl.DataFrame:
    """Return rows of kinds of customers with ``group`` and ``modelled``."""
    label = pl.col(_LABELS[group]) if group in _LABELS else pl.lit("city")
    return rows.with_columns(label.alias("group"), (pl.col("nature") == "modelled").alias("modelled"))


def whole_months(days: pl.DataFrame, clock: CityClock) -> pl.DataFrame:
    """Return consumption by meter and gas month out of that by gas day.

    A month whose first and last edge were read, and within which nothing is missing, is measured as a whole, however
    few readings lie in between.

    Args:
        days: The columns of `citygate.store.consumption.DAYS`, of whole months.
        clock: Of the city.

    Returns:
        ``code``, ``gas_day`` (the month's first) and the sums.
    """
    known = days["gas_day"].unique().sort()
    first = [(clock.gas_day_date(day).replace(day=1) - clock.gas_day_date(0)).days for day in known.to_list()]
    month = pl.DataFrame({"gas_day": known, "month": first}, schema_overrides={"month": pl.Int32})
    read = (
        (pl.col("start_quality").first() == MEASURED)
        & (pl.col("end_quality").last() == MEASURED)
        & ((pl.col("measured_h") + pl.col("estimated_h")).sum() >= pl.col("expected_h").sum())
    )
    months = days.join(month, on="gas_day", how="left").sort("code", "gas_day").group_by("code", "month")
    return months.agg(*(pl.col(name).sum() for name in SUMS), read.alias("read")).select(
        "code",
        pl.col("month").alias("gas_day"),
        "volume_l",
        "energy_wh",
        pl.when("read").then("expected_h").otherwise("measured_h").alias("measured_h"),
        pl.when("read").then(0).otherwise("estimated_h").alias("estimated_h"),
        "expected_h",
    )


def sum_up(rows: pl.DataFrame, starts_us: Micros, conversion: Conversion) -> pl.DataFrame:
    """Return the columns of `TOTALS`, sorted by period and group.

    Args:
        rows: ``at_us`` (within the period), ``group``, ``modelled``, and the sums.
        starts_us: Beginnings of the periods, and the end of the last [µs UTC].
        conversion: How volumes become energy.
    """
    modelled = pl.when("modelled").then("expected_h").otherwise(0).sum().alias("modelled_h")
    sums = rows.group_by("at_us", "group").agg(*(pl.col(each).sum() for each in SUMS), modelled)
    sums = sums.with_columns(pl.col("group").cast(pl.String))
    place = np.searchsorted(starts_us, sums["at_us"].to_numpy(), side="right") - 1
    inside = (place >= 0) & (place < len(starts_us) - 1)
    sums = sums.with_columns(pl.Series("place", place)).filter(pl.Series(inside))
    sums = sums.group_by("place", "group").agg(pl.col(*SUMS, "modelled_h").sum()).sort("place", "group")
    place = sums["place"].to_numpy()
    expected = pl.max_horizontal("expected_h", 1)
    missing = pl.max_horizontal(pl.col("expected_h") - pl.col("measured_h") - pl.col("estimated_h"), 0)
    volume_l, energy_wh = sums["volume_l"].to_numpy(), sums["energy_wh"].to_numpy()
    return sums.select(
        pl.Series("period_start_us", starts_us[place], pl.Int64),
        pl.Series("period_end_us", starts_us[place + 1], pl.Int64),
        pl.col("group"),
        pl.Series("volume_l_e5", volume_l * 100_000 + conversion.volume_l_e5(energy_wh), pl.Int64),
        pl.Series("energy_wh_e5", conversion.energy_wh_e5(volume_l) + energy_wh * 100_000, pl.Int64),
        (pl.min_horizontal("measured_h", "expected_h") / expected).alias("measured_share"),
        (pl.col("estimated_h") / expected).alias("estimated_share"),
        # Where nothing was expected yet (the hour in which a meter is read first), all but the volume is missing.
        pl.when(pl.col("expected_h") == 0).then(1.0).otherwise(missing / expected).alias("missing_share"),
        (pl.col("modelled_h") / expected).alias("modelled_share"),
    ).select(pl.col(column).cast(kind) for column, kind in TOTALS.items())
