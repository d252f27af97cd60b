"""Judge a series of window values against the meter's own past by a one-sided cumulative sum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from citygate.detection.slots import Columns, Field, Flag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citygate.detection.slots import Column, Whole

#: Standard deviation of a normal variable over its mean absolute deviation, sqrt(pi / 2).
_SIGMA_OVER_MAD = 1.2533141373155


@dataclass(frozen=True, slots=True)
class OwnPast:
    """Page's one-sided cumulative sum [1] of standardised excess over a slow baseline, frozen while in alarm.

    level = max(0, level + z - slack), z = (x - mean) / max(floor, spread), at most ``excess_max``: one odd window alone
    cannot raise an alarm unless ``alarm`` is below ``excess_max - slack``.

    Args:
        slack: Excess that is allowed in every window [spreads].
        alarm: Level above which an alarm rises [spreads]; set by calibration.
        floor_lph: Smallest spread taken [litre/h], so that a very quiet meter is not judged by its own silence.
        excess_max: Largest excess that one window can add [spreads].
        memory_count: Windows that the baseline remembers.
        warm_count: Windows that are learned before any is judged.
        release_count: Windows in alarm after which the new level is accepted and learned afresh.
        horizon_count: Windows within which the smallest visible leak is meant to be found.

    References:
        [1] Page E.S. (1954), Continuous inspection schemes, Biometrika 41, doi:10.1093/biomet/41.1-2.100.
    """

    slack: float
    alarm: float
    floor_lph: float
    excess_max: float
    memory_count: int
    warm_count: int
    release_count: int
    horizon_count: int

    #: What is learned; a detector may divide these by hour or warmth, see `divided`.
    learning: ClassVar[Mapping[str, Field]] = {
        "mean": Field(np.float32, 0),
        "spread": Field(np.float32, 0),
        "learned": Field(np.int16, 0),
    }
    fields: ClassVar[Mapping[str, Field]] = {
        **learning,
        "level": Field(np.float32, 0),
        "rise_us": Field(np.int64, 0),
        "alarmed": Field(np.int32, 0),
    }

    @classmethod
    def divided(cls, by: Literal["hour", "warmth"]) -> Mapping[str, Field]:
        """Return the fields with a past of its own for each hour or warmth, and one level over all."""
        return {**cls.fields, **{name: replace(field, by=by) for name, field in cls.learning.items()}}

    def judge(self, state: Columns, value: Column, ready: Flag, begin_us: Whole) -> tuple[Columns, Flag]:
        """Add one window.

        Args:
            state: The columns of ``fields``.
            value: Value of the window, such as a flow [litre/h].
            ready: Where a window closed and is good enough to be judged.
            begin_us: Where the window began [µs UTC].

        Returns:
            The columns after the window, and where an alarm begins.
        """
        mean, spread, learned, alarmed = state["mean"], state["spread"], state["learned"], state["alarmed"]
        scale = np.maximum(self.floor_lph, spread)
        excess = np.where(ready, value - mean, 0.0)
        warm = learned >= self.warm_count
        step = np.clip(excess / scale, -self.excess_max, self.excess_max) - self.slack
        level = np.where(ready & warm, np.clip(state["level"] + step, 0.0, 2.0 * self.alarm), state["level"])
        rises = ready & (alarmed == 0) & (level > self.alarm)
        begins = ready & (state["level"] <= 0) & (level > 0)
        held = ready & (alarmed > 0)
        count = np.where(rises, 1, np.where(held, np.where(level > 0, alarmed + 1, 0), alarmed))
        released = count > self.release_count
        learns = ready & (count == 0)
        weight = np.maximum(1.0 / (learned + 1.0), 1.0 / self.memory_count)
        excess = np.where(warm, np.clip(excess, -self.excess_max * scale, self.excess_max * scale), excess)
        return {
            "mean": np.where(learns, mean + weight * excess, mean),
            "spread": np.where(
                learns & (learned > 0), spread + weight * (_SIGMA_OVER_MAD * np.abs(excess) - spread), spread
            ),
            "learned": np.where(released, 0, np.where(learns, np.minimum(learned + 1, 1 << 14), learned)),
            "level": np.where(released, 0.0, level),
            "rise_us": np.where(begins, begin_us, state["rise_us"]),
            "alarmed": np.where(released, 0, count),
        }, rises

    def describe(self, state: Columns) -> Columns:
        """Return what an alarm says; the smallest leak is scale * (slack + alarm / horizon) [litre/h]."""
        scale = np.maximum(self.floor_lph, state["spread"]).astype(np.float64)
        return {
            "from_us": state["rise_us"],
            "statistic": state["level"].astype(np.float64),
            "threshold": np.full(len(scale), self.alarm),
            "own_past": state["mean"].astype(np.float64),
            "smallest_leak_lph": scale * (self.slack + max(self.alarm / self.horizon_count, 0.0)),
        }
