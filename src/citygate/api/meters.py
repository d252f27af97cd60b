"""Meters: the list, one meter's facts, its readings, their revisions, its consumption."""

from __future__ import annotations

from typing import Annotated, Any

import polars as pl
from fastapi import APIRouter, Query, Response

from citygate.api.desk import Asked, Desk, Here  # noqa: TC001 - FastAPI reads the annotations at run time
from citygate.api.rows import Cursor, Limit, RowForm, download, from_cursor, iso_times, listed, to_cursor
from citygate.api.totals import consumption_rows
from citygate.quantity.clock import Period  # noqa: TC001 - FastAPI reads the annotations at run time

router = APIRouter(prefix="/v1/meters", tags=["meters"])

_FACTS = (
    "meter",
    "zone",
    "provider",
    "customer_type",
    "role",
    "nature",
    "pulse_l",
    "qmax_lph",
    "register_max_l",
    "lon",
    "lat",
    "state",
)
_LAST = ("at_us", "index_l", "flow_lph", "pressure_pa", "temperature_mk", "battery_mv", "status")


@router.get("", summary="List meters")
def list_meters(
    here: Here,
    q: Annotated[str | None, Query(max_length=100, description="Part of the meter's name, in any case.")] = None,
    zone: str | None = None,
    nature: Annotated[str | None, Query(description="measured or modelled")] = None,
    state: Annotated[str | None, Query(description="reporting, late or silent (never read)")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Return meters in the order of their registration, with the newest reading of each, a page at a time."""
    found = here.snapshot().meters
    for name, value in (("zone", zone), ("nature", nature), ("state", state)):
        found = found if value is None else found.filter(pl.col(name) == value)
    if q:
        found = found.filter(pl.col("meter").str.to_lowercase().str.contains(q.lower(), literal=True))
    page = found.filter(pl.col("code") > from_cursor(cursor)).head(limit + 1)
    following = to_cursor(page["code"][limit - 1]) if len(page) > limit else None
    rows = iso_times(page.head(limit).select(*_FACTS, *_LAST), here.clock, ["at_us"])
    return listed(rows, following, total=len(found))


@router.get("/{meter:path}/readings", summary="One meter's readings")
def readings(
    here: Here,
    asked: Asked,
    meter: str,
    cursor: Cursor = None,
    limit: Limit = 1000,
    form: Annotated[RowForm, Query(alias="format")] = RowForm.JSON,
) -> Any:
    """Return the readings of a period, now or as they stood at ``as_of``, oldest first; files have all pages."""
    code = here.code_of(meter)
    if form is not RowForm.JSON:
        rows = here.city.readings.scan([code], asked.start_us, asked.end_us, asked.as_of_us)
        return download(_told(here, rows, meter), form, f"{meter}-readings")
    start_us = max(asked.start_us, from_cursor(cursor) + 1)
    rows = here.city.readings.scan([code], start_us, asked.end_us, asked.as_of_us).head(limit + 1)
    following = to_cursor(rows["at_us"][limit - 1]) if len(rows) > limit else None
    return listed(_told(here, rows.head(limit), meter), following, time_zone=here.clock.zone)


@router.get("/{meter:path}/revisions", summary="Every revision of one meter's readings")
def revisions(
    here: Here,
    asked: Asked,
    meter: str,
    changed: Annotated[bool, Query(description="Only instants that were revised.")] = False,  # noqa: FBT002 - a query parameter is named by its caller
) -> dict[str, Any]:
    """Return every value ever held for the period, with its commit, time of record and source."""
    rows = here.city.readings.revisions(here.code_of(meter), asked.start_us, asked.end_us)
    if changed:
        rows = rows.filter(pl.len().over("at_us") > 1)
    rows = rows.drop("meter").head(_MOST_REVISIONS)
    return listed(iso_times(rows, here.clock, ["at_us", "received_us", "recorded_us"]), None, meter=meter)


@router.get("/{meter:path}/consumption", summary="One meter's consumption", response_model=None)
def consumption(
    here: Here,
    asked: Asked,
    meter: str,
    by: Period = "hour",
    form: Annotated[RowForm, Query(alias="format")] = RowForm.JSON,
) -> dict[str, Any] | Response:
    """Return volume and energy of each period with the shares that were measured, estimated and missing."""
    rows = consumption_rows(here, here.totals(by, "meter", asked, [here.code_of(meter)]))
    if form is not RowForm.JSON:
        return download(rows, form, f"{meter}-{by}")
    return listed(rows, None, by=by, time_zone=here.clock.zone)


@router.get("/{meter:path}", summary="One meter's facts and newest reading")
def one_meter(here: Here, asked: Asked, meter: str) -> dict[str, Any]:
    """Return what is known of a meter, its newest reading, and the quality of its consumption in the period."""
    code = here.code_of(meter)
    row = iso_times(here.snapshot().meters.filter(pl.col("code") == code), here.clock, ["at_us", "received_us"]).row(
        0, named=True
    )
    history = (
        here.city.registry()
        .rows.filter(pl.col("code") == code)
        .select("zone", "provider", "customer_type", "valid_from_us")
    )
    days = here.totals("gas-day", "meter", asked, [code])
    return {
        **{name: row[name] for name in _FACTS},
        "newest": {name.removesuffix("_us"): row[name.removesuffix("_us")] for name in (*_LAST, "received_us")},
        "quality": shares(days),
        "volume_l": int(days["volume_l"].sum()),
        "places": history.to_dicts(),
        "from": here.clock.format(asked.start_us),
        "to": here.clock.format(asked.end_us),
    }


def shares(totals: pl.DataFrame) -> dict[str, float]:
    """Return the mean shares of some periods; all is missing where there is none."""
    if totals.is_empty():
        return {"measured_share": 0.0, "estimated_share": 0.0, "missing_share": 1.0}
    return totals.select(pl.col("measured_share", "estimated_share", "missing_share").mean()).row(0, named=True)


_MOST_REVISIONS = 5_000


def _told(here: Desk, rows: pl.DataFrame, meter: str) -> pl.DataFrame:
    return iso_times(rows.with_columns(pl.lit(meter).alias("meter")), here.clock, ["at_us", "received_us"])
