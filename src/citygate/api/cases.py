"""Cases: alarms that somebody must look at, with their evidence and what was done."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import polars as pl
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from citygate.api.desk import Desk, Here  # noqa: TC001 - FastAPI reads the annotations at run time
from citygate.api.rows import Cursor, Limit, from_cursor, listed, to_cursor
from citygate.detection.case import SEVERITY, TRANSITIONS, Action, Case, CaseState, Deed, Severity
from citygate.store.cases import CaseStore, NoCaseError

router = APIRouter(prefix="/v1/cases", tags=["cases"])

#: What a row of the list says; the map and the event streams say the same.
COLUMNS: dict[str, pl.DataType] = {
    "id": pl.String(),
    "title": pl.String(),
    "severity": pl.String(),
    "state": pl.String(),
    "meter": pl.String(),
    "zone": pl.String(),
    "nature": pl.String(),
    "opened_at": pl.String(),
    "latest_at": pl.String(),
    "from": pl.String(),
    "to": pl.String(),
    "at": pl.String(),
    "kind": pl.String(),
    "statistic": pl.Float64(),
    "threshold": pl.Float64(),
    "unit": pl.String(),
    "smallest_leak_lph": pl.Float64(),
    "alarm_count": pl.Int64(),
}
StateFilter = Literal["open", "acknowledged", "closed", "active"]


class Said(BaseModel):
    """Who does something with a case, and why."""

    by: str = Field(min_length=1, max_length=80, description="Who does it.")
    note: str = Field(default="", max_length=500, description="Why; needed to close.")


class SaidWithReason(Said):
    """Who closes a case, and why."""

    note: str = Field(min_length=1, max_length=500, description="Why.")


@router.get("", summary="List cases")
def cases(
    here: Here,
    state: Annotated[StateFilter | None, Query(description="active is open or acknowledged")] = None,
    meter: str | None = None,
    kind: str | None = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Return cases, the most severe first and the newest first among equals, a page at a time."""
    wanted = case_rows(here, state).filter(
        pl.lit(value=True) if meter is None else pl.col("meter") == meter,
        pl.lit(value=True) if kind is None else pl.col("kind") == kind,
    )
    start = from_cursor(cursor) + 1
    following = to_cursor(start + limit - 1) if len(wanted) > start + limit else None
    return listed(wanted.slice(start, limit), following, total=len(wanted))


@router.post("/{case:path}/acknowledge", summary="Acknowledge a case")
def acknowledge(here: Here, case: str, said: Said) -> dict[str, Any]:
    """Say that somebody works on an open case, and return it."""
    return _act(here, case, Action.ACKNOWLEDGE, said)


@router.post("/{case:path}/close", summary="Close a case")
def close(here: Here, case: str, said: SaidWithReason) -> dict[str, Any]:
    """Close a case with a reason, and return it; a new alarm of its kind within 14 days opens it again."""
    return _act(here, case, Action.CLOSE, said)


@router.post("/{case:path}/reopen", summary="Reopen a case")
def reopen(here: Here, case: str, said: Said) -> dict[str, Any]:
    """Open a closed case again, and return it."""
    return _act(here, case, Action.REOPEN, said)


@router.get("/{case:path}", summary="One case with its evidence")
def one_case(here: Here, case: str) -> dict[str, Any]:
    """Return a case, the evidence of its leading alarm, all its alarms, what was done, and what can be done."""
    found = _found(here, case)
    alarms = _alarms_of(here, found)
    lead = _lead(alarms)
    evidence = json.loads(lead["evidence"])
    clock = here.clock
    return {
        **_row(here, found, lead, evidence),
        "sentence": evidence["sentence"],
        "statistic_name": evidence["statistic"],
        "own_past": evidence["own_past"],
        "readings": [
            {
                "meter": row["meter"],
                "at": clock.format(row["at_us"]),
                **{name: row.get(name) for name in ("index_l", "pressure_pa")},
            }
            for row in evidence["readings"]
        ],
        "alarms": [
            {
                **{name: row[name] for name in ("meter", "kind", "statistic", "threshold")},
                "at": clock.format(row["at_us"]),
            }
            for row in alarms
        ],
        "history": [
            {"at": clock.format(found.opened_us), "action": "opened", "by": "", "note": ""},
            *(
                {"at": clock.format(deed.at_us), "action": str(deed.action), "by": deed.actor, "note": deed.reason}
                for deed in found.deeds
            ),
        ],
        "actions": [str(action) for state, action in TRANSITIONS if state is found.state],
    }


def case_rows(here: Desk, state: StateFilter | None = None) -> pl.DataFrame:
    """Return cases in a state, or all: columns of `COLUMNS`, the most severe first, the newest first among equals."""
    seen = here.snapshot()
    wanted = [
        case
        for case in seen.cases
        if state in (None, str(case.state)) or (state == "active" and case.state is not CaseState.CLOSED)
    ]
    wanted.sort(key=lambda case: (-case.severity, -case.latest_us, case.name))
    rows = []
    for case in wanted:
        lead = _lead(_alarms_of(here, case))
        rows.append(_row(here, case, lead, json.loads(lead["evidence"])))
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def case_counts(here: Desk) -> dict[str, int]:
    """Return how many cases there are in each state, and how many open ones of each severity."""
    found = here.snapshot().cases
    counts = {str(state): sum(case.state is state for case in found) for state in CaseState}
    worries = [case.severity for case in found if case.state is CaseState.OPEN]
    return {**counts, **{severity.name.lower(): worries.count(severity) for severity in Severity}}


def leading_alarm(here: Desk, case: str) -> dict[str, Any]:
    """Return the alarm that a case is shown by: columns of `citygate.detection.alarm.COLUMNS`.

    Raises:
        NoCaseError: There is no such case.
    """
    return _lead(_alarms_of(here, _found(here, case)))


def _found(here: Desk, case: str) -> Case:
    for found in here.snapshot().cases:
        if found.name == case:
            return found
    raise NoCaseError(case)


def _act(here: Desk, case: str, action: Action, said: Said) -> dict[str, Any]:
    CaseStore.of(here.city).act(Deed(case, here.now_us(), said.by.strip(), action, said.note.strip()))
    here.keeper.forget()
    return one_case(here, case)


def _alarms_of(here: Desk, case: Case) -> list[dict[str, Any]]:
    known = here.snapshot().alarms
    return [known[key] for alarm in case.alarms if (key := (alarm.meter, alarm.kind, alarm.at_us)) in known]


def _lead(alarms: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the first of the most severe alarms."""
    return min(alarms, key=lambda row: (-SEVERITY[row["kind"]], row["at_us"]))


def _row(here: Desk, case: Case, lead: dict[str, Any], evidence: dict[str, Any]) -> dict[str, Any]:
    clock, meters = here.clock, here.snapshot().meters
    nature = meters.filter(pl.col("meter") == case.place)["nature"]
    return {
        "id": case.name,
        "title": lead["kind"].replace("_", " ").capitalize(),
        "severity": case.severity.name.lower(),
        "state": str(case.state),
        "meter": case.place,
        "zone": case.zone,
        "nature": nature[0] if len(nature) else None,
        "opened_at": clock.format(case.opened_us),
        "latest_at": clock.format(case.latest_us),
        **{name: clock.format(lead[f"{name}_us"]) for name in ("from", "to", "at")},
        **{name: lead[name] for name in ("kind", "statistic", "threshold")},
        "unit": evidence["unit"],
        "smallest_leak_lph": evidence["smallest_leak_lph"],
        "alarm_count": len(case.alarms),
    }
