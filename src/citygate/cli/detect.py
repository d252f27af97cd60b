"""`citygate detect`: alarms of a store or of files, with their evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import polars as pl
import typer

from citygate.detection.alarm import COLUMNS
from citygate.detection.meters import Meters
from citygate.errors import CitygateError
from citygate.fleet.registry import Registry
from citygate.flow.watch import Watch, default_panel, panel_of
from citygate.quantity.clock import CityClock
from citygate.report.table import Format, write_table

if TYPE_CHECKING:
    from citygate.detection.panel import Panel
    from citygate.flow.watch import Scan


class UnreadablePathError(CitygateError):
    """A file cannot be used for detection."""

    code = "unreadable_path"

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        super().__init__(f"{path}: {why}")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(detect)


def detect(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Parquet or CSV files with meter, time (with offset) or at_us, and index_l; pressure_pa where known."
        ),
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of a store, instead of files.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How the alarms are written.")] = Format.TABLE,
    from_: Annotated[str | None, typer.Option("--from", help="Watch from this time on (store only).")] = None,
    to: Annotated[str | None, typer.Option("--to", help="Watch up to this time (store only).")] = None,
    panel: Annotated[
        Path | None, typer.Option(help="TOML file of detectors and thresholds instead of the shipped ones.")
    ] = None,
    zone: Annotated[str, typer.Option(help="Time zone of the city, for files.")] = "Europe/Berlin",
    out: Annotated[Path | None, typer.Option(help="File to write; standard output when absent.")] = None,
) -> None:
    """Find leaks, stuck registers, low pressure and losses of zones. Finding alarms is the job: exit code 0."""
    if bool(paths) == bool(store):
        raise typer.BadParameter("give either files or --store")
    detectors = default_panel() if panel is None else panel_of(panel)
    if store is not None:
        alarms, clock = _of_store(store, detectors, from_, to)
    else:
        clock = CityClock(zone)
        alarms = _of_paths(paths or [], detectors, clock)
    write_table(readable(alarms, clock, form), form, out)


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


def _of_store(path: Path, panel: Panel, from_: str | None, to: str | None) -> tuple[pl.DataFrame, CityClock]:
    from citygate.store.city import City  # noqa: PLC0415 - a store is opened only when one is asked for

    city = City.open(path)
    span_us = city.readings.span_us()
    if span_us is None:
        return pl.DataFrame(schema=COLUMNS), city.clock
    start_us = max(span_us[0] - 1, city.clock.parse(from_)) if from_ else span_us[0] - 1
    until_us = min(span_us[1], city.clock.parse(to)) if to else span_us[1]
    return _replay(panel, city.clock, city.readings.scan, city.registry(), (start_us, until_us)), city.clock


def _of_paths(paths: list[Path], panel: Panel, clock: CityClock) -> pl.DataFrame:
    frame = pl.concat([_read(path) for path in paths], how="diagonal").sort("meter", "at_us", maintain_order=True)
    if len(frame) == 0:
        return pl.DataFrame(schema=COLUMNS)
    # Nobody said what one pulse is: all of a register's steps are multiples of it.
    steps = frame.select("meter", pl.col("index_l").diff().over("meter").alias("step")).filter(pl.col("step") > 0)
    pulses = steps.group_by("meter").agg(
        pl.col("step").map_batches(_common_divisor, return_dtype=pl.Int64, returns_scalar=True).alias("pulse_l")
    )
    listed = frame.select(pl.col("meter").unique(maintain_order=True)).join(
        pulses, on="meter", how="left", maintain_order="left"
    )
    registry = Registry.of(listed)
    rows = frame.join(registry.rows.select("meter", "code"), on="meter", how="left", maintain_order="left").drop(
        "meter"
    )
    held = rows.rename({"code": "meter"}).unique(["meter", "at_us"], keep="last", maintain_order=True)

    def scan(meters: list[int] | None, start_us: int, end_us: int) -> pl.DataFrame:
        kept = held.filter(pl.col("at_us").is_between(start_us, end_us, closed="left"))
        return kept if meters is None else kept.filter(pl.col("meter").is_in(meters))

    span_us = int(held["at_us"].min()) - 1, int(held["at_us"].max())  # type: ignore[arg-type]
    return _replay(panel, clock, scan, registry, span_us)  # type: ignore[arg-type]  # a list is a sequence


def _replay(panel: Panel, clock: CityClock, scan: Scan, registry: Registry, span_us: tuple[int, int]) -> pl.DataFrame:
    watch = Watch(panel, clock, scan)
    meters = Meters.of(registry)
    return watch.advance(watch.begin(meters, span_us[0]), span_us[1], meters).alarms()


def _common_divisor(steps: pl.Series) -> int:
    return int(np.gcd.reduce(steps.to_numpy()))


def _read(path: Path) -> pl.DataFrame:
    try:
        frame = (
            pl.read_parquet(path)
            if path.suffix == ".parquet"
            else pl.read_csv(path, schema_overrides={"meter": pl.String, "time": pl.String})
        )
    except (OSError, pl.exceptions.PolarsError) as cause:
        raise UnreadablePathError(path, f"not a readable file: {cause}") from cause
    if (
        "meter" not in frame.columns
        or not {"at_us", "time"} & set(frame.columns)
        or not {"index_l", "pressure_pa"} & set(frame.columns)
    ):
        raise UnreadablePathError(
            path,
            "needs the columns meter, time (or at_us) and index_l (or pressure_pa); or ingest it with a mapping",
        )
    values = [pl.col(name) if name in frame.columns else pl.lit(None) for name in ("index_l", "pressure_pa")]
    try:
        at_us = pl.col("at_us") if "at_us" in frame.columns else _instant(frame.schema["time"])
        named = zip(
            ("meter", "at_us", "index_l", "pressure_pa"), (pl.col("meter").cast(pl.String), at_us, *values), strict=True
        )
        kept = frame.select(column.alias(name) for name, column in named).with_columns(
            pl.col("at_us", "index_l", "pressure_pa").cast(pl.Int64)
        )
    except pl.exceptions.PolarsError as cause:
        raise UnreadablePathError(path, f"times need an offset, registers whole litres: {cause}") from cause
    return kept.filter(pl.col("meter").is_not_null() & pl.col("at_us").is_not_null())


def _instant(kind: pl.DataType) -> pl.Expr:
    if isinstance(kind, pl.Datetime):
        return pl.col("time").dt.convert_time_zone("UTC").dt.epoch("us")
    return pl.col("time").str.to_datetime("%+", time_unit="us", time_zone="UTC").dt.epoch("us")
