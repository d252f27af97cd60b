"""`citygate simulate`: a city, or the demo town, with known truth; `citygate simulate inject`: faults into readings."""

from __future__ import annotations

import sys
from pathlib import Path
from time import monotonic

import typer

from citygate.quantity.clock import CityClock
from citygate.simulate import city, folder, weather
from citygate.simulate.event import LeakPlan
from citygate.simulate.radio import Faults

command = typer.Typer(
    invoke_without_command=True, help="Make a city with known truth, or inject labelled faults into readings."
)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.add_typer(command, name="simulate")


@command.callback()
def simulate(  # noqa: PLR0913, PLR0917 - one parameter for each option
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
        "", help="Leaks behind meters, such as count=20,min=5,max=500,growing=0.3 (l/h); only count is needed."
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
) -> None:
    """Make a city with known truth; the same seed gives the same bytes."""
    if context.invoked_subcommand:
        return
    clock = CityClock(time_zone)
    plan = city.CityPlan(
        meter_count=meters,
        days=days,
        seed=seed,
        start_us=clock.parse(start),
        interval_s=_interval_s(interval),
        leaks=LeakPlan.parse(leaks) if leaks else None,
        planted=not clean,
        faults=faults,
        weather=weather.read(weather_file) if weather_file else None,
        full_share=full_share,
        clock=clock,
    )
    _report(folder.write(city.build(plan), out, _Progress().show), out)


def _interval_s(text: str) -> int:
    lengths = {"1h": 3_600, "60m": 3_600, "15m": 900}
    if text not in lengths:
        raise typer.BadParameter(f"'{text}' is not one of {', '.join(lengths)}", param_hint="--interval")
    return lengths[text]


def _report(written: folder.Written, out: Path) -> None:
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
