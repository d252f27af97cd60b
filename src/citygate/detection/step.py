"""Flow step: a lasting rise of the flow over what this meter takes at this hour of the day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from citygate.detection.lowest import HOUR_US
from citygate.detection.own_past import OwnPast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citygate.detection.slots import Columns, Field, Flag, Now


@dataclass(frozen=True, slots=True)
class FlowStep:
    """The mean flow of each span [litre/h] against the own past of its local hour, in one cumulative sum.

    The baseline knows the hour and not the temperature, so a cold spell is part of its spread: a heated house
    is judged coarsely in winter and finely in summer.

    Args:
        past: How the spans are judged; its windows are the days for each hour, except ``release_count``, in spans.
        span_max_us: A longer span cannot be given to one hour and is passed over [µs].
    """

    kind: ClassVar[str] = "flow_step"
    unit: ClassVar[str] = "spreads"
    column: ClassVar[str] = "index_l"
    fields: ClassVar[Mapping[str, Field]] = OwnPast.divided("hour")

    past: OwnPast
    span_max_us: int = HOUR_US + HOUR_US // 4

    def advance(self, state: Columns, now: Now) -> tuple[Columns, Flag]:
        """Add one reading."""
        ready = (now.span_us > 0) & (now.span_us <= self.span_max_us)
        flow = now.value * float(HOUR_US) / np.maximum(now.span_us, 1)
        return self.past.judge(state, flow, ready, now.at_us - now.span_us)

    def describe(self, state: Columns, now: Now) -> Columns:
        """Return what an alarm says."""
        del now  # the state of its hour says it all
        return self.past.describe(state)
