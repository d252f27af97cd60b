"""One city's store: a folder with its settings, meters, readings and records."""

from __future__ import annotations

import io
import json
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa

from citygate.errors import CitygateError
from citygate.fleet.registry import Registry
from citygate.quantity.clock import CityClock
from citygate.quantity.gas import Conversion
from citygate.reading.partition import Partition
from citygate.store.compaction import sweep
from citygate.store.quarantine import Quarantine
from citygate.store.readings import ReadingStore
from citygate.store.records import StoreUnavailableError, meters_table, open_records, settings_table
from citygate.store.rollup import Rollups
from citygate.store.segments import write_durably

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_RECORDS = "records.db"
#: Setting that changes whenever the meters do.
_REGISTRY_VERSION = "registry_version"


class NoCityError(CitygateError):
    """A folder is not a store."""

    code = "no_store"

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path} is not a Citygate store; make one with: citygate init {path}")


class CityExistsError(CitygateError):
    """A store exists where a new one is wanted."""

    code = "store_exists"

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path} is a Citygate store already")


class City:
    """A store that is open: `City.create` makes one, `City.open` opens one.

    Attributes:
        path: Folder of the store.
        name: Name of the city.
        clock: Local time and gas day of the city.
        conversion: How volumes become energy.
        records: Database of everything but the readings.
        quarantine: Rows that were not taken.
        readings: The readings and their revisions.
        rollups: Consumption by hour and gas day, derived from the readings.
    """

    def __init__(self, path: Path) -> None:
        if not (path / _RECORDS).is_file():
            raise NoCityError(path)
        self.path = path
        self._registry: tuple[str | None, Registry] | None = None
        self.records = open_records(path / _RECORDS)
        self.name: str = self._setting("name")
        self.clock = CityClock(self._setting("zone"), self._setting("gas_day_hour"))
        self.conversion = Conversion(**self._setting("conversion"))
        partition = Partition(self.clock, self._setting("window_days"), self._setting("block_meters"))
        self.quarantine = Quarantine(self.records)
        self.readings = ReadingStore(path / "readings", self.records, partition)
        self.rollups = Rollups(path / "rollups", self.readings, self.registry, self.temperature, self.conversion)
        # Housekeeping: where the disk is full or may not be written, it waits.
        with suppress(StoreUnavailableError):
            sweep(self.readings)
            self.rollups.sweep()

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        name: str = "city",
        clock: CityClock | None = None,
        conversion: Conversion | None = None,
        window_days: int = 28,
        block_meters: int = 4096,
    ) -> City:
        """Make a store in a folder and open it.

        Args:
            path: Folder; made when absent.
            name: Name of the city.
            clock: Zone and gas day; Europe/Berlin and 06:00 when None.
            conversion: How volumes become energy; the packaged default when None.
            window_days, block_meters: The rule that cuts readings into parts (`citygate.reading.partition`).

        Raises:
            CityExistsError: The folder is a store.
        """
        if (path / _RECORDS).exists():
            raise CityExistsError(path)
        path.mkdir(parents=True, exist_ok=True)
        clock = clock or CityClock()
        conversion = conversion or Conversion.default()
        values = {
            "name": name,
            "zone": clock.zone,
            "gas_day_hour": clock.gas_day_hour,
            "conversion": conversion.as_dict(),
            "window_days": window_days,
            "block_meters": block_meters,
        }
        draft = path / "records.draft"
        for left in path.glob(f"{draft.name}*"):
            left.unlink()
        engine = open_records(draft)
        with engine.begin() as connection:
            connection.execute(
                settings_table.insert(), [{"key": key, "value": json.dumps(value)} for key, value in values.items()]
            )
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        engine.dispose()
        draft.rename(path / _RECORDS)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> City:
        """Open the store in a folder.

        Raises:
            NoCityError: The folder is not a store.
        """
        return cls(Path(path))

    def close(self) -> None:
        """Give back what the store holds open; another call opens it again."""
        self.records.dispose()

    def registry(self) -> Registry:
        """Return every meter that the city knows; read again only when somebody registered meters."""
        # The version is read before the meters: a change in between costs a second reading, never a stale answer.
        version = self._setting(_REGISTRY_VERSION)
        kept = self._registry
        if kept is not None and kept[0] == version:
            return kept[1]
        query = sa.select(*(meters_table.c[name] for name in Registry.columns)).order_by(
            meters_table.c.code, meters_table.c.valid_from_us
        )
        with self.records.connect() as connection:
            rows = connection.execute(query).all()
        registry = Registry(pl.DataFrame([tuple(row) for row in rows], schema=Registry.columns, orient="row"))
        self._registry = (version, registry)
        return registry

    def register(self, meters: pl.DataFrame, also: Callable[[sa.Connection], None] | None = None) -> Registry:
        """Add meters, or replace what is known of them, and return the new registry.

        Args:
            meters: ``meter`` and any other columns of `Registry`; what is absent gets the default of an unknown meter.
                Rows of a meter that is known replace its rows.
            also: More changes of the records that must happen with this one or not at all.
        """
        with self.readings.lock.held():
            known = self.registry()
            codes = known.rows.select("meter", "code").unique()
            listed = Registry.of(meters.drop("code", strict=False)).rows.drop("code")
            fresh = (
                listed.select("meter")
                .unique(maintain_order=True)
                .join(codes, on="meter", how="anti", maintain_order="left")
            )
            fresh = fresh.with_columns(pl.int_range(pl.len(), dtype=pl.Int32).alias("code") + known.count())
            listed = listed.join(pl.concat([codes, fresh]), on="meter", how="left", maintain_order="left")
            replaced = sorted({code for code in listed["code"].to_list() if code < known.count()})
            with self.records.begin() as connection:
                for start in range(0, len(replaced), 500):
                    connection.execute(
                        meters_table.delete().where(meters_table.c.code.in_(replaced[start : start + 500]))
                    )
                if len(listed):
                    connection.execute(meters_table.insert(), listed.to_dicts())
                connection.execute(settings_table.delete().where(settings_table.c.key == _REGISTRY_VERSION))
                version = {"key": _REGISTRY_VERSION, "value": json.dumps(uuid.uuid4().hex)}
                connection.execute(settings_table.insert().values(**version))
                if replaced:
                    self.rollups.mark_meters(replaced, connection)
                if also:
                    also(connection)
            return self.registry()

    def keep_temperature(self, weather: pl.DataFrame) -> None:
        """Keep the city's air temperature: columns ``at_us`` and ``temperature_mk``; new values replace old ones."""
        with self.readings.lock.held():
            both = pl.concat([self.temperature(), weather.select(pl.col("at_us", "temperature_mk").cast(pl.Int64))])
            times = weather["at_us"].to_numpy()
            if not len(times):
                return
            # Before and after: whenever a crash comes, what the new weather changes is marked.
            self.rollups.mark_times(int(times.min()), int(times.max()))
            write_durably(self.path / "temperature.parquet", both.unique("at_us", keep="last").sort("at_us"))
            self.rollups.mark_times(int(times.min()), int(times.max()))

    def temperature(self) -> pl.DataFrame:
        """Return the city's air temperature: ``at_us`` and ``temperature_mk``, sorted by time."""
        path = self.path / "temperature.parquet"
        if not path.exists():
            return pl.DataFrame(schema={"at_us": pl.Int64, "temperature_mk": pl.Int64})
        # Read in one piece: the file may be replaced by a newer one at any moment.
        return pl.read_parquet(io.BytesIO(path.read_bytes()))

    def keep_geometry(self, features: Sequence[dict[str, Any]]) -> None:
        """Keep the city's pipes and zones as GeoJSON features."""
        (self.path / "geometry.json").write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))

    def geometry(self) -> dict[str, Any]:
        """Return the city's pipes and zones as a GeoJSON feature collection; empty where none are kept."""
        path = self.path / "geometry.json"
        found: dict[str, Any] = {"type": "FeatureCollection", "features": []}
        return dict(json.loads(path.read_text())) if path.exists() else found

    def _setting(self, key: str) -> Any:
        with self.records.connect() as connection:
            return json.loads(
                connection.scalar(sa.select(settings_table.c.value).where(settings_table.c.key == key)) or "null"
            )
