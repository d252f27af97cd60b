"""`citygate query`: what was used, what was read, what ran at night."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from citygate.cli.options import FormatOption, OutOption, StoreOption
from citygate.report.table import Format, write_table
from citygate.report.totals import totals_for_people
from citygate.store.city import City
from citygate.validation.verdict import RULE_SET, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence


query = typer.Typer(help="Ask the store: totals, readings, latest values, night flows.", no_args_is_help=True)


class By(StrEnum):
    """Periods of totals."""

    HOUR = "hour"
    GAS_DAY = "gas-day"
    GAS_MONTH = "gas-month"


class GroupBy(StrEnum):
    """Groups of totals."""

    METER = "meter"
    ZONE = "zone"
    PROVIDER = "provider"
    CUSTOMER_TYPE = "customer-type"
    CITY = "city"


FromOption = Annotated[str | None, typer.Option("--from", help="First time: a gas day (2026-01-31) or a moment.")]
ToOption = Annotated[str | None, typer.Option("--to", help="End of the time, excluded; written like --from.")]
AsOfOption = Annotated[str | None, typer.Option("--as-of", help="Answer from what was recorded by this moment.")]
MeterOption = Annotated[list[str] | None, typer.Option("--meter", help="Only this meter; may be repeated.")]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.add_typer(query, name="query")


@query.command()
def totals(
    store: StoreOption,
    by: Annotated[By, typer.Option(help="Length of a period.")] = By.GAS_DAY,
    group: Annotated[GroupBy, typer.Option(help="What to add up.")] = GroupBy.CITY,
    start: FromOption = None,
    end: ToOption = None,
    as_of: AsOfOption = None,
    meter: MeterOption = None,
    form: FormatOption = Format.TABLE,
    out: OutOption = None,
) -> None:
    """Volume and energy by period and group, with the share of the time that was measured, estimated or missing.

    A period that the time asked for touches is given whole. Zones, providers, customer types and the city add up the
    meters of customers; --group meter shows any meter.
    """
    city = City.open(store)
    start_us, end_us = _times(city, start, end)
    found = city.rollups.totals(
        by.value,
        group.value,
        start_us,
        end_us,
        city.clock.parse(as_of) if as_of else None,
        _codes(city, meter),
    )
    write_table(totals_for_people(found, city.clock), form, out)


@query.command()
def readings(
    store: StoreOption,
    meter: MeterOption = None,
    start: FromOption = None,
    end: ToOption = None,
    as_of: AsOfOption = None,
    verdict: Annotated[bool, typer.Option("--verdict", help="Add what the rules say of each (with --meter).")] = False,
    form: FormatOption = Format.TABLE,
    out: OutOption = None,
) -> None:
    """Readings as they stand, or stood: one row for each meter and instant.

    With --verdict each has the codes of the rules that it fails, the rule set, and what went through since the reading
    that counts before it.
    """
    city = City.open(store)
    start_us, end_us = _times(city, start, end)
    codes, as_of_us = _codes(city, meter), city.clock.parse(as_of) if as_of else None
    rows = city.readings.scan(codes, start_us, end_us, as_of_us)
    if verdict:
        if codes is None:
            raise typer.BadParameter("name the meters to judge", param_hint="--meter")
        rows = rows.join(_verdicts(city, start_us, end_us, codes, as_of_us), on=["meter", "at_us"], how="left")
    write_table(_named(city, rows), form, out)


def _verdicts(city: City, start_us: int, end_us: int, codes: list[int], as_of_us: int | None) -> pl.DataFrame:
    rows = city.rollups.verdicts(start_us, end_us, codes, as_of_us)
    names = {
        bits: "+".join(flag.name.lower() for flag in Verdict(bits) if flag.name) for bits in rows["verdict"].unique()
    }
    return rows.select(
        "meter",
        "at_us",
        pl.col("verdict").replace_strict(list(names), list(names.values()), return_dtype=pl.String).alias("verdict"),
        pl.lit(RULE_SET).alias("rule_set"),
        _local(city, "from_us").alias("since"),
        "amount",
    )


@query.command()
def revisions(
    store: StoreOption,
    meter: Annotated[str, typer.Option("--meter", help="The meter.")],
    start: FromOption = None,
    end: ToOption = None,
    form: FormatOption = Format.TABLE,
    out: OutOption = None,
) -> None:
    """Every value that was ever held for a meter, with when it was recorded and where it came from."""
    city = City.open(store)
    rows = city.readings.revisions((_codes(city, [meter]) or [0])[0], *_times(city, start, end))
    recorded = pl.col("recorded_us").map_elements(city.clock.format, return_dtype=pl.String).alias("recorded")
    write_table(_named(city, rows.with_columns(recorded).drop("recorded_us")), form, out)


@query.command()
def latest(
    store: StoreOption, meter: MeterOption = None, form: FormatOption = Format.TABLE, out: OutOption = None
) -> None:
    """Return the newest reading of each meter."""
    city = City.open(store)
    write_table(_named(city, city.readings.latest(_codes(city, meter))), form, out)


@query.command()
def nights(
    store: StoreOption,
    start: FromOption = None,
    end: ToOption = None,
    top: Annotated[int, typer.Option(help="How many meters to show.", min=1)] = 100,
    form: FormatOption = Format.TABLE,
    out: OutOption = None,
) -> None:
    """Meters with the largest flow at night (least hour of 02:00 to 05:00, mean over the nights)."""
    city = City.open(store)
    write_table(city.rollups.nights(*_times(city, start, end)).head(top), form, out)


@query.command()
def estimates(
    store: StoreOption,
    meter: Annotated[list[str], typer.Option("--meter", help="A meter; may be repeated.")],
    start: FromOption = None,
    end: ToOption = None,
    form: FormatOption = Format.TABLE,
    out: OutOption = None,
) -> None:
    """How gaps between readings are filled, hour by hour, with the method and its error."""
    city = City.open(store)
    rows = city.rollups.estimates(*_times(city, start, end), _codes(city, meter) or [])
    local = {name: _local(city, name) for name in ("from_us", "to_us", "hour_start_us")}
    names = city.registry().latest().select(pl.col("code").alias("meter"), pl.col("meter").alias("name"))
    named = rows.join(names, on="meter", how="left", maintain_order="left")
    times = [column.alias(name.removesuffix("_us")) for name, column in local.items()]
    write_table(named.select(pl.col("name").alias("meter"), *times, "volume_l", "method", "error_l"), form, out)


def _times(city: City, start: str | None, end: str | None) -> tuple[int, int]:
    first, last = city.readings.span_us() or (0, 0)
    return (city.clock.parse(start) if start else first), (city.clock.parse(end) if end else last + 1)


def _codes(city: City, meters: Sequence[str] | None) -> list[int] | None:
    if not meters:
        return None
    known = dict(city.registry().latest().select("meter", "code").iter_rows())
    strangers = [meter for meter in meters if meter not in known]
    if strangers:
        raise typer.BadParameter(f"the store knows no meter {', '.join(strangers)}", param_hint="--meter")
    return [known[meter] for meter in meters]


def _named(city: City, rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with the names of meters and local times in the place of codes and microseconds."""
    names = city.registry().latest().select(pl.col("code").alias("meter"), pl.col("meter").alias("name"))
    used = [name for name in rows.columns if name in ("meter", "at_us") or rows[name].null_count() < len(rows)]
    named = rows.select(used).join(names, on="meter", how="left", maintain_order="left")
    return named.select(
        pl.col("name").alias("meter"), _local(city, "at_us").alias("time"), pl.exclude("meter", "name", "at_us")
    )


def _local(city: City, column: str) -> pl.Expr:
    zoned = pl.col(column).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(city.clock.zone)
    return zoned.dt.to_string("%Y-%m-%dT%H:%M:%S%:z")
