"""Consumption by hour and by gas day, kept beside the readings and derived again wherever they changed."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import sqlalchemy as sa

from citygate.store.compaction import GRACE_US
from citygate.store.consumption import DAYS, HOURS, cells_frame, days_frame, derive, hours_frame, judged
from citygate.store.gaps import Surroundings
from citygate.store.manifest import dirty_table, mark_dirty, rollups_table
from citygate.store.readings import now_us
from citygate.store.retention import kept_from_us
from citygate.store.segments import write_durably
from citygate.store.totals import SUMS, TOTALS, labelled, labelled_kinds, sum_up, whole_months
from citygate.validation.steps import MeterFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from citygate.fleet.registry import Registry
    from citygate.quantity.clock import Micros, Period
    from citygate.quantity.gas import Conversion
    from citygate.store.consumption import PartConsumption
    from citygate.store.manifest import Part
    from citygate.store.readings import ReadingStore
    from citygate.store.totals import Group


class Rollups:
    """Consumption of every meter by gas day, and of every kind of customer by hour.

    A part whose readings changed is derived again from the readings, never patched, so the totals do not depend on the
    order in which readings arrived.

    Args:
        folder: Folder of the rollups.
        readings: Store of the readings.
        registry: Returns the meters.
        temperature: Returns the air temperature (``at_us``, ``temperature_mk``).
        conversion: How volumes become energy.
    """

    def __init__(
        self,
        folder: Path,
        readings: ReadingStore,
        registry: Callable[[], Registry],
        temperature: Callable[[], pl.DataFrame],
        conversion: Conversion,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._readings = readings
        self._registry = registry
        self._temperature = temperature
        self._conversion = conversion

    def settle(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Derive the consumption of every part whose readings changed, and return how many there were.

        Args:
            progress: Told how many parts are done, of how many.
        """
        with self._readings.records.connect() as connection:
            query = sa.select(dirty_table).order_by(dirty_table.c.block, dirty_table.c.window)
            dirty = connection.execute(query).all()
        if not dirty:
            return 0
        around, partition = self._around(), self._readings.partition
        edge_us = kept_from_us(self._readings.records)
        for done, row in enumerate(dirty):
            part = (row.block, row.window)
            if partition.window_start_us(row.window) >= edge_us:
                self._keep(part, row.mark, derive(around, part), around.registry)
            else:
                self._clean(part, row.mark)
            if progress:
                progress(done + 1, len(dirty))
        self.sweep()
        return len(dirty)

    def unsettled(self) -> int:
        """Return how many parts wait to be derived."""
        with self._readings.records.connect() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(dirty_table)) or 0

    def mark_times(self, start_us: int, end_us: int) -> None:
        """Say that the weather of a time changed: what was estimated by it must be derived again."""
        first, last = self._readings.partition.window(start_us), self._readings.partition.window(end_us)
        with self._readings.records.begin() as connection:
            mark_dirty(connection, [part for part in self._readings.presence() if first <= part[1] <= last])

    def mark_meters(self, codes: Iterable[int], connection: sa.Connection) -> None:
        """Say, within a transaction, that facts of some meters changed: their consumption must be derived again."""
        blocks = {self._readings.partition.block(code) for code in codes}
        mark_dirty(connection, [part for part in self._readings.presence() if part[0] in blocks])

    def totals(
        self,
        by: Period,
        group: Group,
        start_us: int,
        end_us: int,
        as_of_us: int | None = None,
        meters: Sequence[int] | None = None,
        *,
        settled: bool = True,
    ) -> pl.DataFrame:
        """Return consumption by period and group, of the periods that overlap [start_us, end_us).

        Zones, providers, customer types and the city count meters of the role ``customer``; meters are shown in any.

        Args:
            by: Period.
            group: What to group by.
            start_us, end_us: Time asked for [µs UTC].
            as_of_us: Answer from what was recorded by then; None for now [µs UTC].
            meters: Only these codes; None for all.
            settled: Derive what changed first; if not, answer from the last derivation at once.

        Returns:
            Columns ``period_start_us``, ``period_end_us``, ``group``, ``volume_l_e5`` and ``energy_wh_e5`` (exact, in
            1e-5 litre and 1e-5 Wh), ``measured_share``, ``estimated_share``, ``missing_share`` (of the meter time
            expected) and ``modelled_share`` (of the meter time, of simulated meters), sorted by period and group.
        """
        span = self._span_us()
        if span is None or start_us > span[1] or end_us <= span[0]:
            return pl.DataFrame(schema=TOTALS)
        clock = self._readings.partition.clock
        starts = clock.period_starts_us(by, max(start_us, span[0]), min(end_us, span[1] + 1))
        registry = self._registry()
        if as_of_us is not None or (by == "hour" and (group == "meter" or meters is not None)):
            parts = self._derived(starts, self._around(as_of_us), meters)
            frames = [cells_frame(part) if by == "hour" else days_frame(part, self._readings) for part in parts]
            if not frames:
                return pl.DataFrame(schema=TOTALS)
            rows = pl.concat(frames)
            rows = labelled(rows, registry, group) if by == "hour" else rows
        else:
            if settled:
                self.settle()
            kept = self._kept(starts, "hours" if by == "hour" else "days", meters)
            edges = ["start_quality", "end_quality"] if by == "gas-month" else []
            rows = kept.collect() if by == "hour" else kept.select("code", "gas_day", *SUMS, *edges).collect()
            rows = labelled_kinds(rows, group) if by == "hour" else rows
        if by != "hour":
            rows = self._by_day(rows, starts, registry, by, group)
        return sum_up(rows, starts, self._conversion)

    def nights(self, start_us: int, end_us: int, *, settled: bool = True) -> pl.DataFrame:
        """Return the least flow of the nights of each meter: ``meter``, ``nights``, ``night_lph`` (mean) and ``zone``.

        Args:
            start_us, end_us: Gas days that begin within [start_us, end_us) [µs UTC].
            settled: Derive what changed first.
        """
        if settled:
            self.settle()
        span = self._span_us()
        if span is None:
            return pl.DataFrame(
                schema={"meter": pl.String, "zone": pl.String, "nights": pl.Int64, "night_lph": pl.Float64}
            )
        clock = self._readings.partition.clock
        starts = clock.period_starts_us("gas-day", max(start_us, span[0]), min(end_us, span[1] + 1))
        rows = self._kept(starts, "days", None).filter(pl.col("night_lph").is_not_null())
        sums = rows.group_by("code").agg(pl.len().cast(pl.Int64).alias("nights"), pl.col("night_lph").mean()).collect()
        facts = self._registry().latest().select("code", "meter", "zone")
        named = sums.join(facts, on="code").sort(["night_lph", "code"], descending=[True, False])
        return named.select("meter", "zone", "nights", "night_lph")

    def estimates(self, start_us: int, end_us: int, meters: Sequence[int]) -> pl.DataFrame:
        """Return how gaps of some meters are filled in the windows that a time touches.

        Args:
            start_us, end_us: Time asked for [µs UTC].
            meters: Codes of the meters.

        Returns:
            ``meter`` (code), ``from_us``, ``to_us`` (the gap), ``hour_start_us``, ``volume_l``, ``method`` and
            ``error_l`` (the standard deviation that the method showed on measured homes), sorted.
        """
        found = [part.estimates for part in self._derived(np.array([start_us, end_us]), self._around(), meters)]
        inside = pl.col("hour_start_us").is_between(start_us, end_us - 1)
        return pl.concat(found).filter(inside).unique(maintain_order=True) if found else pl.DataFrame()

    def verdicts(self, start_us: int, end_us: int, meters: Sequence[int], as_of_us: int | None = None) -> pl.DataFrame:
        """Return what the rules on neighbours say of the readings of some meters within [start_us, end_us).

        Returns:
            ``meter`` (code), ``at_us``, ``verdict`` (bits of `citygate.validation.verdict.Verdict`), ``from_us`` and
            ``amount`` (what went through since then [litre; Wh for energies]), sorted by meter and time.
        """
        partition, around = self._readings.partition, self._around(as_of_us)
        first, last = partition.window(start_us), partition.window(max(end_us - 1, start_us))
        held = self._readings.presence()
        blocks: dict[int, list[int]] = {}
        for code in meters:
            blocks.setdefault(partition.block(code), []).append(code)
        parts = [(block, window) for block in blocks for window in range(first, last + 1) if (block, window) in held]
        found = [judged(around, part, blocks[part[0]]) for part in parts]
        schema = {"meter": pl.Int32, "at_us": pl.Int64, "verdict": pl.Int32, "from_us": pl.Int64, "amount": pl.Int64}
        rows = pl.concat([pl.DataFrame(schema=schema), *(frame.cast(schema) for frame in found)])  # type: ignore[arg-type]
        return rows.filter(pl.col("at_us").is_between(start_us, end_us - 1)).sort("meter", "at_us")

    def _span_us(self) -> tuple[int, int] | None:
        """Return the time of the readings, and of the consumption that outlived them."""
        span, table = self._readings.span_us(), rollups_table.c
        with self._readings.records.connect() as connection:
            first = connection.scalar(sa.select(sa.func.min(table.window)).where(table.retired_us.is_(None)))
        if span is None or first is None or kept_from_us(self._readings.records) < -(2**61):
            return span
        return min(span[0], self._readings.partition.window_start_us(first)), span[1]

    def _around(self, as_of_us: int | None = None) -> Surroundings:
        registry = self._registry()
        return Surroundings(self._readings, registry, MeterFacts.of(registry), self._temperature(), as_of_us)

    def _derived(self, starts: Micros, around: Surroundings, meters: Sequence[int] | None) -> Iterable[PartConsumption]:
        first, last = (self._readings.partition.window(int(edge)) for edge in (starts[0], starts[-1] - 1))
        blocks = {block for block, _ in self._readings.presence()}
        if meters is not None:
            blocks &= {self._readings.partition.block(code) for code in meters}
        for block in sorted(blocks):
            for window in range(first, last + 1):
                yield derive(around, (block, window), meters)

    def _by_day(self, days: pl.DataFrame, starts: Micros, registry: Registry, by: Period, group: Group) -> pl.DataFrame:
        clock = self._readings.partition.clock
        first, last = clock.gas_day(int(starts[0])), clock.gas_day(int(starts[-1])) - 1
        rows = days.filter(pl.col("gas_day").is_between(first, last))
        rows = whole_months(rows, clock) if by == "gas-month" else rows
        day = rows["gas_day"].to_numpy()
        begin_us = clock.gas_day_starts_us(int(day.min(initial=first)), last)
        at_us = pl.Series("at_us", begin_us[day - int(day.min(initial=first))])
        return labelled(rows.with_columns(at_us), registry, group)

    def _kept(self, starts: Micros, grain: str, meters: Sequence[int] | None) -> pl.LazyFrame:
        first, last = (self._readings.partition.window(int(edge)) for edge in (starts[0], starts[-1] - 1))
        query = sa.select(rollups_table.c.name).where(
            rollups_table.c.retired_us.is_(None), rollups_table.c.window.between(first, last)
        )
        if meters is not None:
            query = query.where(rollups_table.c.block.in_({self._readings.partition.block(code) for code in meters}))
        with self._readings.records.connect() as connection:
            names = connection.scalars(query).all()
        if not names:
            return pl.LazyFrame(schema=HOURS if grain == "hours" else DAYS)
        rows = pl.scan_parquet([self._folder / f"{name}.{grain}.parquet" for name in names], glob=False)
        if grain == "hours":
            rows = rows.filter(pl.col("at_us").is_between(int(starts[0]), int(starts[-1]) - 1))
        elif meters is not None:
            rows = rows.filter(pl.col("code").is_in(pl.Series(meters, dtype=pl.Int32).implode()))
        return rows

    def _keep(self, part: Part, mark: int, consumption: PartConsumption, registry: Registry) -> None:
        name = uuid.uuid4().hex
        write_durably(self._folder / f"{name}.days.parquet", days_frame(consumption, self._readings))
        write_durably(self._folder / f"{name}.hours.parquet", hours_frame(consumption, registry, self._readings))
        here = (
            (rollups_table.c.block == part[0])
            & (rollups_table.c.window == part[1])
            & rollups_table.c.retired_us.is_(None)
        )
        with self._readings.lock.held(), self._readings.records.begin() as connection:
            newer = connection.scalar(sa.select(sa.func.max(rollups_table.c.mark)).where(here))
            if newer is None or newer <= mark:
                connection.execute(rollups_table.update().where(here).values(retired_us=now_us()))
                connection.execute(rollups_table.insert().values(name=name, block=part[0], window=part[1], mark=mark))

        self._clean(part, mark)

    def _clean(self, part: Part, mark: int) -> None:
        table = dirty_table.c
        stale = (table.block == part[0]) & (table.window == part[1]) & (table.mark <= mark)
        with self._readings.lock.held(), self._readings.records.begin() as connection:
            connection.execute(dirty_table.delete().where(stale))

    def sweep(self) -> None:
        """Delete rollups that are out of use for good, and those that a killed process left behind."""
        with self._readings.lock.tried() as mine:
            if not mine:
                return
            with self._readings.records.begin() as connection:
                connection.execute(rollups_table.delete().where(rollups_table.c.retired_us < now_us() - GRACE_US))
                named = set(connection.scalars(sa.select(rollups_table.c.name)))
            for path in self._folder.iterdir():
                if path.name.split(".")[0] not in named and path.stat().st_mtime_ns // 1_000 < now_us() - GRACE_US:
                    path.unlink(missing_ok=True)
