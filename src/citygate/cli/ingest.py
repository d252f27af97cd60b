"""`citygate ingest`: files of readings to the store."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from citygate.cli.options import FormatOption
from citygate.errors import CitygateError
from citygate.flow.inbox import watch
from citygate.flow.ingest import IngestCount, Intake, Strangers, ingest
from citygate.link.files import find_files
from citygate.link.sample import sample
from citygate.reading.mapping import Mapping, MappingError, parse_mapping, plain_mapping
from citygate.reading.suggest import suggest
from citygate.report.table import Format, write_table
from citygate.store.city import City

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_S = 2.0


class NoStoreNamedError(CitygateError):
    """A command that writes was given no store."""

    code = "store_not_named"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(name="ingest")(ingest_files)


def ingest_files(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Files, folders, or patterns such as 'in/*.csv'.")
    ],
    store: Annotated[Path | None, typer.Option("--store", help="Folder of the city's store.", file_okay=False)] = None,
    mapping: Annotated[
        Path | None,
        typer.Option("--mapping", help="How the columns become readings (TOML).", exists=True, dir_okay=False),
    ] = None,
    form: FormatOption = Format.TABLE,
    known_meters_only: Annotated[
        bool, typer.Option("--known-meters-only", help="Quarantine rows of unknown meters.")
    ] = False,
    propose: Annotated[
        bool, typer.Option("--suggest", help="Print a proposed mapping for the first file, take nothing.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--watch", help="Watch a folder and take each file that is complete.")
    ] = False,
) -> None:
    """Take readings from files: CSV, Parquet, NDJSON, JSON, Excel, Arrow; text also packed with gzip.

    Safe to interrupt and to repeat: an interrupted file goes on where it stopped, and rows that are held count as
    duplicates. Rows that cannot be taken go to quarantine with their reason: `citygate quarantine list`. A store that
    does not exist is made with the time zone Europe/Berlin and the gas day at 06:00.
    """
    if propose:
        for file in find_files(paths)[:1]:
            found = sample(file)
            sys.stdout.write(suggest(found.frame, found.style, file.name))
        return
    if store is None:
        raise NoStoreNamedError("name the store with --store DIR; it is made when it does not exist")
    chosen = read_mapping(mapping) if mapping is not None else plain_mapping()
    strangers = Strangers.REFUSE if known_meters_only else Strangers.REGISTER
    files = [] if follow else find_files(paths)
    city = City.open(store) if (store / "records.db").exists() else City.create(store)
    intake = Intake(city, _now_us, mapping=chosen, strangers=strangers)
    if follow:
        _watch(intake, [Path(path) for path in paths], form)
        return
    started = time.monotonic()
    with _Shown() as shown:
        count = ingest(intake, files, shown)
    _tell(count, time.monotonic() - started, form)
    if count.refused or count.unread:
        raise typer.Exit(1)


def read_mapping(path: Path) -> Mapping:
    """Return the mapping in a file.

    Raises:
        MappingError: The file is not a mapping; the text names the file and the key.
    """
    try:
        return parse_mapping(path.read_text(encoding="utf-8-sig"))
    except (MappingError, UnicodeDecodeError) as cause:
        raise MappingError(f"{path}: {cause}") from cause


def _now_us() -> int:
    return time.time_ns() // 1_000


def _watch(intake: Intake, folders: list[Path], form: Format) -> None:
    def told(path: Path, count: IngestCount | None, reason: str) -> None:
        if count is None:
            sys.stderr.write(f"citygate: {path.name} went to failed/: {reason}\n")
        else:
            _tell(count, 0.0, Format.JSON if form is Format.TABLE else form, file=path.name)

    try:
        watch(intake, folders, told, poll_s=_POLL_S)
    except KeyboardInterrupt:
        sys.stderr.write("citygate: stopped watching\n")


def _tell(count: IngestCount, seconds: float, form: Format, **facts: str) -> None:
    if form in {Format.JSON, Format.JSONL}:
        sys.stdout.write(json.dumps({**facts, **count.as_dict(), "seconds": round(seconds, 3)}) + "\n")
        sys.stdout.flush()
        return
    counts = [(name, value) for name, value in count.as_dict().items() if isinstance(value, int)]
    counts += [(f"refused: {code}", value) for code, value in count.refused.items()]
    table = pl.DataFrame(counts, schema={"rows": pl.String, "count": pl.Int64}, orient="row")
    write_table(table, form)
    if form is Format.TABLE and (count.refused or count.unread):
        sys.stderr.write("Some rows were not taken; see: citygate quarantine list --store DIR\n")


class _Shown:
    """Progress on standard error, when that is a terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._task = self._progress.add_task("reading")

    def __enter__(self) -> Callable[[IngestCount], None]:
        self._progress.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _show(self, count: IngestCount) -> None:
        bad = sum(count.refused.values()) + count.unread
        self._progress.update(
            self._task, description=f"{count.read:,} rows read, {count.stored:,} stored, {bad:,} in quarantine"
        )
