"""The room of operations: town map, cases, intake, quarantine."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from citygate.web.ask import ask, link, tell
from citygate.web.site import page

router = APIRouter(include_in_schema=False)

_ACTIONS = {
    "acknowledge": "The case stays open and shows that somebody works on it.",
    "close": "The case leaves the map and the open list. A new alarm at this place within 14 days opens it again.",
    "reopen": "The case is open again, with its whole history.",
}
_MOST_TEXT_B = 4_000


@router.get("/")
async def town(request: Request) -> HTMLResponse:
    """Show the town: pipes, houses, open cases."""
    cases = await ask(request, "/v1/cases", state="active", limit=100)
    return await page(request, "town.html", "/", cases=cases["rows"])


@router.get("/cases")
async def cases(request: Request) -> HTMLResponse:
    """List cases, open ones first."""
    asked = {name: request.query_params.get(name) or None for name in ("state", "kind", "meter", "cursor")}
    asked["state"] = asked["state"] or "active"
    found = await ask(
        request, "/v1/cases", limit=100, **{**asked, "state": None if asked["state"] == "all" else asked["state"]}
    )
    return await page(request, "cases.html", "/cases", found=found, asked=asked)


@router.get("/cases/{case:path}")
async def case(request: Request, case: str) -> HTMLResponse:
    """Show one case with its evidence, or the preview of what is about to be done with it."""
    action = request.query_params.get("do")
    found = await ask(request, f"/v1/cases/{case}")
    return await page(
        request,
        "case.html",
        "/cases",
        case=found,
        action=action if action in _ACTIONS else None,
        effect=_ACTIONS.get(action or ""),
    )


@router.post("/cases/{case:path}/{action}")
async def act(request: Request, case: str, action: str) -> Response:
    """Do what was previewed, then show the case."""
    body = await request.body()
    fields = parse_qs(body[:_MOST_TEXT_B].decode(errors="replace"))
    said = {name: fields.get(name, [""])[0] for name in ("by", "note")}
    await tell(request, f"/v1/cases/{case}/{action}", said)
    return RedirectResponse(link(f"/cases/{case}"), HTTPStatus.SEE_OTHER)


@router.get("/intake")
async def intake(request: Request) -> HTMLResponse:
    """Show what came in, from where, and what was refused."""
    return await page(request, "intake.html", "/intake")


@router.get("/quarantine")
async def quarantine(request: Request) -> HTMLResponse:
    """List refused rows with the reason of each."""
    asked = {name: request.query_params.get(name) or None for name in ("code", "source", "cursor")}
    found = await ask(request, "/v1/quarantine", limit=200, **asked)
    return await page(request, "quarantine.html", "/quarantine", found=found, asked=asked)
