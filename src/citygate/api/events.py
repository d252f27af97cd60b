"""Server-sent events (HTML Living Standard, 9.2): the status when it changes, cases when they open or move on."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from citygate.api.cases import case_rows
from citygate.api.desk import Desk, Here  # noqa: TC001 - FastAPI reads the annotations at run time
from citygate.api.status import status_of

if TYPE_CHECKING:
    import threading
    from collections.abc import AsyncIterator, Callable

router = APIRouter(prefix="/v1", tags=["events"])

#: A stream sleeps in naps, so that it ends soon when the server stops, and looks once a second.
_NAP_S = 0.25
_NAPS_PER_LOOK = 4
#: A comment this often keeps proxies from closing a quiet stream.
_NAPS_PER_BEAT = 60
_SHOWN_ON_STREAM = (
    "now",
    "gas_day",
    "meters",
    "readings",
    "refused",
    "arrivals_per_minute",
    "newest_at",
    "data_age_s",
    "cases",
)


@router.get("/status/events", summary="The status as it changes", response_class=StreamingResponse)
async def status_events(request: Request, here: Here) -> StreamingResponse:
    """Stream `status` events (the status without its lists, when it changes) and all `case` events."""

    def look() -> list[tuple[str, str, Any]]:
        found = status_of(here)
        shown = {name: found[name] for name in _SHOWN_ON_STREAM}
        return [("status", "status", shown), *_cases(here)]

    return _stream(request, look)


@router.get("/cases/events", summary="Cases as they open and move on", response_class=StreamingResponse)
async def case_events(request: Request, here: Here) -> StreamingResponse:
    """Stream `case` events: one for each case that is open when the stream begins, then one for each change."""
    return _stream(request, lambda: _cases(here))


def _cases(here: Desk) -> list[tuple[str, str, Any]]:
    return [("case", f"case-{row['id']}", row) for row in case_rows(here).iter_rows(named=True)]


def _stream(request: Request, look: Callable[[], list[tuple[str, str, Any]]]) -> StreamingResponse:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_changes(request, look), media_type="text/event-stream", headers=headers)


async def _changes(request: Request, look: Callable[[], list[tuple[str, str, Any]]]) -> AsyncIterator[str]:
    """Yield each subject when its content is not what it was, until the reader leaves or the server stops."""
    told: dict[str, str] = {}
    stopping: threading.Event = request.app.state.stopping
    naps = 0
    yield "retry: 2000\n\n"
    while not (stopping.is_set() or await request.is_disconnected()):
        if naps % _NAPS_PER_LOOK == 0:
            for event, subject, content in await run_in_threadpool(look):
                text = json.dumps(content, default=str)
                news = told.get(subject) != text and (subject in told or content.get("state") != "closed")
                told[subject] = text
                if news:
                    yield f"event: {event}\nid: {subject}\ndata: {text}\n\n"
        naps += 1
        if naps % _NAPS_PER_BEAT == 0:
            yield ": still here\n\n"
        await asyncio.sleep(_NAP_S)
