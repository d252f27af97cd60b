"""The HTTP application: every room of the API on one running city, and whatever pages are mounted beside it."""

from __future__ import annotations

import threading
import time
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from citygate.api import cases, docs, events, figures, meters, quarantine, readings, status, totals, town, weather
from citygate.api.desk import Desk
from citygate.api.guard import Guard
from citygate.api.problem import answer_errors
from citygate.api.snapshot import SnapshotKeeper
from citygate.store.readings import now_us as machine_now_us

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from citygate.store.city import City

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ROOMS = (status, events, meters, totals, figures, cases, quarantine, readings, town, weather)
_WORTH_PACKING_B = 1_000


def create_app(
    city: City,
    *,
    mounts: Sequence[Callable[[FastAPI], None]] = (),
    hosts: Sequence[str] = LOOPBACK,
    now_us: Callable[[], int] = machine_now_us,
) -> FastAPI:
    """Return the application of a city that is open in this process.

    Args:
        city: The store; others in the process may write to it meanwhile.
        mounts: Each adds something to the application, such as the pages.
        hosts: Names under which the server answers; ``*`` for any.
        now_us: The present [µs UTC]; a replay passes its own clock.
    """
    app = FastAPI(
        title="Citygate",
        version=version("citygate"),
        summary="Gas smart metering for a city: readings, consumption, cases.",
        description=docs.DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        responses=docs.PROBLEMS,
    )
    app.state.desk = Desk(city, now_us, SnapshotKeeper(city, time.monotonic))
    app.state.stopping = threading.Event()
    answer_errors(app)
    for room in _ROOMS:
        app.include_router(room.router)
    for mount in mounts:
        mount(app)
    app.add_middleware(GZipMiddleware, minimum_size=_WORTH_PACKING_B, compresslevel=5)
    app.add_middleware(Guard, hosts=tuple(hosts))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.stopping.set()
