"""Thresholds from a wanted number of false alarms, by trying them on a city's own clean data."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from citygate.detection.lowest import HOUR_US
from citygate.detection.slots import Rows, State, run

if TYPE_CHECKING:
    from citygate.detection.meters import Meters

Kind = TypeVar("Kind")

_DAY_US = 24 * HOUR_US
_TRY_COUNT = 14
_BOOTSTRAP_COUNT = 400


@dataclass(frozen=True, slots=True)
class Calibration:
    """A threshold and where it came from.

    Attributes:
        kind: The detector.
        threshold: Its threshold, in its own unit.
        wanted_rate: False alarms wanted for 1,000 meter days.
        got_rate: False alarms that the threshold gave on the data.
        got_rate_min, got_rate_max: 90 % interval of it by resampling whole meters, whose days depend on each other.
        from_us, to_us: Time of the data [µs UTC].
        meter_count: Meters in the data.
        meter_days: Days judged, those of learning included.
        data_hash: BLAKE2b of the readings, hexadecimal.
    """

    kind: str
    threshold: float
    wanted_rate: float
    got_rate: float
    got_rate_min: float
    got_rate_max: float
    from_us: int
    to_us: int
    meter_count: int
    meter_days: float
    data_hash: str


def calibrate(
    detector: Kind, rows: Rows, meters: Meters, wanted_rate: float, bounds: tuple[float, float], seed: int
) -> tuple[Kind, Calibration]:
    """Return the detector with the lowest threshold that gives no more false alarms than wanted, and its record.

    Every threshold is tried by running the detector, so that episodes, warm-up and the frozen past count as they will
    in use. Nothing is assumed of the distribution, nor that days or meters are independent.

    Args:
        detector: The detector; its threshold is ``alarm``, ``alarm_lph`` or ``past.alarm``.
        rows: Clean readings: whatever alarms here is called false.
        meters: Facts of the meters.
        wanted_rate: False alarms wanted for 1,000 meter days.
        bounds: Lowest and highest threshold to consider; the highest is returned when even it gives too many.
        seed: Seed of the resampling.
    """
    codes, starts, counts = np.unique(rows.meter, return_index=True, return_counts=True)
    days = (rows.at_us[starts + counts - 1] - rows.at_us[starts]) / _DAY_US
    low, high = bounds
    for _ in range(_TRY_COUNT):
        middle = (low * high) ** 0.5
        if 1_000 * _alarm_counts(with_threshold(detector, middle), rows, meters).sum() / days.sum() > wanted_rate:
            low = middle
        else:
            high = middle
    chosen = float(f"{high:.3g}") if float(f"{high:.3g}") >= high else float(f"{high * 1.005:.3g}")
    best = with_threshold(detector, chosen)
    alarm_counts = _alarm_counts(best, rows, meters)[codes]
    picks = np.random.default_rng(seed).integers(0, len(codes), (_BOOTSTRAP_COUNT, len(codes)))
    rates = 1_000 * alarm_counts[picks].sum(axis=1) / days[picks].sum(axis=1)
    record = Calibration(
        kind=best.kind,  # type: ignore[attr-defined]  # it has one: it is a detector
        threshold=chosen,
        wanted_rate=wanted_rate,
        got_rate=round(float(1_000 * alarm_counts.sum() / days.sum()), 4),
        got_rate_min=round(float(np.quantile(rates, 0.05)), 4),
        got_rate_max=round(float(np.quantile(rates, 0.95)), 4),
        from_us=int(rows.at_us.min()),
        to_us=int(rows.at_us.max()),
        meter_count=len(codes),
        meter_days=round(float(days.sum()), 1),
        data_hash=_hash(rows),
    )
    return best, record


def with_threshold(detector: Kind, threshold: float) -> Kind:
    """Return a detector with another threshold."""
    changed: Any = detector
    names = {field.name for field in dataclasses.fields(changed)}
    if "past" in names:
        return dataclasses.replace(changed, past=dataclasses.replace(changed.past, alarm=threshold))  # type: ignore[no-any-return]
    return dataclasses.replace(changed, **{"alarm_lph" if "alarm_lph" in names else "alarm": threshold})  # type: ignore[no-any-return]


def _alarm_counts(detector: Any, rows: Rows, meters: Meters) -> Any:
    alarms = run(detector, State.fresh(detector, 0), rows, meters).alarms
    return np.bincount(alarms["meter"].to_numpy(), minlength=max(meters.count, int(rows.meter.max()) + 1))


def _hash(rows: Rows) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for column in (rows.meter, rows.at_us, rows.value):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()
