"""`citygate quarantine`: the rows that were not taken."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated

import polars as pl
import typer

from citygate.cli.options import FormatOption, OutOption, StoreOption
from citygate.errors import CitygateError
from citygate.flow.retry import retry as retry_rows
from citygate.quantity.clock import to_datetime
from citygate.report.table import Format, write_table
from citygate.store.city import City
from citygate.store.quarantine import SHOWN

quarantine = typer.Typer(
    help="Rows that were not taken: where they came from, why, and trying them again.", no_args_is_help=True
)

CodeOption = Annotated[str | None, typer.Option("--code", help="Only rows refused for this reason.")]


class NoSuchRowError(CitygateError):
    """The quarantine has no row of this number."""

    code = "quarantine_row_unknown"

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"the quarantine has no row {number}; see: citygate quarantine list")


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(quarantine, name="quarantine")


@quarantine.command(name="list")
def list_rows(
    store: StoreOption,
    code: CodeOption = None,
    limit: Annotated[int, typer.Option(help="Most rows shown.", min=1)] = 100,
    form: FormatOption = Format.TABLE,
) -> None:
    """List open rows: number, file, row, field, code and reason."""
    rows = City.open(store).quarantine.rows(code, limit=limit)
    write_table(_for_people(rows).drop("mapping"), form)


@quarantine.command()
def show(number: Annotated[int, typer.Argument(help="Number of the row, as listed.")], store: StoreOption) -> None:
    """Show everything that is known of one row."""
    found = City.open(store).quarantine.row(number)
    if found is None:
        raise NoSuchRowError(number)
    told = dict(found) | {"raw": found["raw"].decode("utf-8", errors="backslashreplace")}
    for name in ("recorded_us", "settled_us"):
        moment = told.pop(name)
        told[name.removesuffix("_us")] = None if moment is None else to_datetime(moment).isoformat()
    sys.stdout.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n")


@quarantine.command()
def retry(store: StoreOption, code: CodeOption = None, form: FormatOption = Format.TABLE) -> None:
    """Take open rows through the rules again, for instance after their meters were registered."""
    count = retry_rows(City.open(store), lambda: time.time_ns() // 1_000, code=code)
    told = {name: getattr(count, name) for name in ("tried", "stored", "duplicate", "revised", "refused", "unread")}
    if form in {Format.JSON, Format.JSONL}:
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        counts = [(name, value) for name, value in told.items() if name != "refused"]
        counts += [(f"refused: {code}", value) for code, value in count.refused.items()]
        write_table(pl.DataFrame(counts, schema={"rows": pl.String, "count": pl.Int64}, orient="row"), form)
    if count.refused or count.unread:
        raise typer.Exit(1)


@quarantine.command()
def export(store: StoreOption, code: CodeOption = None, form: FormatOption = Format.CSV, out: OutOption = None) -> None:
    """Write all open rows with what they said, to correct them at their source."""
    pages = [_for_people(page) for page in City.open(store).quarantine.pages(code)]
    write_table(pl.concat(pages) if pages else _for_people(pl.DataFrame(schema=SHOWN)), form, out)


def _for_people(rows: pl.DataFrame) -> pl.DataFrame:
    raw = [text.decode("utf-8", errors="backslashreplace") for text in rows["raw"]]
    recorded = pl.col("recorded_us").cast(pl.Datetime("us", "UTC")).dt.strftime("%Y-%m-%dT%H:%M:%SZ").alias("recorded")
    return rows.select(
        "number",
        pl.col("source").alias("file"),
        "row",
        "field",
        "code",
        pl.col("message").alias("reason"),
        pl.Series("raw", raw, dtype=pl.String),
        "mapping",
        recorded,
    )
