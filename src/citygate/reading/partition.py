"""How readings are cut into parts: windows of gas days by blocks of meters, so that every part fits in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from citygate.quantity.clock import CityClock, Micros


@dataclass(frozen=True, slots=True)
class Partition:
    """The rule that says to which part a reading belongs.

    A window is a run of gas days, so that no gas day lies in two parts; a block is a run of meter codes.

    Args:
        clock: Clock of the city.
        window_days: Length of a window [gas day].
        block_meters: Meters in a block.
    """

    clock: CityClock
    window_days: int = 28
    block_meters: int = 4096

    def window_start_us(self, window: int) -> int:
        """Return the instant at which a window begins [µs UTC]."""
        return self.clock.gas_day_start_us(window * self.window_days)

    def window(self, at_us: int) -> int:
        """Return the window that holds an instant."""
        return self.clock.gas_day(at_us) // self.window_days

    def windows(self, at_us: Micros) -> Micros:
        """Return the window of every instant."""
        if not len(at_us):
            return np.empty(0, dtype=np.int64)
        first, last = self.window(int(at_us.min())), self.window(int(at_us.max()))
        starts = np.array([self.window_start_us(window) for window in range(first, last + 1)], dtype=np.int64)
        return first - 1 + np.searchsorted(starts, at_us, side="right").astype(np.int64)

    def block(self, code: int) -> int:
        """Return the block that holds a meter code."""
        return code // self.block_meters
