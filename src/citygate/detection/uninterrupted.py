"""Uninterrupted flow: the absolute rule, for leaks that were there before the meter had a past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from citygate.detection.lowest import GAP_FIELDS, HOUR_US, NO_FLOW_YET_LPH, flow_lph
from citygate.detection.slots import Columns, Field, Flag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citygate.detection.slots import Now


@dataclass(frozen=True, slots=True)
class UninterruptedFlow:
    """A flow that did not fall below ``lowest_lph`` for ``alarm`` days, and whose daily lowest hardly changed.

    Japanese microcomputer meters warn after 30 days of flow without a pause (JP 2002-156304 A). Two things keep that
    from crying wolf. A pilot flame of 10 to 20 litre/h never pauses, so the flow must exceed what a pilot takes; a leak
    as small as a pilot that was always there cannot be told from one by any register. And in winter a heating may never
    pause; but its lowest flow follows the weather, where that of a leak stays.

    Args:
        alarm: Mild days without a pause [d].
        lowest_lph: Flow that counts as a pause when it is not reached [litre/h].
        steady_ratio: Highest over lowest daily lowest flow that is called steady [1]; above it the count starts again.
        mild_class: Only times of this class of warmth or above count (11 is 9 °C and above), and all times where no
            weather is known (class 0).
        span_max_us: A longer span between readings starts the count again [µs].
    """

    kind: ClassVar[str] = "uninterrupted_flow"
    unit: ClassVar[str] = "days"
    column: ClassVar[str] = "index_l"
    fields: ClassVar[Mapping[str, Field]] = {
        **GAP_FIELDS,
        "since_us": Field(np.int64, 0),
        "mild_us": Field(np.int64, 0),
        "day": Field(np.int64, 0),
        "day_lowest_lph": Field(np.float32, 0),
        "lowest_lph": Field(np.float32, NO_FLOW_YET_LPH),
        "highest_lph": Field(np.float32, 0),
        "alarmed": Field(np.bool_, 0),
    }

    alarm: float = 30.0
    lowest_lph: float = 25.0
    steady_ratio: float = 1.5
    mild_class: int = 11
    span_max_us: int = 4 * HOUR_US

    def advance(self, state: Columns, now: Now) -> tuple[Columns, Flag]:
        """Add one reading."""
        usable = (now.span_us > 0) & (now.span_us <= self.span_max_us)
        flow, gap_us = flow_lph(state, now, usable)
        closes = now.day != state["day"]
        highest = np.where(closes, np.maximum(state["highest_lph"], state["day_lowest_lph"]), state["highest_lph"])
        lowest = np.minimum(state["lowest_lph"], flow)
        day_lowest = np.minimum(state["day_lowest_lph"], flow)
        pauses = ~usable | (flow < self.lowest_lph)
        restarts = pauses | (highest > self.steady_ratio * lowest)
        mild = (now.warmth == 0) | (now.warmth >= self.mild_class)
        mild_us = np.where(restarts, 0, state["mild_us"] + np.where(mild, now.span_us, 0))
        rises = ~state["alarmed"] & (mild_us > self.alarm * 24 * HOUR_US)
        return {
            "gap_us": gap_us,
            "since_us": np.where(restarts, now.at_us, state["since_us"]),
            "mild_us": mild_us,
            "day": now.day,
            "day_lowest_lph": np.where(pauses, 0.0, np.where(closes | restarts, flow, day_lowest)),
            "lowest_lph": np.where(pauses, NO_FLOW_YET_LPH, np.where(restarts, flow, lowest)),
            "highest_lph": np.where(restarts, 0.0, highest),
            "alarmed": (state["alarmed"] | rises) & ~pauses,
        }, rises

    def describe(self, state: Columns, now: Now) -> Columns:
        """Return what an alarm says; ``own_past`` is the lowest flow of the whole time."""
        count = len(now.at_us)
        return {
            "from_us": state["since_us"],
            "statistic": state["mild_us"] / (24.0 * HOUR_US),
            "threshold": np.full(count, self.alarm),
            "own_past": state["lowest_lph"].astype(np.float64),
            "smallest_leak_lph": np.full(count, self.lowest_lph),
        }
