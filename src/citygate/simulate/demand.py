"""What appliances burn: boilers that fire or pause, hot water and cooking in single events, pilot flames all day.

Every slot is drawn from its own generator and depends on nothing before it, so any slot may be asked for alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from citygate.quantity.clock import Micros
    from citygate.simulate.spell import Spells
    from citygate.simulate.weather import Floats

Litres = npt.NDArray[np.float32]

#: A boiler that fires at its smallest flame burns for this long before it pauses [h].
BURST_H = 0.4
#: Hours of the day at which homes use hot water and cook, as shares of the day.
WATER_SHARE = np.array([1, 0.5, 0.5, 0.5, 1, 3, 8, 10, 8, 5, 4, 4, 5, 4, 3, 3, 4, 6, 8, 8, 6, 4, 3, 2], np.float32)
COOKING_SHARE = np.array([0, 0, 0, 0, 0, 1, 3, 3, 2, 1, 3, 12, 14, 5, 1, 1, 4, 14, 18, 10, 4, 2, 1, 1], np.float32)
WATER_EVENT_L, COOKING_EVENT_L = 60.0, 90.0


class Demand(Protocol):
    """Gas that customers want in a slot."""

    def litres(self, slot: int, rng: np.random.Generator) -> Litres:
        """Return the litres that each customer's appliances burn in the slot, drawn from ``rng``."""


@dataclass(frozen=True, slots=True)
class Hours:
    """The slots of a period as the appliances see them, one value for each slot.

    Attributes:
        begin_us: Begin of the slot [µs UTC].
        local_hour: Local hour of the begin.
        length_h: Length of every slot [h].
    """

    begin_us: Micros
    local_hour: Micros
    length_h: float


def fire(need_l: Litres, burst_l: Litres, rng: np.random.Generator) -> Litres:
    """Return what boilers burn in a slot: they modulate above their smallest burst, below it they fire now and then.

    Sun, wind and doors change it by up to 30 %. The mean over the draws is the need.
    """
    chance, change = rng.random(len(need_l), np.float32), rng.random(len(need_l), np.float32)
    fired: Litres = np.where(need_l >= burst_l, need_l, burst_l * (chance * burst_l < need_l))
    fired *= np.float32(0.7) + np.float32(0.6) * change
    return fired


def draws(mean_count: Litres, event_l: float, uniform: Litres, size_uniform: Litres) -> Litres:
    """Return what up to four single events burn in a slot; counts follow Poisson, sizes 0.4 to 1.6 of the mean."""
    term = np.exp(-mean_count)
    cumulative = term.copy()
    litres = np.zeros_like(mean_count)
    for order in range(1, 5):
        litres += uniform > cumulative
        term *= mean_count / np.float32(order)
        cumulative += term
    litres *= np.float32(event_l) * (np.float32(0.4) + np.float32(1.2) * size_uniform)
    return litres


@dataclass(frozen=True, slots=True)
class Homes:
    """Homes whose heat need follows from their walls, their boiler and the weather.

    Attributes:
        hours: The slots.
        felt_c: Smoothed temperature by time constant and slot [°C].
        lag: Row of ``felt_c`` for each home.
        lph_per_k: Gas for each kelvin below the balance point [litre/h/K].
        balance_c: Outdoor temperature from which on the home heats [°C].
        least_lph: Smallest flame of the boiler [litre/h].
        schedule: Heating by local hour, one row for each habit; mean 1.
        habit: Row of ``schedule`` for each home.
        water_per_day: Hot-water events of a day.
        cooking_per_day: Cooking events of a day, 0 without a gas cooker.
        pilot_lph: Pilot flames [litre/h].
        absence: When nobody is at home: no hot water, no cooking, less heat.
    """

    hours: Hours
    felt_c: Litres
    lag: Micros
    lph_per_k: Litres
    balance_c: Litres
    least_lph: Litres
    schedule: Litres
    habit: Micros
    water_per_day: Litres
    cooking_per_day: Litres
    pilot_lph: Litres
    absence: Spells

    def litres(self, slot: int, rng: np.random.Generator) -> Litres:
        """Return the litres that each home burns in the slot."""
        length_h, hour = np.float32(self.hours.length_h), int(self.hours.local_hour[slot])
        away, _ = self.absence.active(int(self.hours.begin_us[slot]))
        need_l = self.balance_c - self.felt_c[:, slot][self.lag]
        np.maximum(need_l, 0.0, out=need_l)
        need_l *= self.lph_per_k
        need_l *= self.schedule[:, hour][self.habit] * length_h
        need_l[away] *= np.float32(0.4)
        litres = fire(need_l, self.least_lph * np.float32(min(self.hours.length_h, BURST_H)), rng)
        for per_day, share, event_l in (
            (self.water_per_day, WATER_SHARE, WATER_EVENT_L),
            (self.cooking_per_day, COOKING_SHARE, COOKING_EVENT_L),
        ):
            mean = per_day * (share[hour] / share.sum() * length_h)
            mean[away] = 0.0
            users = np.flatnonzero(mean > 0)
            litres[users] += draws(
                mean[users], event_l, rng.random(len(users), np.float32), rng.random(len(users), np.float32)
            )
        litres += self.pilot_lph * length_h
        return litres


@dataclass(frozen=True, slots=True)
class Profiled:
    """Customers whose expected use is a standard load profile; the single customer fires, pauses and draws around it.

    Attributes:
        hours: The slots.
        heat: Share of the customer value for heat by kind and slot [1/h].
        water: Share of the customer value for hot water and processes by kind and slot [1/h].
        kind: Row of ``heat`` and ``water`` for each customer.
        value_l: Customer value: use of a day at about 8 °C [litre].
        least_lph: Smallest flame of the boiler [litre/h].
        event_l: Mean size of a draw of hot water [litre]; single events where homes are meant.
    """

    hours: Hours
    heat: Floats
    water: Floats
    kind: Micros
    value_l: Litres
    least_lph: Litres
    event_l: float

    def litres(self, slot: int, rng: np.random.Generator) -> Litres:
        """Return the litres that each customer burns in the slot."""
        length_h, count = self.hours.length_h, len(self.kind)
        scale = self.value_l * np.float32(length_h)
        need_l = self.heat[:, slot].astype(np.float32)[self.kind] * scale
        litres = fire(need_l, self.least_lph * np.float32(min(length_h, BURST_H)), rng)
        water_l = self.water[:, slot].astype(np.float32)[self.kind] * scale
        event_l = np.maximum(np.float32(self.event_l), water_l)
        mean, size = water_l / event_l, np.float32(0.4) + np.float32(1.2) * rng.random(count, np.float32)
        litres += np.where(rng.random(count, np.float32) < mean, event_l * size, np.float32(0.0))
        return litres


@dataclass(frozen=True, slots=True)
class Measured:
    """Customers whose use was measured elsewhere: litres by slot and customer."""

    slots: Litres

    def litres(self, slot: int, rng: np.random.Generator) -> Litres:  # noqa: ARG002 - nothing is drawn: it happened
        """Return the litres of the slot."""
        litres: Litres = self.slots[slot]
        return litres


@dataclass(frozen=True, slots=True)
class Together:
    """Several groups of customers; ``rows`` says where each stands among all."""

    parts: tuple[Demand, ...]
    rows: tuple[Micros, ...]
    count: int

    def litres(self, slot: int, rng: np.random.Generator) -> Litres:
        """Return the litres that each customer burns in the slot."""
        litres = np.zeros(self.count, np.float32)
        for part, rows in zip(self.parts, self.rows, strict=True):
            litres[rows] = part.litres(slot, rng)
        return litres
