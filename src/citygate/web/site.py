"""The pages: their shell, their assets, and what a person sees when something goes wrong."""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from citygate.report.export import browser_bundle
from citygate.web import words
from citygate.web.ask import RefusedError, ask

if TYPE_CHECKING:
    from collections.abc import Mapping

_HERE = Path(__file__).parent
VERSION = version("citygate")
#: Rooms that exist, and their pages; a room appears when its first page is built.
ROOMS = (
    ("Operations", (("Town map", "/"), ("Cases", "/cases"), ("Intake", "/intake"), ("Quarantine", "/quarantine"))),
    ("Analysis", (("Totals", "/totals"), ("Meters", "/meters"))),
)
_KEEP_ASSET = "public, max-age=604800"

router = APIRouter(include_in_schema=False)
assets = StaticFiles(directory=_HERE / "assets")
_pages = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_pages.filters.update(words.FILTERS)
_pages.globals.update(rooms=ROOMS, version=VERSION)


async def page(
    request: Request, template: str, here: str, *, status: int = HTTPStatus.OK, **facts: Any
) -> HTMLResponse:
    """Return a page within the shell.

    Args:
        request: The request being answered.
        template: Name of the template.
        here: Path of the room's entry that is current.
        status: HTTP status.
        facts: What the template shows.
    """
    base = str(request.base_url).rstrip("/")
    text = _pages.get_template(template).render(
        status=await ask(request, "/v1/status"),
        here=here,
        base=base,
        **{"search": request.query_params.get("q"), **facts},
    )
    return HTMLResponse(text, status, {"Cache-Control": "no-cache"})


def period_of(request: Request) -> Mapping[str, str]:
    """Return the period in the address, as the API takes it; an empty field counts as not given."""
    return {name: value for name in ("from", "to", "as_of") if (value := request.query_params.get(name))}


@router.get("/assets/vega.js")
async def chart_bundle() -> Response:
    """Return the chart library, made once by the chart engine that the package brings."""
    bundle = await run_in_threadpool(browser_bundle)
    return Response(bundle, media_type="text/javascript", headers={"Cache-Control": _KEEP_ASSET})


@router.get("/v1/docs")
async def docs(request: Request) -> HTMLResponse:
    """Show every call of the API, from its own description."""
    described = await ask(request, "/v1/openapi.json")
    calls = [
        {"path": path, "method": method.upper(), **call}
        for path, methods in described["paths"].items()
        for method, call in methods.items()
    ]
    rooms = {
        tag: [call for call in calls if tag in call.get("tags", [])]
        for tag in dict.fromkeys(tag for call in calls for tag in call["tags"])
    }
    return await page(request, "docs.html", "/v1/docs", described=described, calls=rooms)


async def refused(request: Request, error: Exception) -> Response:
    """Show a problem of the API as a page."""
    assert isinstance(error, RefusedError)  # noqa: S101 - registered for this class only
    return await page(request, "error.html", "", status=error.problem["status"], problem=error.problem)


async def missing(request: Request, error: Exception) -> Response:
    """Show that there is no such page."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    detail = f"there is no page at {request.url.path}; the list on the left has those that exist"
    problem = {
        "status": error.status_code,
        "title": HTTPStatus(error.status_code).phrase,
        "code": "not_found",
        "detail": detail,
    }
    return await page(request, "error.html", "", status=error.status_code, problem=problem)
