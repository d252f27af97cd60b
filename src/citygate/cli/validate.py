"""`citygate validate`: what the rules on series find in a store or in files."""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import polars as pl
import typer

from citygate.cli.ingest import read_mapping
from citygate.cli.options import FormatOption, OutOption
from citygate.errors import CitygateError
from citygate.fleet.registry import Registry
from citygate.link.files import find_files, read_chunks
from citygate.quantity.clock import US_PER_HOUR, CityClock
from citygate.reading.assemble import assemble, require_columns, unpivot
from citygate.reading.batch import ValidatedBatch
from citygate.reading.mapping import Mapping, plain_mapping
from citygate.report.table import Format, write_table
from citygate.store.city import City
from citygate.validation.admit import Limits, admit
from citygate.validation.rules import RuleSet, parse_rules, standard_rules
from citygate.validation.steps import MeterFacts
from citygate.validation.survey import Fleet, survey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from citygate.reading.batch import ReadingBatch

#: Hourly readings that are held at once.
_BLOCK_ROWS = 4_000_000
#: What the rules look at.
_COLUMNS = ("meter", "at_us", "index_l", "volume_l", "energy_wh", "span_s", "status", "received_us")
_BUCKETS = 64


class WrongBuildingsError(CitygateError):
    """A file of buildings lacks what it is for."""

    code = "wrong_buildings"

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        super().__init__(f"{path}: {why}")


class NothingToValidateError(CitygateError):
    """A command that reads was given both a store and files, or neither."""

    code = "nothing_to_validate"

    def __init__(self) -> None:
        super().__init__("name either a store with --store DIR or files")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(name="validate")(validate)


def validate(
    paths: Annotated[list[str] | None, typer.Argument(metavar="[PATH]...", help="Files, folders or patterns.")] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of a store, instead of files.", file_okay=False)] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="How columns become readings (TOML); files only.", exists=True, dir_okay=False)
    ] = None,
    meters: Annotated[
        Path | None,
        typer.Option(help="Parquet or CSV of meters, as citygate simulate writes; files only.", exists=True),
    ] = None,
    buildings: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet: meter (or building) and area_m2.", exists=True, dir_okay=False),
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(help="Limits of the rules (TOML) instead of the standard ones.", exists=True)
    ] = None,
    form: FormatOption = Format.TABLE,
    out: OutOption = None,
) -> None:
    """Look for readings that cannot be right: runs of zeros, stuck amounts, spikes, wrong units, shared meters, clocks.

    Prints one row for each finding (a run of readings, not each of them) and the counts for each code; exits with 1
    when anything was found.
    """
    if bool(paths) == (store is not None):
        raise NothingToValidateError
    limits = parse_rules(rules.read_text(encoding="utf-8")) if rules else standard_rules()
    areas = _areas(buildings) if buildings else pl.DataFrame(schema={"meter": pl.String, "area_m2": pl.Float64})
    if store is not None:
        city = City.open(store)
        clock, found = city.clock, _of_store(city, areas, limits)
    else:
        chosen = read_mapping(mapping) if mapping else plain_mapping()
        known = _meters(meters) if meters else pl.DataFrame(schema={"meter": pl.String})
        clock, found = CityClock(), _of_paths(find_files(paths or []), _Reading(chosen, known), areas, limits)
    write_table(_readable(found, clock), form, out)
    counts = found.group_by("code").agg(findings=pl.len(), readings=pl.col("count").sum()).sort("code")
    if form is Format.TABLE:
        write_table(counts, form)
    else:
        sys.stderr.write("".join(f"{code}: {findings}\n" for code, findings, _ in counts.iter_rows()))
    if len(found):
        raise typer.Exit(1)


def _of_store(city: City, areas: pl.DataFrame, rules: RuleSet) -> pl.DataFrame:
    span_us = city.readings.span_us() or (0, 0)
    registry = city.registry()

    def fetch(codes: Sequence[int]) -> pl.DataFrame:
        return city.readings.scan(list(codes), span_us[0], span_us[1] + 1, columns=_COLUMNS)

    size = max(1, _BLOCK_ROWS * US_PER_HOUR // (span_us[1] - span_us[0] + US_PER_HOUR))
    starts = range(0, registry.count(), size)
    blocks = (fetch(range(start, min(start + size, registry.count()))) for start in starts)
    fleet = _fleet(registry, areas)
    return _named(survey(blocks, fetch, fleet, rules), fleet)


@dataclass(frozen=True, slots=True)
class _Reading:
    """How files are read: the mapping of their columns, and what is known of their meters."""

    mapping: Mapping
    meters: pl.DataFrame


def _of_paths(files: list[Path], reading: _Reading, areas: pl.DataFrame, rules: RuleSet) -> pl.DataFrame:
    with tempfile.TemporaryDirectory(prefix="citygate-validate-") as folder:
        spool = _Spool(Path(folder), reading.meters)
        refused = [
            _take(spool, chunk.frame, reading.mapping, len(chunk.unread))
            for file in files
            for chunk in read_chunks(file, reading.mapping.file)
        ]
        registry = spool.registry()
        fleet = _fleet(registry, areas)
        found = _named(survey(spool.blocks(), spool.fetch, fleet, rules), fleet)
    return pl.concat([_refusals(refused, found.schema), found])


def _take(spool: _Spool, frame: pl.DataFrame, mapping: Mapping, unread: int) -> pl.DataFrame:
    """Spool the good rows of a chunk and return the codes of the others."""
    require_columns(mapping, frame.columns)
    batch, unfit = assemble(*unpivot(frame, mapping))
    valid, refused = admit(batch, spool.welcome(batch), time.time_ns() // 1_000, Limits())
    spool.add(valid)
    codes = [unfit["code"], refused["code"], pl.Series(["unread"] * unread, dtype=pl.String)]
    return pl.DataFrame({"code": pl.concat([code.cast(pl.String) for code in codes])})


class _Spool:
    """Readings of files on disk, a part of the meters in each bucket, so that each meter can be seen whole."""

    def __init__(self, folder: Path, meters: pl.DataFrame) -> None:
        self._folder = folder
        self._meters = meters
        self._known = set(meters["meter"])
        self._files = 0

    def welcome(self, batch: ReadingBatch) -> Registry:
        names = batch.rows["meter"].unique(maintain_order=True)
        fresh = [name for name in names if name not in self._known]
        self._known.update(fresh)
        self._meters = pl.concat(
            [self._meters, pl.DataFrame({"meter": fresh}, schema={"meter": pl.String})], how="diagonal"
        )
        return self.registry()

    def registry(self) -> Registry:
        return Registry.of(self._meters)

    def add(self, batch: ValidatedBatch) -> None:
        for (bucket,), rows in batch.rows.group_by(pl.col("meter") % _BUCKETS):
            (self._folder / str(bucket)).mkdir(exist_ok=True)
            rows.write_parquet(self._folder / str(bucket) / f"{self._files}.parquet", compression="lz4")
        self._files += 1

    def blocks(self) -> Iterator[pl.DataFrame]:
        for bucket in range(_BUCKETS):
            if (self._folder / str(bucket)).is_dir():
                yield pl.read_parquet(self._folder / str(bucket) / "*.parquet")

    def fetch(self, codes: Sequence[int]) -> pl.DataFrame:
        buckets = np.unique(np.array(codes) % _BUCKETS)
        wanted = [
            pl.scan_parquet(self._folder / str(bucket) / "*.parquet").filter(pl.col("meter").is_in(list(codes)))
            for bucket in buckets
        ]
        return pl.concat(wanted).collect()


def _fleet(registry: Registry, areas: pl.DataFrame) -> Fleet:
    latest = registry.latest()
    traits = latest.select("meter", "code", "customer_type").join(areas, on="meter", how="left", maintain_order="left")
    return Fleet(
        latest["meter"].to_list(),
        MeterFacts.of(registry),
        traits.select(meter="code", area_m2="area_m2", customer_type="customer_type"),
    )


def _meters(path: Path) -> pl.DataFrame:
    frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=None)
    if "meter" not in frame.columns:
        raise WrongBuildingsError(path, "needs the column meter")
    known = [name for name in Registry.columns if name in frame.columns and name != "code"]
    return frame.select(known).with_columns(pl.col("meter").cast(pl.String))


def _areas(path: Path) -> pl.DataFrame:
    frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
    meter = next((name for name in ("meter", "building") if name in frame.columns), None)
    area = next((name for name in frame.columns if name.endswith("area_m2") and "roof" not in name), None)
    if meter is None or area is None:
        raise WrongBuildingsError(path, "needs the columns meter (or building) and area_m2")
    return frame.select(meter=pl.col(meter).cast(pl.String), area_m2=pl.col(area).cast(pl.Float64)).unique("meter")


def _named(found: pl.DataFrame, fleet: Fleet) -> pl.DataFrame:
    names = pl.DataFrame(
        {"code_of": range(len(fleet.names)), "name": fleet.names}, schema={"code_of": pl.Int32, "name": pl.String}
    )
    joined = found.join(names, left_on="meter", right_on="code_of", how="left", maintain_order="left")
    return joined.with_columns(meter="name").drop("name")


def _refusals(refused: list[pl.DataFrame], schema: pl.Schema) -> pl.DataFrame:
    every = pl.concat([pl.DataFrame(schema={"code": pl.String}), *refused])
    counted = (
        every.group_by("code")
        .agg(count=pl.len())
        .sort("code")
        .with_columns(
            size=pl.col("count"),
            unit=pl.lit("rows"),
            sentence=pl.lit("refused before any rule on series; citygate ingest tells why"),
        )
    )
    absent = [pl.lit(None).alias(name) for name in schema if name not in counted.columns]
    return counted.with_columns(absent).select(pl.col(name).cast(kind) for name, kind in schema.items())


def _readable(found: pl.DataFrame, clock: CityClock) -> pl.DataFrame:
    def iso(column: str) -> pl.Series:
        return pl.Series([None if us is None else clock.format(us) for us in found[column]], dtype=pl.String)

    return found.select(
        "meter",
        "code",
        iso("from_us").alias("from"),
        iso("to_us").alias("to"),
        "count",
        pl.col("size").round(3),
        "unit",
        "sentence",
    )
