"""What the meters of a zone say together: hourly balance, common pressure, and the vote on a sudden drop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from citygate.detection.lowest import HOUR_US
from citygate.detection.slots import ALARM_COLUMNS

if TYPE_CHECKING:
    from citygate.detection.meters import Meters
    from citygate.detection.slots import Column, Flag, Whole

#: A median of fewer sensors than this is not called common.
SENSOR_COUNT_MIN = 5
#: A longer span is not spread over its hours: what flowed when is not known.
SPREAD_MAX_US = 6 * HOUR_US


@dataclass(frozen=True, slots=True)
class Completeness:
    """How complete an hour must be before its balance counts.

    Args:
        customer_share_min: Share of the customers' meter hours that must be known [1]; the known part is scaled up.
        inlet_share_min: Share of the inlets' meter hours that must be known [1]; inlets are not scaled.
    """

    customer_share_min: float = 0.9
    inlet_share_min: float = 0.999


def zone_balance(rows: pl.DataFrame, meters: Meters, complete: Completeness) -> pl.DataFrame:
    """Return what entered each zone and was not taken from it, hour by hour.

    Volumes of spans up to 6 h are spread evenly over the hours they cross. Gas that stays in the pipes as the pressure
    rises (line pack) is not a loss and is taken off where the zone's pressure and pipe volume are known.

    Args:
        rows: ``meter``, ``at_us``, ``index_l``, ``pressure_pa``, sorted by meter and time.
        meters: Facts of the meters.
        complete: Which hours count.

    Returns:
        ``meter`` (number of the zone), ``at_us`` (end of the hour) and ``balance_lph`` [litre/h], sorted by both.
    """
    kept = rows.filter(pl.col("index_l").is_not_null())
    code, at_us, index_l = (
        kept[name].to_numpy().astype(np.int64, copy=False) for name in ("meter", "at_us", "index_l")
    )
    span_us, volume_l = np.diff(at_us), np.diff(index_l)
    volume_l = np.where(volume_l < 0, volume_l + meters.register_max_l[code[1:]], volume_l)
    possible_l = meters.qmax_lph[code[1:]] * 1.2 * (span_us / HOUR_US) + meters.pulse_l[code[1:]]
    back = np.diff(index_l) < 0
    usable = (
        (np.diff(code) == 0)
        & (span_us > 0)
        & (span_us <= SPREAD_MAX_US)
        & (volume_l >= 0)
        & (~back | (volume_l <= possible_l))
    )
    usable &= (meters.inlet | meters.customer)[code[1:]]
    where = np.flatnonzero(usable)
    if len(where) == 0:
        return pl.DataFrame(schema={"meter": pl.Int32, "at_us": pl.Int64, "balance_lph": pl.Int64})
    hours = _by_hour(code[where + 1], at_us[where], at_us[where + 1], volume_l[where])
    return _less_line_pack(_balance(hours, meters, complete), rows, meters)


def _by_hour(code: Whole, from_us: Whole, to_us: Whole, volume_l: Whole) -> tuple[Whole, Whole, Column, Column]:
    first, last = from_us // HOUR_US, (to_us - 1) // HOUR_US
    count = last - first + 1
    part = np.repeat(np.arange(len(code)), count)
    hour = first[part] + (np.arange(len(part)) - np.repeat(np.cumsum(count) - count, count))
    overlap_us = np.minimum(to_us[part], (hour + 1) * HOUR_US) - np.maximum(from_us[part], hour * HOUR_US)
    return code[part], hour, overlap_us, volume_l[part] * overlap_us / (to_us - from_us)[part]


def _balance(hours: tuple[Whole, Whole, Column, Column], meters: Meters, complete: Completeness) -> pl.DataFrame:
    code, hour, overlap_us, volume_l = hours
    first = int(hour.min())
    hour_count = int(hour.max()) - first + 1
    zone_count = len(meters.zones)
    key = meters.zone[code] * hour_count + hour - first
    shape = (zone_count, hour_count)

    def summed(values: Column, of: Flag) -> Column:
        return np.bincount(key[of], weights=values[of], minlength=zone_count * hour_count).reshape(shape)

    inlet, customer = meters.inlet[code], meters.customer[code]
    expected_us = np.maximum(np.bincount(meters.zone, weights=meters.customer, minlength=zone_count), 1)[
        :, None
    ] * float(HOUR_US)
    inlet_count = np.bincount(meters.zone, weights=meters.inlet, minlength=zone_count)[:, None]
    share = summed(overlap_us, customer) / expected_us
    inlet_share = summed(overlap_us, inlet) / (np.maximum(inlet_count, 1) * float(HOUR_US))
    known = (share >= complete.customer_share_min) & (inlet_share >= complete.inlet_share_min) & (inlet_count > 0)
    balance = np.rint(
        summed(volume_l, inlet) - summed(volume_l, customer) / np.maximum(share, complete.customer_share_min)
    )
    zone, place = np.nonzero(known)
    return pl.DataFrame(
        {
            "meter": zone.astype(np.int32),
            "at_us": (place + first + 1) * HOUR_US,
            "balance_lph": balance[zone, place].astype(np.int64),
        }
    )


def _less_line_pack(balance: pl.DataFrame, rows: pl.DataFrame, meters: Meters) -> pl.DataFrame:
    """Take off the gas that the pipes took in within each hour: V dp / p, as a volume at the pressure of the meters."""
    if not meters.pipe_volume_l.any():
        return balance
    common = _by_zone(rows, meters).select("zone", "hour", "common_pa")
    before = common.with_columns(pl.col("hour") + 1).rename({"common_pa": "before_pa"})
    volume = pl.DataFrame({"zone": np.arange(len(meters.zones), dtype=np.int64), "volume_l": meters.pipe_volume_l})
    packed = (
        common.join(before, on=["zone", "hour"])
        .join(volume, on="zone")
        .select(
            pl.col("zone").cast(pl.Int32).alias("meter"),
            ((pl.col("hour") + 1) * HOUR_US).alias("at_us"),
            (pl.col("volume_l") * (pl.col("common_pa") - pl.col("before_pa")) / pl.col("common_pa")).alias("packed_l"),
        )
    )
    joined = balance.join(packed, on=["meter", "at_us"], how="left", maintain_order="left")
    kept = pl.col("balance_lph") - pl.col("packed_l").fill_null(0).round().cast(pl.Int64)
    return joined.select("meter", "at_us", kept.alias("balance_lph"))


def relative_pressure(rows: pl.DataFrame, meters: Meters) -> pl.DataFrame:
    """Return pressures less what is common to the zone in the same hour: the weather and the regulator.

    Args:
        rows: ``meter``, ``at_us``, ``pressure_pa``, sorted by meter and time.
        meters: Facts of the meters.

    Returns:
        ``meter``, ``at_us``, ``relative_pa`` [Pa]; readings without enough neighbours are left out.
    """
    placed = _placed(rows, meters)
    joined = placed.join(_by_zone(rows, meters), on=["zone", "hour"], how="inner", maintain_order="left")
    return joined.select(
        "meter", "at_us", (pl.col("pressure_pa") - pl.col("common_pa")).round().cast(pl.Int64).alias("relative_pa")
    )


def zone_pressure(rows: pl.DataFrame, meters: Meters) -> pl.DataFrame:
    """Return the median pressure of each zone less that of the city, hour by hour.

    Args:
        rows: ``meter``, ``at_us``, ``pressure_pa``, sorted by meter and time.
        meters: Facts of the meters.

    Returns:
        ``meter`` (number of the zone), ``at_us`` (end of the hour), ``relative_pa`` [Pa]; empty for one zone.
    """
    by_zone = _by_zone(rows, meters)
    city = (
        by_zone.group_by("hour")
        .agg(pl.col("common_pa").median().alias("city_pa"), pl.len().alias("zones"))
        .filter(pl.col("zones") > 1)
    )
    return (
        by_zone.join(city, on="hour", how="inner")
        .select(
            pl.col("zone").cast(pl.Int32).alias("meter"),
            ((pl.col("hour") + 1) * HOUR_US).alias("at_us"),
            (pl.col("common_pa") - pl.col("city_pa")).round().cast(pl.Int64).alias("relative_pa"),
        )
        .sort("meter", "at_us")
    )


def vote(
    falls: pl.DataFrame, rows: pl.DataFrame, meters: Meters, *, neighbour_count: int, share_min: float
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split sudden drops into those of a zone and those of one sensor.

    A burst or a failed regulator is felt by the neighbours within the hour; a sensor that fails falls alone.

    Args:
        falls: Alarms of `citygate.detection.pressure.SuddenDrop`.
        rows: ``meter``, ``at_us``, ``pressure_pa`` of the same time, for the number of sensors that were heard.
        meters: Facts of the meters.
        neighbour_count: Sensors beside the first that must agree.
        share_min: Share of the sensors heard in that zone and hour that must agree [1].

    Returns:
        Alarms of zones (``meter`` is the number of the zone, ``statistic`` the median fall), and alarms of single
        sensors with the kind ``pressure_sensor``.
    """
    zone = pl.DataFrame({"meter": np.arange(meters.count, dtype=np.int32), "zone": meters.zone})
    hour = ((pl.col("at_us") - 1) // HOUR_US).alias("hour")
    heard = _placed(rows, meters).group_by("zone", "hour").agg(pl.col("meter").n_unique().alias("heard"))
    placed = falls.join(zone, on="meter", how="left").with_columns(hour).join(heard, on=["zone", "hour"], how="left")
    count = pl.col("meter").n_unique().over("zone", "hour")
    agreed = placed.with_columns(((count > neighbour_count) & (count >= share_min * pl.col("heard"))).alias("agreed"))
    common = (
        agreed.filter("agreed")
        .group_by("zone", "hour")
        .agg(
            pl.col("kind").first(),
            pl.col("from_us").min(),
            pl.col("to_us").max(),
            pl.col("at_us").max(),
            pl.col("statistic", "own_past").median(),
            pl.col("threshold", "smallest_leak_lph", "unit").first(),
        )
        .with_columns(pl.col("zone").alias("meter"))
    )
    alone = agreed.filter(~pl.col("agreed")).with_columns(pl.lit("pressure_sensor").alias("kind"))
    zones, single = (
        part.select(pl.col(name).cast(kind) for name, kind in ALARM_COLUMNS.items()).sort("at_us", "meter")
        for part in (common, alone)
    )
    return zones, single


def _by_zone(rows: pl.DataFrame, meters: Meters) -> pl.DataFrame:
    """Return the median pressure of each zone and hour that enough sensors report."""
    grouped = _placed(rows, meters).group_by("zone", "hour")
    medians = grouped.agg(pl.col("pressure_pa").median().alias("common_pa"), pl.col("meter").n_unique().alias("count"))
    return medians.filter(pl.col("count") >= SENSOR_COUNT_MIN)


def _placed(rows: pl.DataFrame, meters: Meters) -> pl.DataFrame:
    kept = rows.select("meter", "at_us", "pressure_pa").filter(pl.col("pressure_pa").is_not_null())
    return kept.with_columns(
        pl.Series("zone", meters.zone[kept["meter"].to_numpy()]), ((pl.col("at_us") - 1) // HOUR_US).alias("hour")
    )
