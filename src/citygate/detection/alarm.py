"""Alarms as people and programs read them: who, what, since when, and the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl

if TYPE_CHECKING:
    from citygate.detection.meters import Meters

#: Readings that an alarm shows at most: the first, the last, and evenly many between.
READING_COUNT_MAX = 24

#: Columns of finished alarms. ``meter`` is ``zone:NAME`` for one of a zone; ``evidence`` is JSON, see `with_evidence`.
COLUMNS: dict[str, pl.DataType] = {
    "meter": pl.String(),
    "zone": pl.String(),
    "kind": pl.String(),
    "from_us": pl.Int64(),
    "to_us": pl.Int64(),
    "at_us": pl.Int64(),
    "statistic": pl.Float64(),
    "threshold": pl.Float64(),
    "evidence": pl.String(),
}

#: What the statistic of each kind is, and what it says in words. {past} is the own past.
_WORDS: dict[str, tuple[str, str]] = {
    "continuous_flow": (
        "cumulative sum of the lowest flow of each gas day above the own past",
        "Gas never stopped flowing, and more of it than before: the lowest flow of a day used to be {past} l/h.",
    ),
    "sustained_flow": (
        "lowest flow within the last three blocks of hours",
        "For hours the flow did not fall below the statistic; the highest such flow remembered was {past} l/h.",
    ),
    "uninterrupted_flow": (
        "days without a pause of the flow",
        "Gas flowed without a pause for weeks, never below {past} l/h, more than a pilot flame takes.",
    ),
    "night_flow": (
        "cumulative sum of the lowest flow of each night above the own past",
        "More gas flowed at the quietest time of the nights than before: it used to be {past} l/h.",
    ),
    "flow_step": (
        "cumulative sum of the flow above the own past of the same hour of the day",
        "The flow rose and stayed higher than this meter's past at the same hours ({past} l/h at this hour).",
    ),
    "stuck_register": (
        "present zero run over the mean zero run of the own past",
        "No gas for far longer than its past explains (mean zero run {past} h): stuck, bypassed, or nobody there.",
    ),
    "low_pressure": (
        "cumulative sum of missing pressure",
        "The pressure stays below that of the neighbours by more than before (it used to differ by {past} Pa).",
    ),
    "sudden_drop": (
        "median fall of pressure between two readings",
        "The pressure fell at several meters of the zone in one hour: a burst, a failed regulator or work on the main.",
    ),
    "pressure_sensor": (
        "fall of pressure between two readings",
        "The pressure fell at this meter alone: its sensor, its house regulator or its service pipe.",
    ),
    "zone_balance": (
        "cumulative sum of the zone's balance above the own past",
        "More gas entered the zone than its meters took, by more than before (it used to be {past} l/h).",
    ),
}


def named(alarms: pl.DataFrame, meters: Meters, *, of_zones: bool) -> pl.DataFrame:
    """Return alarms of a run with names instead of codes, still without evidence.

    Args:
        alarms: Frame of `citygate.detection.slots.ALARM_COLUMNS`.
        meters: Facts of the meters.
        of_zones: Whether ``meter`` is the number of a zone.

    Returns:
        The columns of the run with ``meter`` as text, ``zone``, and ``code`` (-1 for a zone).
    """
    codes = alarms["meter"].to_numpy()
    zone = codes if of_zones else meters.zone[codes]
    zones = [meters.zones[number] for number in zone]
    names = [f"zone:{name}" for name in zones] if of_zones else [meters.names[code] for code in codes]
    return alarms.with_columns(
        pl.Series("meter", names, dtype=pl.String),
        pl.Series("zone", zones, dtype=pl.String),
        pl.Series("code", np.full(len(codes), -1) if of_zones else codes, dtype=pl.Int32),
    )


def with_evidence(alarms: pl.DataFrame, readings: list[pl.DataFrame]) -> pl.DataFrame:
    """Return finished alarms.

    The evidence is an object with ``statistic`` and ``unit`` (what was compared with the threshold), ``own_past`` and
    ``smallest_leak_lph`` (null where the kind says nothing of a size), ``sentence``, and ``readings`` (objects with
    ``meter``, ``at_us``, ``index_l`` or ``pressure_pa``), at most ``READING_COUNT_MAX`` of them.

    Args:
        alarms: Frame of `named`.
        readings: For each alarm the readings it stands on.
    """
    evidence = [_evidence(alarm, rows) for alarm, rows in zip(alarms.iter_rows(named=True), readings, strict=True)]
    return alarms.with_columns(pl.Series("evidence", evidence, dtype=pl.String)).select(list(COLUMNS))


def _evidence(alarm: dict[str, object], rows: pl.DataFrame) -> str:
    statistic, sentence = _WORDS[str(alarm["kind"])]
    own_past, leak = (_rounded(alarm[name]) for name in ("own_past", "smallest_leak_lph"))
    shown = (
        rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), READING_COUNT_MAX)).round().astype(int))]
        if len(rows)
        else rows
    )
    return msgspec.json.encode(
        {
            "statistic": statistic,
            "unit": alarm["unit"],
            "own_past": own_past,
            "smallest_leak_lph": leak,
            "sentence": sentence.format(past=own_past),
            "readings": [
                {name: value for name, value in row.items() if value is not None} for row in shown.iter_rows(named=True)
            ],
        }
    ).decode()


def _rounded(value: object) -> float | None:
    return round(value, 2) if isinstance(value, float) else None
