"""`citygate init`: a new store for a city."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from citygate.errors import CitygateError
from citygate.fleet.registry import Registry
from citygate.quantity.clock import CityClock
from citygate.store.city import City


class MetersFileError(CitygateError):
    """A file of meters cannot be read as such."""

    code = "meters_file"


class WeatherFileError(CitygateError):
    """A file of temperatures cannot be read as such."""

    code = "weather_file"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(init)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the new store.", file_okay=False)],
    zone: Annotated[str, typer.Option(help="Time zone of the city (IANA).")] = "Europe/Berlin",
    gas_day_hour: Annotated[int, typer.Option(help="Local hour at which the gas day begins.", min=0, max=23)] = 6,
    name: Annotated[str, typer.Option(help="Name of the city.")] = "city",
    meters: Annotated[
        Path | None,
        typer.Option(
            help="Meters to register: CSV or Parquet with the columns of the registry.", dir_okay=False, exists=True
        ),
    ] = None,
    weather: Annotated[
        Path | None,
        typer.Option(
            help="Outdoor temperature to keep: CSV or Parquet with at_us and temperature_mk, or time and celsius.",
            dir_okay=False,
            exists=True,
        ),
    ] = None,
) -> None:
    """Make the store of a city, with its time zone and gas day.

    --meters registers meters: the column `meter`, and any of zone, provider, customer_type, role, nature,
    register_max_l, pulse_l, qmax_lph, lon, lat, valid_from_us, valid_to_us. Run it on an existing store to add meters
    or to change them. --weather keeps hourly temperatures, by which gaps are filled and leaks are told from cold; it
    can be given for an existing store too.
    """
    clock = CityClock(zone, gas_day_hour)
    listed = read_meters(meters) if meters is not None else None
    air = read_weather(weather) if weather is not None else None
    adding = (listed is not None or air is not None) and (folder / "records.db").exists()
    city = City.open(folder) if adding else City.create(folder, name=name, clock=clock)
    if air is not None:
        city.keep_temperature(air)
    count = city.register(listed).count() if listed is not None else 0
    typer.echo(f"{folder}: {city.name}, {city.clock.zone}, gas day at {city.clock.gas_day_hour:02d}:00, {count} meters")


def read_weather(path: Path) -> pl.DataFrame:
    """Return ``at_us`` and ``temperature_mk`` of a CSV or Parquet file.

    Raises:
        WeatherFileError: The file cannot be read, or lacks a time with offset or a temperature.
    """
    try:
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
        if "at_us" not in frame.columns:
            moment = pl.col("time")
            moment = (
                moment.str.to_datetime("%+", time_unit="us", time_zone="UTC")
                if frame.schema["time"] == pl.String
                else moment
            )
            frame = frame.with_columns(moment.dt.convert_time_zone("UTC").dt.epoch("us").alias("at_us"))
        if "temperature_mk" not in frame.columns:
            frame = frame.with_columns(((pl.col("celsius") + 273.15) * 1_000).round().alias("temperature_mk"))
        return frame.select(pl.col("at_us", "temperature_mk").cast(pl.Int64)).drop_nulls()
    except (pl.exceptions.PolarsError, OSError, KeyError) as cause:
        raise WeatherFileError(
            f"{path} cannot be read as weather: at_us and temperature_mk are needed, or time (with offset) and celsius "
            f"({cause})"
        ) from cause


def read_meters(path: Path) -> pl.DataFrame:
    """Return the meters that a CSV or Parquet file lists.

    Raises:
        MetersFileError: The file cannot be read, has no column ``meter``, or a column that no registry has.
    """
    try:
        frame = (
            pl.read_parquet(path)
            if path.suffix == ".parquet"
            else pl.read_csv(path, schema_overrides={"meter": pl.String})
        )
        strange = [column for column in frame.columns if column not in Registry.columns]
        if "meter" not in frame.columns or strange:
            raise MetersFileError(
                f"{path} has the columns {', '.join(frame.columns)}; meter is needed, and the others must be among "
                f"{', '.join(name for name in Registry.columns if name != 'code')}"
            )
        empty = frame["meter"].null_count()
        if empty:
            raise MetersFileError(f"{path} has {empty} rows without a meter")
        return frame.drop("code", strict=False).with_columns(
            pl.col(column).cast(kind)
            for column, kind in Registry.columns.items()
            if column in frame.columns and column != "code"
        )
    except (pl.exceptions.PolarsError, OSError) as cause:
        raise MetersFileError(f"{path} cannot be read as a list of meters: {cause}") from cause
