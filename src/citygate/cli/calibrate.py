"""`citygate calibrate`: thresholds for a wanted number of false alarms, from a city's own clean readings."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from citygate.cli.held import held_in_files, held_in_store
from citygate.detection.calibrate import calibrate as calibrated
from citygate.detection.slots import Rows
from citygate.flow.watch import default_panel
from citygate.quantity.clock import CityClock
from citygate.store.city import City

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How the wanted false alarms are shared out, and where thresholds are looked for. The other detectors stand on physics
#: (a pilot flame, p < 1e-4, the weather's pressure) and not on a rate.
_SHARES: Mapping[str, tuple[float, tuple[float, float]]] = {
    "continuous_flow": (0.5, (1.0, 200.0)),
    "night_flow": (0.3, (1.0, 200.0)),
    "flow_step": (0.1, (5.0, 5_000.0)),
    "sustained_flow": (0.1, (20.0, 5_000.0)),
}


def calibrate(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files of clean readings, as for `citygate detect`.")
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of a store, instead of files.")] = None,
    rate: Annotated[float, typer.Option(help="False alarms wanted for 1,000 meter days, of all kinds together.")] = 1.0,
    from_: Annotated[str | None, typer.Option("--from", help="Begin of the clean time.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="End of the clean time.")] = None,
    meters: Annotated[Path | None, typer.Option(help="File of facts of the meters, for files.")] = None,
    weather: Annotated[Path | None, typer.Option(help="File with at_us and temperature_mk, for files.")] = None,
    zone: Annotated[str, typer.Option(help="Time zone of the city, for files.")] = "Europe/Berlin",
    seed: Annotated[int, typer.Option(help="Seed of the resampling behind the intervals.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write instead of standard output.")
    ] = None,
) -> None:
    """Set thresholds from a wanted number of false alarms and write them with where they came from (TOML).

    Use it as `citygate detect --panel FILE`. Every alarm in the readings is called false, so take a time in which
    nothing is known to be wrong.
    """
    if bool(paths) == bool(store):
        raise typer.BadParameter("give either files or --store")
    clock = CityClock(zone)
    held = held_in_store(City.open(store)) if store else held_in_files(paths or [], clock, meters, weather)
    if held.span_us is None:
        raise typer.BadParameter("there are no readings")
    start_us = held.clock.parse(from_) if from_ else held.span_us[0]
    end_us = held.clock.parse(to) if to else held.span_us[1] + 1
    customers = np.flatnonzero(held.meters.customer).tolist()
    rows = Rows.of(held.scan(customers, start_us, end_us), "index_l", held.clock, held.weather)
    if len(rows.meter) == 0:
        raise typer.BadParameter("there are no readings in that time")
    panel = default_panel()
    table = dataclasses.asdict(panel)
    thresholds: dict[str, Any] = {}
    provenance: dict[str, Any] = {}
    for detector in panel.register:
        values = dataclasses.asdict(detector)  # type: ignore[call-overload]  # detectors are dataclasses
        if detector.kind in _SHARES:
            share, bounds = _SHARES[detector.kind]
            best, record = calibrated(detector, rows, held.meters, share * rate, bounds, seed)
            values = dataclasses.asdict(best)  # type: ignore[call-overload]
            provenance[detector.kind] = dataclasses.asdict(record)
        thresholds[detector.kind] = values
    thresholds |= {"low_pressure": table["low_pressure"], "zone_pressure": table["zone_pressure"]}
    thresholds |= {"sudden_drop": table["drop"], "zone_balance": table["balance"], "complete": table["complete"]}
    thresholds["vote"] = {"neighbour_count": panel.neighbour_count, "share_min": panel.share_min}
    text = _toml({**thresholds, **{f"provenance.{kind}": record for kind, record in provenance.items()}})
    if out is None:
        typer.echo(text)
    else:
        out.write_text(text)


def _toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Return tables of numbers and plain words as TOML."""
    lines: list[str] = []
    for name, table in tables.items():
        lines += [
            f"[{name}]",
            *(f"{key} = {_value(item)}" for key, item in table.items() if not isinstance(item, dict)),
        ]
        for key, item in table.items():
            if isinstance(item, dict):
                lines += ["", f"[{name}.{key}]", *(f"{inner} = {_value(one)}" for inner, one in item.items())]
        lines.append("")
    return "\n".join(lines)


def _value(item: Any) -> str:
    return f'"{item}"' if isinstance(item, str) else repr(item)
