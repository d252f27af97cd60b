"""Long steps between readings, filled hour by hour from what the store knows around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from citygate.quantity.clock import US_PER_HOUR
from citygate.validation.estimate import Known, estimate, standard_ladder
from citygate.validation.settle import MEASURED, Curve, curve, long_steps, settle
from citygate.validation.steps import MeterFacts, steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citygate.fleet.registry import Registry
    from citygate.quantity.clock import Micros
    from citygate.store.readings import ReadingStore

Whole = npt.NDArray[np.int64]

#: Read beyond the hours wanted, so that their steps can be judged [µs].
_MARGIN_US = 12 * US_PER_HOUR
#: Columns that the rules on steps read.
STEP_COLUMNS = ("meter", "at_us", "index_l", "volume_l", "energy_wh", "span_s", "status")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What gaps are filled from.

    Attributes:
        readings: Store of the readings.
        registry: The meters.
        facts: What the rules need of them.
        temperature: Air temperature, ``at_us`` and ``temperature_mk``.
        as_of_us: Look at what was recorded by then; None for now [µs UTC].
    """

    readings: ReadingStore
    registry: Registry
    facts: MeterFacts
    temperature: pl.DataFrame
    as_of_us: int | None = None


def fill(
    curves: Sequence[tuple[Curve, Whole]], edges_us: Micros, around: Surroundings
) -> tuple[pl.DataFrame, list[dict[int, Whole]]]:
    """Return how the long steps that touch a time are filled.

    Args:
        curves: Cumulated consumption of some meters, with their codes; several, since few meters are settled at a time.
        edges_us: Edges of the time [µs UTC].
        around: What to fill from.

    Returns:
        The estimates (``meter`` code, ``from_us``, ``to_us``, and as `citygate.validation.estimate.estimate`), and for
        each curve, by the knot that closes such a step, the volume passed at each edge, shape (edges,) [litre].
    """
    ladder = standard_ladder()
    gaps = pl.concat([_gaps_of(number, *each, edges_us, ladder.linear_hours) for number, each in enumerate(curves)])
    if not len(gaps):
        return _no_estimates(), [{} for _ in curves]
    known = Known(
        hours=_hours_around(gaps, int(ladder.reference_hours) * US_PER_HOUR, around),
        weather=around.temperature.rename({"at_us": "hour_start_us"}),
        customer_types=around.registry.latest()["customer_type"].to_list(),
        clock=around.readings.partition.clock,
    )
    filled = estimate(gaps.select("meter", "from_us", "to_us", "volume_l"), known)
    passed: list[dict[int, Whole]] = [{} for _ in curves]
    volumes = _passed(filled, gaps, edges_us)
    for number, knot, volume_l in zip(gaps["curve"].to_list(), gaps["knot"].to_list(), volumes, strict=True):
        passed[number][knot] = volume_l
    return _named(gaps, filled), passed


def _gaps_of(number: int, knots: Curve, codes: Whole, edges_us: Micros, linear_hours: float) -> pl.DataFrame:
    found = long_steps(knots)
    touching = (found.from_us < edges_us[-1]) & (found.to_us > edges_us[0])
    at = np.flatnonzero(touching & (found.to_us - found.from_us > linear_hours * US_PER_HOUR) & (found.volume_l > 0))
    return pl.DataFrame(
        {
            "curve": np.full(len(at), number, dtype=np.int64),
            "knot": found.knot[at],
            "meter": codes[found.local[at]].astype(np.int32),
            "from_us": found.from_us[at],
            "to_us": found.to_us[at],
            "volume_l": found.volume_l[at],
        }
    )


def _passed(filled: pl.DataFrame, gaps: pl.DataFrame, edges_us: Micros) -> list[Whole]:
    number = filled["gap"].to_numpy()
    bounds = np.searchsorted(number, np.arange(len(gaps) + 1))
    start_us, volume_l = filled["hour_start_us"].to_numpy(), filled["volume_l"].to_numpy()
    from_us, to_us = gaps["from_us"].to_numpy(), gaps["to_us"].to_numpy()
    found = []
    for gap in range(len(gaps)):
        mine = slice(bounds[gap], bounds[gap + 1])
        ends = np.append(np.maximum(start_us[mine], from_us[gap]), to_us[gap])
        done = np.append(0, np.cumsum(volume_l[mine]))
        # The hours of an estimate begin on the hour; where the city's do not, the litres within are even.
        found.append(np.floor(np.interp(edges_us, ends, done)).astype(np.int64))
    return found


def _hours_around(gaps: pl.DataFrame, reach_us: int, around: Surroundings) -> pl.DataFrame:
    """Return the measured hours of the days before and after some gaps; gaps near each other are read at once."""
    found = []
    for edge, before_us, after_us in (("from_us", reach_us, 0), ("to_us", 0, reach_us)):
        for _, near in gaps.group_by(pl.col(edge) // reach_us, maintain_order=True):
            edges = near[edge].to_numpy()
            bounds = int(edges.min()) - before_us - _MARGIN_US, int(edges.max()) + after_us + _MARGIN_US
            found.append(_measured_hours(near["meter"].unique().sort().to_list(), *bounds, around))
    return pl.concat(found).unique(["meter", "hour_start_us"]).sort("meter", "hour_start_us")


def _measured_hours(codes: list[int], first: int, last: int, around: Surroundings) -> pl.DataFrame:
    rows = around.readings.scan(codes, first, last, around.as_of_us, STEP_COLUMNS)
    local = np.searchsorted(codes, rows["meter"].to_numpy()).astype(np.int64)
    found = steps(rows, around.facts)
    edges = np.arange(first // US_PER_HOUR, last // US_PER_HOUR + 2, dtype=np.int64) * US_PER_HOUR
    cells = settle(curve(local, rows["at_us"].to_numpy(), found, len(codes)), edges)
    row, column = np.nonzero(cells.quality == MEASURED)
    return pl.DataFrame(
        {
            "meter": np.array(codes, dtype=np.int32)[row],
            "hour_start_us": edges[column],
            "volume_l": cells.volume_l[row, column],
        }
    )


def _named(gaps: pl.DataFrame, filled: pl.DataFrame) -> pl.DataFrame:
    numbered = gaps.select("meter", "from_us", "to_us").with_row_index("gap").with_columns(pl.col("gap").cast(pl.Int64))
    return filled.join(numbered, on="gap", how="left", maintain_order="left").select(_no_estimates().columns)


def _no_estimates() -> pl.DataFrame:
    return pl.DataFrame(
        schema={
            "meter": pl.Int32,
            "from_us": pl.Int64,
            "to_us": pl.Int64,
            "hour_start_us": pl.Int64,
            "volume_l": pl.Int64,
            "method": pl.String,
            "error_l": pl.Int64,
        }
    )
