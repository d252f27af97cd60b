"""The city's air temperature."""

from __future__ import annotations

from typing import Any

import polars as pl
from fastapi import APIRouter

from citygate.api.desk import Asked, Here  # noqa: TC001 - FastAPI reads the annotations at run time
from citygate.api.rows import iso_times, listed

router = APIRouter(prefix="/v1", tags=["weather"])


@router.get("/temperature", summary="Air temperature")
def temperature(here: Here, asked: Asked) -> dict[str, Any]:
    """Return the city's air temperature in the period [mK]; energy and weather correction rest on it."""
    rows = here.city.temperature().filter(pl.col("at_us").is_between(asked.start_us, asked.end_us, closed="left"))
    return listed(iso_times(rows, here.clock, ["at_us"]), None, time_zone=here.clock.zone)
