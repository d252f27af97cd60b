"""`citygate retention`: what the rules want thinned or dropped, and doing it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from citygate.cli.options import FormatOption, OutOption, StoreOption
from citygate.report.table import Format, write_table
from citygate.store.city import City
from citygate.store.readings import now_us
from citygate.store.retention import Due, RetentionRules, apply, due


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(retention)


def retention(
    store: StoreOption,
    rules: Annotated[
        Path | None,
        typer.Option(help="TOML file of rules; the packaged ones when absent.", exists=True, dir_okay=False),
    ] = None,
    do: Annotated[bool, typer.Option("--apply", help="Do it; without this only the plan is shown.")] = False,
    at: Annotated[str | None, typer.Option("--at", help="As of this time instead of now.")] = None,
    form: FormatOption = Format.TABLE,
    out: OutOption = None,
) -> None:
    """Thin old parts to the first and last reading of each gas day, and drop those that no rule keeps.

    Totals by gas day and month stay as they are. Readings that come later for such a time are refused.
    """
    city = City.open(store)
    wanted = RetentionRules.parse(rules.read_text(encoding="utf-8")) if rules else RetentionRules.default()
    moment = city.clock.parse(at) if at else now_us()
    city.rollups.settle()
    found = apply(city.readings, wanted, moment) if do else due(city.readings, wanted, moment)
    write_table(pl.DataFrame([_row(city, each) for each in found], schema=_COLUMNS, orient="row"), form, out)


_COLUMNS = {"step": pl.String, "from": pl.String, "to": pl.String, "block": pl.Int64, "rows": pl.Int64}


def _row(city: City, each: Due) -> tuple[str, str, str, int, int]:
    starts = (city.readings.partition.window_start_us(window) for window in (each.window, each.window + 1))
    first, last = (city.clock.format(start) for start in starts)
    return str(each.step), first, last, each.block, each.segment.rows
