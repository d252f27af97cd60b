"""Minimum night flow: what flows while a city sleeps, by the time between pulses over the nights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from citygate.detection.lowest import HOUR_US, NO_FLOW_YET_LPH, WINDOW_FIELDS, smallest_leak_lph, window
from citygate.detection.own_past import OwnPast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citygate.detection.slots import Columns, Field, Flag, Now


@dataclass(frozen=True, slots=True)
class NightFlow:
    """The lowest flow of each night [litre/h] against the own past of days as warm.

    Only night time counts, and nights are laid end to end: a pulse at noon does not end the time without a pulse. So a
    10-litre register read hourly resolves 0.5 l/h after seven nights of three hours, which no single night could show.

    Args:
        past: How the nights are judged.
        from_hour, to_hour: The night in local hours, the end excluded.
        span_max_us: A longer span between readings is not night alone [µs].
        covered_min_us: Part of the night that must be covered by readings [µs].
    """

    kind: ClassVar[str] = "night_flow"
    unit: ClassVar[str] = "spreads"
    column: ClassVar[str] = "index_l"
    fields: ClassVar[Mapping[str, Field]] = {**WINDOW_FIELDS, **OwnPast.divided("warmth")}

    past: OwnPast
    from_hour: int = 2
    to_hour: int = 5
    span_max_us: int = HOUR_US + HOUR_US // 4
    covered_min_us: int = 2 * HOUR_US

    def advance(self, state: Columns, now: Now) -> tuple[Columns, Flag]:
        """Add one reading; a night is judged when the first reading of the next gas day comes."""
        usable = (now.span_us > 0) & (now.span_us <= self.span_max_us)
        night = (now.hour >= self.from_hour) & (now.hour < self.to_hour)
        after, closes = window(state, now, usable & night, now.span_us <= 0)
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
