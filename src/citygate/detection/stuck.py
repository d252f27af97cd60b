"""Stuck register: a zero run far longer than this meter's own past explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from citygate.detection.lowest import HOUR_US
from citygate.detection.slots import Columns, Field, Flag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citygate.detection.slots import Column, Now


@dataclass(frozen=True, slots=True)
class StuckRegister:
    """Length of the present zero run over the mean zero run of the recent past.

    Zero hours come in runs (nights, holidays), so their plain share would call every weekend away impossible. With runs
    of mean length m the chance of a run longer than g is exp(-g / m), the continuous form of the geometric law;
    p < 1e-4 is g / m > 9.21. The past fades: the summer's long runs are known in summer and forgotten in winter.
    Nothing tells a stuck register from a house that stands empty: the run must also exceed the longest one remembered.

    Args:
        alarm: g / m above which an alarm rises [1]; ln(1e4) = 9.21 for p < 1e-4.
        zero_min_us: Shortest zero run that can raise an alarm [µs].
        longest_ratio: How many times the longest remembered run must be exceeded [1].
        memory_us: Time over which the past fades [µs].
        warm_us: Time that is learned before any run is judged [µs].
        prior_us: Zero run that every meter is taken to have had once [µs].
    """

    kind: ClassVar[str] = "stuck_register"
    unit: ClassVar[str] = "mean zero runs"
    column: ClassVar[str] = "index_l"
    fields: ClassVar[Mapping[str, Field]] = {
        "zero_us": Field(np.int64, 0),
        "zero_sum_us": Field(np.float64, 0),
        "run_count": Field(np.float32, 0),
        "longest_us": Field(np.float64, 0),
        "learned_us": Field(np.int64, 0),
        "alarmed": Field(np.bool_, 0),
    }

    alarm: float = 9.21
    zero_min_us: int = 72 * HOUR_US
    longest_ratio: float = 1.5
    memory_us: int = 21 * 24 * HOUR_US
    warm_us: int = 7 * 24 * HOUR_US
    prior_us: int = 12 * HOUR_US

    def advance(self, state: Columns, now: Now) -> tuple[Columns, Flag]:
        """Add one reading. A span of any length without a pulse is part of a zero run."""
        usable = now.span_us > 0
        zero_us = np.where(
            usable & (now.value == 0), state["zero_us"] + now.span_us, np.where(usable, 0, state["zero_us"])
        )
        ends = usable & (now.value > 0) & (state["zero_us"] > 0)
        keeps = self.memory_us / (self.memory_us + now.span_us.astype(np.float64))
        fading = usable & (now.value > 0)
        run_us = np.where(ends, state["zero_us"], 0)
        judged = {**state, "zero_us": zero_us}
        far = (
            (self._ratio(judged) > self.alarm)
            & (zero_us >= self.zero_min_us)
            & (zero_us > self.longest_ratio * state["longest_us"])
            & (state["learned_us"] >= self.warm_us)
        )
        return {
            "zero_us": zero_us,
            "zero_sum_us": np.where(fading, state["zero_sum_us"] * keeps + run_us, state["zero_sum_us"]),
            "run_count": np.where(fading, state["run_count"] * keeps + ends, state["run_count"]),
            "longest_us": np.where(fading, np.maximum(state["longest_us"] * keeps, run_us), state["longest_us"]),
            "learned_us": np.where(
                fading, np.minimum(state["learned_us"] + now.span_us, self.memory_us), state["learned_us"]
            ),
            "alarmed": (state["alarmed"] | far) & (zero_us > 0),
        }, far & ~state["alarmed"]

    def describe(self, state: Columns, now: Now) -> Columns:
        """Return what an alarm says; ``own_past`` is the mean zero run [h]."""
        return {
            "from_us": now.at_us - state["zero_us"],
            "statistic": self._ratio(state),
            "threshold": np.full(len(now.at_us), self.alarm),
            "own_past": self._mean_run_us(state) / HOUR_US,
            "smallest_leak_lph": np.full(len(now.at_us), np.nan),
        }

    def _ratio(self, state: Columns) -> Column:
        return state["zero_us"] / self._mean_run_us(state)

    def _mean_run_us(self, state: Columns) -> Column:
        return (state["zero_sum_us"] + self.prior_us) / (state["run_count"].astype(np.float64) + 1.0)
