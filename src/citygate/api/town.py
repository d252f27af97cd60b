"""The town as GeoJSON: pipes and zones as kept, meters with their state, open cases at their meters."""

from __future__ import annotations

from typing import Any

import polars as pl
from fastapi import APIRouter

from citygate.api.cases import case_rows
from citygate.api.desk import Here  # noqa: TC001 - FastAPI reads the annotations at run time
from citygate.report.geojson import points

router = APIRouter(prefix="/v1", tags=["map"])

_METER = ("meter", "zone", "nature", "role", "customer_type", "state", "lon", "lat")


@router.get("/map", summary="The town as GeoJSON")
def town(here: Here) -> dict[str, Any]:
    """Return one feature collection; the property ``layer`` of a feature is pipe, zone, meter or case."""
    meters = here.snapshot().meters
    cases = case_rows(here, "active")
    alarm = pl.col("meter").is_in(cases["meter"].implode()).alias("alarm")
    placed = cases.join(_places(meters), on="meter", how="inner", maintain_order="left")
    features = [
        *here.city.geometry()["features"],
        *points(meters.select(*_METER, alarm), "meter"),
        *points(placed, "case"),
    ]
    return {"type": "FeatureCollection", "features": features}


def _places(meters: pl.DataFrame) -> pl.DataFrame:
    """Return where things are: each meter, and each zone (``zone:NAME``) in the middle of its meters."""
    middle = meters.group_by("zone").agg(pl.col("lon", "lat").mean())
    zones = middle.select(("zone:" + pl.col("zone")).alias("meter"), "lon", "lat")
    return pl.concat([meters.select("meter", "lon", "lat"), zones])
