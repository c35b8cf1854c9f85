"""Positions in lists of objects: GeoJSON with a column that names files, `exiftool -json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hafloc.errors import PositionError
from hafloc.photos.projected import as_degrees
from hafloc.photos.projects.entries import Entries, mapping, number


def is_exiftool(value: Any) -> bool:
    return isinstance(value, list) and any("SourceFile" in mapping(item) for item in value[:1_000])


def read_exiftool(value: Any, path: Path, entries: Entries) -> None:
    """`exiftool -json`, with or without -n, -G or -g: the tags of a photo an object.

    Photos without a position are no fault here: most lists are of all photos.
    """
    without = 0
    for at, item in enumerate(value, start=1):
        flat: dict[str, Any] = {}
        for name, found in mapping(item).items():
            if isinstance(found, dict):  # -g: a group
                flat |= {f"{name}:{tag}": inner for tag, inner in found.items()}
            else:
                flat[name] = found
        where = f"photo {at:,}"
        if any(name.rpartition(":")[2] == "GPSLatitude" for name in flat):
            entries.add_row(where, flat)
        elif (both := _both(flat)) is not None:
            entries.add_row(where, flat, lat=both[0], lon=both[1])
        else:
            without += 1
    if without:
        entries.notes.append(f"{without:,} of its photos have no GPSLatitude")


def _both(tags: Mapping[str, Any]) -> tuple[str, str] | None:
    """Latitude and longitude of the tag that holds both, with a comma between (with -n a space)."""
    for name, value in tags.items():
        if name.rpartition(":")[2] == "GPSPosition" and isinstance(value, str):
            lat, _, lon = value.strip().partition("," if "," in value else " ")
            return lat, lon
    return None


def is_geojson(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") in ("FeatureCollection", "Feature")


def read_geojson(value: Any, path: Path, entries: Entries) -> None:
    """Points whose properties name a photo's file (RFC 7946; `crs` of its forerunner is obeyed)."""
    features = value.get("features") if value["type"] == "FeatureCollection" else [value]
    crs = mapping(mapping(value.get("crs")).get("properties")).get("name")
    for at, item in enumerate(features if isinstance(features, list) else [], start=1):
        where = f"feature {at:,}"
        feature = mapping(item)
        try:
            lon, lat, altitude = _point(mapping(feature.get("geometry")))
            if crs is not None:
                lon, lat = as_degrees(lon, lat, str(crs))
        except PositionError as error:
            entries.refuse(where, error)
            continue
        properties = dict(mapping(feature.get("properties")))
        if altitude is not None:
            properties.setdefault("altitude", altitude)
        entries.add_row(where, properties, lat=lat, lon=lon)


def _point(geometry: Any) -> tuple[float, float, float | None]:
    """x, y and the height of a point. Raises PositionError."""
    kind, values = geometry.get("type"), geometry.get("coordinates")
    if kind == "MultiPoint" and isinstance(values, list) and len(values) == 1:
        kind, values = "Point", values[0]
    if kind != "Point":
        raise PositionError("it is no point")
    numbers = [number(part) for part in values[:3]] if isinstance(values, list) else []
    if len(numbers) < 2 or numbers[0] is None or numbers[1] is None:
        raise PositionError("its coordinates are not numbers")
    return numbers[0], numbers[1], numbers[2] if len(numbers) > 2 else None
