"""Cases: alarms that somebody must look at, with their evidence and what was done."""

from __future__ import annotations

from typing import Any

import polars as pl
from fastapi import APIRouter

from citygate.api.desk import Desk, Here  # noqa: TC001

router = APIRouter(prefix="/v1/cases", tags=["cases"])
COLS = {
    "id": pl.Int64,
    "meter": pl.String,
    "severity": pl.String,
    "title": pl.String,
    "state": pl.String,
    "opened_at": pl.String,
}


def case_counts(here: Desk) -> dict[str, int]:
    return {"open": 0, "acknowledged": 0, "closed": 0}


def open_cases(here: Desk) -> pl.DataFrame:
    return pl.DataFrame(schema=COLS)


def recent_cases(here: Desk) -> list[dict[str, Any]]:
    return []


def alarm_of(here: Desk, case: str) -> Any:
    raise NotImplementedError


@router.get("")
def cases(here: Here, state: str | None = None, meter: str | None = None) -> dict[str, Any]:
    return {"rows": [], "next": None}
