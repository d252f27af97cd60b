"""The detectors that watch a city, with their thresholds and where those came from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from citygate.detection.balance import ZoneBalance
from citygate.detection.continuous import ContinuousFlow
from citygate.detection.night import NightFlow
from citygate.detection.own_past import OwnPast
from citygate.detection.pressure import LowPressure, SuddenDrop
from citygate.detection.step import FlowStep
from citygate.detection.stuck import StuckRegister
from citygate.detection.sustained import SustainedFlow
from citygate.detection.uninterrupted import UninterruptedFlow
from citygate.detection.zone import Completeness
from citygate.errors import CitygateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citygate.detection.slots import Detector

#: Detectors of one meter's register.
REGISTER = (ContinuousFlow, SustainedFlow, UninterruptedFlow, NightFlow, FlowStep, StuckRegister)

Kind = TypeVar("Kind")


class WrongPanelError(CitygateError):
    """A table of detectors has an unknown or a missing name."""

    code = "wrong_panel"

    def __init__(self, where: str, name: str) -> None:
        self.where = where
        self.name = name
        super().__init__(f"the table of detectors has no use for, or lacks, '{name}' in [{where}]")


@dataclass(frozen=True, slots=True)
class Panel:
    """Every detector of a city.

    Args:
        register: Detectors on each meter's register.
        low_pressure: On each meter's pressure relative to its zone.
        zone_pressure: On each zone's pressure relative to the city.
        drop: On each meter's pressure; `neighbour_count` and `share_min` are for `citygate.detection.zone.vote`.
        balance: On each zone's balance, in hours that are `complete` enough.
    """

    register: tuple[Detector, ...]
    low_pressure: LowPressure
    zone_pressure: LowPressure
    drop: SuddenDrop
    neighbour_count: int
    share_min: float
    balance: ZoneBalance
    complete: Completeness

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Panel:
        """Return the panel that a table (of a TOML file) describes.

        Raises:
            WrongPanelError: A name is unknown or missing.
        """
        known = {
            *(kind.kind for kind in REGISTER),
            "low_pressure",
            "zone_pressure",
            "sudden_drop",
            "vote",
            "zone_balance",
            "complete",
            "provenance",
        }
        for name in table:
            if name not in known:
                raise WrongPanelError("", name)
        register = tuple(_build(kind, kind.kind, table[kind.kind]) for kind in REGISTER if kind.kind in table)
        for name in ("low_pressure", "zone_pressure", "sudden_drop", "vote", "zone_balance", "complete"):
            if name not in table:
                raise WrongPanelError("", name)
        return cls(
            register=register,  # type: ignore[arg-type]  # a tuple of classes that all are detectors
            low_pressure=_build(LowPressure, "low_pressure", table["low_pressure"]),
            zone_pressure=_build(LowPressure, "zone_pressure", table["zone_pressure"]),
            drop=_build(SuddenDrop, "sudden_drop", table["sudden_drop"]),
            neighbour_count=int(table["vote"]["neighbour_count"]),
            share_min=float(table["vote"]["share_min"]),
            balance=_build(ZoneBalance, "zone_balance", table["zone_balance"]),
            complete=_build(Completeness, "complete", table["complete"]),
        )


def _build(kind: type[Kind], where: str, table: Mapping[str, Any]) -> Kind:
    names = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in table:
        if name not in names:
            raise WrongPanelError(where, name)
    for name, field in names.items():
        if name not in table and field.default is dataclasses.MISSING:
            raise WrongPanelError(where, name)
    values = {
        name: _build(OwnPast, f"{where}.{name}", value) if name == "past" else value for name, value in table.items()
    }
    return kind(**values)
