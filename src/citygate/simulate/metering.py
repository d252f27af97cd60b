"""Readings of a simulated city in the order in which the head-end gets them, in bounded memory.

All meters of one slot are computed at once, slot after slot. What is carried from slot to slot are the registers [ml]
and the readings still on their way. Both are exact, so the size of a chunk changes no row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from citygate.quantity.clock import US_PER_HOUR, US_PER_SECOND, Micros
from citygate.quantity.status import Status
from citygate.simulate.event import Active, Disturbance, Kind
from citygate.simulate.weather import Floats, felt
from citygate.simulate.world import DEMAND, NOISE, SLOT_RADIO, World, stream_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from citygate.simulate.radio import Columns

AIR_PA, GAUGE_PA = 101_325, 2_200
#: A boiler is never so large that a house meter is driven to its end.
_USABLE_FLOW = 0.98
_DAY_US = 24 * US_PER_HOUR
_BATTERY_LOW_MV = 3_200
_SPEAKING = ("flow_lph", "pressure_pa", "temperature_mk")

SCHEMA: dict[str, pl.DataType] = {
    "meter": pl.String(),
    "at_us": pl.Int64(),
    "index_l": pl.Int64(),
    "flow_lph": pl.Int64(),
    "pressure_pa": pl.Int64(),
    "temperature_mk": pl.Int64(),
    "battery_mv": pl.Int64(),
    "status": pl.Int64(),
    "received_us": pl.Int64(),
}


def readings(world: World) -> Iterator[pl.DataFrame]:
    """Yield the readings in order of arrival, in chunks of about ``world.chunk_rows`` rows.

    Yields:
        Columns of `SCHEMA`, sorted by ``received_us``. ``index_l`` is what the register shows (whole pulses, rolled
        over), ``flow_lph`` the mean flow since the reading before, ``pressure_pa`` absolute; the three quantities
        beside the register are null for meters that only have a register.
    """
    names = world.meters["meter"]
    slots_per_chunk = max(1, world.chunk_rows // world.meters.height)
    waiting: list[Columns] = []
    slot_count = len(world.at_us)
    for number, columns in enumerate(_slots(world)):
        waiting.append(columns)
        last = number == slot_count - 1
        if not last and (number + 1) % slots_per_chunk:
            continue
        merged = {name: np.concatenate([part[name] for part in waiting]) for name in columns}
        due_us = np.iinfo(np.int64).max if last else int(world.at_us[number + 1])
        arrived = merged["received_us"] < due_us
        yield _frame(world, names, merged, np.flatnonzero(arrived))
        waiting = [{name: column[~arrived] for name, column in merged.items()}]


def _slots(world: World) -> Iterator[Columns]:
    """Yield what arrives of each slot, in the order of the meters."""
    disturbance = Disturbance.of(world.events)
    network_leak, drop, drift = (
        world.events.of(kind) for kind in (Kind.NETWORK_LEAK, Kind.PRESSURE_DROP, Kind.CLOCK_DRIFT)
    )
    tamper = _tampered(world)
    customers, meters = world.customer_count, world.meters
    top_ml = meters["register_max_l"].to_numpy() * 1_000
    pulse_ml = meters["pulse_l"].to_numpy() * 1_000
    most_ml = (meters["qmax_lph"].to_numpy() * (_USABLE_FLOW * 1_000 * world.hours.length_h)).astype(np.int64)
    register_ml = world.sensors.start_l * 1_000
    zone_count = meters.height - customers
    ground_c = felt(world.weather, world.at_us, [72])[0]
    peak_ml = np.bincount(world.zone, most_ml[:customers], zone_count) * 0.15
    for slot, at_us in enumerate(world.at_us.tolist()):
        begin_us = int(world.hours.begin_us[slot])
        wanted = np.rint(
            world.demand.litres(slot, stream_of(world.seed, DEMAND, slot)).astype(np.float64) * 1_000
        ).astype(np.int64)
        used_ml = np.minimum(disturbance.used(wanted, begin_us, at_us), most_ml[:customers])
        inflow_ml = _inflow(world, used_ml, network_leak, begin_us, at_us)
        counted_ml = disturbance.metered(used_ml, begin_us, at_us, int(world.hours.local_hour[slot]))
        step_ml = np.concatenate(
            [counted_ml, inflow_ml + np.rint(inflow_ml * world.sensors.inlet_error).astype(np.int64)]
        )
        if slot > 0:
            register_ml = register_ml + step_ml
            register_ml = np.where(register_ml >= top_ml, register_ml - top_ml, register_ml)
        load = inflow_ml / peak_ml
        columns = _sense(world, slot, load, drop, ground_c[slot])
        columns["index_l"] = (register_ml - register_ml % pulse_ml) // 1_000
        columns["flow_lph"] = np.rint(step_ml * (1.0 / (1_000 * world.hours.length_h))).astype(np.int64)
        wrong_s = _clock_error_s(drift, at_us)
        columns["at_us"] = np.full(meters.height, at_us, np.int64)
        columns["at_us"][drift.row] += wrong_s * US_PER_SECOND
        columns["status"][drift.row[np.abs(wrong_s) > 60]] |= int(Status.CLOCK_UNSYNCHRONISED)  # noqa: PLR2004 - seconds
        columns["status"][tamper.row[tamper.share(begin_us, at_us)[0]]] |= int(Status.CASE_TAMPER)
        yield world.radio.send(stream_of(world.seed, SLOT_RADIO, slot), at_us, columns)


def _inflow(world: World, used_ml: Micros, leak: Active, begin_us: int, end_us: int) -> Micros:
    """Return what truly flows into each zone: what its customers use and what its pipes lose [ml]."""
    zone_count = world.meters.height - world.customer_count
    inflow_ml = np.bincount(world.zone, used_ml, zone_count).astype(np.int64)
    within, share = leak.share(begin_us, end_us)
    lost_ml = np.rint(leak.size[within] * share * world.hours.length_h * 1_000).astype(np.int64)
    np.add.at(inflow_ml, leak.row[within] - world.customer_count, lost_ml)
    return inflow_ml


def _sense(world: World, slot: int, load: Floats, drop: Active, ground_c: float) -> Columns:
    """Return number, pressure, temperature, battery and status of every meter at the end of a slot."""
    rng, count, customers = stream_of(world.seed, NOISE, slot), world.meters.height, world.customer_count
    at_us = int(world.at_us[slot])
    noise = rng.random((3, count), np.float32) - np.float32(0.5)
    droop_pa = np.minimum(150.0 * load**2, 600.0).astype(np.float32)
    within, _ = drop.share(at_us, at_us + 1)
    np.add.at(droop_pa, drop.row[within] - customers, drop.size[within].astype(np.float32))
    zone = np.concatenate([world.zone, np.arange(count - customers)])
    pressure_pa = np.float32(AIR_PA + GAUGE_PA) - droop_pa[zone] + noise[0] * np.float32(80.0)
    gas_c = np.where(world.sensors.indoor, 0.7 * 14.0 + 0.3 * ground_c, 0.3 * 10.0 + 0.7 * ground_c) + noise[
        1
    ] * np.float32(1.5)
    age_days = (at_us - int(world.at_us[0])) / _DAY_US
    battery_mv = world.sensors.battery_mv - np.float32(0.08 * age_days) + noise[2] * np.float32(8.0)
    low = battery_mv < _BATTERY_LOW_MV
    return {
        "row": np.arange(count, dtype=np.int64),
        "pressure_pa": np.rint(pressure_pa).astype(np.int64),
        "temperature_mk": np.rint(gas_c * 1_000.0).astype(np.int64) + 273_150,
        "battery_mv": np.rint(battery_mv).astype(np.int64),
        "status": np.where(low, int(Status.BATTERY_LOW), 0),
    }


def _tampered(world: World) -> Active:
    """Return the first day of every third bypass: when the case of the meter said that it was opened."""
    bypass = world.events.of(Kind.BYPASS)
    rows = np.flatnonzero(bypass.row % 3 == 0)
    return Active(
        bypass.row[rows],
        bypass.start_us[rows],
        np.minimum(bypass.start_us[rows] + _DAY_US, bypass.end_us[rows]),
        bypass.size[rows],
    )


def _clock_error_s(drift: Active, at_us: int) -> Micros:
    """Return how wrong the drifting clocks are [s]; every clock is set right at its own day of each 30 days."""
    age_days = ((at_us - drift.start_us) / _DAY_US + drift.row * 7 % 30) % 30.0
    return np.rint(drift.size * age_days).astype(np.int64)


def _frame(world: World, names: pl.Series, columns: Columns, arrived: Micros) -> pl.DataFrame:
    order = arrived[_arrival_order(columns["received_us"][arrived])]
    row = columns["row"][order]
    frame = pl.DataFrame(
        {"meter": names.gather(row), **{name: columns[name][order] for name in SCHEMA if name != "meter"}}
    )
    speaks = pl.lit(pl.Series(world.sensors.speaks[row]))
    return frame.with_columns(pl.when(speaks).then(pl.col(name)).alias(name) for name in _SPEAKING)


def _arrival_order(received_us: Micros) -> Micros:
    """Return the stable order by arrival; ten times as fast as a stable sort of numpy, as ties are few."""
    order = np.argsort(received_us)
    ordered = received_us[order]
    equal = np.flatnonzero(ordered[1:] == ordered[:-1])
    tied = np.union1d(equal, equal + 1)
    order[tied] = order[tied[np.lexsort((order[tied], ordered[tied]))]]
    return order
