"""The rules on a single row: what the meter, the moment and the physics allow without knowing any other reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from citygate.quantity.clock import US_PER_SECOND
from citygate.reading.batch import QUANTITIES, ReadingBatch, ValidatedBatch
from citygate.reading.flaw import Flaw, any_flaw, refused_frame
from citygate.validation.verdict import Refusal

if TYPE_CHECKING:
    from citygate.fleet.registry import Registry

_FOREVER_US = 2**62


@dataclass(frozen=True, slots=True)
class Limits:
    """What a single row may say.

    Args:
        future_s: How far a reading may lie ahead of the clock of Citygate [s].
        oldest_us: Before this no smart meter was read [µs UTC]; the default is 1990-01-01.
        flow_ratio_max: Flow above the qmax of the meter that is still possible; 1.2 is Qr / Qmax of EN 1359 (overload
            flow rate).
        energy_wh_per_l_max: Most energy in a litre of any fuel gas, for limits on energy [Wh/l]; 1 m³ of natural gas
            has 8 to 12.8 kWh, propane 28 kWh.
        unknown_qmax_lph: Largest flow of a meter whose size nobody stated; the default is a large turbine meter, G6500
            [litre/h].
        span_s_max: Longest span of an interval value [s]; a leap year.
        pressure_pa_min, pressure_pa_max: Absolute pressure at a meter [Pa]; up to a 16 bar distribution main.
        temperature_mk_min, temperature_mk_max: Gas temperature [mK]; -60 to +90 °C.
    """

    future_s: int = 120
    oldest_us: int = 631_152_000 * US_PER_SECOND
    flow_ratio_max: float = 1.2
    energy_wh_per_l_max: float = 30.0
    unknown_qmax_lph: int = 10_000_000
    span_s_max: int = 366 * 86_400
    pressure_pa_min: int = 50_000
    pressure_pa_max: int = 1_800_000
    temperature_mk_min: int = 213_150
    temperature_mk_max: int = 363_150


def admit(batch: ReadingBatch, registry: Registry, now_us: int, limits: Limits) -> tuple[ValidatedBatch, pl.DataFrame]:
    """Return the rows that may be stored, and the others with the reason of each.

    Args:
        batch: Readings as assembled.
        registry: Known meters; a meter that is not in it is refused.
        now_us: The present [µs UTC].
        limits: What is possible.

    Returns:
        The valid batch, sorted by meter and time (exact duplicates stay: the store counts them), and the refused rows
        with the columns ``row, field, code, message, raw``; ``raw`` is null, for only the source knows it.
    """
    rows = batch.rows
    facts, absent = _facts(rows, registry, limits)
    present = [name for name in QUANTITIES if rows[name].null_count() < rows.height]
    flaws = absent + _time_flaws(rows, now_us, limits) + _quantity_flaws(rows, facts, present, limits)
    broken = any_flaw(flaws, rows.height)
    kept = rows.drop("row").with_columns(facts["code"].alias("meter"))
    if broken is not None:
        kept = kept.filter(~broken)
    refused = refused_frame(flaws, rows["row"])
    return ValidatedBatch(_in_order(kept).select(list(ValidatedBatch.columns))), refused


def _facts(rows: pl.DataFrame, registry: Registry, limits: Limits) -> tuple[pl.DataFrame, list[Flaw]]:
    """Return code, register_max_l and qmax_lph of each row as of its time, and the rows without a meter in place."""
    wanted = ["meter", "code", "register_max_l", "qmax_lph"]
    qmax = pl.when(pl.col("qmax_lph") > 0).then("qmax_lph").otherwise(limits.unknown_qmax_lph)
    latest = registry.latest().with_columns(qmax.alias("qmax_lph"))
    settled = latest.height == registry.rows.height and bool(
        ((latest["valid_from_us"] <= -_FOREVER_US) & (latest["valid_to_us"] >= _FOREVER_US)).all()
    )
    found = rows.select("meter").join(latest.select(wanted), on="meter", how="left", maintain_order="left")
    flaws = _flaws(Refusal.METER_UNKNOWN, "meter", "the meter is not registered", found["code"].is_null())
    if settled or rows.is_empty():
        return found, flaws
    known = registry.rows.sort("valid_from_us").with_columns(qmax.alias("qmax_lph"))
    placed = (
        rows.select("meter", "at_us")
        .with_row_index("#place")
        .sort("at_us", maintain_order=True)
        .join_asof(
            known.select(*wanted, "valid_from_us", "valid_to_us"),
            left_on="at_us",
            right_on="valid_from_us",
            by="meter",
            check_sortedness=False,
        )
        .sort("#place")
    )
    outside = found["code"].is_not_null() & (
        placed["code"].is_null() | (placed["at_us"] >= placed["valid_to_us"]).fill_null(value=True)
    )
    message = "the meter was not in place at this time, as the registry has it"
    flaws += _flaws(Refusal.METER_NOT_IN_PLACE, "meter", message, outside)
    return placed.select("meter", found["code"], "register_max_l", "qmax_lph"), flaws


def _flaws(code: Refusal, field: str, message: str, mask: pl.Series) -> list[Flaw]:
    if mask.null_count():
        mask = mask.fill_null(value=False)
    return [Flaw(field, code, message, mask)] if mask.any() else []


def _time_flaws(rows: pl.DataFrame, now_us: int, limits: Limits) -> list[Flaw]:
    at_us = rows["at_us"]
    if rows.is_empty():
        return []
    latest_us = now_us + limits.future_s * US_PER_SECOND
    flaws: list[Flaw] = []
    if at_us.max() > latest_us:  # type: ignore[operator]
        message = f"the time is more than {limits.future_s} s in the future"
        flaws += _flaws(Refusal.TIME_FUTURE, "at_us", message, at_us > latest_us)
    if at_us.min() < limits.oldest_us:  # type: ignore[operator]
        flaws += _flaws(Refusal.TIME_TOO_OLD, "at_us", "the time lies before any smart meter", at_us < limits.oldest_us)
    return flaws


def _quantity_flaws(rows: pl.DataFrame, facts: pl.DataFrame, present: list[str], limits: Limits) -> list[Flaw]:
    flaws: list[Flaw] = []
    measured = [name for name in present if name != "span_s"]
    if not any(rows[name].null_count() == 0 for name in measured):
        nothing = rows.select(pl.all_horizontal(pl.lit(value=True), *(pl.col(name).is_null() for name in measured)))
        nothing_said = nothing.to_series() if measured else rows["at_us"].is_not_null()
        flaws += _flaws(Refusal.NOTHING_MEASURED, "index_l", "the row holds no measured value", nothing_said)
    if "index_l" in present:
        index_l = rows["index_l"]
        flaws += _flaws(Refusal.REGISTER_NEGATIVE, "index_l", "the register is below zero", index_l < 0)
        message = "the register is above the largest that this meter can show (register_max_l)"
        flaws += _flaws(Refusal.REGISTER_TOO_LARGE, "index_l", message, index_l >= facts["register_max_l"])
    amounts: list[str] = [name for name in ("volume_l", "energy_wh") if name in present]
    if amounts:
        flaws += _amount_flaws(rows, facts, amounts, limits)
    if "flow_lph" in present:
        flow_lph = rows["flow_lph"]
        above = flow_lph.abs() > facts["qmax_lph"] * limits.flow_ratio_max
        message = f"the flow is above {limits.flow_ratio_max} times the qmax of the meter"
        flaws += _flaws(Refusal.FLOW_IMPLAUSIBLE, "flow_lph", message, above)
    if "pressure_pa" in present:
        outside = ~rows["pressure_pa"].is_between(limits.pressure_pa_min, limits.pressure_pa_max)
        lowest, highest = limits.pressure_pa_min, limits.pressure_pa_max
        message = f"the absolute pressure lies outside {lowest} to {highest} Pa; is it a gauge pressure?"
        flaws += _flaws(Refusal.PRESSURE_IMPLAUSIBLE, "pressure_pa", message, outside)
    if "temperature_mk" in present:
        outside = ~rows["temperature_mk"].is_between(limits.temperature_mk_min, limits.temperature_mk_max)
        coldest, hottest = limits.temperature_mk_min, limits.temperature_mk_max
        message = f"the temperature lies outside {coldest} to {hottest} mK; is it in another unit?"
        flaws += _flaws(Refusal.TEMPERATURE_IMPLAUSIBLE, "temperature_mk", message, outside)
    return flaws


def _amount_flaws(rows: pl.DataFrame, facts: pl.DataFrame, amounts: list[str], limits: Limits) -> list[Flaw]:
    flaws: list[Flaw] = []
    span_s = rows["span_s"]
    for name in amounts:
        value = rows[name]
        flaws += _flaws(Refusal.AMOUNT_NEGATIVE, name, f"{name} is below zero", value < 0)
        good_span = span_s.is_between(1, limits.span_s_max).fill_null(value=False)
        message = f"{name} needs the span that it covers: span_s from 1 s to a year"
        flaws += _flaws(Refusal.SPAN_MISSING, name, message, value.is_not_null() & ~good_span)
        per_litre = limits.energy_wh_per_l_max if name == "energy_wh" else 1.0
        # In float64: a span of a year times a large qmax stays far below 2^53.
        most = (
            facts["qmax_lph"].cast(pl.Float64())
            * span_s.cast(pl.Float64())
            * (limits.flow_ratio_max * per_litre / 3_600)
        )
        message = f"{name} is more than the meter can pass in its span ({limits.flow_ratio_max} times qmax)"
        flaws += _flaws(Refusal.ABOVE_METER_LIMIT, name, message, value.cast(pl.Float64()) > most + 1.0)
    return flaws


#: Largest product that orders rows by one number.
_KEY_MAX = 2**62


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Sort by meter and time, unless they are; values of the same instant stay in the order they came."""
    if rows.height < 2:  # noqa: PLR2004 - nothing to sort
        return rows
    meter, at_us = rows["meter"].to_numpy(), rows["at_us"].to_numpy()
    ahead = (meter[1:] > meter[:-1]) | ((meter[1:] == meter[:-1]) & (at_us[1:] >= at_us[:-1]))
    if ahead.all():
        return rows
    start_us, width_us = int(at_us.min()), int(at_us.max()) - int(at_us.min()) + 1
    if int(meter.max()) * width_us > _KEY_MAX:
        return rows.sort("meter", "at_us", maintain_order=True)
    # One whole number that orders as meter and time do is sorted in half the time of two.
    key = pl.Series("key", meter.astype(np.int64) * width_us + (at_us - start_us))
    return rows.sort(key, maintain_order=True)
