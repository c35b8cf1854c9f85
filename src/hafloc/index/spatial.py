"""Which photos lie where: a database is asked for boxes, and only those near are computed."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hafloc import geo
from hafloc.geo import Position
from hafloc.index.records import Box, Near
from hafloc.index.rows import place

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
Run = Callable[[str, Sequence[Any]], list[Any]]

# The shortest metre in degrees of latitude (the curvature at the equator) and the shortest on the
# auxiliary sphere of geodesics (the polar axis) bound every geodesic of WGS84 from outside.
_MERIDIONAL_RADIUS, _POLAR_AXIS = 6_335_439.0, 6_356_752.0
_HALF_ROUND = 20_004_000.0  # metres; nothing on Earth is farther
_FIRST_RADIUS = 1_000.0

# The R-tree rounds outward to float32, so it never leaves out what a box holds.
_IN_BOX = "FROM rtree_photos_geom WHERE maxx >= ? AND minx <= ? AND maxy >= ? AND miny <= ?"


def halves(box: Box) -> list[Box]:
    """`box` as boxes that do not cross the 180th meridian: one, or two."""
    west, south, east, north = box
    if west <= east:
        return [box]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]


def around(near: Near) -> list[Box]:
    """Boxes that hold all within the radius, and more."""
    lat, lon = near.centre.lat, near.centre.lon
    height = math.degrees(near.radius / _MERIDIONAL_RADIUS) + 1e-9
    south, north = max(lat - height, -90.0), min(lat + height, 90.0)
    angle = near.radius / _POLAR_AXIS
    # Where the circle reaches a pole it meets every meridian. tan(x) instead of x / cos would
    # not do: the widest place of a circle lies poleward of its centre.
    if math.degrees(angle) + abs(lat) >= 90.0 - 1e-6 or south <= -90.0 or north >= 90.0:
        return [(-180.0, south, 180.0, north)]
    width = math.degrees(math.asin(math.sin(angle) / math.cos(math.radians(lat)))) + 1e-9
    if width >= 180.0:
        return [(-180.0, south, 180.0, north)]
    west, east = lon - width, lon + width
    if west <= -180.0:
        return [*halves((west + 360.0, south, 180.0, north)), (-180.0, south, east, north)]
    if east >= 180.0:
        return [(west, south, 180.0, north), (-180.0, south, east - 360.0, north)]
    return [(west, south, east, north)]


def ids_in(run: Run, boxes: Iterable[Box]) -> Ids:
    """Photos in any of the boxes, and perhaps some at their very edges, by id."""
    found: set[int] = set()
    for west, south, east, north in boxes:
        found.update(id_ for (id_,) in run(f"SELECT id {_IN_BOX}", (west, east, south, north)))
    return np.array(sorted(found), dtype=np.int64)


def is_inside(place: Position, boxes: Sequence[Box]) -> bool:
    """Whether a place is in one of the boxes, or on its edge."""
    return any(
        west <= place.lon <= east and south <= place.lat <= north
        for west, south, east, north in boxes
    )


class Places(Protocol):
    """Photos that can be counted and listed by boxes, of which it may hold some around too.

    A radius that holds more than `enough` photos is worth narrowing; one that holds too few grows
    by the factor `growth`.
    """

    enough: int
    growth: int

    def count_in(self, boxes: Sequence[Box], most: int) -> int:
        """How many photos the boxes hold, perhaps counted no further than `most` in each."""
        ...

    def places_in(self, boxes: Sequence[Box]) -> tuple[Ids, Floats, Floats]:
        """The ids, latitudes and longitudes of the photos in the boxes, by id."""
        ...


class RTree:
    """The photos of a GeoPackage by its R-tree."""

    enough = 64
    growth = 2

    def __init__(self, run: Run) -> None:
        self._run = run

    def count_in(self, boxes: Sequence[Box], most: int) -> int:
        query = f"SELECT count(*) FROM (SELECT 1 {_IN_BOX} LIMIT ?)"
        return sum(
            int(self._run(query, (west, east, south, north, most))[0][0])
            for west, south, east, north in boxes
        )

    def places_in(self, boxes: Sequence[Box]) -> tuple[Ids, Floats, Floats]:
        rows = self._run(
            "SELECT id, geom FROM photos WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
            (json.dumps(ids_in(self._run, boxes).tolist()),),
        )
        places = [(id_, place(id_, geometry, "the index")) for id_, geometry in rows]
        placed = [(id_, point) for id_, point in places if point is not None]
        kept = np.array([id_ for id_, _ in placed], dtype=np.int64)
        lons = np.array([point[0] for _, point in placed])
        lats = np.array([point[1] for _, point in placed])
        return kept, lats, lons


def nearest(places: Places, centre: Position, k: int) -> Ids:
    """The k photos nearest to `centre` by geodesic distance, nearest first, equals by lower id."""
    radius = _radius(places, centre, k)
    ids, metres = _distances(places, centre, around(Near(centre, radius)))
    if k <= len(ids) and radius < _HALF_ROUND:
        # What lies in the corners of a box may be farther than another photo outside it.
        reach = float(np.partition(metres, k - 1)[k - 1])
        if reach > radius:
            boxes = around(Near(centre, reach * (1 + 1e-9) + 1e-3))
            ids, metres = _distances(places, centre, boxes)
    return ids[np.lexsort((ids, metres))[:k]]


def _radius(places: Places, centre: Position, k: int) -> float:
    """A radius whose box holds at least k photos, or all, and no great many more."""
    most = max(places.enough, 8 * k)
    outer = _FIRST_RADIUS
    inner = 0.0
    while (count := places.count_in(around(Near(centre, outer)), most)) < k:
        if outer >= _HALF_ROUND:
            return outer
        inner, outer = outer, min(places.growth * outer, _HALF_ROUND)
    while count >= most and outer - inner > 0.01 + 1e-4 * inner:
        middle = (inner + outer) / 2
        held = places.count_in(around(Near(centre, middle)), most)
        if held >= k:
            outer, count = middle, held
        else:
            inner = middle
    return outer


def _distances(places: Places, centre: Position, boxes: Sequence[Box]) -> tuple[Ids, Floats]:
    ids, lats, lons = places.places_in(boxes)
    return ids, geo.distances(centre, lats, lons)
