"""Pipes and zones as GeoJSON features (RFC 7946), as a store keeps them and the map draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

Feature = dict[str, Any]


def pipes(frame: pl.DataFrame) -> list[Feature]:
    """Return one line for each pipe, with the property ``layer`` = pipe.

    Args:
        frame: ``pipe``, ``kind`` (main or service), ``length_m``, ``inner_diameter_mm``, ``from_lon``, ``from_lat``,
            ``to_lon``, ``to_lat`` [degree, WGS 84] and ``zone``.
    """
    facts = ("pipe", "kind", "zone", "length_m", "inner_diameter_mm")
    return [
        feature(
            {"type": "LineString", "coordinates": [[row["from_lon"], row["from_lat"]], [row["to_lon"], row["to_lat"]]]},
            "pipe",
            **{name: row[name] for name in facts},
        )
        for row in frame.iter_rows(named=True)
    ]


def zones(frame: pl.DataFrame) -> list[Feature]:
    """Return one polygon for each zone, with the property ``layer`` = zone.

    Args:
        frame: ``zone``, ``house_count`` and ``outline`` (closed list of ``[lon, lat]``); an outline of fewer than four
            points has no area and is left out.
    """
    return [
        feature(
            {"type": "Polygon", "coordinates": [row["outline"]]},
            "zone",
            zone=row["zone"],
            house_count=row["house_count"],
        )
        for row in frame.iter_rows(named=True)
        if len(row["outline"]) >= _RING_POINTS
    ]


def points(frame: pl.DataFrame, layer: str) -> list[Feature]:
    """Return one point for each row that has a place, with all other columns as properties.

    Args:
        frame: ``lon`` and ``lat`` [degree, WGS 84], and the properties.
        layer: Value of the property ``layer``.
    """
    placed = frame.filter(frame["lon"].is_not_null() & frame["lat"].is_not_null())
    facts = [name for name in frame.columns if name not in ("lon", "lat")]
    return [
        feature(
            {"type": "Point", "coordinates": [row["lon"], row["lat"]]}, layer, **{name: row[name] for name in facts}
        )
        for row in placed.iter_rows(named=True)
    ]


def feature(geometry: dict[str, Any], layer: str, **properties: Any) -> Feature:
    """Return a feature of a layer of the map."""
    return {"type": "Feature", "geometry": geometry, "properties": {"layer": layer, **properties}}


_RING_POINTS = 4
