"""`citygate detect`: alarms of a store or of files, with their evidence."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from citygate.cli.calibrate import calibrate
from citygate.cli.held import held_in_files, held_in_store
from citygate.detection.alarm import COLUMNS
from citygate.flow.watch import Watch, default_panel, panel_of
from citygate.quantity.clock import CityClock
from citygate.report.table import Format, write_table
from citygate.store.cases import CaseStore
from citygate.store.city import City

if TYPE_CHECKING:
    from citygate.cli.held import Held
    from citygate.detection.panel import Panel


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(detect)
    app.command()(calibrate)


def detect(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Parquet or CSV files with meter, time (with offset) or at_us, and index_l; pressure_pa where known."
        ),
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of a store, instead of files.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How the alarms are written.")] = Format.TABLE,
    from_: Annotated[str | None, typer.Option("--from", help="Watch from this time on.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="Watch up to this time.")] = None,
    panel: Annotated[Path | None, typer.Option(help="TOML file of detectors instead of the shipped one.")] = None,
    meters: Annotated[
        Path | None, typer.Option(help="File of facts of the meters (zone, role, ...), for files.")
    ] = None,
    weather: Annotated[Path | None, typer.Option(help="File with at_us and temperature_mk, for files.")] = None,
    zone: Annotated[str, typer.Option(help="Time zone of the city, for files.")] = "Europe/Berlin",
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write instead of standard output.")
    ] = None,
) -> None:
    """Find leaks, stuck registers, low pressure and losses of zones.

    Finding alarms is the job: the exit code is 0 with and without them. With a store and without --from, --to and
    --panel, the alarms also become its cases (`citygate cases`).
    """
    if bool(paths) == bool(store):
        raise typer.BadParameter("give either files or --store")
    detectors = default_panel() if panel is None else panel_of(panel)
    city = City.open(store) if store else None
    held = held_in_store(city) if city else held_in_files(paths or [], CityClock(zone), meters, weather)
    alarms = _replay(detectors, held, from_, to)
    if city and not (from_ or to or panel):
        CaseStore.of(city).keep(alarms, time.time_ns() // 1_000)
    write_table(readable(alarms, held.clock, form), form, out)


def readable(alarms: pl.DataFrame, clock: CityClock, form: Format) -> pl.DataFrame:
    """Return alarms with local times, and the evidence as an object where the format has objects."""
    evidence = [_readable_evidence(text, clock) for text in alarms["evidence"]]
    shown = alarms.select(
        "meter",
        "kind",
        *(
            pl.Series(name, [clock.format(at) for at in alarms[f"{name}_us"]], dtype=pl.String)
            for name in ("from", "to", "at")
        ),
        "statistic",
        "threshold",
    )
    if form in {Format.JSON, Format.JSONL}:
        return shown.with_columns(pl.Series("evidence", evidence, dtype=_EVIDENCE))
    if form is Format.TABLE:
        return shown.with_columns(pl.Series("sentence", [said["sentence"] for said in evidence], dtype=pl.String))
    return shown.with_columns(
        pl.Series("evidence", [json.dumps(said, ensure_ascii=False) for said in evidence], dtype=pl.String)
    )


_EVIDENCE = pl.Struct(
    {
        "statistic": pl.String,
        "unit": pl.String,
        "own_past": pl.Float64,
        "smallest_leak_lph": pl.Float64,
        "sentence": pl.String,
        "readings": pl.List(
            pl.Struct({"meter": pl.String, "at": pl.String, "index_l": pl.Int64, "pressure_pa": pl.Int64})
        ),
    }
)


def _readable_evidence(text: str, clock: CityClock) -> dict[str, object]:
    said = json.loads(text)
    readings = [
        {
            "meter": row["meter"],
            "at": clock.format(row["at_us"]),
            **{name: row[name] for name in ("index_l", "pressure_pa") if name in row},
        }
        for row in said["readings"]
    ]
    return {**said, "readings": readings}


def _replay(panel: Panel, held: Held, from_: str | None, to: str | None) -> pl.DataFrame:
    if held.span_us is None:
        return pl.DataFrame(schema=COLUMNS)
    start_us = max(held.span_us[0] - 1, held.clock.parse(from_)) if from_ else held.span_us[0] - 1
    until_us = min(held.span_us[1], held.clock.parse(to)) if to else held.span_us[1]
    watch = Watch(panel, held.clock, held.scan, held.weather)
    begun = watch.begin(held.meters, start_us)
    return watch.advance(begun, max(until_us, begun.until_us), held.meters).alarms()
