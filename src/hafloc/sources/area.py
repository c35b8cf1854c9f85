"""The area that photos are wanted of: a box, a circle, or the polygons of a GeoJSON file."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hafloc.errors import OptionError
from hafloc.geo import LocalFrame, Position, distance

Box = tuple[float, float, float, float]  # west, south, east, north in degrees; west <= east
Ring = tuple[tuple[float, float], ...]  # longitude, latitude

# What JSON of another shape, or with numbers that are none, makes reading raise.
_BROKEN = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)
_LARGEST_FILE = 64 * 2**20  # bytes; the border of a country in full detail takes some


@dataclass(frozen=True, slots=True)
class Area:
    """Where photos are wanted: `boxes` around it, of which none crosses the 180th meridian.

    A circle of `radius` metres around `centre`, or `polygons` (each its outer ring and then its
    holes), or else all of the boxes.
    """

    boxes: tuple[Box, ...]
    centre: Position
    radius: float | None = None
    polygons: tuple[tuple[Ring, ...], ...] = ()

    def contains(self, place: Position) -> bool:
        if self.radius is not None:
            return distance(self.centre, place) <= self.radius
        if self.polygons:
            return any(_is_inside(rings, place.lon, place.lat) for rings in self.polygons)
        return any(w <= place.lon <= e and s <= place.lat <= n for w, s, e, n in self.boxes)


def area_of_box(text: str) -> Area:
    """W,S,E,N in degrees; with W > E across the 180th meridian. Raises OptionError."""
    try:
        west, south, east, north = _numbers(text, 4)
    except ValueError as error:
        raise OptionError(
            f"--bbox {text!r} is not W,S,E,N; give for example 16.36,48.20,16.38,48.21"
        ) from error
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90):
        raise OptionError(
            f"--bbox {text!r} is no box on Earth; give W,S,E,N in degrees, longitude first"
        )
    if west == east:
        raise OptionError(f"--bbox {text!r} has no width; give W,S,E,N in degrees")
    width = (east - west) % 360
    middle = (west + width / 2 + 180) % 360 - 180
    return Area(_split(west, south, west + width, north), Position((south + north) / 2, middle))


def area_near(text: str) -> Area:
    """LAT,LON,RADIUS in degrees and metres. Raises OptionError."""
    try:
        lat, lon, radius = _numbers(text, 3)
    except ValueError as error:
        raise OptionError(
            f"--near {text!r} is not LAT,LON,RADIUS; give for example 48.2,16.37,500"
        ) from error
    if not (abs(lat) <= 90 and abs(lon) <= 180):
        raise OptionError(f"--near {text!r} is no place on Earth; give latitude first, in degrees")
    if not 0 < radius <= 1_000_000:
        raise OptionError(f"--near {text!r}: give a radius in metres, at most 1,000,000")
    return _around(Position(lat, lon), radius)


def _around(centre: Position, radius: float) -> Area:
    # A little more than the radius, since the frame's axes bend on the way there.
    frame, reach = LocalFrame(centre), radius * 1.01 + 1
    south = frame.to_position(0, -reach).lat
    north = frame.to_position(0, reach).lat
    half = math.degrees(reach / 6_356_752)
    if abs(centre.lat) + half >= 90:  # the circle holds a pole, and so all longitudes
        edge = (90.0, min(south, north)) if centre.lat > 0 else (max(south, north), -90.0)
        return Area(((-180.0, edge[1], 180.0, edge[0]),), centre, radius)
    # The circle's outermost meridians touch it a little nearer to the pole than its centre.
    width = math.degrees(
        math.asin(
            min(1.0, math.sin(math.radians(half)) / math.cos(math.radians(abs(centre.lat) + 0.2)))
        )
    ) if abs(centre.lat) < 89 else 180.0  # fmt: skip
    return Area(_split(centre.lon - width, south, centre.lon + width, north), centre, radius)


def area_of_file(path: Path) -> Area:
    """The polygons of a GeoJSON file. Raises OptionError where it cannot be read or has none."""
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise OptionError(
                f"cannot read {path}: it is longer than {_LARGEST_FILE:,} bytes; simplify it"
            )
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        polygons = tuple(_polygons(content))
    except OSError as error:
        raise OptionError(f"cannot read {path}: {error.strerror}; check the path") from error
    except _BROKEN as error:
        raise OptionError(
            f"cannot read {path}: it is not GeoJSON of polygons in degrees ({error}); "
            "export the area as GeoJSON in WGS84"
        ) from error
    if not polygons:
        raise OptionError(f"cannot use {path}: it has no polygon; draw the area as one")
    boxes = tuple(_bounds(rings[0]) for rings in polygons)
    west, south, east, north = _bounds([corner for rings in polygons for corner in rings[0]])
    centre = Position((south + north) / 2, (west + east) / 2)
    return Area(_joined(boxes), centre, polygons=polygons)


def quarters(box: Box) -> tuple[Box, Box, Box, Box]:
    """The four parts of a box."""
    west, south, east, north = box
    lon, lat = (west + east) / 2, (south + north) / 2
    return (
        (west, south, lon, lat),
        (lon, south, east, lat),
        (west, lat, lon, north),
        (lon, lat, east, north),
    )


def widened(centre: Position, degrees: float) -> tuple[Box, ...]:
    """Boxes that reach so many degrees to each side of a place, less at the edges of the map."""
    south, north = max(-90.0, centre.lat - degrees), min(90.0, centre.lat + degrees)
    wide = min(180.0, degrees / max(0.1, math.cos(math.radians(centre.lat))))
    return _split(centre.lon - wide, south, centre.lon + wide, north)


def _numbers(text: str, count: int) -> list[float]:
    values = [float(part) for part in text.split(",")]
    if len(values) != count or not all(map(math.isfinite, values)):
        raise ValueError(text)
    return values


def _split(west: float, south: float, east: float, north: float) -> tuple[Box, ...]:
    """A box in longitudes of any turn, as boxes within -180 to 180."""
    if east - west >= 360:
        return ((-180.0, south, 180.0, north),)
    if west < -180:
        return ((west + 360, south, 180.0, north), (-180.0, south, east, north))
    if east > 180:
        return ((west, south, 180.0, north), (-180.0, south, east - 360, north))
    return ((west, south, east, north),)


def _polygons(content: Any) -> Iterator[tuple[Ring, ...]]:
    kind = content["type"]
    if kind == "FeatureCollection":
        for feature in content["features"]:
            yield from _polygons(feature)
    elif kind == "Feature":
        if content["geometry"] is not None:
            yield from _polygons(content["geometry"])
    elif kind == "GeometryCollection":
        for geometry in content["geometries"]:
            yield from _polygons(geometry)
    elif kind == "Polygon":
        yield _rings(content["coordinates"])
    elif kind == "MultiPolygon":
        for coordinates in content["coordinates"]:
            yield _rings(coordinates)


def _rings(coordinates: Any) -> tuple[Ring, ...]:
    rings = tuple(tuple((float(c[0]), float(c[1])) for c in ring) for ring in coordinates)
    if not rings or any(len(ring) < 4 for ring in rings):
        raise ValueError("a ring has fewer than 4 corners")
    if not all(abs(lon) <= 180 and abs(lat) <= 90 for ring in rings for lon, lat in ring):
        raise ValueError("a corner is not in degrees")
    return rings


def _bounds(corners: Sequence[tuple[float, float]]) -> Box:
    lons, lats = [lon for lon, _ in corners], [lat for _, lat in corners]
    return min(lons), min(lats), max(lons), max(lats)


def _joined(boxes: Sequence[Box]) -> tuple[Box, ...]:
    """Boxes of which none overlaps another: those that do become one around both."""
    found: list[Box] = []
    for box in boxes:
        grown = box
        while touching := [other for other in found if _overlap(grown, other)]:
            found = [other for other in found if other not in touching]
            grown = _around_all([grown, *touching])
        found.append(grown)
    return tuple(found)


def _around_all(boxes: Sequence[Box]) -> Box:
    wests, souths, easts, norths = zip(*boxes, strict=True)
    return min(wests), min(souths), max(easts), max(norths)


def _overlap(a: Box, b: Box) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def _is_inside(rings: Sequence[Ring], lon: float, lat: float) -> bool:
    """Even-odd rule over all rings, so that holes are left out."""
    inside = False
    for ring in rings:
        for (x1, y1), (x2, y2) in zip(ring, (*ring[1:], ring[0]), strict=True):
            if (y1 > lat) != (y2 > lat) and lon < (x2 - x1) * (lat - y1) / (y2 - y1) + x1:
                inside = not inside
    return inside
