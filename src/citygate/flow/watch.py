"""Detection live and in replay: alarms are a function of the data held, whatever the order in which it came."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from citygate.detection.alarm import COLUMNS, READING_COUNT_MAX, named, with_evidence
from citygate.detection.panel import Panel
from citygate.detection.slots import ALARM_COLUMNS, Detector, Rows, State, run
from citygate.detection.zone import SPREAD_MAX_US, relative_pressure, vote, zone_balance, zone_pressure
from citygate.errors import CitygateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from citygate.detection.meters import Meters
    from citygate.quantity.clock import CityClock

#: Meters (None: all), start and end [µs UTC, end excluded] -> readings with the columns of a `ValidatedBatch`.
Scan = Callable[[Sequence[int] | None, int, int], pl.DataFrame]
States = Mapping[str, State]

_NEEDED = ("meter", "at_us", "index_l", "pressure_pa")
_PRESSURE_KINDS = frozenset({"low_pressure", "sudden_drop", "pressure_sensor"})
#: A checkpoint is kept for each of the last 4 gas days, for every 4th of the last 16, and so on.
_PACES = (1, 4, 16, 64)
_CHUNK_DAYS = 7
_EVIDENCE_COUNT = 500
_REGISTER, _ZONES = "register", "zones"
_RAW = {
    **ALARM_COLUMNS,
    "meter": pl.String(),
    "zone": pl.String(),
    "code": pl.Int32(),
    "part": pl.String(),
    "evidence": pl.String(),
}


def default_panel() -> Panel:
    """Return the detectors that ship with Citygate."""
    return Panel.of(tomllib.loads(resources.files("citygate.detection").joinpath("defaults.toml").read_text()))


def panel_of(path: Path) -> Panel:
    """Return the detectors that a TOML file describes.

    Raises:
        PanelUnreadableError: The file cannot be read as TOML.
    """
    try:
        return Panel.of(tomllib.loads(path.read_text()))
    except (OSError, ValueError) as cause:
        raise PanelUnreadableError(path, cause) from cause


class PanelUnreadableError(CitygateError):
    """A file of detectors cannot be read."""

    code = "panel_unreadable"

    def __init__(self, path: Path, cause: Exception) -> None:
        self.path = path
        super().__init__(f"{path} is not a readable TOML file: {cause}")


@dataclass(frozen=True, slots=True)
class Watched:
    """What a watch knows after some moment. Compact enough to be kept beside the data.

    Attributes:
        start_us: Readings after this moment count [µs UTC].
        until_us: Readings up to this moment, it included, have been seen [µs UTC].
        meters: The facts that were used.
        states: State of every detector at ``until_us``.
        checkpoints: States at the beginnings of some gas days, as bytes; the nearer to ``until_us`` the denser.
        found: Every alarm, with the columns that finishing needs.
    """

    start_us: int
    until_us: int
    meters: Meters
    states: States = field(repr=False)
    checkpoints: Mapping[int, Mapping[str, bytes]] = field(repr=False)
    found: pl.DataFrame

    def alarms(self) -> pl.DataFrame:
        """Return the alarms as a frame of `citygate.detection.alarm.COLUMNS`, by time, meter and kind."""
        return self.found.select(list(COLUMNS))


@dataclass(frozen=True, slots=True)
class Watch:
    """The detectors, bound to a city's clock and readings.

    Law: `advance` in any number of steps, with data arriving in any order, ends in the same bytes as one step over all
    of it, if every reading at or before ``until_us`` that is new since the last step is named in ``changed``.
    """

    panel: Panel
    clock: CityClock
    scan: Scan
    weather: pl.DataFrame | None = None

    def begin(self, meters: Meters, start_us: int) -> Watched:
        """Return a watch that has seen nothing yet."""
        start_us = self.clock.gas_day_start_us(self.clock.gas_day(start_us))
        return Watched(start_us, start_us, meters, self.fresh(meters), {}, pl.DataFrame(schema=_RAW))

    def advance(self, watched: Watched, until_us: int, meters: Meters, changed: pl.DataFrame | None = None) -> Watched:
        """Return the watch after every reading up to ``until_us``, it included.

        Args:
            watched: What the step before returned.
            until_us: Where to stop [µs UTC]; not before ``watched.until_us``.
            meters: Facts of the meters now; a meter whose facts changed is judged afresh.
            changed: ``meter`` (code) and ``at_us`` of readings that came since the last step, or None.
        """
        changed = _with_changed_facts(changed, watched, meters)
        walk = _Walk.of(self, meters, watched, until_us)
        found = pl.concat([walk.register(changed), walk.zones(changed)])
        every = self._finished(found, meters).sort("at_us", "meter", "kind")
        return Watched(watched.start_us, until_us, meters, walk.states, walk.kept_checkpoints(), every)

    def fresh(self, meters: Meters) -> dict[str, State]:
        """Return the state of every detector before any reading."""
        panel = self.panel
        zones = len(meters.zones)
        return {
            **{f"{_REGISTER}/{detector.kind}": State.fresh(detector, meters.count) for detector in panel.register},
            f"{_ZONES}/low_pressure": State.fresh(panel.low_pressure, meters.count),
            f"{_ZONES}/sudden_drop": State.fresh(panel.drop, meters.count),
            f"{_ZONES}/zone_pressure": State.fresh(panel.zone_pressure, zones),
            f"{_ZONES}/zone_balance": State.fresh(panel.balance, zones),
        }

    def _finished(self, found: pl.DataFrame, meters: Meters) -> pl.DataFrame:
        """Add the evidence to alarms that have none, reading the data of many alarms at once."""
        fresh = found.filter(pl.col("evidence").is_null()).sort("at_us", "meter", "kind")
        parts = [found.filter(pl.col("evidence").is_not_null())]
        for part in fresh.iter_slices(_EVIDENCE_COUNT):
            wanted = [_stands_on(alarm, meters) for alarm in part.iter_rows(named=True)]
            codes = sorted({code for some in wanted for code in some})
            rows = self.read(codes, int(part["from_us"].min()), int(part["at_us"].max()) + 1)  # type: ignore[arg-type]
            by_code = rows.partition_by("meter", as_dict=True)
            readings = [
                _shown([by_code[code,] for code in some if (code,) in by_code], alarm, meters)
                for some, alarm in zip(wanted, part.iter_rows(named=True), strict=True)
            ]
            parts.append(part.with_columns(with_evidence(part, readings)["evidence"]))
        return pl.concat(parts)

    def read(self, codes: Sequence[int] | None, start_us: int, end_us: int) -> pl.DataFrame:
        """Return the readings of some meters (None: all) with what detectors need, sorted by meter and time."""
        return self.scan(codes, start_us, end_us).select(_NEEDED)


@dataclass(slots=True)
class _Walk:
    """One `Watch.advance` on its way: the states and checkpoints that it is changing."""

    watch: Watch
    meters: Meters
    before: Watched
    until_us: int
    states: dict[str, State]
    checkpoints: dict[int, dict[str, bytes]]

    @classmethod
    def of(cls, watch: Watch, meters: Meters, before: Watched, until_us: int) -> _Walk:
        fresh = watch.fresh(meters)
        states = {name: _grown(state, fresh[name]) for name, state in before.states.items()}
        return cls(watch, meters, before, until_us, states, {at: dict(kept) for at, kept in before.checkpoints.items()})

    def register(self, changed: pl.DataFrame) -> pl.DataFrame:
        """Bring the detectors of single meters up to date; return their alarms."""
        held = self.before.found.filter(pl.col("part") == _REGISTER)
        late = changed.filter(pl.col("at_us") <= self.before.until_us).group_by("meter").agg(pl.col("at_us").min())
        groups: dict[int, list[int]] = {}
        for code, at_us in late.iter_rows():
            groups.setdefault(self._checkpoint_before(at_us), []).append(code)
        names = [name for name in self.states if name.startswith(_REGISTER)]
        for from_us, codes in groups.items():
            held = held.filter(~(pl.col("code").is_in(codes) & (pl.col("at_us") > from_us)))
            self._restore(names, from_us, np.array(sorted(codes)))
            held = pl.concat([held, *self._register_days(from_us, self.before.until_us, sorted(codes))])
        return pl.concat([held, *self._register_days(self.before.until_us, self.until_us, None)])

    def zones(self, changed: pl.DataFrame) -> pl.DataFrame:
        """Bring the detectors that look at zones up to date; return their alarms.

        An hour of a zone can change until the spans that cross it have ended, so the last hours are always taken again.
        """
        first_us = min([self.before.until_us, *changed["at_us"].to_list()])
        from_us = self._checkpoint_before(first_us - SPREAD_MAX_US)
        held = self.before.found.filter((pl.col("part") == _ZONES) & (pl.col("at_us") <= from_us))
        if self.before.meters.zones != self.meters.zones:
            from_us, held = self.before.start_us, held.clear()
        names = [name for name in self.states if name.startswith(_ZONES)]
        self._restore(names, from_us, None)
        return pl.concat([held, *self._zone_days(from_us)])

    def kept_checkpoints(self) -> dict[int, dict[str, bytes]]:
        """Return the checkpoints worth keeping."""
        kept = set(self._boundaries(self.before.start_us, self.until_us))
        return {at: states for at, states in sorted(self.checkpoints.items()) if at in kept}

    def _checkpoint_before(self, at_us: int) -> int:
        return max((kept for kept in self.checkpoints if kept < at_us), default=self.before.start_us)

    def _restore(self, names: Sequence[str], at_us: int, codes: npt.NDArray[np.int64] | None) -> None:
        fresh = self.watch.fresh(self.meters)
        for name in names:
            kept = self.checkpoints.get(at_us, {}).get(name)
            state = fresh[name] if kept is None else _grown(State.from_bytes(kept), fresh[name])
            self.states[name] = state if codes is None else self.states[name].with_rows_of(state, codes)

    def _boundaries(self, from_us: int, to_us: int) -> list[int]:
        """Return the beginnings of gas days within (from, to] that get a checkpoint: dense near the end."""
        clock = self.watch.clock
        first, last = clock.gas_day(from_us), clock.gas_day(to_us)
        today = clock.gas_day(self.until_us)
        days = [
            day
            for day in range(first + 1, last + 1)
            if any(today - day < 4 * pace and day % pace == 0 for pace in _PACES)
        ]
        return (
            [at for at in clock.gas_day_starts_us(days[0], days[-1]).tolist() if clock.gas_day(at) in set(days)]
            if days
            else []
        )

    def _chunks(self, from_us: int, to_us: int) -> Iterator[tuple[int, int]]:
        """Cut (from, to] at checkpoints and at most every ``_CHUNK_DAYS`` gas days."""
        clock = self.watch.clock
        days = range(clock.gas_day(from_us) + 1, clock.gas_day(to_us) + 1)
        cuts = (
            {clock.gas_day_start_us(day) for day in days if day % _CHUNK_DAYS == 0}
            | set(self._boundaries(from_us, to_us))
            | {to_us}
        )
        for cut in sorted(cuts):
            if cut > from_us:
                yield from_us, cut
                from_us = cut

    def _keep(self, names: Sequence[str], at_us: int, codes: Sequence[int] | None) -> None:
        if at_us not in set(self._boundaries(self.before.start_us, self.until_us)):
            return
        kept = self.checkpoints.setdefault(at_us, {})
        fresh = self.watch.fresh(self.meters)
        for name in names:
            state = self.states[name]
            if codes is not None and name in kept:
                state = _grown(State.from_bytes(kept[name]), fresh[name]).with_rows_of(state, np.array(codes))
            kept[name] = state.to_bytes()

    def _register_days(self, from_us: int, to_us: int, codes: list[int] | None) -> Iterator[pl.DataFrame]:
        panel, clock, meters = self.watch.panel, self.watch.clock, self.meters
        for begin_us, end_us in self._chunks(from_us, to_us):
            read = self.watch.read(codes, begin_us + 1, end_us + 1)
            # Gas never stops at an inlet: only the balance of its zone says something of it.
            read = read.filter(pl.Series(meters.customer[read["meter"].to_numpy()], dtype=pl.Boolean))
            rows = Rows.of(read, "index_l", clock, self.watch.weather)
            for detector in panel.register:
                yield self._advance(_REGISTER, detector.kind, detector, rows, meters)
            self._keep([name for name in self.states if name.startswith(_REGISTER)], end_us, codes)

    def _zone_days(self, from_us: int) -> Iterator[pl.DataFrame]:
        panel, clock, meters = self.watch.panel, self.watch.clock, self.meters
        zones = meters.of_zones()
        for begin_us, end_us in self._chunks(from_us, self.until_us):
            wide = self.watch.read(None, begin_us - SPREAD_MAX_US, min(end_us + SPREAD_MAX_US, self.until_us) + 1)
            rows = wide.filter((pl.col("at_us") > begin_us) & (pl.col("at_us") <= end_us))
            inside = (pl.col("at_us") > begin_us) & (pl.col("at_us") <= end_us)
            balance = Rows.of(zone_balance(wide, meters, panel.complete).filter(inside), "balance_lph", clock)
            yield self._advance(_ZONES, "zone_balance", panel.balance, balance, zones)
            common = Rows.of(zone_pressure(rows, meters), "relative_pa", clock)
            yield self._advance(_ZONES, "zone_pressure", panel.zone_pressure, common, zones)
            relative = Rows.of(relative_pressure(rows, meters), "relative_pa", clock)
            yield self._advance(_ZONES, "low_pressure", panel.low_pressure, relative, meters)
            fall = run(panel.drop, self.states[f"{_ZONES}/sudden_drop"], Rows.of(rows, "pressure_pa", clock), meters)
            self.states[f"{_ZONES}/sudden_drop"] = fall.state
            agreed, alone = vote(
                fall.alarms, rows, meters, neighbour_count=panel.neighbour_count, share_min=panel.share_min
            )
            yield _raw(named(agreed, meters, of_zones=True), _ZONES)
            yield _raw(named(alone, meters, of_zones=False), _ZONES)
            self._keep([name for name in self.states if name.startswith(_ZONES)], end_us, None)

    def _advance(self, part: str, name: str, detector: Detector, rows: Rows, meters: Meters) -> pl.DataFrame:
        outcome = run(detector, self.states[f"{part}/{name}"], rows, meters)
        self.states[f"{part}/{name}"] = outcome.state
        return _raw(named(outcome.alarms, self.meters, of_zones=meters is not self.meters), part)


def _raw(alarms: pl.DataFrame, part: str) -> pl.DataFrame:
    return alarms.with_columns(pl.lit(part).alias("part"), pl.lit(None, pl.String).alias("evidence")).select(list(_RAW))


def _grown(state: State, fresh: State) -> State:
    """Return a state with the meters that came since, as they start."""
    held = len(state.columns["at_us"])
    return State({name: np.concatenate([column, fresh.columns[name][held:]]) for name, column in state.columns.items()})


def _with_changed_facts(changed: pl.DataFrame | None, watched: Watched, meters: Meters) -> pl.DataFrame:
    """Add the meters whose facts changed, from the beginning on, to the readings that came."""
    old, new = watched.meters, meters
    count = old.count
    differs = np.zeros(count, dtype=np.bool_)
    for name in ("pulse_l", "register_max_l", "qmax_lph", "inlet", "customer"):
        differs |= getattr(old, name) != getattr(new, name)[:count]
    differs |= np.array([old.zones[zone] for zone in old.zone], dtype=object) != np.array(
        [new.zones[zone] for zone in new.zone[:count]], dtype=object
    )
    codes = np.flatnonzero(differs).astype(np.int32)
    anew = pl.DataFrame({"meter": codes, "at_us": np.full(len(codes), watched.start_us + 1)})
    kinds = {"meter": pl.Int32, "at_us": pl.Int64}
    return pl.concat([part.select("meter", "at_us").cast(kinds) for part in (anew, changed) if part is not None])  # type: ignore[arg-type]


def _stands_on(alarm: Mapping[str, object], meters: Meters) -> list[int]:
    """Return the codes of the meters whose readings an alarm shows: its own, or the inlets or members of its zone."""
    if alarm["code"] != -1:
        return [int(alarm["code"])]  # type: ignore[call-overload]
    member = meters.zone == meters.zones.index(str(alarm["zone"]))
    if alarm["kind"] == "zone_balance":
        member &= meters.inlet
    return np.flatnonzero(member)[:READING_COUNT_MAX].tolist()  # type: ignore[no-any-return]


def _shown(parts: list[pl.DataFrame], alarm: Mapping[str, Any], meters: Meters) -> pl.DataFrame:
    value = "pressure_pa" if alarm["kind"] in _PRESSURE_KINDS else "index_l"
    inside = pl.col("at_us").is_between(alarm["from_us"], alarm["at_us"]) & pl.col(value).is_not_null()
    rows = (
        pl.concat([part.filter(inside).select("meter", "at_us", value) for part in parts])
        if parts
        else pl.DataFrame(schema={"meter": pl.Int32})
    )
    return rows.with_columns(pl.Series("meter", [meters.names[code] for code in rows["meter"]], dtype=pl.String))
