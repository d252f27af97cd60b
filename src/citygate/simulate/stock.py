"""The building stock of a simulated city: which houses stand there, how they are heated, who lives in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from citygate.simulate.gas import WH_PER_LITRE

if TYPE_CHECKING:
    from citygate.quantity.clock import Micros

#: Age bands with their share of the stock, heat loss per floor area [W/K/m²] of houses (flats have two thirds of it),
#: efficiency of the boiler and the share of homes with pilot flames. Shares and losses follow the order of the German
#: TABULA typology (IWU 2015); they are set by judgement, not taken from it row by row.
AGE_BANDS = ("before 1919", "1919-1948", "1949-1978", "1979-1994", "1995-2009", "since 2010")
_SHARE = np.array([0.13, 0.11, 0.38, 0.19, 0.13, 0.06])
_LOSS = np.array([2.4, 2.4, 2.2, 1.6, 1.1, 0.6])
_EFFICIENCY = np.array([0.82, 0.82, 0.84, 0.88, 0.94, 0.96])
_PILOT_SHARE = np.array([0.15, 0.15, 0.12, 0.04, 0.0, 0.0])
#: Profiles of businesses with their share and their median use on a day at about 8 °C [kWh].
BUSINESS_PROFILES = ("GKO", "GHA", "GBD", "GMK", "GGA", "GBH", "GHD")
_BUSINESS_SHARE = np.array([0.2, 0.25, 0.15, 0.15, 0.1, 0.05, 0.1])
_BUSINESS_KWH = np.array([250.0, 180.0, 160.0, 220.0, 200.0, 500.0, 250.0])
_INDUSTRY, _INDUSTRY_FACTOR = 2, 12.0
#: Meters above G10 have coarse pulses and long registers [litre/h].
_LARGE_LPH = 16_000
PROVIDERS = ("stadtwerk", "regiogas", "nordgas")
#: Largest flow of the meter sizes G4 to G100 [litre/h], EN 1359.
_SIZES_LPH = np.array([6_000, 10_000, 16_000, 25_000, 40_000, 65_000, 100_000, 160_000])
_CENTRE_LON, _CENTRE_LAT = 8.4689, 49.4891


@dataclass(frozen=True, slots=True)
class Stock:
    """Customers of a city.

    Attributes:
        buildings: One row for each: customer_type, age_band, dwelling, floor_m2, occupants, heat_loss_w_per_k,
            boiler_efficiency, balance_c, pilot_lph, cooks_with_gas, profile (standard load profile of a business, null
            for homes), value_wh (its use of a day at about 8 °C).
        zone: Number of the supply zone.
    """

    buildings: pl.DataFrame
    zone: Micros


def draw(rng: np.random.Generator, customer_count: int, zone_count: int) -> Stock:
    """Draw a stock of customers; zones hold neighbours and are of about equal size."""
    count = customer_count
    kind = rng.choice(3, count, p=[0.92, 0.07, 0.01])
    home = kind == 0
    age = rng.choice(len(AGE_BANDS), count, p=_SHARE)
    flat = rng.random(count) < 0.45  # noqa: PLR2004 - share of flats
    floor_m2 = np.where(flat, rng.normal(72, 18, count).clip(28, 140), rng.normal(135, 35, count).clip(60, 320)).round()
    loss_w_per_k = floor_m2 * _LOSS[age] * np.where(flat, 2 / 3, 1.0) * rng.lognormal(0.0, 0.2, count)
    occupants = np.where(
        flat,
        rng.choice([1, 2, 3, 4], count, p=[0.5, 0.32, 0.11, 0.07]),
        rng.choice([1, 2, 3, 4, 5], count, p=[0.2, 0.36, 0.18, 0.18, 0.08]),
    )
    pilot_lph = np.where(rng.random(count) < _PILOT_SHARE[age], rng.uniform(10, 20, count).round(1), 0.0)
    profile = rng.choice(len(BUSINESS_PROFILES), count, p=_BUSINESS_SHARE)
    value_wh = (
        _BUSINESS_KWH[profile]
        * 1_000
        * rng.lognormal(0.0, 0.7, count)
        * np.where(kind == _INDUSTRY, _INDUSTRY_FACTOR, 1.0)
    )
    zone = np.arange(count, dtype=np.int64) * zone_count // count
    buildings = pl.DataFrame(
        {
            "customer_type": np.array(["household", "commercial", "industry"])[kind],
            "age_band": np.array(AGE_BANDS)[age],
            "dwelling": np.where(home, np.where(flat, "flat", "house"), "business"),
            "floor_m2": floor_m2,
            "occupants": np.where(home, occupants, 0),
            "heat_loss_w_per_k": loss_w_per_k.round(1),
            "boiler_efficiency": (_EFFICIENCY[age] + rng.normal(0, 0.02, count)).clip(0.7, 1.0).round(3),
            "balance_c": rng.normal(15.0, 1.2, count).clip(11, 19).round(1),
            "pilot_lph": np.where(home, pilot_lph, 0.0),
            "cooks_with_gas": home & (rng.random(count) < 0.3),  # noqa: PLR2004 - share of gas cookers
            "profile": pl.Series(np.array(BUSINESS_PROFILES)[profile]),
            "value_wh": value_wh.round().astype(np.int64),
        }
    )
    business = pl.col("customer_type") != "household"
    return Stock(buildings.with_columns(pl.when(business).then(pl.col("profile", "value_wh"))), zone)


def hang(rng: np.random.Generator, stock: Stock, zone_count: int) -> pl.DataFrame:
    """Return the meters of customers and, after them, one inlet for each zone: columns of the registry without code.

    Registers that roll over at 1,000 m³ are among them, so that some do within a winter. Places are drawn on a made-up
    grid of streets round Mannheim; no real address is meant.
    """
    count, buildings = stock.buildings.height, stock.buildings
    value_l = buildings["value_wh"].fill_null(0).to_numpy() / WH_PER_LITRE
    least_lph = np.maximum(value_l * 0.3, 4_000)
    qmax_lph = _SIZES_LPH[np.minimum(np.searchsorted(_SIZES_LPH, least_lph), len(_SIZES_LPH) - 1)]
    pulse_l = np.where(qmax_lph > _LARGE_LPH, 100, rng.choice([1, 10, 100], count, p=[0.4, 0.45, 0.15]))
    top_l = np.where(
        qmax_lph > _LARGE_LPH,
        1_000_000_000,
        rng.choice([100_000_000, 10_000_000, 1_000_000], count, p=[0.7, 0.25, 0.05]),
    )
    side = int(np.ceil(np.sqrt(zone_count)))
    east, north = (stock.zone % side + rng.random(count)) * 0.008, (stock.zone // side + rng.random(count)) * 0.005
    provider = rng.choice(PROVIDERS, count, p=[0.6, 0.25, 0.15])
    inlet_lph = np.bincount(stock.zone, qmax_lph, zone_count).astype(np.int64)
    zones = [f"zone-{number:03d}" for number in range(1, zone_count + 1)]
    customers = pl.DataFrame(
        {
            "meter": [f"g{number:07d}" for number in range(1, count + 1)],
            "zone": pl.Series(zones).gather(stock.zone),
            "provider": provider,
            "customer_type": buildings["customer_type"],
            "role": ["customer"] * count,
            "nature": ["modelled"] * count,
            "register_max_l": top_l,
            "pulse_l": pulse_l,
            "qmax_lph": qmax_lph,
            "lon": (_CENTRE_LON + east).round(6),
            "lat": (_CENTRE_LAT + north).round(6),
        }
    )
    return pl.concat([customers, inlets(zones, inlet_lph, customers)])


def inlets(zones: list[str], qmax_lph: Micros, customers: pl.DataFrame) -> pl.DataFrame:
    """Return one inlet meter for each zone, in the middle of its customers."""
    middle = customers.group_by("zone").agg(pl.col("lon", "lat").mean().round(6))
    rows = pl.DataFrame(
        {
            "meter": [f"inlet-{zone}" for zone in zones],
            "zone": zones,
            "provider": [PROVIDERS[0]] * len(zones),
            "customer_type": ["inlet"] * len(zones),
            "role": ["inlet"] * len(zones),
            "nature": ["modelled"] * len(zones),
            "register_max_l": np.full(len(zones), 10_000_000_000, np.int64),
            "pulse_l": np.full(len(zones), 100, np.int64),
            "qmax_lph": qmax_lph,
        }
    )
    return rows.join(middle, on="zone", how="left", maintain_order="left").select(customers.columns)
