"""Readings as columns: what has been promised is in the type, the unit is in the name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import polars as pl

from citygate.errors import CitygateError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What a row may say, beside who and when. All whole numbers; null where the meter did not say it.
QUANTITIES: dict[str, pl.DataType] = {
    "index_l": pl.Int64(),
    "volume_l": pl.Int64(),
    "energy_wh": pl.Int64(),
    "span_s": pl.Int64(),
    "flow_lph": pl.Int64(),
    "pressure_pa": pl.Int64(),
    "temperature_mk": pl.Int64(),
    "battery_mv": pl.Int64(),
    "status": pl.Int64(),
}


class WrongColumnsError(CitygateError):
    """A frame has other columns than its type promises."""

    code = "wrong_columns"

    def __init__(self, wanted: Mapping[str, pl.DataType], found: Mapping[str, pl.DataType]) -> None:
        self.wanted = dict(wanted)
        self.found = dict(found)
        super().__init__(f"expected the columns {dict(wanted)}, found {dict(found)}")


@dataclass(frozen=True, slots=True)
class ReadingBatch:
    """Readings as decoded: right columns, nothing else promised.

    Columns:
        meter: Identity as the head-end writes it.
        at_us: Time of the reading, the end of the span for a volume or an energy [µs since 1970-01-01 UTC].
        index_l: Register [litre], whole, as the meter shows it.
        volume_l: Volume within the span that ends at the reading [litre].
        energy_wh: Energy within the span that ends at the reading [Wh].
        span_s: Length of the span that ``volume_l`` or ``energy_wh`` speaks of [s].
        flow_lph: Flow now [litre/h].
        pressure_pa: Absolute pressure at the meter [Pa].
        temperature_mk: Gas temperature [mK].
        battery_mv: Battery [mV].
        status: Bit field of `citygate.quantity.status`.
        received_us: When the head-end had it [µs UTC]; null means: when Citygate took it.
        row: Number of the row in its source, for messages about it.
    """

    rows: pl.DataFrame
    columns: ClassVar[dict[str, pl.DataType]] = {
        "meter": pl.String(),
        "at_us": pl.Int64(),
        **QUANTITIES,
        "received_us": pl.Int64(),
        "row": pl.Int64(),
    }

    def __post_init__(self) -> None:
        if dict(self.rows.schema) != self.columns:
            raise WrongColumnsError(self.columns, self.rows.schema)

    @classmethod
    def of(cls, frame: pl.DataFrame) -> ReadingBatch:
        """Return a batch of a frame with at least ``meter`` and ``at_us``; quantities that are absent become null."""
        absent = [
            pl.lit(None, kind).alias(name)
            for name, kind in cls.columns.items()
            if name not in frame.columns and name != "row"
        ]
        if "row" not in frame.columns:
            frame = frame.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"))
        return cls(frame.with_columns(absent).select(pl.col(name).cast(kind) for name, kind in cls.columns.items()))


@dataclass(frozen=True, slots=True)
class ValidatedBatch:
    """Readings that passed every rule on a single row: what stores and detectors take.

    Columns are those of `ReadingBatch` without ``row``, with ``meter`` as the dense code of the registry (Int32),
    sorted by meter and time. Different values of the same instant (revisions) stay in the order in which they came.
    """

    rows: pl.DataFrame
    columns: ClassVar[dict[str, pl.DataType]] = {
        "meter": pl.Int32(),
        "at_us": pl.Int64(),
        **QUANTITIES,
        "received_us": pl.Int64(),
    }

    def __post_init__(self) -> None:
        if dict(self.rows.schema) != self.columns:
            raise WrongColumnsError(self.columns, self.rows.schema)

    @classmethod
    def of(cls, frame: pl.DataFrame) -> ValidatedBatch:
        """Return a batch of trusted rows: those of a store or a simulation; quantities that are absent become null."""
        absent = [pl.lit(None, kind).alias(name) for name, kind in cls.columns.items() if name not in frame.columns]
        rows = frame.with_columns(absent).select(pl.col(name).cast(kind) for name, kind in cls.columns.items())
        return cls(rows.sort("meter", "at_us", maintain_order=True))
