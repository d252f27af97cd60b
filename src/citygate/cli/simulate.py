"""`citygate simulate`: a city, or the demo town, with known truth; `citygate simulate inject`: faults into readings."""

from __future__ import annotations

import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import polars as pl
import typer

from citygate.errors import CitygateError
from citygate.quantity.clock import CityClock
from citygate.simulate import city, folder, town, weather
from citygate.simulate.event import SIZES, Kind, LeakPlan
from citygate.simulate.inject import inject
from citygate.simulate.network import schutterwald
from citygate.simulate.radio import Faults

if TYPE_CHECKING:
    from citygate.simulate.world import World

command = typer.Typer(
    invoke_without_command=True,
    help="Make a city or the demo town with known truth, or inject labelled faults into readings.",
)


class UnreadableFileError(CitygateError):
    """A file of readings or meters cannot be read, or lacks columns."""

    code = "unreadable_file"

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(f"{path} cannot be read: {reason}")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.add_typer(command, name="simulate")


@command.callback()
def simulate(
    context: typer.Context,
    meters: int = typer.Option(1_000, help="Meters in all, 10 to 1,000,000; one in about 250 is the inlet of a zone."),
    days: int = typer.Option(31, min=1, help="Length of the period."),
    seed: int = typer.Option(0, min=0, help="The same seed gives the same bytes."),
    out: Path = typer.Option(
        Path("city"), help="Folder for readings, meters, buildings, weather and truth as Parquet."
    ),
    start: str = typer.Option("2026-01-01", help="Begin; a date means the beginning of that gas day."),
    interval: str = typer.Option("1h", help="Time between readings: 1h or 15m."),
    leaks: str = typer.Option(
        "", help="Leaks behind meters (l/h): count=20,min=5,max=500,growing=0.3; count is enough."
    ),
    clean: bool = typer.Option(False, "--clean", help="Plant nothing: no leaks, thefts or broken meters."),
    faults: Faults = typer.Option(Faults.TYPICAL, help="How badly the radio and the clocks work."),
    weather_file: Path | None = typer.Option(
        None, "--weather", help="Parquet or CSV with at_us and temperature_mk (millikelvin) for every hour."
    ),
    full_share: float = typer.Option(
        0.5, min=0.0, max=1.0, help="Share of meters that tell flow, pressure and temperature."
    ),
    time_zone: str = typer.Option("Europe/Berlin", help="IANA time zone of the city."),
    demo_town: bool = typer.Option(
        False,
        "--town",
        help="The real network of Schutterwald with four measured homes; takes no --meters or --weather.",
    ),
) -> None:
    """Make a city with known truth; the same seed gives the same bytes."""
    if context.invoked_subcommand:
        return
    clock = CityClock(time_zone)
    start_us, interval_s = clock.parse(start), _interval_s(interval)
    planned = LeakPlan.parse(leaks) if leaks else None
    if demo_town:
        named = town.TownPlan(
            start_us=start_us,
            days=days,
            seed=seed,
            interval_s=interval_s,
            planted_days=0 if clean else None,
            leaks=planned or LeakPlan(town.LEAK_COUNT),
            faults=faults,
            full_share=full_share,
            clock=clock,
        )
        _write(town.build(named), out)
        folder.write_tables({"pipes": schutterwald().pipes, "zones": schutterwald().zones}, out)
        return
    plan = city.CityPlan(
        meter_count=meters,
        days=days,
        seed=seed,
        start_us=start_us,
        interval_s=interval_s,
        leaks=planned,
        planted=not clean,
        faults=faults,
        weather=weather.read(weather_file) if weather_file else None,
        full_share=full_share,
        clock=clock,
    )
    _write(city.build(plan), out)


@command.command("inject")
def inject_faults(
    file: Path = typer.Argument(help="Readings as Parquet or CSV with meter, at_us and index_l."),
    classes: str = typer.Option(",".join(SIZES), help="Classes, separated by commas."),
    per_class: int = typer.Option(20, min=0, help="Faults of each class; at most one for each meter."),
    seed: int = typer.Option(0, min=0, help="The same seed gives the same faults."),
    out: Path = typer.Option(Path("injected"), help="Folder for readings and truth as Parquet."),
    meters: Path | None = typer.Option(None, help="Meters as Parquet or CSV: pulse_l, register_max_l, role and zone."),
    time_zone: str = typer.Option("Europe/Berlin", help="IANA time zone of the city; tells the nights."),
) -> None:
    """Inject labelled faults into generated or real readings, and write the truth beside them."""
    chosen = [part.strip() for part in classes.split(",") if part.strip()]
    unknown = [name for name in chosen if name not in SIZES]
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: known are {', '.join(SIZES)}", param_hint="--classes")
    readings = _read(file, ("meter", "at_us", "index_l"))
    known = _read(meters, ("meter",)) if meters else pl.DataFrame(schema={"meter": pl.String})
    faulty, truth = inject(readings, [Kind(name) for name in chosen], per_class, seed, known, CityClock(time_zone))
    folder.write_tables({"readings": faulty, "truth": truth}, out)
    sys.stdout.write(f"{out}: {faulty.height:,} readings, {truth.height:,} injected faults\n")


def _interval_s(text: str) -> int:
    lengths = {"1h": 3_600, "60m": 3_600, "15m": 900}
    if text not in lengths:
        raise typer.BadParameter(f"'{text}' is not one of {', '.join(lengths)}", param_hint="--interval")
    return lengths[text]


def _read(path: Path, needed: tuple[str, ...]) -> pl.DataFrame:
    try:
        frame = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as cause:
        raise UnreadableFileError(path, str(cause)) from cause
    absent = [name for name in needed if name not in frame.columns]
    if absent:
        raise UnreadableFileError(path, f"it lacks {', '.join(absent)}; it has {', '.join(frame.columns)}")
    return frame


def _write(world: World, out: Path) -> None:
    written = folder.write(world, out, _Progress().show)
    sys.stdout.write(
        f"{out}: {written.reading_count:,} readings of {written.meter_count:,} meters "
        f"({written.due_count:,} were due), {written.event_count:,} planted events\n"
    )


class _Progress:
    """A line on standard error, at most five times a second, and only when a person looks."""

    def __init__(self) -> None:
        self._shown_s = monotonic()

    def show(self, written: int, due: int) -> None:
        if sys.stderr.isatty() and (monotonic() - self._shown_s > 0.2 or written >= due):  # noqa: PLR2004 - seconds
            self._shown_s = monotonic()
            sys.stderr.write(f"\r{written:,} of about {due:,} readings")
            sys.stderr.write("\n" if written >= due else "")
            sys.stderr.flush()
