"""Charts as the pages and reports show them: a Vega-Lite specification, SVG, PNG or PDF of the same declaration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
from fastapi import APIRouter, Query, Response

from citygate.api.cases import leading_alarm
from citygate.api.desk import Asked, Desk, Here, Span
from citygate.api.status import arrivals
from citygate.api.totals import guarded
from citygate.quantity.clock import US_PER_HOUR, Period
from citygate.report import figure
from citygate.report.export import MEDIA, ChartForm, draw
from citygate.report.theme import Theme, dressed
from citygate.store.totals import Group  # noqa: TC001 - FastAPI reads the annotations at run time

if TYPE_CHECKING:
    import altair as alt

router = APIRouter(prefix="/v1/figures", tags=["figures"])

Look = Annotated[Theme, Query(description="light or dark")]
#: Beyond this many hours a chart of hours is a smear: it shows gas days.
_HOURS_DRAWN = 24 * 35
_MOST_POINTS = 3_000
_KELVIN_MK = 273_150
#: Quantities that a meter's chart shows: column, divisor, offset, axis.
QUANTITY: dict[str, tuple[str, float, float, str]] = {
    "register": ("index_l", 1000, 0, "register [m³]"),
    "flow": ("flow_lph", 1, 0, "flow now [l/h]"),
    "pressure": ("pressure_pa", 100, 0, "absolute pressure [hPa]"),
    "temperature": ("temperature_mk", 1000, _KELVIN_MK / 1000, "gas temperature [°C]"),
}


@router.get(
    "/meters/{meter:path}/consumption.{form}", summary="Chart of one meter's consumption", response_class=Response
)
def consumption(here: Here, asked: Asked, meter: str, form: ChartForm, theme: Look = Theme.LIGHT) -> Response:
    """Draw the volume of each hour, or of each gas day when the period is long."""
    by: Period = "hour" if asked.end_us - asked.start_us <= _HOURS_DRAWN * US_PER_HOUR else "gas-day"
    rows = _periods(here, here.totals(by, "meter", asked, [here.code_of(meter)]))
    chart = figure.consumption(
        rows, theme, modelled=_modelled(here, meter), title=f"volume per {by.replace('-', ' ')} [l]"
    )
    return answer(chart, form, theme)


@router.get(
    "/meters/{meter:path}/{quantity}.{form}",
    summary="Chart of one meter's register, flow, pressure or temperature",
    response_class=Response,
)
def quantity(
    here: Here, asked: Asked, meter: str, quantity: str, form: ChartForm, theme: Look = Theme.LIGHT
) -> Response:
    """Draw one quantity of a meter's readings; a long period is thinned to every n-th reading."""
    column, divisor, offset, title = QUANTITY.get(quantity, QUANTITY["register"])
    rows = here.city.readings.scan([here.code_of(meter)], asked.start_us, asked.end_us, asked.as_of_us)
    thin = rows.filter(pl.col(column).is_not_null()).gather_every(max(1, len(rows) // _MOST_POINTS))
    told = figure.local_times(thin, "at_us", here.clock.zone).with_columns(
        (pl.col(column) / divisor - offset).alias(column)
    )
    chart = figure.line(
        told, theme, column=column, title=title, modelled=_modelled(here, meter), step=quantity == "flow"
    )
    return answer(chart, form, theme)


@router.get("/totals.{form}", summary="Chart of totals", response_class=Response)
def totals(
    here: Here, asked: Asked, form: ChartForm, by: Period = "gas-day", group: Group = "zone", theme: Look = Theme.LIGHT
) -> Response:
    """Draw the volume of each period, stacked by group; beyond the eight largest groups the rest is one."""
    rows = _periods(here, guarded(here, asked, by, group)).with_columns((pl.col("volume_l") / 1000).alias("volume_m3"))
    largest = (
        rows.group_by("group")
        .agg(pl.col("volume_m3").sum())
        .sort("volume_m3", "group", descending=[True, False])["group"]
        .to_list()
    )
    if len(largest) > _GROUPS_DRAWN:
        named = pl.col("group").is_in(largest[: _GROUPS_DRAWN - 1])
        rows = rows.with_columns(pl.when(named).then("group").otherwise(pl.lit("all others")).alias("group"))
        rows = rows.group_by("at", "until", "when", "group", maintain_order=True).agg(
            pl.col("volume_m3").sum(), pl.col("measured_share").mean()
        )
        largest = [*largest[: _GROUPS_DRAWN - 1], "all others"]
    return answer(figure.totals(rows, theme, largest), form, theme)


@router.get("/arrivals.{form}", summary="Chart of arrivals per minute", response_class=Response)
def arrival(here: Here, form: ChartForm, theme: Look = Theme.LIGHT) -> Response:
    """Draw the rows that came in each minute of the last hour."""
    rows = figure.local_times(arrivals(here.snapshot().commits), "minute_us", here.clock.zone)
    return answer(
        figure.arrivals(rows.with_columns((pl.col("at") + pl.duration(minutes=1)).alias("until")), theme), form, theme
    )


@router.get("/cases/{case:path}.{form}", summary="Chart of a case's evidence", response_class=Response)
def case_evidence(here: Here, case: str, form: ChartForm, theme: Look = Theme.LIGHT) -> Response:
    """Draw what the leading alarm of a case looked at, with the span and the moment of the alarm."""
    alarm = leading_alarm(here, case)
    column, title, rows = _looked_at(here, alarm)
    zone = here.clock.zone
    marks = pl.DataFrame({name: [alarm[name]] for name in ("from_us", "to_us", "at_us")})
    local = [figure.local_times(marks, f"{name}_us", zone)["at"] for name in ("from", "to", "at")]
    span = pl.DataFrame([series.alias(name) for series, name in zip(local, ("begin", "end", "at"), strict=True)])
    return answer(figure.evidence(rows, theme, column=column, title=title, alarm=span), form, theme)


def answer(chart: alt.TopLevelMixin, form: ChartForm, theme: Theme) -> Response:
    """Return a chart in a form."""
    return Response(draw(dressed(chart, theme), form), media_type=MEDIA[form], headers={"Cache-Control": "no-cache"})


_GROUPS_DRAWN = 8


def _periods(here: Desk, rows: pl.DataFrame) -> pl.DataFrame:
    ends = figure.local_times(rows, "period_end_us", here.clock.zone)["at"].alias("until")
    return figure.local_times(rows, "period_start_us", here.clock.zone).with_columns(ends)


def _modelled(here: Desk, meter: str) -> bool:
    return bool((here.snapshot().meters.filter(pl.col("meter") == meter)["nature"] == "modelled").any())


def _looked_at(here: Desk, alarm: dict[str, Any]) -> tuple[str, str, pl.DataFrame]:
    """Return the column that an alarm speaks of, its axis, and the rows to draw: around it, or its own evidence."""
    around_us = max(12 * US_PER_HOUR, (alarm["to_us"] - alarm["from_us"]) // 4)
    asked = Span(alarm["from_us"] - around_us, alarm["to_us"] + around_us, None)
    pressed = {row["meter"] for row in json.loads(alarm["evidence"])["readings"] if "pressure_pa" in row}
    if pressed:
        hour = pl.col("at_us") // US_PER_HOUR * US_PER_HOUR
        rows = here.city.readings.scan(sorted(here.code_of(meter) for meter in pressed), asked.start_us, asked.end_us)
        told = rows.group_by(hour).agg((pl.col("pressure_pa") / 100).median()).drop_nulls().sort("at_us")
        title = QUANTITY["pressure"][3] + (f", median of {len(pressed)} meters" if len(pressed) > 1 else "")
        return "pressure_pa", title, figure.local_times(told, "at_us", here.clock.zone)
    by: Period = "hour" if asked.end_us - asked.start_us <= _HOURS_DRAWN * US_PER_HOUR else "gas-day"
    if alarm["meter"].startswith("zone:"):
        rows = here.totals(by, "zone", asked, None).filter(pl.col("group") == alarm["zone"])
    else:
        rows = here.totals(by, "meter", asked, [here.code_of(alarm["meter"])])
    known = rows.filter(pl.col("missing_share") < 1)
    return "volume_l", f"volume per {by.replace('-', ' ')} [l]", _periods(here, known)
