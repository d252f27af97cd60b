"""What detectors need to know of each meter, as arrays in the order of the codes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citygate.fleet.registry import Registry

Whole = npt.NDArray[np.int64]

#: Steps of a register that must agree before they say what a pulse is.
STEP_COUNT_MIN = 12


@dataclass(frozen=True, slots=True)
class Meters:
    """Facts of meters and zones, one entry for each code.

    Attributes:
        pulse_l: Resolution of the register [litre].
        register_max_l: Volume at which the register rolls over to zero [litre].
        qmax_lph: Largest flow of the meter [litre/h].
        zone: Number of the zone in ``zones``.
        inlet: Whether the meter measures gas that enters its zone.
        customer: Whether the meter measures gas that a customer takes.
        names: Identity of each meter.
        zones: Names of the zones, sorted.
        pipe_volume_l: Volume of the pipes of each zone [litre]; 0 where it is not known.
    """

    pulse_l: Whole
    register_max_l: Whole
    qmax_lph: Whole
    zone: Whole
    inlet: npt.NDArray[np.bool_]
    customer: npt.NDArray[np.bool_]
    names: tuple[str, ...]
    zones: tuple[str, ...]
    pipe_volume_l: Whole

    @classmethod
    def of(cls, registry: Registry, pipe_volume_l: Mapping[str, int] | None = None) -> Meters:
        """Return the newest facts of every meter of a registry, and of the pipes of its zones where they are known."""
        volumes = pipe_volume_l or {}
        rows = registry.latest()
        zones = rows["zone"].unique().sort()
        return cls(
            pulse_l=rows["pulse_l"].to_numpy(),
            register_max_l=rows["register_max_l"].to_numpy(),
            qmax_lph=rows["qmax_lph"].to_numpy(),
            zone=np.searchsorted(zones.to_numpy(), rows["zone"].to_numpy()).astype(np.int64),
            inlet=(rows["role"] == "inlet").to_numpy(),
            customer=(rows["role"] == "customer").to_numpy(),
            names=tuple(rows["meter"].to_list()),
            zones=tuple(zones.to_list()),
            pipe_volume_l=np.array([volumes.get(zone, 0) for zone in zones.to_list()], dtype=np.int64),
        )

    def of_zones(self) -> Meters:
        """Return the zones as if each were a meter, for detectors that look at zones."""
        number = np.arange(len(self.zones), dtype=np.int64)
        one = np.ones(len(number), dtype=np.int64)
        role = np.zeros(len(number), dtype=np.bool_)
        return Meters(
            one, one, one, number, role, role, tuple(f"zone:{name}" for name in self.zones), self.zones, 0 * one
        )

    @property
    def count(self) -> int:
        """Number of meters."""
        return len(self.names)

    def with_pulses(self, rows: pl.DataFrame) -> Meters:
        """Return the facts with pulses as large as the registers show: every step is a multiple of the pulse.

        Args:
            rows: ``meter`` (code) and ``index_l``, sorted by meter and time.
        """
        kept = rows.filter(pl.col("index_l").is_not_null())
        code = kept["meter"].to_numpy()
        step_l = np.abs(np.diff(kept["index_l"].to_numpy()))
        where = np.flatnonzero((np.diff(code) == 0) & (step_l > 0))
        if len(where) == 0:
            return self
        seen, starts, counts = np.unique(code[where], return_index=True, return_counts=True)
        common_l = np.gcd.reduceat(step_l[where], starts)
        sure = counts >= STEP_COUNT_MIN  # fewer steps share a divisor by chance
        pulse_l = self.pulse_l.copy()
        pulse_l[seen[sure]] = np.maximum(pulse_l[seen[sure]], common_l[sure])
        return replace(self, pulse_l=pulse_l)
