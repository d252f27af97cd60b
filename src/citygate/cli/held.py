"""Readings for detection, from a store or from files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from citygate.detection.meters import Meters
from citygate.errors import CitygateError
from citygate.fleet.registry import Registry
from citygate.reading.batch import ValidatedBatch
from citygate.store.city import City

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from citygate.flow.watch import Scan
    from citygate.quantity.clock import CityClock

_VALUES = ("index_l", "pressure_pa")
_PULSE_DAYS_US = 28 * 86_400_000_000


class UnreadablePathError(CitygateError):
    """A file cannot be used for detection."""

    code = "unreadable_path"

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        super().__init__(f"{path}: {why}")


@dataclass(frozen=True, slots=True)
class Held:
    """What there is to watch.

    Attributes:
        scan: The readings.
        meters: Facts of the meters, with pulses as large as the registers show.
        clock: Local time and gas day.
        span_us: Times of the oldest and the newest reading [µs UTC]; None where there is none.
        weather: Outdoor temperature; None where it is not known.
    """

    scan: Scan
    meters: Meters
    clock: CityClock
    span_us: tuple[int, int] | None
    weather: pl.DataFrame | None


def held_in_store(city: City) -> Held:
    """Return what a store holds; pulses are taken from its newest 28 days."""
    span_us = city.readings.span_us()
    meters = Meters.of(city.registry())
    if span_us is not None:
        meters = meters.with_pulses(city.readings.scan(None, span_us[1] - _PULSE_DAYS_US, span_us[1] + 1))
    return Held(city.readings.scan, meters, city.clock, span_us, city.temperature())


def held_in_files(paths: Sequence[Path], clock: CityClock, meters: Path | None, weather: Path | None) -> Held:
    """Return what files hold.

    Args:
        paths: Parquet or CSV files of readings.
        clock: Local time and gas day.
        meters: File of facts of the meters, with ``meter`` and any columns of `Registry`; None where there is none.
        weather: File of ``at_us`` and ``temperature_mk``; None where there is none.

    Raises:
        UnreadablePathError: A file cannot be read or lacks columns.
    """
    rows = pl.concat([_readings(path) for path in paths])
    names = rows.select(pl.col("meter").unique(maintain_order=True))
    listed = names if meters is None else _table(meters, ("meter",)).with_columns(pl.col("meter").cast(pl.String))
    strangers = names.join(listed, on="meter", how="anti", maintain_order="left")
    registry = Registry.of(pl.concat([listed, strangers], how="diagonal"))
    codes = registry.latest().select("meter", "code")
    coded = rows.join(codes, on="meter", how="left").drop("meter").rename({"code": "meter"})
    held = ValidatedBatch.of(coded).rows.unique(["meter", "at_us"], keep="last", maintain_order=True)

    def scan(wanted: Sequence[int] | None, start_us: int, end_us: int) -> pl.DataFrame:
        kept = held.filter(pl.col("at_us").is_between(start_us, end_us, closed="left"))
        return kept if wanted is None else kept.filter(pl.col("meter").is_in(list(wanted)))

    span_us = (int(held["at_us"].min()), int(held["at_us"].max())) if len(held) else None  # type: ignore[arg-type]
    air = None if weather is None else _table(weather, ("at_us", "temperature_mk")).sort("at_us")
    return Held(scan, Meters.of(registry).with_pulses(held), clock, span_us, air)


def _table(path: Path, needed: tuple[str, ...]) -> pl.DataFrame:
    try:
        texts = {"meter": pl.String, "time": pl.String}
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, schema_overrides=texts)
    except (OSError, pl.exceptions.PolarsError) as cause:
        raise UnreadablePathError(path, f"not a readable Parquet or CSV file: {cause}") from cause
    for name in needed:
        if name not in frame.columns:
            raise UnreadablePathError(path, f"lacks the column '{name}'; it has {frame.columns}")
    return frame


def _readings(path: Path) -> pl.DataFrame:
    frame = _table(path, ("meter",))
    if not {"at_us", "time"} & set(frame.columns) or not set(_VALUES) & set(frame.columns):
        why = "needs the columns time (or at_us) and index_l (or pressure_pa); or ingest it into a store with a mapping"
        raise UnreadablePathError(path, why)
    order = ["received_us"] if "received_us" in frame.columns else []
    values = [pl.col(name) if name in frame.columns else pl.lit(None).alias(name) for name in _VALUES]
    try:
        at_us = pl.col("at_us") if "at_us" in frame.columns else _instant(frame.schema["time"]).alias("at_us")
        kept = frame.sort(order, maintain_order=True) if order else frame
        kept = kept.select(pl.col("meter").cast(pl.String), at_us, *values).cast(
            dict.fromkeys(("at_us", *_VALUES), pl.Int64)
        )
    except pl.exceptions.PolarsError as cause:
        raise UnreadablePathError(path, f"times need an offset, registers are whole litres: {cause}") from cause
    return kept.filter(pl.col("meter").is_not_null() & pl.col("at_us").is_not_null())


def _instant(kind: pl.DataType) -> pl.Expr:
    if isinstance(kind, pl.Datetime):
        return pl.col("time").dt.convert_time_zone("UTC").dt.epoch("us")
    return pl.col("time").str.to_datetime("%+", time_unit="us", time_zone="UTC").dt.epoch("us")
