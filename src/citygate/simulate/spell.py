"""Stretches of time that hit single meters: silences of the radio, absences of the people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from citygate.quantity.clock import Micros


@dataclass(frozen=True, slots=True)
class Spells:
    """Spells of meters, sorted by their begin.

    Attributes:
        meter: Row of the meter.
        start_us: Begin [µs UTC].
        end_us: End, excluded [µs UTC].
    """

    meter: Micros
    start_us: Micros
    end_us: Micros

    def active(self, at_us: int) -> tuple[Micros, Micros]:
        """Return the meters that are within a spell at an instant, and when their spell ends [µs UTC]."""
        if len(self.meter) == 0:
            return self.meter, self.end_us
        longest_us = int((self.end_us - self.start_us).max())
        low, high = np.searchsorted(self.start_us, [at_us - longest_us, at_us + 1])
        within = low + np.flatnonzero(self.end_us[low:high] > at_us)
        return self.meter[within], self.end_us[within]


def draw(
    rng: np.random.Generator, meter_count: int, period_us: tuple[int, int], per_meter: float, length_us: tuple[int, int]
) -> Spells:
    """Draw spells at random times.

    Args:
        rng: Source of randomness.
        meter_count: Rows of meters to choose from, from 0.
        period_us: Begin and end of the time in which spells begin [µs UTC].
        per_meter: Mean number of spells of a meter within the period.
        length_us: Shortest and longest spell; the logarithm of the length is uniform [µs].
    """
    count = int(rng.poisson(meter_count * per_meter)) if meter_count else 0
    start_us = np.sort(rng.integers(*period_us, size=count, dtype=np.int64))
    length = np.exp(rng.uniform(np.log(length_us[0]), np.log(length_us[1]), size=count)).astype(np.int64)
    return Spells(rng.integers(0, max(meter_count, 1), size=count, dtype=np.int64), start_us, start_us + length)
