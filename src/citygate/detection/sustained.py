"""Sustained flow: a big flow that does not pause for hours. The fast branch of continuous flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from citygate.detection.lowest import GAP_FIELDS, HOUR_US, flow_lph
from citygate.detection.slots import Columns, Field, Flag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citygate.detection.slots import Column, Now


@dataclass(frozen=True, slots=True)
class SustainedFlow:
    """The lowest flow within the last three blocks of time [litre/h] against the highest such value of the own past.

    The past is a maximum that fades: peak = max(lowest, peak * (1 - 1 / memory)). Frozen while in alarm; a flow that
    ended by itself was use and no leak, so the peak then takes it in.

    Args:
        block_us: Length of a block [µs]; an alarm looks at three of them, so at 6 to 8 h for blocks of 2 h.
        factor: Alarm above ``factor`` times the peak ...
        alarm_lph: ... plus this flow [litre/h]; set by calibration.
        memory_count: Blocks over which the peak fades.
        warm_count: Blocks that are learned before any is judged.
        release_count: Blocks in alarm after which the new level is accepted.
        span_max_us: A longer span between readings starts the blocks again [µs].
    """

    kind: ClassVar[str] = "sustained_flow"
    unit: ClassVar[str] = "litre/h"
    column: ClassVar[str] = "index_l"
    fields: ClassVar[Mapping[str, Field]] = {
        **GAP_FIELDS,
        "block": Field(np.int64, 0),
        "low_0": Field(np.float32, 0),
        "low_1": Field(np.float32, 0),
        "low_2": Field(np.float32, 0),
        "lowest": Field(np.float32, 0),
        "peak": Field(np.float32, 0),
        "learned": Field(np.int32, 0),
        "alarmed": Field(np.int32, 0),
        "highest": Field(np.float32, 0),
    }

    alarm_lph: float
    block_us: int = 2 * HOUR_US
    factor: float = 1.25
    memory_count: int = 360
    warm_count: int = 84
    release_count: int = 240
    span_max_us: int = 2 * HOUR_US

    def advance(self, state: Columns, now: Now) -> tuple[Columns, Flag]:
        """Add one reading; three blocks are judged when the first reading after them comes."""
        usable = (now.span_us > 0) & (now.span_us <= self.span_max_us)
        flow, gap_us = flow_lph(state, now, usable)
        flow = np.where(usable, flow, 0.0)
        block = (now.at_us - 1) // self.block_us
        closes = block != state["block"]
        next_to = block == state["block"] + 1
        lowest = np.minimum(np.minimum(state["low_0"], state["low_1"]), state["low_2"])
        warm = state["learned"] >= self.warm_count
        above = lowest > self._limit(state)
        rises = closes & warm & above & (state["alarmed"] == 0)
        count = np.where(
            rises,
            1,
            np.where(closes & (state["alarmed"] > 0), np.where(above, state["alarmed"] + 1, 0), state["alarmed"]),
        )
        count = np.where(count > self.release_count, 0, count)
        highest = np.where(count > 0, np.maximum(state["highest"], np.where(closes, lowest, 0.0)), 0.0)
        seen = np.maximum(lowest, state["highest"])
        learns = closes & (count == 0)
        fade = 1.0 - 1.0 / self.memory_count
        return {
            "gap_us": gap_us,
            "block": block,
            "low_0": np.where(closes, flow, np.minimum(state["low_0"], flow)),
            "low_1": np.where(next_to, state["low_0"], np.where(closes, 0.0, state["low_1"])),
            "low_2": np.where(next_to, state["low_1"], np.where(closes, 0.0, state["low_2"])),
            "lowest": np.where(closes, lowest, state["lowest"]),
            "peak": np.where(learns, np.maximum(seen, state["peak"] * fade), state["peak"]),
            "learned": np.where(learns, np.minimum(state["learned"] + 1, 1 << 20), state["learned"]),
            "alarmed": count,
            "highest": highest,
        }, rises

    def describe(self, state: Columns, now: Now) -> Columns:
        """Return what an alarm says; the smallest leak is the limit itself, for a house that is otherwise quiet."""
        limit = self._limit(state).astype(np.float64)
        return {
            "from_us": now.at_us - now.span_us - 3 * self.block_us,
            "statistic": state["lowest"].astype(np.float64),
            "threshold": limit,
            "own_past": state["peak"].astype(np.float64),
            "smallest_leak_lph": limit,
        }

    def _limit(self, state: Columns) -> Column:
        return self.factor * state["peak"] + self.alarm_lph
