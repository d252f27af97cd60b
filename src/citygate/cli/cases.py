"""`citygate cases`: what was found, who looks at it, and how it ended."""

from __future__ import annotations

import getpass
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from citygate.cli.detect import readable
from citygate.detection.case import Action, CaseState, Deed
from citygate.report.table import Format, write_table
from citygate.store.cases import CaseStore
from citygate.store.city import City

if TYPE_CHECKING:
    from citygate.detection.case import Case
    from citygate.quantity.clock import CityClock

cases_app = typer.Typer(help="List, show and settle the cases that alarms became.", no_args_is_help=True)

Store = Annotated[Path, typer.Option(help="Folder of the store.")]
Name = Annotated[str, typer.Argument(help="Name of the case, as `citygate cases list` shows it.")]
Who = Annotated[str, typer.Option("--by", help="Who does it.", default_factory=getpass.getuser, show_default="you")]
Form = Annotated[Format, typer.Option("--format", help="How the rows are written.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(cases_app, name="cases")


@cases_app.command("list")
def list_cases(
    store: Store,
    state: Annotated[CaseState | None, typer.Option(help="Only cases in this state.")] = None,
    form: Form = Format.TABLE,
) -> None:
    """List cases, the most pressing first."""
    city = City.open(store)
    found = [case for case in CaseStore.of(city).cases() if state is None or case.state is state]
    found.sort(key=lambda case: (-case.severity, case.opened_us, case.name))
    write_table(_frame(found, city.clock), form, None)


@cases_app.command()
def show(name: Name, store: Store, form: Form = Format.JSON) -> None:
    """Show the alarms of a case with their evidence."""
    city = City.open(store)
    kept = CaseStore.of(city)
    keys = [(alarm.meter, alarm.kind, alarm.at_us) for alarm in kept.find(name).alarms]
    wanted = pl.DataFrame(keys, schema={"meter": pl.String, "kind": pl.String, "at_us": pl.Int64}, orient="row")
    alarms = kept.alarms().join(wanted, on=["meter", "kind", "at_us"], how="semi", maintain_order="left")
    write_table(readable(alarms, city.clock, form), form, None)


@cases_app.command()
def acknowledge(name: Name, store: Store, by: Who, reason: Annotated[str, typer.Option(help="A note.")] = "") -> None:
    """Say that somebody is looking at a case."""
    _act(store, name, by, Action.ACKNOWLEDGE, reason)


@cases_app.command()
def close(name: Name, store: Store, by: Who, reason: Annotated[str, typer.Option(help="How it ended.")]) -> None:
    """Close a case and say why."""
    _act(store, name, by, Action.CLOSE, reason)


@cases_app.command()
def reopen(name: Name, store: Store, by: Who, reason: Annotated[str, typer.Option(help="A note.")] = "") -> None:
    """Open a closed case again."""
    _act(store, name, by, Action.REOPEN, reason)


def _act(store: Path, name: str, actor: str, action: Action, reason: str) -> None:
    city = City.open(store)
    case = CaseStore.of(city).act(Deed(name, time.time_ns() // 1_000, actor, action, reason))
    write_table(_frame([case], city.clock), Format.TABLE, None)


def _frame(cases: list[Case], clock: CityClock) -> pl.DataFrame:
    rows = [
        {
            "case": case.name,
            "severity": case.severity.name.lower(),
            "state": str(case.state),
            "zone": case.zone,
            "kinds": ", ".join(sorted({alarm.kind for alarm in case.alarms})),
            "alarms": len(case.alarms),
            "opened": clock.format(case.opened_us),
            "latest": clock.format(case.latest_us),
            "last_by": case.deeds[-1].actor if case.deeds else None,
            "last_reason": case.deeds[-1].reason if case.deeds else None,
        }
        for case in cases
    ]
    names = ("case", "severity", "state", "zone", "kinds", "alarms", "opened", "latest", "last_by", "last_reason")
    return pl.DataFrame(rows, schema={name: pl.Int64 if name == "alarms" else pl.String for name in names})
