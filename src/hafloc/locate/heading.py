"""Which way the query's camera looked, from the headings of the photos that show the same."""

import math
from collections.abc import Iterator, Sequence
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from hafloc.geo import Position, distance
from hafloc.index import Record
from hafloc.locate.position import REACH
from hafloc.photos import View, split_name, view_of
from hafloc.verify import Evidence

Floats = NDArray[np.float64]

# Log-odds from which on a candidate's matches say something of the camera.
_SURE = 1.0
# Matches that one turn explains: fewer turn a camera by chance.
_FEWEST = 10
# In longer sides, where it is not known: a telephone's.
_USUAL_FOCAL = 0.72
# In longer sides: a few pixels, since the focal lengths are not exact.
_OFF = 0.004
# Candidates that are asked, strongest first.
_MOST = 10
# Degrees within which estimates agree.
_AGREEING = 15.0


def heading_of(
    position: Position,
    records: Sequence[Record],
    evidence: Sequence[Evidence],
    focal: float | None = None,
    parts: Sequence[View | None] | None = None,
) -> float | None:
    """The heading in degrees clockwise from north, in [0, 360); None where matches do not tell it.

    `records` and `evidence` are the candidates, strongest first, for a query at `position` with
    that `focal` length in longer sides. Of a panorama, `parts` are the views that the candidates
    were compared with, and the heading is that of its centre column.
    """
    told = list(islice(_told(position, records, evidence, focal, parts), _MOST))
    if not told:
        return None
    angles = np.array([angle for angle, _ in told])
    weights = np.array([weight for _, weight in told])
    apart = np.abs((angles[:, None] - angles + 180) % 360 - 180)
    near = apart <= _AGREEING
    best = int(np.argmax(near @ weights))
    if weights[near[best]].sum() * 2 <= weights.sum():
        return None
    off = (angles[near[best]] - angles[best] + 180) % 360 - 180
    return float((angles[best] + np.average(off, weights=weights[near[best]])) % 360)


def _told(
    position: Position,
    records: Sequence[Record],
    evidence: Sequence[Evidence],
    focal: float | None,
    parts: Sequence[View | None] | None,
) -> Iterator[tuple[float, float]]:
    """What each candidate that can tell says of the heading, and how many matches do."""
    for number, (record, item) in enumerate(zip(records, evidence, strict=True)):
        if item.sizes is None or item.strength < _SURE or item.inliers < _FEWEST:
            continue
        # How far a compass's north is from the true one is not known here.
        if record.heading is None or record.magnetic:
            continue
        if distance(record.position, position) > REACH:
            continue
        own = view_of(split_name(record.path)[1])
        part = None if parts is None else parts[number]
        query = part.focal if part is not None else focal or _USUAL_FOCAL
        turn = turn_of(item, query, _USUAL_FOCAL if own is None else own.focal)
        if turn is not None:
            yield record.heading + turn - (part.heading if part is not None else 0), item.inliers


def turn_of(evidence: Evidence, query: float, own: float) -> float | None:
    """By how many degrees clockwise the query's camera is turned from the candidate's.

    `query` and `own` are their focal lengths in longer sides. The rotation of the essential matrix
    says so, on which it has no effect how far apart the two stood; None where there is none.
    """
    assert evidence.sizes is not None, "compared"
    here = _inside(evidence.pairs[:, :2], evidence.sizes[0]) / query
    there = _inside(evidence.pairs[:, 2:], evidence.sizes[1]) / own
    try:
        matrix, _ = cv2.findEssentialMat(
            there, here, np.eye(3), method=cv2.USAC_MAGSAC, prob=0.999, threshold=_OFF
        )
        if matrix is None or matrix.shape != (3, 3):
            return None
        first, second, _ = cv2.decomposeEssentialMat(matrix)
    except cv2.error:
        return None
    # The other one is half a turn about the way from one to the other away. Which is right, depth
    # tells where the two stood apart; where they stood on one spot nothing but nearness does.
    alike = _rotation(there, here)
    rotation = max(first, second, key=lambda one: float(np.trace(one @ alike.T)))
    # Where the candidate's axis lies for the query's camera.
    right, _, ahead = rotation[:, 2].tolist()
    return -math.degrees(math.atan2(right, ahead))


def _rotation(there: Floats, here: Floats) -> Floats:
    """The rotation that brings rays `[N, 2]` nearest to others (Kabsch, 1976)."""
    rays = [np.column_stack([points, np.ones(len(points))]) for points in (there, here)]
    units = [ray / np.linalg.norm(ray, axis=1, keepdims=True) for ray in rays]
    left, _, right = np.linalg.svd(units[1].T @ units[0])
    sign = np.linalg.det(left @ right)
    return np.asarray(left @ np.diag([1.0, 1.0, sign]) @ right, dtype=np.float64)


def _inside(pixels: NDArray[np.float32], size: tuple[int, int]) -> Floats:
    """Pixels (centres at integers) in longer sides right of and below the middle."""
    middle = (np.array(size, dtype=np.float64) - 1) / 2
    return np.ascontiguousarray((pixels - middle) / max(size), dtype=np.float64)
