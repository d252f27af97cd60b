"""Yearly use against floor area or peers: volumes kept as energies, and other wrong units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from citygate.validation.finding import Code, findings_of

if TYPE_CHECKING:
    from citygate.validation.rules import RuleSet
    from citygate.validation.series import Flow

_HOURS_OF_YEAR = 8_760
#: Superior calorific value of natural gas, to hold volumes against energies per floor area [kWh/m³].
_KWH_PER_M3 = 11.0
_WH_PER_KWH = _L_PER_M3 = 1_000


def years(flow: Flow) -> pl.DataFrame:
    """Return the use of every meter in every calendar year (UTC).

    Returns:
        ``meter``, ``year``, ``from_us``, ``to_us``, ``hours`` (read), ``zero_hours``, ``use_kwh`` (volumes at
        11 kWh/m³).
    """
    hours = flow.hours()
    frame = pl.DataFrame(
        {
            "meter": flow.meter,
            "year": pl.Series(flow.from_us, dtype=pl.Int64).cast(pl.Datetime("us")).dt.year(),
            "from_us": flow.from_us,
            "to_us": flow.to_us,
            "hours": hours,
            "zero": flow.amount == 0,
            "energy": flow.energy,
            "amount": flow.amount,
        }
    )
    to_kwh = pl.when("energy").then(1 / _WH_PER_KWH).otherwise(_KWH_PER_M3 / _L_PER_M3)
    return frame.group_by("meter", "year", maintain_order=True).agg(
        pl.col("from_us").min(),
        pl.col("to_us").max(),
        pl.col("hours").sum(),
        zero_hours=pl.col("hours").filter("zero").sum(),
        use_kwh=(pl.col("amount") * to_kwh).sum(),
    )


def usable(yearly: pl.DataFrame, rules: RuleSet) -> pl.DataFrame:
    """Return one row for each meter that has a usable year: nearly all read, and not mostly zero.

    Returns:
        ``meter``, ``from_us``, ``to_us``, ``years``, ``use_kwh`` (median of the usable years).
    """
    read = pl.col("hours") >= rules.usable_year_share * _HOURS_OF_YEAR
    used = pl.col("zero_hours") < rules.usable_zero_share * pl.col("hours")
    return (
        yearly.filter(read & used)
        .group_by("meter")
        .agg(pl.col("from_us").min(), pl.col("to_us").max(), years=pl.len(), use_kwh=pl.col("use_kwh").median())
        .sort("meter")
    )


def unit_suspects(yearly: pl.DataFrame, meters: pl.DataFrame, rules: RuleSet) -> pl.DataFrame:
    """Return the meters whose yearly use fits another unit.

    With a floor area a meter is suspect below `RuleSet.use_kwh_per_m2_min`. Without one it is held against its peers,
    the meters of its customer type: suspect when it is `RuleSet.peer_ratio` times off their median, and nine in ten
    peers are not.

    Args:
        yearly: As `years` gives it.
        meters: ``meter`` (code), ``area_m2`` (null where unknown), ``customer_type``.
        rules: Limits.

    Returns:
        Findings (columns of `citygate.validation.finding`): size in kWh/m²/a, or the ratio to the peers.
    """
    known = usable(yearly, rules).join(meters, on="meter", how="left").with_columns(count="years")
    by_area = known.filter(pl.col("area_m2") > 0).with_columns(size=pl.col("use_kwh") / pl.col("area_m2"))
    by_area = by_area.filter(pl.col("size") < rules.use_kwh_per_m2_min)
    words = pl.format("{} kWh/m2 a year: a volume in m3 kept as energy in kWh would be so low", pl.col("size").round(1))
    found = findings_of(Code.UNIT_SUSPECT, by_area.to_dict(), "kWh/m2/a", words)
    ratio = pl.col("use_kwh") / pl.col("use_kwh").median().over("customer_type")
    peers = known.filter(pl.col("area_m2").is_null()).with_columns(size=ratio, peers=pl.len().over("customer_type"))
    off = (pl.col("size") < 1 / rules.peer_ratio) | (pl.col("size") > rules.peer_ratio)
    # Where more than a tenth of the peers differ so much, size tells nothing.
    rare = off.mean().over("customer_type") <= 0.1  # noqa: PLR2004
    lone = peers.filter(rare & off & (pl.col("peers") >= rules.peers_min))
    words = pl.format("uses {} times what half of its {} peers use", pl.col("size").round(3), "peers")
    return pl.concat([found, findings_of(Code.UNIT_SUSPECT, lone.to_dict(), "ratio", words)]).sort("meter")
