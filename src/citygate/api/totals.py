"""Consumption of meters, zones, providers, customer types and the city, by hour, gas day and gas month."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Response

from citygate.api.desk import Asked, Desk, Here  # noqa: TC001 - FastAPI reads the annotations at run time
from citygate.api.rows import RowForm, download, listed
from citygate.errors import CitygateError
from citygate.quantity.clock import Period  # noqa: TC001 - FastAPI reads the annotations at run time
from citygate.report.totals import totals_for_people
from citygate.store.totals import Group  # noqa: TC001 - FastAPI reads the annotations at run time

if TYPE_CHECKING:
    import polars as pl

    from citygate.api.desk import Span

router = APIRouter(prefix="/v1", tags=["totals"])

MOST_ROWS = 200_000


class TooManyRowsError(CitygateError):
    """An answer would have more rows than one answer may."""

    code = "too_many_rows"

    def __init__(self, rows: int) -> None:
        self.rows = rows
        super().__init__(
            f"the answer has {rows} rows, at most {MOST_ROWS} are allowed; ask for a shorter or coarser period"
        )


@router.get("/totals", summary="Consumption by period and group", response_model=None)
def totals(
    here: Here,
    asked: Asked,
    by: Period = "gas-day",
    group: Group = "zone",
    form: Annotated[RowForm, Query(alias="format")] = RowForm.JSON,
) -> dict[str, Any] | Response:
    """Return volume [m³] and energy [kWh] of each period and group, with the shares measured, estimated and missing."""
    rows = consumption_rows(here, guarded(here, asked, by, group))
    if form is not RowForm.JSON:
        return download(rows, form, f"totals-{by}-{group}")
    period = {"from": here.clock.format(asked.start_us), "to": here.clock.format(asked.end_us)}
    return listed(
        rows, None, by=by, group=group, **period, time_zone=here.clock.zone, gas_day_hour=here.clock.gas_day_hour
    )


def guarded(here: Desk, asked: Span, by: Period, group: Group) -> pl.DataFrame:
    """Return totals after a look at how many rows they will have.

    Raises:
        TooManyRowsError: They would be more than one answer may have.
    """
    periods = len(here.clock.period_starts_us(by, asked.start_us, asked.end_us))
    rows = periods * (here.city.registry().count() if group == "meter" else 1)
    if rows > MOST_ROWS:
        raise TooManyRowsError(rows)
    return here.totals(by, group, asked, None)


def consumption_rows(here: Desk, frame: pl.DataFrame) -> pl.DataFrame:
    """Return totals as people read them: ISO times, m³ and kWh."""
    return totals_for_people(frame, here.clock)
