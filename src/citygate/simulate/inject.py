"""Labelled faults in readings, generated or real: seven classes at random starts and of random sizes.

The faults are written into the register itself and stay in it afterwards, as they would in life: only the labelled
meters change, and what a meter counts between two readings changes only within the labelled time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from citygate.errors import CitygateError
from citygate.fleet.registry import Registry
from citygate.quantity.clock import US_PER_HOUR, US_PER_SECOND, CityClock, Micros
from citygate.simulate.event import SIZES, SPIKE_FLOOR_LPH, UNITS, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats = npt.NDArray[np.float64]

#: Readings that a meter needs before anything is injected into it.
READINGS_MIN = 48
TRUTH: dict[str, pl.DataType] = {
    "meter": pl.String(),
    "kind": pl.String(),
    "start_us": pl.Int64(),
    "end_us": pl.Int64(),
    "size": pl.Float64(),
    "unit": pl.String(),
    "zone": pl.String(),
}
_BASE_QUANTILE = 0.1


class TooFewMetersError(CitygateError):
    """There are fewer fit meters than faults to inject."""

    code = "too_few_meters"

    def __init__(self, wanted: int, fit: int) -> None:
        self.wanted, self.fit = wanted, fit
        super().__init__(
            f"{wanted} faults need as many meters with gas used and {READINGS_MIN} readings, but there are {fit}; "
            "inject fewer per class, or one class at a time"
        )


@dataclass(frozen=True, slots=True)
class _Series:
    """Every meter's readings in order of time, one behind the other; ``first`` marks the first of each meter."""

    meter: pl.Series
    at_us: Micros
    step_l: Micros
    begin_us: Micros
    first: npt.NDArray[np.bool_]


def inject(
    frame: pl.DataFrame,
    classes: Sequence[Kind],
    per_class: int,
    seed: int,
    meters: pl.DataFrame,
    clock: CityClock,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Inject faults of several classes, ``per_class`` of each, at most one into a meter.

    Args:
        frame: Readings in any order with ``meter``, ``at_us``, ``index_l`` and any other columns.
        classes: Keys of `SIZES`.
        per_class: Faults of each class; their sizes are spread evenly over the logarithm of the range.
        seed: Of meters, starts and sizes.
        meters: Columns of the registry as far as known, or empty; gives pulse, size of the register, role and zone.
            Without a pulse it is the largest step that divides all steps of the meter.
        clock: Tells the nights.

    Returns:
        The frame with the same rows and columns in the same order, and the truth (`TRUTH`).

    Raises:
        TooFewMetersError: There are not enough meters.
    """
    truth = label(frame, classes, per_class, seed, meters)
    return apply(frame, truth, meters, clock), truth


def label(
    frame: pl.DataFrame, classes: Sequence[Kind], per_class: int, seed: int, meters: pl.DataFrame
) -> pl.DataFrame:
    """Draw which meter gets which fault, when and how large; see `inject`.

    Faults begin after the first tenth and before the last fifth of a meter's readings. Spikes last 1 to 6 h, all others
    to the last reading. Meters that never count gas are left out, as a theft from nothing is none.
    """
    rng = np.random.default_rng(seed)
    fit = (
        frame.lazy()
        .drop_nulls("index_l")
        .group_by("meter")
        .agg(
            pl.len().alias("count"),
            pl.col("at_us").min().alias("from_us"),
            pl.col("at_us").max().alias("to_us"),
            pl.col("index_l").n_unique().alias("steps"),
        )
        .filter((pl.col("count") >= READINGS_MIN) & (pl.col("steps") > 1))
        .sort("meter")
        .collect()
        .join(_known(meters), on="meter", how="left", maintain_order="left")
        .filter(pl.col("role").fill_null("customer") == "customer")
    )
    wanted = len(classes) * per_class
    if fit.height < wanted:
        raise TooFewMetersError(wanted, fit.height)
    chosen = fit[rng.choice(fit.height, wanted, replace=False).tolist()]
    kind = np.repeat(np.array([str(name) for name in classes], dtype=object), per_class)
    low, high = (np.repeat([SIZES[name][side] for name in classes], per_class) for side in (0, 1))
    spread = np.concatenate(
        [(rng.permutation(per_class) + rng.random(per_class)) / max(per_class, 1) for _ in classes] or [np.empty(0)]
    )
    from_us, to_us = chosen["from_us"].to_numpy(), chosen["to_us"].to_numpy()
    start_us = (
        from_us + (rng.uniform(0.1, 0.8, wanted) * (to_us - from_us)).astype(np.int64) // US_PER_SECOND * US_PER_SECOND
    )
    spike_us = start_us + (rng.uniform(1.0, 6.0, wanted) * US_PER_HOUR).astype(np.int64)
    return pl.DataFrame(
        {
            "meter": chosen["meter"].cast(pl.String),
            "kind": pl.Series(kind, dtype=pl.String),
            "start_us": start_us,
            "end_us": np.where(kind == str(Kind.SPIKE), np.minimum(spike_us, to_us), to_us),
            "size": np.round(low * (high / low) ** spread, 3),
            "unit": pl.Series([UNITS[name] for name in kind], dtype=pl.String),
            "zone": chosen["zone"],
        },
        schema=TRUTH,
    )


def apply(frame: pl.DataFrame, truth: pl.DataFrame, meters: pl.DataFrame, clock: CityClock) -> pl.DataFrame:
    """Write the faults of a truth table into readings; the same table gives the same frame.

    Rows of the same meter and instant (duplicates, corrections) move together; the last of them in the frame counts as
    what the meter showed. ``flow_lph`` follows where the frame has it; other columns stay.

    Args:
        frame: Readings in any order.
        truth: Columns of `TRUTH`, at most one row for each meter.
        meters: As for `inject`.
        clock: Tells the nights.
    """
    series = _series(frame, truth, meters)
    if len(series.at_us) == 0:
        return frame
    facts = pl.DataFrame({"meter": series.meter}).join(
        truth.drop("zone"), on="meter", how="left", maintain_order="left"
    )
    facts = facts.join(_known(meters), on="meter", how="left", maintain_order="left")
    starts = np.flatnonzero(series.first)
    pulse_l = facts["pulse_l"].fill_null(0).to_numpy()
    found_l = np.gcd.reduceat(series.step_l, starts)[np.cumsum(series.first) - 1]
    pulse_l = np.maximum(np.where(pulse_l > 0, pulse_l, found_l), 1)
    more_l = _more_l(series, facts, clock)
    total_l = np.cumsum(more_l)
    total_l -= (total_l - more_l)[starts][np.cumsum(series.first) - 1]
    shift = pl.DataFrame(
        {
            "meter": series.meter,
            "at_us": series.at_us,
            "__shift_l": (np.floor(np.round(total_l / pulse_l, 9)) * pulse_l).astype(np.int64),
            "__more_lph": np.rint(more_l / np.maximum(series.at_us - series.begin_us, 1) * US_PER_HOUR).astype(
                np.int64
            ),
            "__top_l": facts["register_max_l"].fill_null(cast("int", Registry.unknown["register_max_l"])),
        }
    )
    moved = frame.join(shift, on=["meter", "at_us"], how="left", maintain_order="left")
    changed = [
        pl.when(pl.col("__shift_l") != 0)
        .then((pl.col("index_l") + pl.col("__shift_l")) % pl.col("__top_l"))
        .otherwise(pl.col("index_l"))
        .alias("index_l")
    ]
    if "flow_lph" in frame.columns:
        changed.append((pl.col("flow_lph") + pl.col("__more_lph").fill_null(0)).clip(0).alias("flow_lph"))
    return moved.with_columns(changed).select(pl.col(name).cast(kind) for name, kind in frame.schema.items())


def _known(meters: pl.DataFrame) -> pl.DataFrame:
    """Return what is known of meters, one row for each, with nulls for what is not."""
    wanted = {
        "meter": pl.String(),
        "role": pl.String(),
        "zone": pl.String(),
        "pulse_l": pl.Int64(),
        "register_max_l": pl.Int64(),
    }
    absent = [pl.lit(None, kind).alias(name) for name, kind in wanted.items() if name not in meters.columns]
    return (
        meters.with_columns(absent)
        .select(pl.col(name).cast(kind) for name, kind in wanted.items())
        .unique("meter", keep="last")
    )


def _series(frame: pl.DataFrame, truth: pl.DataFrame, meters: pl.DataFrame) -> _Series:
    rows = (
        frame.select(pl.col("meter").cast(pl.String), "at_us", "index_l")
        .filter(pl.col("meter").is_in(truth["meter"].implode()))
        .drop_nulls()
        .unique(["meter", "at_us"], keep="last", maintain_order=True)
        .sort("meter", "at_us")
        .join(_known(meters).select("meter", "register_max_l"), on="meter", how="left", maintain_order="left")
    )
    top_l = rows["register_max_l"].fill_null(cast("int", Registry.unknown["register_max_l"])).to_numpy()
    index_l, at_us = rows["index_l"].to_numpy(), rows["at_us"].to_numpy()
    first = np.ones(rows.height, dtype=bool)
    first[1:] = (rows["meter"] != rows["meter"].shift(1)).to_numpy()[1:]
    step_l = np.diff(index_l, prepend=index_l[:1])
    step_l = np.where(step_l < -top_l // 2, step_l + top_l, step_l)
    step_l[first] = 0
    begin_us = np.concatenate([at_us[:1], at_us[:-1]])
    return _Series(rows["meter"], at_us, step_l, np.where(first, at_us, begin_us), first)


def _more_l(series: _Series, facts: pl.DataFrame, clock: CityClock) -> Floats:
    """Return what the fault adds to each step of the register, negative where it takes away [litre]."""
    start_us, end_us, size = (facts[name].to_numpy() for name in ("start_us", "end_us", "size"))
    begin_us, at_us = series.begin_us, series.at_us
    length_us = np.maximum(at_us - begin_us, 1)
    share = np.clip(np.minimum(at_us, end_us) - np.maximum(begin_us, start_us), 0, None) / length_us
    used_l = np.maximum(series.step_l, 0)
    hours = length_us / US_PER_HOUR
    local_hour = clock.local_hours(begin_us)
    night = (local_hour >= 22) | (local_hour < 6)  # noqa: PLR2004 - hours of the night
    kind = facts["kind"].to_numpy()
    flow = pl.DataFrame({"meter": series.meter, "lph": used_l / hours, "first": series.first})
    steady = pl.when(~pl.col("first")).then(pl.col("lph")).quantile(_BASE_QUANTILE).over("meter")
    base_l = flow.select(steady.fill_null(0.0)).to_series().to_numpy() * hours
    answers = {
        Kind.LEAK: size * share * hours,
        Kind.LEAK_GROWTH: _grown_l(at_us, start_us, end_us, size) - _grown_l(begin_us, start_us, end_us, size),
        Kind.SPIKE: (size - 1.0) * np.maximum(used_l, SPIKE_FLOOR_LPH * hours) * share,
        Kind.FAULT_SLOPE: size * np.maximum(used_l - base_l, 0.0) * share,
        Kind.BYPASS: -size * used_l * share,
        Kind.NIGHT_BYPASS: -size * used_l * share * night,
        Kind.STUCK: -used_l * share,
    }
    more_l = np.select([kind == str(name) for name in answers], list(answers.values()), 0.0)
    more_l[series.first] = 0.0
    return cast("Floats", more_l)


def _grown_l(at_us: Micros, start_us: Micros, end_us: Micros, size: Floats) -> Floats:
    """Return what leaks that grow in a straight line to their size have lost by an instant [litre]."""
    length_h = np.maximum(end_us - start_us, 1) / US_PER_HOUR
    age_h = np.clip((at_us - start_us) / US_PER_HOUR, 0.0, length_h)
    return cast("Floats", size * age_h**2 / (2.0 * length_h))
