"""Continuous flow: gas that never stops flowing, and more of it than this meter's own past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from citygate.detection.lowest import HOUR_US, NO_FLOW_YET_LPH, WINDOW_FIELDS, smallest_leak_lph, window
from citygate.detection.own_past import OwnPast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citygate.detection.slots import Columns, Field, Flag, Now


@dataclass(frozen=True, slots=True)
class ContinuousFlow:
    """The lowest flow of each gas day [litre/h] against the own past of days as warm.

    In the cold a boiler burns through the night and nothing tells that from a leak; so each class of outdoor
    temperature has a past of its own, and a class that was never met is learned before it is judged.

    Args:
        past: How the days are judged.
        span_max_us: A longer span between readings says nothing about a flow that never stops [µs].
        covered_min_us: Part of the gas day that must be covered by readings [µs].
    """

    kind: ClassVar[str] = "continuous_flow"
    unit: ClassVar[str] = "spreads"
    column: ClassVar[str] = "index_l"
    fields: ClassVar[Mapping[str, Field]] = {**WINDOW_FIELDS, **OwnPast.divided("warmth")}

    past: OwnPast
    span_max_us: int = 4 * HOUR_US
    covered_min_us: int = 20 * HOUR_US

    def advance(self, state: Columns, now: Now) -> tuple[Columns, Flag]:
        """Add one reading; a gas day is judged when the first reading of the next one comes."""
        usable = (now.span_us > 0) & (now.span_us <= self.span_max_us)
        after, closes = window(state, now, usable, ~usable)
        ready = closes & (state["covered_us"] >= self.covered_min_us) & (state["lowest_lph"] < NO_FLOW_YET_LPH)
        judged, rises = self.past.judge(state, state["lowest_lph"], ready, state["begin_us"])
        return {**after, **judged}, rises

    def describe(self, state: Columns, now: Now) -> Columns:
        """Return what an alarm says."""
        said = self.past.describe(state)
        return {
            **said,
            "smallest_leak_lph": smallest_leak_lph(said["own_past"], said["smallest_leak_lph"], now.pulse_l),
        }
