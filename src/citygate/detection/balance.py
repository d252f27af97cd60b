"""Zone balance: gas that enters a zone and is not taken from it by any meter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from citygate.detection.lowest import HOUR_US
from citygate.detection.own_past import OwnPast
from citygate.detection.slots import Columns, Field, Flag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citygate.detection.slots import Now


@dataclass(frozen=True, slots=True)
class ZoneBalance:
    """Mean balance of a block of hours [litre/h] against the own past of the zone, by a cumulative sum.

    A lasting difference (meters that read 1 % low, gas taken without a meter before the watch began) is part of the
    baseline: the detector sees what changes.

    Args:
        past: How the blocks are judged.
        block_us: Length of a block [µs].
        hour_count_min: Hours of a block that must be known.
    """

    kind: ClassVar[str] = "zone_balance"
    unit: ClassVar[str] = "spreads"
    column: ClassVar[str] = "balance_lph"
    fields: ClassVar[Mapping[str, Field]] = {
        "block": Field(np.int64, 0),
        "sum_lph": Field(np.int64, 0),
        "hour_count": Field(np.int64, 0),
        **OwnPast.fields,
    }

    past: OwnPast
    block_us: int = 6 * HOUR_US
    hour_count_min: int = 4

    def advance(self, state: Columns, now: Now) -> tuple[Columns, Flag]:
        """Add one hour; a block is judged when the first hour after it comes."""
        block = (now.at_us - 1) // self.block_us
        closes = block != state["block"]
        ready = closes & (state["hour_count"] >= self.hour_count_min)
        mean_lph = state["sum_lph"] / np.maximum(state["hour_count"], 1)
        judged, rises = self.past.judge(state, mean_lph, ready, state["block"] * self.block_us)
        return {
            "block": block,
            "sum_lph": np.where(closes, 0, state["sum_lph"]) + now.value,
            "hour_count": np.where(closes, 0, state["hour_count"]) + 1,
            **judged,
        }, rises

    def describe(self, state: Columns, now: Now) -> Columns:
        """Return what an alarm says."""
        del now  # the state says it all
        return self.past.describe(state)
