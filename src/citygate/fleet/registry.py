"""Which meter hangs where, since when, and what it can show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import polars as pl

from citygate.errors import CitygateError

if TYPE_CHECKING:
    from collections.abc import Mapping

UNASSIGNED = "unassigned"


class WrongRegistryError(CitygateError):
    """A registry frame has other columns than promised."""

    code = "wrong_registry"

    def __init__(self, found: Mapping[str, pl.DataType]) -> None:
        self.found = dict(found)
        super().__init__(f"a registry needs the columns {list(Registry.columns)}, not {list(found)}")


@dataclass(frozen=True, slots=True)
class Registry:
    """Every meter that Citygate knows, one row for each place and time it hung there.

    Columns:
        meter: Identity as the head-end writes it.
        code: Dense number of the meter, 0 and up; the same for all rows of one meter.
        zone: Supply zone; ``unassigned`` until somebody says otherwise.
        provider: Supplier or network operator.
        customer_type: Such as household, commercial, industry.
        role: ``customer``, ``inlet`` (gas into a zone) or ``pressure`` (a logger without a register).
        nature: ``measured`` (a real meter) or ``modelled`` (filled by a simulation).
        register_max_l: The register rolls over to zero when it reaches this volume [litre].
        pulse_l: Volume of one pulse: the resolution of the register [litre].
        qmax_lph: Largest flow of the meter [litre/h]; 0 where nobody said.
        lon, lat: Place [degree, WGS 84]; null where unknown.
        valid_from_us, valid_to_us: When this row holds, the end excluded [µs UTC].
    """

    rows: pl.DataFrame
    columns: ClassVar[dict[str, pl.DataType]] = {
        "meter": pl.String(),
        "code": pl.Int32(),
        "zone": pl.String(),
        "provider": pl.String(),
        "customer_type": pl.String(),
        "role": pl.String(),
        "nature": pl.String(),
        "register_max_l": pl.Int64(),
        "pulse_l": pl.Int64(),
        "qmax_lph": pl.Int64(),
        "lon": pl.Float64(),
        "lat": pl.Float64(),
        "valid_from_us": pl.Int64(),
        "valid_to_us": pl.Int64(),
    }
    #: What a meter is taken for until somebody says otherwise: a register of 99,999.999 m³ and no known size.
    unknown: ClassVar[dict[str, object]] = {
        "zone": UNASSIGNED,
        "provider": UNASSIGNED,
        "customer_type": UNASSIGNED,
        "role": "customer",
        "nature": "measured",
        "register_max_l": 100_000_000,
        "pulse_l": 1,
        "qmax_lph": 0,
        "lon": None,
        "lat": None,
        "valid_from_us": -(2**62),
        "valid_to_us": 2**62,
    }

    def __post_init__(self) -> None:
        if dict(self.rows.schema) != self.columns:
            raise WrongRegistryError(self.rows.schema)

    @classmethod
    def of(cls, meters: pl.DataFrame) -> Registry:
        """Return a registry of meters in the order given; a column that is absent or null gets its default."""
        given = meters.columns
        if "code" not in given:
            first = meters.select(pl.col("meter").cast(pl.String)).unique(maintain_order=True).with_row_index("code")
            meters = meters.with_columns(pl.col("meter").cast(pl.String)).join(first, on="meter", how="left")
        absent = [pl.lit(value).alias(name) for name, value in cls.unknown.items() if name not in given]
        filled = [
            pl.col(name).fill_null(value) for name, value in cls.unknown.items() if name in given and value is not None
        ]
        return cls(
            meters.with_columns(*absent, *filled).select(pl.col(name).cast(kind) for name, kind in cls.columns.items())
        )

    def latest(self) -> pl.DataFrame:
        """Return the newest row of each meter, in the order of their codes."""
        return self.rows.sort("code", "valid_from_us").unique("code", keep="last", maintain_order=True)

    def count(self) -> int:
        """Return the number of meters."""
        return int(self.rows["code"].to_numpy().max()) + 1 if len(self.rows) else 0
