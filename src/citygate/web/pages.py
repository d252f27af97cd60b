"""All pages of a city, to be mounted beside its API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from citygate.web import analysis, operations, site
from citygate.web.ask import RefusedError

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response


def add_pages(app: FastAPI) -> None:
    """Add the pages and their assets to an application that serves the API."""
    for room in (site, operations, analysis):
        app.include_router(room.router)
    app.mount("/assets", site.assets, name="assets")
    app.add_exception_handler(RefusedError, site.refused)
    answer_api = app.exception_handlers[HTTPException]

    async def plain(request: Request, error: Exception) -> Response:
        if request.url.path.startswith("/v1/") or "text/html" not in request.headers.get("accept", ""):
            return answer_api(request, error)  # type: ignore[return-value]
        return await site.missing(request, error)

    app.add_exception_handler(HTTPException, plain)
