"""What came in, what was refused, how old the data is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
from fastapi import APIRouter

from citygate.api.cases import case_counts
from citygate.api.desk import Desk, Here  # noqa: TC001 - FastAPI reads the annotations at run time
from citygate.api.rows import iso_times
from citygate.quantity.clock import US_PER_SECOND
from citygate.store.quarantine import Quarantine

if TYPE_CHECKING:
    from citygate.api.snapshot import Snapshot

router = APIRouter(prefix="/v1", tags=["status"])

_MINUTE_US = 60 * US_PER_SECOND
_MINUTES_SHOWN = 60
_COMMITS_SHOWN = 20
_COUNTS = ("stored", "duplicate", "revised")


@router.get("/status", summary="The city at this moment")
def status(here: Here) -> dict[str, Any]:
    """Return counts of meters, readings, refusals and cases, arrivals per minute, and the age of the data."""
    return status_of(here)


def status_of(here: Desk) -> dict[str, Any]:
    """Return the status document of a city."""
    seen = here.snapshot()
    now_us, span_us = here.now_us(), here.city.readings.span_us()
    clock = here.clock
    minutes = arrivals(seen.commits)
    refused = Quarantine(here.city.records).counts()
    cases = case_counts(here)
    return {
        "city": {"name": here.city.name, "time_zone": clock.zone, "gas_day_hour": clock.gas_day_hour},
        "now": clock.format(now_us // US_PER_SECOND * US_PER_SECOND),
        "gas_day": clock.gas_day_date(clock.gas_day(now_us)).isoformat(),
        "meters": meter_counts(seen),
        "readings": {name: int(seen.commits[name].sum()) for name in _COUNTS},
        "refused": {"total": sum(refused.values()), "by_code": refused},
        "arrivals_per_minute": int(minutes["rows"][-1]) if len(minutes) else 0,
        "arrivals": iso_times(minutes, clock, ["minute_us"]).to_dicts(),
        "newest_at": None if span_us is None else clock.format(span_us[1]),
        "data_age_s": None if span_us is None else (now_us - span_us[1]) // US_PER_SECOND,
        "commits": iso_times(seen.commits.tail(_COMMITS_SHOWN).reverse(), clock, ["recorded_us"]).to_dicts(),
        "cases": cases,
    }


def meter_counts(seen: Snapshot) -> dict[str, int]:
    """Return how many meters there are in all, by nature and by state; every nature and state is named."""
    names = {"nature": ("measured", "modelled"), "state": ("reporting", "late", "silent")}
    counts = {"total": len(seen.meters)}
    for column, values in names.items():
        found = seen.meters[column].value_counts()
        by_value = dict(zip(found[column].to_list(), found["count"].to_list(), strict=True))
        counts |= {value: int(by_value.get(value, 0)) for value in values}
    return counts


def arrivals(commits: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of each of the 60 minutes up to the last commit: ``minute_us``, ``rows``."""
    if commits.is_empty():
        return pl.DataFrame(schema={"minute_us": pl.Int64, "rows": pl.Int64})
    minute = (pl.col("recorded_us") // _MINUTE_US * _MINUTE_US).alias("minute_us")
    found = commits.group_by(minute).agg(pl.sum_horizontal(_COUNTS).sum().alias("rows"))
    last = int(found["minute_us"].max())  # type: ignore[arg-type]
    grid = pl.DataFrame({"minute_us": [last - k * _MINUTE_US for k in range(_MINUTES_SHOWN - 1, -1, -1)]})
    return grid.join(found, on="minute_us", how="left", maintain_order="left").with_columns(pl.col("rows").fill_null(0))
