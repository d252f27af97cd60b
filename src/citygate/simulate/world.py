"""A simulated city, ready to be read: its meters, its demand, its planted events and its radio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from citygate.simulate.event import UNITS, Events

if TYPE_CHECKING:
    from citygate.quantity.clock import CityClock, Micros
    from citygate.simulate.demand import Demand, Hours
    from citygate.simulate.radio import Radio

#: Streams of randomness: each part of a simulation draws from its own, so that one does not shift another.
STOCK, EVENTS, RADIO, DEMAND, SLOT_RADIO, SENSOR, NOISE = range(7)


_INDOOR_SHARE = 0.6


def stream_of(seed: int, *path: int) -> np.random.Generator:
    """Return the source of randomness of one part of a simulation; the same path gives the same numbers."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, *path])))


@dataclass(frozen=True, slots=True)
class Sensors:
    """What meters are made of, one value for each meter.

    Attributes:
        start_l: Register at the begin of the period [litre].
        speaks: Whether the meter tells flow, pressure and temperature beside its register.
        battery_mv: Battery at the begin [mV].
        indoor: Whether it hangs indoors.
        inlet_error: Metering error of the inlets, one for each zone [ratio].
    """

    start_l: Micros
    speaks: npt.NDArray[np.bool_]
    battery_mv: npt.NDArray[np.float32]
    indoor: npt.NDArray[np.bool_]
    inlet_error: npt.NDArray[np.float64]

    @classmethod
    def of(cls, seed: int, meters: pl.DataFrame, full_share: float, inlet_error_ratio: float) -> Sensors:
        """Draw the sensors of meters; inlets always speak.

        Args:
            seed: Of the city.
            meters: Columns of the registry.
            full_share: Share of meters that tell more than their register.
            inlet_error_ratio: Standard deviation of the metering error of an inlet.
        """
        rng, count = stream_of(seed, SENSOR), meters.height
        inlet = (meters["role"] == "inlet").to_numpy()
        pulse_l = meters["pulse_l"].to_numpy()
        start_l = (rng.random(count) * meters["register_max_l"].to_numpy()).astype(np.int64) // pulse_l * pulse_l
        speaks = (rng.random(count) < full_share) | inlet
        battery_mv = (3_650.0 - rng.gamma(2.0, 60.0, count)).astype(np.float32)
        return cls(
            start_l,
            speaks,
            battery_mv,
            rng.random(count) < _INDOOR_SHARE,
            rng.normal(0.0, inlet_error_ratio, int(inlet.sum())),
        )


@dataclass(frozen=True, slots=True)
class World:
    """A simulated city. Rows of customers come first, then one inlet for each zone.

    Attributes:
        seed: Of all randomness.
        clock: Local time of the city.
        meters: Columns of the registry without ``code``.
        buildings: One row for each customer: ``meter`` and facts of the building.
        zone: Zone of each customer, as a number; the inlet of zone z stands at row customers + z.
        weather: ``at_us`` and ``temperature_mk`` for every hour, with lead days.
        hours: The slots; reading k is taken at their end, reading 0 at the begin of the period.
        at_us: When each reading is due [µs UTC].
        demand: What customers burn.
        sensors: What meters are made of.
        events: What is planted.
        radio: How readings travel.
        chunk_rows: Rows that are held at a time, about.
    """

    seed: int
    clock: CityClock
    meters: pl.DataFrame
    buildings: pl.DataFrame
    zone: Micros
    weather: pl.DataFrame
    hours: Hours
    at_us: Micros
    demand: Demand
    sensors: Sensors
    events: Events
    radio: Radio
    chunk_rows: int

    @property
    def customer_count(self) -> int:
        """Return the number of customers' meters."""
        return len(self.zone)

    @property
    def truth(self) -> pl.DataFrame:
        """Return the planted events: ``meter, kind, start_us, end_us, size, unit, zone``."""
        rows = self.events.rows
        known = (
            self.meters.select("meter", "zone")[rows["row"].to_list()]
            if rows.height
            else self.meters.select("meter", "zone").clear()
        )
        unit = pl.col("kind").replace_strict(UNITS, return_dtype=pl.String)
        planted = rows.select("kind", "start_us", "end_us", "size", unit.alias("unit")).hstack(known)
        return planted.select("meter", "kind", "start_us", "end_us", "size", "unit", "zone")

    @property
    def observed_weather(self) -> pl.DataFrame:
        """Return the weather of the period itself."""
        return self.weather.filter(pl.col("at_us").is_between(int(self.at_us[0]), int(self.at_us[-1])))


def slots(start_us: int, end_us: int, interval_us: int) -> Micros:
    """Return when readings are due: from the begin, the end excluded [µs UTC]."""
    return np.arange(start_us, end_us, interval_us, dtype=np.int64)
