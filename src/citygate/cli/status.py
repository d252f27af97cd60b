"""`citygate status`: what a store holds, at a glance."""

from __future__ import annotations

import polars as pl
import sqlalchemy as sa
import typer

from citygate.cli.options import FormatOption, OutOption, StoreOption
from citygate.report.table import Format, write_table
from citygate.store.city import City
from citygate.store.manifest import segments_table


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(status)


def status(store: StoreOption, form: FormatOption = Format.TABLE, out: OutOption = None) -> None:
    """Meters, readings, files, age of the data, and what waits to be derived."""
    city = City.open(store)
    commits, span = city.readings.commits(), city.readings.span_us()
    table = segments_table.c
    with city.records.connect() as connection:
        query = sa.select(sa.func.count(), sa.func.sum(table.rows), sa.func.sum(table.size_b))
        files, rows, size_b = connection.execute(query.where(table.retired_us.is_(None))).one()
    meters = city.registry().latest()
    facts = {
        "city": city.name,
        "time zone": city.clock.zone,
        "gas day begins": f"{city.clock.gas_day_hour:02}:00",
        "kWh per m3": str(city.conversion.kwh_per_m3),
        "meters": str(len(meters)),
        "measured meters": str(len(meters.filter(pl.col("nature") == "measured"))),
        "modelled meters": str(len(meters.filter(pl.col("nature") == "modelled"))),
        "first reading": city.clock.format(span[0]) if span else "none",
        "last reading": city.clock.format(span[1]) if span else "none",
        "stored readings": str(commits["stored"].sum()),
        "duplicates": str(commits["duplicate"].sum()),
        "revisions": str(commits["revised"].sum()),
        "commits": str(len(commits)),
        "files": str(files),
        "bytes": str(size_b or 0),
        "bytes per row": f"{(size_b or 0) / max(rows or 0, 1):.2f}",
        "parts to derive": str(city.rollups.unsettled()),
    }
    write_table(pl.DataFrame({"what": list(facts), "value": list(facts.values())}), form, out)
