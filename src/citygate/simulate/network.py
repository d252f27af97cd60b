"""The gas network of Schutterwald: pipes, houses and supply zones.

Source: pandapipes (BSD), Kisse et al. 2020, doi:10.3390/en13164052; see ``data/schutterwald/README.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
import polars as pl

#: Junction at which the town is supplied.
SUPPLY_JUNCTION = 168
#: Houses from which on a subtree of the network is a zone of its own.
_ZONE_HOUSES = 180


@dataclass(frozen=True, slots=True)
class Network:
    """Pipes, houses and zones of a town.

    Attributes:
        pipes: ``pipe, from_junction, to_junction, kind`` (main or service), ``length_m, inner_diameter_mm,
            roughness_mm, from_lon, from_lat, to_lon, to_lat, zone``; the gas flows from ``from`` to ``to``.
        houses: ``junction, mdot_kg_per_s`` (planned load), ``lon, lat, zone``, in the order of the source.
        zones: ``zone, head_junction`` (where its gas comes in), ``house_count``, ``outline`` (convex hull of its houses
            as a list of ``[lon, lat]``).
    """

    pipes: pl.DataFrame
    houses: pl.DataFrame
    zones: pl.DataFrame


@lru_cache(maxsize=1)
def schutterwald() -> Network:
    """Return the network; zones are subtrees of about equal size, cut from the ends towards the supply."""
    with resources.as_file(resources.files("citygate.simulate") / "data" / "schutterwald") as folder:
        pipes, sinks, junctions = (
            pl.read_parquet(folder / f"{name}.parquet") for name in ("pipes", "sinks", "junctions")
        )
    parent, order = _walk(pipes)
    head = _zone_heads(parent, order, set(sinks["junction"].to_list()))
    names = {
        junction: f"schutterwald-{number}" for number, junction in enumerate(dict.fromkeys(head[at] for at in order), 1)
    }
    zone_of = pl.DataFrame(
        {"junction": order, "zone": [names[head[at]] for at in order]}, schema_overrides={"junction": pl.Int32}
    )
    places = junctions.select("junction", "lon", "lat").join(zone_of, on="junction")
    houses = sinks.join(places, on="junction", how="left", maintain_order="left").select(
        "junction", "mdot_kg_per_s", "lon", "lat", "zone"
    )
    return Network(_directed(pipes, parent, places), houses, _zones(houses, names))


def _walk(pipes: pl.DataFrame) -> tuple[dict[int, int], list[int]]:
    """Return the parent of every junction, and all junctions from the supply outwards: a tree but for one pipe."""
    beside: dict[int, list[int]] = {}
    for start, end in pipes.select("from_junction", "to_junction").rows():
        beside.setdefault(start, []).append(end)
        beside.setdefault(end, []).append(start)
    parent, order = {SUPPLY_JUNCTION: SUPPLY_JUNCTION}, [SUPPLY_JUNCTION]
    for junction in order:
        for other in beside[junction]:
            if other not in parent:
                parent[other] = junction
                order.append(other)
    return parent, order


def _zone_heads(parent: dict[int, int], order: list[int], houses: set[int]) -> dict[int, int]:
    """Return the junction at which the zone of each junction begins."""
    waiting = dict.fromkeys(order, 0)
    heads = {SUPPLY_JUNCTION}
    for junction in reversed(order):
        waiting[junction] += junction in houses
        if waiting[junction] >= _ZONE_HOUSES:
            heads.add(junction)
        elif junction != SUPPLY_JUNCTION:
            waiting[parent[junction]] += waiting[junction]
    head: dict[int, int] = {}
    for junction in order:
        head[junction] = junction if junction in heads else head[parent[junction]]
    return head


def _directed(pipes: pl.DataFrame, parent: dict[int, int], places: pl.DataFrame) -> pl.DataFrame:
    """Return the pipes along the flow, with the places of their ends; a pipe belongs to the zone of its far end."""
    ends = pipes.select("from_junction", "to_junction").rows()
    backwards = pl.Series([parent[start] == end for start, end in ends])
    ahead = [("from_junction", "to_junction"), ("to_junction", "from_junction")]
    turned = pipes.with_columns(
        pl.when(backwards).then(pl.col(other)).otherwise(pl.col(name)).alias(name) for name, other in ahead
    )
    start, end = (
        places.select(
            pl.col("junction").alias(f"{side}_junction"),
            pl.col("lon").alias(f"{side}_lon"),
            pl.col("lat").alias(f"{side}_lat"),
            *zone,
        )
        for side, zone in (("from", ()), ("to", ("zone",)))
    )
    kind = pl.when(pl.col("standard_type").is_null()).then(pl.lit("service")).otherwise(pl.lit("main")).alias("kind")
    joined = turned.join(start, on="from_junction", how="left", maintain_order="left").join(
        end, on="to_junction", how="left", maintain_order="left"
    )
    measures = ("length_m", "inner_diameter_mm", "roughness_mm", "from_lon", "from_lat", "to_lon", "to_lat", "zone")
    return joined.select("pipe", "from_junction", "to_junction", kind, *measures)


def _zones(houses: pl.DataFrame, names: dict[int, str]) -> pl.DataFrame:
    rows = []
    for junction, name in names.items():
        members = houses.filter(pl.col("zone") == name)
        rows.append((name, junction, members.height, _outline(members.select("lon", "lat").to_numpy())))
    schema: dict[str, pl.DataType] = {
        "zone": pl.String(),
        "head_junction": pl.Int32(),
        "house_count": pl.Int64(),
        "outline": pl.List(pl.List(pl.Float64)),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _outline(points: np.typing.NDArray[np.float64]) -> list[list[float]]:
    """Return the convex hull of places, closed, counter-clockwise (Andrew's monotone chain)."""
    ordered = np.unique(points, axis=0)
    hull: list[list[float]] = []
    for side in (ordered, ordered[::-1]):
        chain: list[np.typing.NDArray[np.float64]] = []
        for point in side:
            while len(chain) > 1 and np.linalg.det([chain[-1] - chain[-2], point - chain[-2]]) <= 0:
                chain.pop()
            chain.append(point)
        hull += [place.tolist() for place in chain[:-1]]
    return [*hull, hull[0]] if hull else []
