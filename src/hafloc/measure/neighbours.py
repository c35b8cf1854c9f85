"""Who is near whom: rows of positions within a radius of each other, by KD-tree."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from hafloc import geo

Ints = NDArray[np.int64]
Coordinates = NDArray[np.float64]

# Metres that rounding may add to an earth-centred distance.
_ROUNDING = 1e-6


def rows_within(database: Coordinates, queries: Coordinates, radius: float) -> tuple[Ints, ...]:
    """Database rows within `radius` (≤) of each query, ascending, for metric coordinates.

    `[N, k]`, `[Q, k]` to Q arrays.
    """
    if not len(database):
        return tuple(np.empty(0, dtype=np.int64) for _ in queries)
    found = KDTree(database).query_ball_point(queries, radius, return_sorted=True)
    return tuple(np.array(rows, dtype=np.int64) for rows in found)


def rows_around(
    database: Sequence[geo.Position], queries: Sequence[geo.Position], radius: float
) -> tuple[Ints, ...]:
    """Database rows within `radius` metres (≤, geodesic) of each query, ascending."""
    lats = np.array([position.lat for position in database])
    lons = np.array([position.lon for position in database])
    places = geo.earth_centred([q.lat for q in queries], [q.lon for q in queries])
    # A chord is never longer than the geodesic, so none is missed.
    close = rows_within(geo.earth_centred(lats, lons), places, radius + _ROUNDING)
    return tuple(
        rows[geo.distances(query, lats[rows], lons[rows]) <= radius] if len(rows) else rows
        for query, rows in zip(queries, close, strict=True)
    )


def neighbour_pairs(
    positions: Sequence[geo.Position], headings: Sequence[float], radius: float, turned: float
) -> Ints:
    """Numbers `[P, 2]`, ascending, of photos within `radius` metres that look the same way.

    `headings` in degrees; two that differ by at most `turned` are the same way.
    """
    if len(positions) < 2:
        return np.empty((0, 2), dtype=np.int64)
    places = geo.earth_centred([p.lat for p in positions], [p.lon for p in positions])
    pairs = KDTree(places).query_pairs(radius, output_type="ndarray")
    looks = np.asarray(headings, dtype=np.float64)
    pairs = pairs[geo.heading_difference(looks[pairs[:, 0]], looks[pairs[:, 1]]) <= turned]
    return np.asarray(pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))], dtype=np.int64)
