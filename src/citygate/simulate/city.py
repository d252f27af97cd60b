"""A made-up city of any size, with a seed and known truth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from citygate.errors import CitygateError
from citygate.quantity.clock import US_PER_HOUR, US_PER_SECOND, CityClock, Micros
from citygate.simulate import event, metering, spell, stock, weather
from citygate.simulate.demand import Demand, Homes, Hours, Profiled, Together
from citygate.simulate.event import LeakPlan, Planting
from citygate.simulate.gas import WH_PER_LITRE
from citygate.simulate.profile import table
from citygate.simulate.radio import Faults, Radio
from citygate.simulate.world import DEMAND, EVENTS, RADIO, STOCK, Sensors, World, slots, stream_of

if TYPE_CHECKING:
    from collections.abc import Iterator

METERS_MIN, METERS_MAX = 10, 1_000_000
_DAY_US = 24 * US_PER_HOUR
#: Customers of a zone, and the most zones of a city.
_ZONE_METERS, _ZONES_MAX = 250, 500
#: Time constants of houses [h].
_LAGS_H = (8, 16, 32, 64)


class BadPlanError(CitygateError):
    """A plan asks for a city that cannot be made."""

    code = "bad_plan"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"this city cannot be made: {reason}")


@dataclass(frozen=True, slots=True)
class CityPlan:
    """What to make. The same plan gives the same bytes; ``chunk_rows`` changes no row.

    Attributes:
        meter_count: Meters in all, 10 to 1,000,000; one for each zone is the inlet of the zone, the others are
            customers'. There is a zone for every 250 meters, at least 1 and at most 500.
        days: Length, one day at least.
        seed: Of all randomness.
        start_us: Begin [µs UTC].
        interval_s: Time between readings, 900 or 3,600 [s].
        leaks: Leaks behind meters; None plants one for every 200 meters, 5 to 500 l/h.
        planted: Whether anything is planted at all.
        faults: How well the radio works.
        weather: ``at_us`` and ``temperature_mk``; None takes the packaged test year.
        full_share: Share of meters that tell flow, pressure and temperature beside the register.
        inlet_error_ratio: Standard deviation of the metering error of an inlet.
        clock: Local time of the city.
        chunk_rows: Rows held at a time, about.
    """

    meter_count: int
    days: int
    seed: int
    start_us: int
    interval_s: int = 3_600
    leaks: LeakPlan | None = None
    planted: bool = True
    faults: Faults = Faults.TYPICAL
    weather: pl.DataFrame | None = None
    full_share: float = 0.5
    inlet_error_ratio: float = 0.003
    clock: CityClock = field(default_factory=CityClock)
    chunk_rows: int = 500_000

    def __post_init__(self) -> None:
        if not METERS_MIN <= self.meter_count <= METERS_MAX:
            raise BadPlanError(f"{self.meter_count} meters; it must be {METERS_MIN} to {METERS_MAX:,}")
        if self.days < 1:
            raise BadPlanError(f"{self.days} days; it must be 1 or more")
        if self.seed < 0:
            raise BadPlanError(f"the seed {self.seed} is negative")
        if self.interval_s not in (900, 3_600):
            raise BadPlanError(f"readings every {self.interval_s} s; it must be 900 or 3600")

    @property
    def end_us(self) -> int:
        """Return the end, excluded [µs UTC]."""
        return self.start_us + self.days * _DAY_US

    @property
    def zone_count(self) -> int:
        """Return the number of supply zones."""
        return min(max(1, self.meter_count // _ZONE_METERS), _ZONES_MAX)


def build(plan: CityPlan) -> World:
    """Return the city of a plan, ready to be read.

    Raises:
        BadWeatherError: The weather of the plan does not cover its period.
    """
    rng, customers = stream_of(plan.seed, STOCK), plan.meter_count - plan.zone_count
    drawn = stock.draw(rng, customers, plan.zone_count)
    meters = stock.hang(rng, drawn, plan.zone_count)
    heard = weather.hourly(plan.start_us, plan.end_us, plan.weather)
    hours, at_us = timetable(plan.start_us, plan.end_us, plan.interval_s, plan.clock)
    period_us = (plan.start_us, plan.end_us)
    demand = _demand(plan, drawn.buildings, heard, hours)
    return World(
        seed=plan.seed,
        clock=plan.clock,
        meters=meters,
        buildings=pl.concat(
            [meters.select("meter").head(customers), drawn.buildings.drop("customer_type")], how="horizontal"
        ),
        zone=drawn.zone,
        weather=heard,
        hours=hours,
        at_us=at_us,
        demand=demand,
        sensors=Sensors.of(plan.seed, meters, plan.full_share, plan.inlet_error_ratio),
        events=_events(plan, drawn.buildings),
        radio=Radio.of(stream_of(plan.seed, RADIO), plan.meter_count, period_us, plan.faults),
        chunk_rows=plan.chunk_rows,
    )


def stream(plan: CityPlan) -> Iterator[pl.DataFrame]:
    """Yield the readings of a city in order of arrival; columns as in `citygate.simulate.metering.SCHEMA`."""
    return metering.readings(build(plan))


def meters(plan: CityPlan) -> pl.DataFrame:
    """Return the meters of a city: columns of the registry without ``code``."""
    return build(plan).meters


def truth(plan: CityPlan) -> pl.DataFrame:
    """Return what is planted: ``meter, kind, start_us, end_us, size, unit, zone``; kinds as in `event.Kind`."""
    return build(plan).truth


def clean(plan: CityPlan) -> CityPlan:
    """Return the same city with nothing planted and a radio that loses nothing; the demand is the same to the drop."""
    return replace(plan, planted=False, faults=Faults.NONE)


def timetable(start_us: int, end_us: int, interval_s: int, clock: CityClock) -> tuple[Hours, Micros]:
    """Return the slots of a period, and when their readings are due [µs UTC]; each slot ends with its reading."""
    at_us = slots(start_us, end_us, interval_s * US_PER_SECOND)
    begin_us = at_us - interval_s * US_PER_SECOND
    return Hours(begin_us, clock.local_hours(begin_us), interval_s * US_PER_SECOND / US_PER_HOUR), at_us


def _events(plan: CityPlan, buildings: pl.DataFrame) -> event.Events:
    if not plan.planted:
        return event.none()
    each = max(1, round(buildings.height / 200))
    drifting = {Faults.NONE: 0.0, Faults.TYPICAL: 0.01, Faults.HEAVY: 0.05}[plan.faults]
    planting = Planting(
        plan.leaks or LeakPlan(each), each, drifting, max(1, plan.zone_count // 8), max(1, plan.zone_count // 4)
    )
    rows = np.arange(plan.meter_count, dtype=np.int64)
    weight = buildings["heat_loss_w_per_k"].to_numpy()
    rng = stream_of(plan.seed, EVENTS)
    return event.plant(
        rng, planting, rows[: buildings.height], rows[buildings.height :], (plan.start_us, plan.end_us), weight
    )


def _demand(plan: CityPlan, buildings: pl.DataFrame, heard: pl.DataFrame, hours: Hours) -> Demand:
    rng = stream_of(plan.seed, DEMAND)
    business = buildings["profile"].is_not_null().to_numpy()
    at_home, at_work = np.flatnonzero(~business), np.flatnonzero(business)
    kinds = [(name, 0) for name in stock.BUSINESS_PROFILES]
    heat, water = table(kinds, hours.begin_us, heard, plan.clock)
    firms = buildings[at_work.tolist()]
    number = (
        firms["profile"]
        .replace_strict(list(stock.BUSINESS_PROFILES), range(len(kinds)), return_dtype=pl.Int64)
        .to_numpy()
    )
    value_l = (firms["value_wh"].to_numpy() / WH_PER_LITRE).astype(np.float32)
    profiled = Profiled(hours, heat, water, number, value_l, value_l * np.float32(0.01), 0.0)
    return Together(
        (_homes(plan, rng, buildings[at_home.tolist()], heard, hours), profiled), (at_home, at_work), buildings.height
    )


def _homes(plan: CityPlan, rng: np.random.Generator, homes: pl.DataFrame, heard: pl.DataFrame, hours: Hours) -> Homes:
    count = homes.height
    lph_per_k = homes["heat_loss_w_per_k"].to_numpy() / homes["boiler_efficiency"].to_numpy() / WH_PER_LITRE
    old = homes["pilot_lph"].to_numpy() > 0
    nights, wakes = np.array([0.3, 0.6, 0.9]), np.array([5, 6, 7])
    schedule = np.array([_schedule(night, wake) for night in nights for wake in wakes], np.float32)
    return Homes(
        hours=hours,
        felt_c=weather.felt(heard, hours.begin_us, _LAGS_H).astype(np.float32),
        lag=rng.integers(0, len(_LAGS_H), count),
        lph_per_k=lph_per_k.astype(np.float32),
        balance_c=homes["balance_c"].to_numpy().astype(np.float32),
        least_lph=np.where(old, rng.uniform(900, 1_500, count), rng.uniform(300, 800, count)).astype(np.float32),
        schedule=schedule,
        habit=rng.integers(0, len(schedule), count),
        water_per_day=(homes["occupants"].to_numpy() * rng.lognormal(1.0, 0.3, count)).astype(np.float32),
        cooking_per_day=np.where(homes["cooks_with_gas"].to_numpy(), rng.uniform(0.5, 2.5, count), 0.0).astype(
            np.float32
        ),
        pilot_lph=homes["pilot_lph"].to_numpy().astype(np.float32),
        absence=spell.draw(rng, count, (plan.start_us, plan.end_us), 0.002 * plan.days, (3 * _DAY_US, 14 * _DAY_US)),
    )


def _schedule(night: float, wake_hour: int) -> np.typing.NDArray[np.float64]:
    """Return the heating of each local hour: lowered from 22 to the waking, more in the two hours after it; mean 1."""
    shape = np.where((np.arange(24) >= wake_hour) & (np.arange(24) < 22), 1.0, night)  # noqa: PLR2004 - hours
    shape[wake_hour : wake_hour + 2] += 2.0 * (1.0 - night)
    scaled: np.typing.NDArray[np.float64] = shape / shape.mean()
    return scaled
