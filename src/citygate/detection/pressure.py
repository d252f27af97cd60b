"""Low pressure and sudden drops of pressure, at a meter and in a zone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from citygate.detection.lowest import HOUR_US
from citygate.detection.slots import Columns, Field, Flag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citygate.detection.slots import Now


@dataclass(frozen=True, slots=True)
class LowPressure:
    """Page's one-sided cumulative sum [1] of the pressure that is missing against the own past [Pa h].

    Meters measure absolute pressure, which follows the weather by thousands of pascals, so the value judged is
    ``relative_pa``: the pressure less the median of the zone in the same hour, and for a whole zone the median of the
    zone less that of the city.

    Args:
        slack_pa: Shortfall that is allowed [Pa].
        alarm: Level above which an alarm rises [Pa h]; set by calibration.
        memory_us: Time that the baseline remembers [µs].
        warm_us: Time that is learned before any reading is judged [µs].
        span_max_us: A longer span counts as this much [µs].

    References:
        [1] Page E.S. (1954), Continuous inspection schemes, Biometrika 41, doi:10.1093/biomet/41.1-2.100.
    """

    kind: ClassVar[str] = "low_pressure"
    unit: ClassVar[str] = "Pa h"
    column: ClassVar[str] = "relative_pa"
    fields: ClassVar[Mapping[str, Field]] = {
        "mean": Field(np.float64, 0),
        "learned_us": Field(np.int64, 0),
        "level": Field(np.float64, 0),
        "rise_us": Field(np.int64, 0),
        "alarmed": Field(np.bool_, 0),
    }

    alarm: float
    slack_pa: float = 150.0
    memory_us: int = 14 * 24 * HOUR_US
    warm_us: int = 3 * 24 * HOUR_US
    span_max_us: int = 2 * HOUR_US

    def advance(self, state: Columns, now: Now) -> tuple[Columns, Flag]:
        """Add the shortfall of one reading to the level."""
        span_us = np.minimum(now.span_us, self.span_max_us)
        learned_us, first = state["learned_us"], state["learned_us"] == 0
        shortfall = np.where(first, 0.0, state["mean"] - now.value)
        warm = learned_us >= self.warm_us
        step = (shortfall - self.slack_pa) * (span_us / float(HOUR_US))
        level = np.where(warm, np.clip(state["level"] + step, 0.0, 2.0 * self.alarm), 0.0)
        rises = ~state["alarmed"] & (level > self.alarm)
        alarmed = (state["alarmed"] | rises) & (level > 0)
        weight = np.maximum(1.0, span_us) / (np.minimum(learned_us, self.memory_us) + np.maximum(1.0, span_us))
        return {
            "mean": np.where(first, now.value, np.where(alarmed, state["mean"], state["mean"] - weight * shortfall)),
            "learned_us": np.where(
                alarmed, learned_us, np.minimum(learned_us + np.maximum(1, span_us), self.memory_us)
            ),
            "level": level,
            "rise_us": np.where((state["level"] <= 0) & (level > 0), now.at_us - now.span_us, state["rise_us"]),
            "alarmed": alarmed,
        }, rises

    def describe(self, state: Columns, now: Now) -> Columns:
        """Return what an alarm says; a pressure says nothing of the size of a leak."""
        count = len(now.at_us)
        return {
            "from_us": state["rise_us"],
            "statistic": state["level"],
            "threshold": np.full(count, self.alarm),
            "own_past": state["mean"],
            "smallest_leak_lph": np.full(count, np.nan),
        }


@dataclass(frozen=True, slots=True)
class SuddenDrop:
    """A fall of pressure between two readings: a suspicion, for `citygate.detection.zone.vote` to ask the neighbours.

    The weather takes at most about 400 Pa in an hour; ``alarm`` must lie above.

    Args:
        alarm: Fall between two readings [Pa]; set by calibration.
        span_max_us: A longer span is not sudden [µs].
    """

    kind: ClassVar[str] = "sudden_drop"
    unit: ClassVar[str] = "Pa"
    column: ClassVar[str] = "pressure_pa"
    fields: ClassVar[Mapping[str, Field]] = {"fall_pa": Field(np.int64, 0)}

    alarm: float
    span_max_us: int = 2 * HOUR_US

    def advance(self, state: Columns, now: Now) -> tuple[Columns, Flag]:
        """Add one reading; a fall in two steps is one alarm."""
        fall_pa = np.where((now.span_us > 0) & (now.span_us <= self.span_max_us), now.before - now.value, 0)
        return {"fall_pa": fall_pa}, (fall_pa > self.alarm) & (state["fall_pa"] <= self.alarm)

    def describe(self, state: Columns, now: Now) -> Columns:
        """Return what an alarm says."""
        return {
            "from_us": now.at_us - now.span_us,
            "statistic": state["fall_pa"].astype(np.float64),
            "threshold": np.full(len(now.at_us), self.alarm),
            "own_past": now.before.astype(np.float64),
            "smallest_leak_lph": np.full(len(now.at_us), np.nan),
        }
