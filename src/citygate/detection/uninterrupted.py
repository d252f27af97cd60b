"""Uninterrupted flow: the absolute rule, for leaks that were there before the meter had a past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from citygate.detection.lowest import GAP_FIELDS, HOUR_US, flow_lph
from citygate.detection.slots import Columns, Field, Flag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citygate.detection.slots import Now


@dataclass(frozen=True, slots=True)
class UninterruptedFlow:
    """A flow that did not fall below ``lowest_lph`` for ``alarm`` days.

    Japanese microcomputer meters warn after 30 days of flow without a pause (JP 2002-156304 A). A pilot flame of 10 to
    20 litre/h would raise that on every old boiler, so the flow must exceed what a pilot takes; a leak as small as a
    pilot that was always there cannot be told from one by any register.

    Args:
        alarm: Mild days without a pause [d].
        lowest_lph: Flow that counts as a pause when it is not reached [litre/h].
        mild_class: Only gas days of this class of warmth or above count, since below it heating may never pause; days
            whose weather is not known (class 0) count too. 11 is 9 °C and above.
        span_max_us: A longer span between readings starts the count again [µs].
    """

    kind: ClassVar[str] = "uninterrupted_flow"
    unit: ClassVar[str] = "days"
    column: ClassVar[str] = "index_l"
    fields: ClassVar[Mapping[str, Field]] = {
        **GAP_FIELDS,
        "since_us": Field(np.int64, 0),
        "mild_us": Field(np.int64, 0),
        "lowest_lph": Field(np.float32, 0),
        "alarmed": Field(np.bool_, 0),
    }

    alarm: float = 30.0
    lowest_lph: float = 25.0
    mild_class: int = 11
    span_max_us: int = 4 * HOUR_US

    def advance(self, state: Columns, now: Now) -> tuple[Columns, Flag]:
        """Add one reading."""
        usable = (now.span_us > 0) & (now.span_us <= self.span_max_us)
        flow, gap_us = flow_lph(state, now, usable)
        pauses = ~usable | (flow < self.lowest_lph)
        since_us = np.where(pauses, now.at_us, state["since_us"])
        mild = (now.warmth == 0) | (now.warmth >= self.mild_class)
        mild_us = np.where(pauses, 0, state["mild_us"] + np.where(mild, now.span_us, 0))
        rises = ~pauses & ~state["alarmed"] & (mild_us > self.alarm * 24 * HOUR_US)
        starts = pauses | (state["since_us"] == now.at_us - now.span_us)
        return {
            "gap_us": gap_us,
            "since_us": since_us,
            "mild_us": mild_us,
            "lowest_lph": np.where(starts, flow, np.minimum(state["lowest_lph"], flow)),
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
