"""The life of the demo town: readings arrive, and what was planted is compared with what was found."""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
import webbrowser
from dataclasses import dataclass, field, replace
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import polars as pl
import typer

from citygate.cli.site import SiteServer, run_beside, site
from citygate.detection.score import Score, score
from citygate.flow.ingest import IngestCount, Intake
from citygate.flow.rounds import Rounds
from citygate.flow.watch import panel_of
from citygate.link.chunk import Chunk, numbered
from citygate.quantity.clock import US_PER_HOUR, CityClock
from citygate.report.geojson import pipes, zones
from citygate.report.table import Format, write_table
from citygate.simulate import metering, town
from citygate.simulate.event import Events, LeakPlan
from citygate.simulate.network import schutterwald
from citygate.store.city import City

if TYPE_CHECKING:
    from pathlib import Path

    from citygate.detection.panel import Panel
    from citygate.simulate.world import World

_BEGIN = "2025-12-29"
#: Detectors learn each home's past in the first two weeks; then comes a winter month with what was planted, then life.
_LEARN_DAYS, _LIVE_DAYS = 14, 56
_LEAKS = 40
_DAY_ROWS = 36_000
#: Leaks that begin so many hours after the town went live, and their flow [l/h].
_LIVE_LEAKS = ((3, 450.0), (30, 300.0), (80, 200.0), (150, 400.0))


@dataclass
class Town:
    """The demo town on its way through time.

    Attributes:
        city: Its store.
        world: What happens, with the truth.
        now_us: The present of the town [µs UTC].
        count: Readings so far.
        intake_s: Time that intake took so far [s].
    """

    city: City
    world: World
    now_us: int
    count: IngestCount = field(default_factory=IngestCount)
    intake_s: float = 0.0

    def __post_init__(self) -> None:
        self._intake = Intake(self.city, lambda: self.now_us)
        self._number = 0

    def take(self, frame: pl.DataFrame) -> None:
        """Let readings arrive, and the weather that goes with them."""
        self.now_us = max(self.now_us, int(frame["received_us"].max()))  # type: ignore[arg-type]
        begin = time.perf_counter()
        chunk = Chunk("radio of the demo town", self._number, numbered(frame, 1))
        self.count = self.count.plus(self._intake.take(chunk))
        self.intake_s += time.perf_counter() - begin
        self._number += 1
        known = self.city.temperature()["at_us"].max()
        seen = pl.col("at_us").is_between(known if known is not None else -1, self.now_us, closed="right")
        self.city.keep_temperature(self.world.observed_weather.filter(seen))


def settle_town(path: Path, days: int, seed: int, live_days: int) -> Town:
    """Make the store of a town whose first reading is still to come."""
    city = City.create(path, name="Schutterwald (demo)", clock=CityClock())
    start_us = city.clock.parse(_BEGIN)
    plan = town.TownPlan(
        start_us,
        days + live_days,
        seed,
        planted_days=days,
        quiet_days=_LEARN_DAYS,
        leaks=LeakPlan(_LEAKS),
        clock=city.clock,
        chunk_rows=1 if live_days else _DAY_ROWS,
    )
    world = town.build(plan)
    if live_days:
        world = _with_leaks(world, start_us + days * 24 * US_PER_HOUR)
    city.register(world.meters)
    network = schutterwald()
    city.keep_geometry([*pipes(network.pipes), *zones(network.zones)])
    return Town(city, world, start_us)


def _panel() -> Panel:
    """Return the detectors with the thresholds of this town."""
    with as_file(files("citygate.simulate") / "data" / "town" / "detectors.toml") as path:
        return panel_of(path)


def _with_leaks(world: World, live_us: int) -> World:
    """Add leaks to the life of the town, in houses that nothing else befalls."""
    taken = set(world.events.rows["row"].to_list())
    houses = world.meters.head(world.customer_count).with_row_index("row").filter(pl.col("nature") == "modelled")
    free = [row for row in houses["row"].to_list() if row not in taken][::97]
    end_us = live_us + 2 * _LIVE_DAYS * 24 * US_PER_HOUR
    rows = [
        (row, "leak", live_us + after * US_PER_HOUR, end_us, flow_lph)
        for row, (after, flow_lph) in zip(free, _LIVE_LEAKS, strict=False)
    ]
    leaks = pl.DataFrame(rows, schema=world.events.columns, orient="row")
    return replace(world, events=Events(pl.concat([world.events.rows, leaks])))


def replay_once(path: Path, days: int, seed: int, form: Format) -> None:
    """Replay the town and print how what was found compares with what was planted."""
    begin = time.perf_counter()
    place = settle_town(path, days, seed, 0)
    rounds = Rounds(place.city, lambda: place.now_us, _panel())
    for frame in metering.readings(place.world):
        place.take(frame)
        rounds.look()
    rounds.once()
    alarms = rounds.alarms()
    if alarms is None:
        raise typer.BadParameter("no readings came in so short a time", param_hint="--days")
    # Nobody knows the truth of the homes that were really measured: their alarms are no matter of right or wrong.
    modelled = place.world.meters.filter(pl.col("nature") == "modelled")["meter"]
    judged = alarms.filter(pl.col("meter").is_in(modelled.implode()) | pl.col("meter").str.starts_with("zone:"))
    result = score(judged, place.world.truth, len(modelled) * days)
    report = _report(place, alarms, result, time.perf_counter() - begin)
    if form is Format.TABLE:
        _tell(report, result)
    else:
        sys.stdout.write(json.dumps(report, indent=1) + "\n")


def _report(place: Town, alarms: pl.DataFrame, result: Score, seconds: float) -> dict[str, Any]:
    natures = place.world.meters["nature"].value_counts()
    return {
        "meters": dict(natures.sort("nature").iter_rows()),
        "counts": place.count.as_dict(),
        "alarms": len(alarms),
        "alarms_of_measured_homes": len(alarms.filter(pl.col("meter").str.starts_with("home-"))),
        "scores": {
            "precision": result.precision,
            "false_alarms_per_1000_meter_days": result.false_per_1000_meter_days,
            "meter_days": result.meter_days,
            "by_size": result.by_size.to_dicts(),
            "by_alarm": result.by_alarm.to_dicts(),
        },
        "readings_per_second": round(place.count.read / place.intake_s),
        "seconds": round(seconds, 1),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024),
    }


def _tell(report: dict[str, Any], result: Score) -> None:
    scores = report["scores"]
    typer.echo(
        f"{report['counts']['read']:,} readings of {sum(report['meters'].values()):,} meters: {report['counts']}"
    )
    typer.echo(
        f"{report['alarms']} alarms; precision {scores['precision']}; "
        f"{scores['false_alarms_per_1000_meter_days']:.2f} false alarms per 1,000 meter-days"
    )
    write_table(result.by_size, Format.TABLE)
    write_table(result.by_alarm, Format.TABLE)
    typer.echo(
        f"{report['readings_per_second']:,} readings/s in; {report['seconds']} s; "
        f"{report['peak_memory_mib']} MiB at most"
    )


def run_live(path: Path, plan: tuple[int, int], pace: float, address: tuple[str, int], *, open_browser: bool) -> None:
    """Replay the town fast, then let it live, and show it until Ctrl-C.

    Args:
        path: Folder of the store to make.
        plan: Days to replay, and the seed.
        pace: Seconds that an hour takes once the town is live [s].
        address: Where to listen: host and port.
        open_browser: Whether to open the page.
    """
    days, seed = plan
    place = settle_town(path, days, seed, _LIVE_DAYS)
    rounds = Rounds(place.city, lambda: place.now_us, _panel())
    server = SiteServer(site(place.city, now_us=lambda: place.now_us), *address)
    live_us = place.now_us + days * 24 * US_PER_HOUR
    url = f"http://{address[0]}:{address[1]}/"
    typer.echo(f"citygate: the town is at {url}; {days} days pass fast, then an hour every {pace:g} s. Ctrl-C stops.")
    if open_browser:
        threading.Timer(1.5, webbrowser.open, [url]).start()
    run_beside(server, [lambda stop: _feed(place, live_us, pace, stop), lambda stop: rounds.run(stop, 1.0)])


def _feed(place: Town, live_us: int, pace: float, stop: threading.Event) -> None:
    """Let the town's readings arrive: six hours at a time until the replay is over, then hour by hour at a pace."""
    waiting: list[pl.DataFrame] = []
    for frame in metering.readings(place.world):
        waiting.append(frame)
        at_us = int(frame["received_us"].max())  # type: ignore[arg-type]
        if at_us < live_us and len(waiting) < 6:  # noqa: PLR2004 - six hours
            continue
        place.take(pl.concat(waiting))
        waiting.clear()
        if stop.wait(0.05 if at_us < live_us else pace):
            return
