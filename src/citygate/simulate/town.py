"""The demo town: the real network of Schutterwald, four measured homes, all other houses filled from load profiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from citygate.quantity.clock import US_PER_HOUR, CityClock
from citygate.simulate import event, home, metering, stock, weather
from citygate.simulate.city import BadPlanError, timetable
from citygate.simulate.demand import WATER_EVENT_L, Demand, Hours, Litres, Measured, Profiled, Together
from citygate.simulate.event import LeakPlan, Planting
from citygate.simulate.gas import BASE_PER_REGISTER_RATIO, DENSITY_KG_PER_M3
from citygate.simulate.network import Network, schutterwald
from citygate.simulate.profile import design_hour, table
from citygate.simulate.radio import Faults, Radio
from citygate.simulate.world import EVENTS, RADIO, STOCK, Sensors, World, stream_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from citygate.quantity.clock import Micros

_DAY_US = 24 * US_PER_HOUR
#: Load profiles of the town: houses, flats, shops. The mean of Germany is building class 11.
_KINDS = (("EFH", 11), ("MFH", 11), ("GHA", 0))
_HOUSE, _FLATS, _SHOP = range(3)
#: Leaks that are planted when nothing else is said.
LEAK_COUNT = 12
_G4_LPH, _G10_LPH = 6_000, 16_000


@dataclass(frozen=True, slots=True)
class TownPlan:
    """What to make of the town. The same plan gives the same bytes; ``chunk_rows`` changes no row.

    Attributes:
        start_us: Begin [µs UTC].
        days: Length, one day at least.
        seed: Of all randomness.
        interval_s: Time between readings, 900 or 3,600 [s].
        planted_days: Events begin within so many days from the begin; 0 plants nothing, None means the whole period.
        quiet_days: Nothing is planted in the first so many days, in which detectors learn.
        leaks: Leaks behind meters.
        faults: How well the radio works.
        full_share: Share of modelled meters that tell flow, pressure and temperature beside the register.
        inlet_error_ratio: Standard deviation of the metering error of an inlet.
        clock: Local time of the town.
        chunk_rows: Rows held at a time, about; 1 gives a chunk for each slot, as a live feed needs it.
    """

    start_us: int
    days: int
    seed: int
    interval_s: int = 3_600
    planted_days: int | None = None
    quiet_days: int = 0
    leaks: LeakPlan = field(default_factory=lambda: LeakPlan(LEAK_COUNT))
    faults: Faults = Faults.TYPICAL
    full_share: float = 0.7
    inlet_error_ratio: float = 0.003
    clock: CityClock = field(default_factory=CityClock)
    chunk_rows: int = 500_000

    def __post_init__(self) -> None:
        if self.days < 1 or self.seed < 0 or self.interval_s not in (900, 3_600):
            raise BadPlanError(f"{self.days} days, seed {self.seed}, readings every {self.interval_s} s")

    @property
    def end_us(self) -> int:
        """Return the end, excluded [µs UTC]."""
        return self.start_us + self.days * _DAY_US


@dataclass(frozen=True, slots=True)
class Town:
    """The town with its tables: `World` and `Network` as one.

    Attributes:
        world: Meters, buildings, weather and truth, ready to be read.
        network: Pipes, houses and zones.
    """

    world: World
    network: Network

    def readings(self) -> Iterator[pl.DataFrame]:
        """Yield the readings in order of arrival; each call begins anew."""
        return metering.readings(self.world)


def town(start_us: int, days: int, seed: int) -> Town:
    """Return the town of a period with a plausible set of leaks and faults."""
    return Town(build(TownPlan(start_us, days, seed)), schutterwald())


def stream(plan: TownPlan) -> Iterator[pl.DataFrame]:
    """Yield the readings of the town in order of arrival; columns as in `citygate.simulate.metering.SCHEMA`."""
    return metering.readings(build(plan))


def meters(plan: TownPlan) -> pl.DataFrame:
    """Return the meters of the town: columns of the registry without ``code``; ``nature`` is measured or modelled."""
    return build(plan).meters


def truth(plan: TownPlan) -> pl.DataFrame:
    """Return what is planted: ``meter, kind, start_us, end_us, size, unit, zone``; never on a measured home."""
    return build(plan).truth


def build(plan: TownPlan) -> World:
    """Return the town of a plan, ready to be read."""
    network, rng = schutterwald(), stream_of(plan.seed, STOCK)
    names = network.zones["zone"].to_list()
    zone = network.houses["zone"].replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
    measured, kind = _measured(network), _kinds(network.houses)
    hung = _hang(rng, network, kind, measured)
    heard = weather.hourly(plan.start_us, plan.end_us)
    hours, at_us = timetable(plan.start_us, plan.end_us, plan.interval_s, plan.clock)
    sensors = Sensors.of(plan.seed, hung, plan.full_share, plan.inlet_error_ratio)
    sensors.speaks[measured] = False
    value_l = _customer_value_l(network.houses, kind)
    return World(
        seed=plan.seed,
        clock=plan.clock,
        meters=hung,
        buildings=_buildings(network, hung, kind, measured),
        zone=zone,
        weather=heard,
        hours=hours,
        at_us=at_us,
        demand=_demand(plan, hours, heard, kind, value_l, measured),
        sensors=sensors,
        events=_events(plan, len(zone), len(names), measured, value_l.astype(np.float64)),
        radio=Radio.of(stream_of(plan.seed, RADIO), hung.height, (plan.start_us, plan.end_us), plan.faults),
        chunk_rows=plan.chunk_rows,
    )


def _measured(network: Network) -> Micros:
    """Return the rows of the four houses that carry measured homes: of every other zone the house of median load."""
    rows = network.houses.with_row_index("row").sort("mdot_kg_per_s", "row")
    chosen = [rows.filter(pl.col("zone") == name)["row"].to_list() for name in network.zones["zone"].to_list()[::2]]
    return np.array([members[len(members) // 2] for members in chosen[: len(home.HOMES)]], np.int64)


def _kinds(houses: pl.DataFrame) -> Micros:
    """Return the profile of each house by its planned load: the top 3 % shops, the next 9 % flats (by judgement)."""
    load = houses["mdot_kg_per_s"].to_numpy()
    return np.where(
        load > np.quantile(load, 0.97), _SHOP, np.where(load > np.quantile(load, 0.88), _FLATS, _HOUSE)
    ).astype(np.int64)


def _customer_value_l(houses: pl.DataFrame, kind: Micros) -> Litres:
    """Return the use of a day at about 8 °C [litre]: the planned load is the largest hour of a day at -12 °C."""
    load_lph = houses["mdot_kg_per_s"].to_numpy() * 3_600 / DENSITY_KG_PER_M3 / BASE_PER_REGISTER_RATIO * 1_000
    share = np.array([design_hour(*profile) for profile in _KINDS])
    value_l: Litres = (load_lph / share[kind]).astype(np.float32)
    return value_l


def _hang(rng: np.random.Generator, network: Network, kind: Micros, measured: Micros) -> pl.DataFrame:
    """Return the meters of all houses and, after them, the inlet of each zone: what flows in less what flows on."""
    count = network.houses.height
    name = np.array([f"house-{number:04d}" for number in range(1, count + 1)], dtype=object)
    name[measured] = [f"home-{source}" for source in home.HOMES]
    nature = np.full(count, "modelled", dtype=object)
    nature[measured] = "measured"
    pulse_l = rng.choice([1, 10, 100], count, p=[0.4, 0.5, 0.1])
    pulse_l[measured] = 10
    houses = pl.DataFrame(
        {
            "meter": pl.Series(name, dtype=pl.String),
            "zone": network.houses["zone"],
            "provider": rng.choice(stock.PROVIDERS, count, p=[0.6, 0.25, 0.15]),
            "customer_type": np.where(kind == _SHOP, "commercial", "household"),
            "role": ["customer"] * count,
            "nature": pl.Series(nature, dtype=pl.String),
            "register_max_l": rng.choice([100_000_000, 10_000_000, 1_000_000], count, p=[0.8, 0.17, 0.03]),
            "pulse_l": pulse_l,
            "qmax_lph": np.where(kind == _HOUSE, _G4_LPH, _G10_LPH),
            "lon": network.houses["lon"],
            "lat": network.houses["lat"],
        }
    )
    largest_lph = houses.group_by("zone").agg(pl.col("qmax_lph").sum())
    order = network.zones.select("zone").join(largest_lph, on="zone", how="left", maintain_order="left")
    return pl.concat([houses, stock.inlets(order["zone"].to_list(), order["qmax_lph"].to_numpy(), houses)])


def _buildings(network: Network, hung: pl.DataFrame, kind: Micros, measured: Micros) -> pl.DataFrame:
    names = [f"{profile} {number}" if number else profile for profile, number in _KINDS]
    source = np.full(network.houses.height, "load profile", dtype=object)
    source[measured] = [f"measured home {name}, moved by whole weeks" for name in home.HOMES]
    return pl.DataFrame(
        {
            "meter": hung["meter"].head(network.houses.height),
            "junction": network.houses["junction"],
            "planned_load_kg_per_s": network.houses["mdot_kg_per_s"],
            "profile": pl.Series(names).gather(kind),
            "source": pl.Series(source, dtype=pl.String),
        }
    )


def _demand(
    plan: TownPlan, hours: Hours, heard: pl.DataFrame, kind: Micros, value_l: Litres, measured: Micros
) -> Demand:
    heat, water = table(_KINDS, hours.begin_us, heard, plan.clock)
    modelled = np.setdiff1d(np.arange(len(kind)), measured)
    rng = stream_of(plan.seed, STOCK, 1)
    least_lph = rng.uniform(300, 800, len(modelled)).astype(np.float32)
    profiled = Profiled(hours, heat, water, kind[modelled], value_l[modelled], least_lph, WATER_EVENT_L)
    homes = Measured(home.litres(hours.begin_us, hours.length_h))
    return Together((profiled, homes), (modelled, measured), len(kind))


def _events(
    plan: TownPlan, house_count: int, zone_count: int, measured: Micros, weight: weather.Floats
) -> event.Events:
    if plan.planted_days == 0:
        return event.none()
    drifting = 0.0 if plan.faults is Faults.NONE else 0.01
    planting = Planting(plan.leaks, 2, drifting, 1, 2)
    candidates = np.setdiff1d(np.arange(house_count, dtype=np.int64), measured)
    inlets = np.arange(house_count, house_count + zone_count, dtype=np.int64)
    until_us = (
        plan.end_us if plan.planted_days is None else min(plan.end_us, plan.start_us + plan.planted_days * _DAY_US)
    )
    rng = stream_of(plan.seed, EVENTS)
    from_us = min(plan.start_us + plan.quiet_days * _DAY_US, until_us)
    return event.plant(rng, planting, candidates, inlets, (from_us, until_us), weight[candidates])
