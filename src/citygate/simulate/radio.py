"""The way from the meter to the head-end: what gets lost, comes twice, late, or wrong at first."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from citygate.quantity.clock import US_PER_HOUR, US_PER_SECOND
from citygate.quantity.status import Status
from citygate.simulate.spell import Spells, draw

if TYPE_CHECKING:
    import numpy.typing as npt

    from citygate.quantity.clock import Micros

Columns = dict[str, "Micros"]
_DAY_US = 24 * US_PER_HOUR


class Faults(StrEnum):
    """How well the radio works."""

    NONE = "none"
    TYPICAL = "typical"
    HEAVY = "heavy"


@dataclass(frozen=True, slots=True)
class Rates:
    """How often the radio fails.

    Attributes:
        lost: Share of readings lost by a meter in a good place.
        bad_place_share: Share of meters in a bad place, which lose ``bad_place_lost``.
        bad_place_lost: Share of readings lost there.
        duplicate: Share of readings that come twice.
        corrected: Share of readings that come wrong first and right hours later.
        silences_per_day: Silences of a meter per day, of 2 h to 3 d; all their readings come in one burst at the end.
    """

    lost: float
    bad_place_share: float
    bad_place_lost: float
    duplicate: float
    corrected: float
    silences_per_day: float


RATES = {
    Faults.NONE: Rates(0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    Faults.TYPICAL: Rates(0.004, 0.02, 0.1, 0.002, 0.0005, 0.003),
    Faults.HEAVY: Rates(0.02, 0.1, 0.3, 0.02, 0.005, 0.03),
}


@dataclass(frozen=True, slots=True)
class Radio:
    """The radio of every meter.

    Attributes:
        lost: Share of readings that get lost, by meter.
        offset_us: What a meter usually needs until the head-end has its reading [µs].
        silence: When a meter cannot be heard.
        rates: How often the rest fails.
    """

    lost: npt.NDArray[np.float32]
    offset_us: Micros
    silence: Spells
    rates: Rates

    @classmethod
    def of(cls, rng: np.random.Generator, meter_count: int, period_us: tuple[int, int], faults: Faults) -> Radio:
        """Draw the radio of ``meter_count`` meters for a period [µs UTC]."""
        rates = RATES[faults]
        bad = rng.random(meter_count) < rates.bad_place_share
        lost = np.where(bad, rates.bad_place_lost, rates.lost).astype(np.float32)
        offset_us = (rng.exponential(20.0, meter_count).clip(1.0, 600.0) * US_PER_SECOND).astype(np.int64)
        per_meter = rates.silences_per_day * (period_us[1] - period_us[0]) / _DAY_US
        silence = draw(rng, meter_count, period_us, per_meter, (2 * US_PER_HOUR, 3 * _DAY_US))
        return cls(lost, offset_us, silence, rates)

    def send(self, rng: np.random.Generator, sent_us: int, slot: Columns) -> Columns:
        """Return the readings of a slot as they will arrive: fewer, some twice, each with ``received_us`` [µs UTC].

        Args:
            rng: Source of randomness of this slot.
            sent_us: When all meters send [µs UTC].
            slot: One value for each meter and column, in the order of the meters.
        """
        count = len(self.lost)
        chance = rng.random(count, np.float32)
        delay_us = self.offset_us + (rng.random(count, np.float32) * np.float32(10.0 * US_PER_SECOND)).astype(np.int64)
        silent, until_us = self.silence.active(sent_us)
        received_us = sent_us + delay_us
        received_us[silent] = until_us + delay_us[silent]
        heard = np.flatnonzero(chance >= self.lost)
        rates, picked = self.rates, chance[heard] - self.lost[heard]
        again = heard[picked < rates.duplicate]
        fixed = heard[(picked >= rates.duplicate) & (picked < rates.duplicate + rates.corrected)]
        takes = np.concatenate([heard, again, fixed])
        rows = {name: column[takes] for name, column in slot.items()}
        late_us = (np.exp(rng.uniform(0.0, np.log(600.0), len(again))) * US_PER_SECOND).astype(np.int64)
        corrected_us = (rng.uniform(1.0, 48.0, len(fixed)) * US_PER_HOUR).astype(np.int64)
        rows["received_us"] = received_us[takes]
        rows["received_us"][len(heard) : len(heard) + len(again)] += late_us
        rows["received_us"][len(heard) + len(again) :] += corrected_us
        _spoil(rng, rows, np.searchsorted(heard, fixed))
        return rows


def _spoil(rng: np.random.Generator, rows: Columns, wrong: Micros) -> None:
    """Make the first arrival of corrected readings wrong; half of them are marked as estimated by their source."""
    rows["index_l"][wrong] = np.maximum(rows["index_l"][wrong] + rng.choice([-1_000, 1_000, 10_000], len(wrong)), 0)
    rows["status"][wrong] |= np.where(rng.random(len(wrong)) < 0.5, int(Status.ESTIMATED_BY_SOURCE), 0)  # noqa: PLR2004 - half


def none(meter_count: int) -> Radio:
    """Return a radio that brings every reading at once."""
    empty = np.empty(0, np.int64)
    return Radio(
        np.zeros(meter_count, np.float32),
        np.zeros(meter_count, np.int64),
        Spells(empty, empty, empty),
        RATES[Faults.NONE],
    )
