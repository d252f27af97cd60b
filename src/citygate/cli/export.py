"""`citygate export`: the whole store as files that any tool opens."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from citygate.cli.options import StoreOption
from citygate.flow.export import export
from citygate.report.table import Format
from citygate.store.city import City


class FileFormat(StrEnum):
    """How files are written."""

    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(name="export")(export_store)


def export_store(
    store: StoreOption,
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to; made when absent.", file_okay=False)],
    form: Annotated[FileFormat, typer.Option("--format", help="How to write the files.")] = FileFormat.PARQUET,
    start: Annotated[str | None, typer.Option("--from", help="First time: a gas day or a moment.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="End of the time, excluded.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="As recorded by this moment.")] = None,
) -> None:
    """Write readings, meters, weather and consumption by gas day to a folder.

    Each row says whether its meter is measured or modelled. The readings can be ingested again as they are.
    """
    city = City.open(store)
    first, last = city.readings.span_us() or (0, 0)
    counts = export(
        city,
        out,
        Format(form.value),
        city.clock.parse(start) if start else first,
        city.clock.parse(end) if end else last + 1,
        city.clock.parse(as_of) if as_of else None,
        _show if sys.stderr.isatty() else None,
    )
    for name, rows in counts.items():
        typer.echo(f"{out / name}.{form.value}: {rows} rows")


def _show(done: int, of: int) -> None:
    sys.stderr.write(f"\r{done} of {of} parts" + ("\n" if done == of else ""))
