"""The room of analysis: totals and meters."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse  # noqa: TC002 - FastAPI reads the annotations at run time

from citygate.web.ask import ask, link
from citygate.web.site import page, period_of
from citygate.web.words import asked_period

router = APIRouter(include_in_schema=False)

_READINGS_SHOWN = 200


@router.get("/meters")
async def meters(request: Request) -> HTMLResponse:
    """List meters by name, zone, nature and state."""
    asked = {name: request.query_params.get(name) or None for name in ("q", "zone", "nature", "state", "cursor")}
    found = await ask(request, "/v1/meters", limit=100, **asked)
    return await page(request, "meters.html", "/meters", found=found, asked=asked)


@router.get("/meters/{meter:path}")
async def meter(request: Request, meter: str) -> HTMLResponse:
    """Show one meter: register, flow, temperature, quality, revisions, cases."""
    asked = dict(period_of(request))
    facts = await ask(request, f"/v1/meters/{meter}", **asked)
    period = {**asked, "from": facts["from"], "to": facts["to"]}
    found: dict[str, Any] = {
        "days": await ask(request, f"/v1/meters/{meter}/consumption", by="gas-day", **period),
        "readings": await ask(request, f"/v1/meters/{meter}/readings", limit=_READINGS_SHOWN, **period),
        "revisions": await ask(request, f"/v1/meters/{meter}/revisions", changed=True, **period),
        "cases": await ask(request, "/v1/cases", meter=meter, limit=50),
    }
    here = link(f"/meters/{meter}")
    return await page(
        request,
        "meter.html",
        "/meters",
        meter=facts,
        asked=await _picker(request, facts),
        period=_query(period),
        here_path=here,
        **found,
    )


@router.get("/totals")
async def totals(request: Request) -> HTMLResponse:
    """Show consumption by period and group."""
    chosen = {"by": request.query_params.get("by") or "gas-day", "group": request.query_params.get("group") or "zone"}
    asked = dict(period_of(request))
    found = await ask(request, "/v1/totals", **chosen, **asked)
    period = {**asked, "from": found["from"], "to": found["to"]}
    whole = await ask(request, "/v1/totals", by="gas-day", group="city", **period)
    return await page(
        request,
        "totals.html",
        "/totals",
        found=found["rows"],
        groups=_by_group(found["rows"]),
        whole=whole["rows"],
        chosen=chosen,
        asked=await _picker(request, found),
        period=_query({**chosen, **period}),
    )


def _by_group(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each group: its volume, energy and mean shares, largest first."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    summed = [
        {
            "group": name,
            **{column: sum(row[column] or 0 for row in mine) for column in ("volume_m3", "energy_kwh")},
            **{
                column: sum(row[column] for row in mine) / len(mine)
                for column in ("measured_share", "estimated_share", "missing_share")
            },
        }
        for name, mine in groups.items()
    ]
    return sorted(summed, key=lambda row: -row["volume_m3"])


async def _picker(request: Request, period: dict[str, Any]) -> dict[str, object]:
    status = await ask(request, "/v1/status")
    return asked_period(period["from"], period["to"], status["city"]["gas_day_hour"])


def _query(asked: dict[str, Any]) -> str:
    return link("", **asked).removeprefix("?")
