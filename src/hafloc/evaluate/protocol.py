"""The steps in which protocols differ, as small functions that a benchmark puts together.

Rankings are `[Q, K]` database rows, best first; -1 fills the places that a step leaves empty.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hafloc import geo
from hafloc.evaluate.metrics import find_hits

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, right and bottom excluded


def keep_first_of_panorama(ranking: Ints, views: int, depth: int) -> Ints:
    """Of each panorama's consecutive `views` database rows, only the best stays; cut to `depth`.

    Tokyo 24/7 looks at the first views × depth places. Source: NetVLAD, loadTokyo247.
    """
    ranking = ranking[:, : views * depth]
    out = np.full((len(ranking), depth), -1, dtype=np.int64)
    for row, ranked in enumerate(ranking):
        real = ranked[ranked >= 0]
        _, first = np.unique(real // views, return_index=True)
        kept = real[np.sort(first)][:depth]
        out[row, : len(kept)] = kept
    return out


def drop_equal_times(
    ranking: Ints, database_times: NDArray[np.generic], query_times: NDArray[np.generic], depth: int
) -> Ints:
    """Without database images of exactly the query's time stamp; cut to `depth`.

    TokyoTM searches the first 10 × depth places. Source: NetVLAD, loadTokyoTM.
    """
    keep = (database_times[ranking] != query_times[:, None]) & (ranking >= 0)
    return _compact(ranking, keep, depth)


def drop_rows(ranking: Ints, unwanted: Sequence[Ints], depth: int) -> Ints:
    """Without each query's own unwanted database rows, such as its own file; cut to `depth`."""
    return _compact(ranking, ~find_hits(ranking, unwanted) & (ranking >= 0), depth)


def _compact(ranking: Ints, keep: NDArray[np.bool_], depth: int) -> Ints:
    # A stable sort by "dropped" moves what stays to the front in its order.
    order = np.argsort(~keep, axis=1, kind="stable")[:, :depth]
    kept = np.take_along_axis(keep, order, axis=1)
    return np.where(kept, np.take_along_axis(ranking, order, axis=1), -1)


def sum_scores(vectors: Floats, crops: int) -> Floats:
    """Query vectors `[Q · crops, D]` to `[Q, D]` whose products are the sums over a query's crops.

    Source: CRN's evaluation on San Francisco; Σ ⟨q_c, d⟩ = ⟨Σ q_c, d⟩.
    """
    return np.asarray(vectors.reshape(-1, crops, vectors.shape[1]).sum(axis=1))


@dataclass(frozen=True, slots=True)
class BoxCrop:
    """A box in pixels (left, top, right, bottom), enlarged by `margin` on each side, clipped."""

    left: float
    top: float
    right: float
    bottom: float
    margin: float = 0.0

    def box(self, width: int, height: int) -> Box:
        left = min(max(0, round(self.left - self.margin)), width - 1)
        top = min(max(0, round(self.top - self.margin)), height - 1)
        right = max(left + 1, min(width, round(self.right + self.margin)))
        bottom = max(top + 1, min(height, round(self.bottom + self.margin)))
        return left, top, right, bottom


@dataclass(frozen=True, slots=True)
class SquareCrop:
    """A square of `side` pixels (or the shorter side) at one place along the longer side."""

    side: int
    place: Literal["start", "centre", "end"]

    def box(self, width: int, height: int) -> Box:
        side = min(self.side, width, height)
        free = width - side, height - side
        if self.place == "centre":
            offset = free[0] // 2, free[1] // 2
        elif width >= height:
            offset = (0 if self.place == "start" else free[0]), free[1] // 2
        else:
            offset = free[0] // 2, (0 if self.place == "start" else free[1])
        return offset[0], offset[1], offset[0] + side, offset[1] + side


@dataclass(frozen=True, slots=True)
class Resize:
    """How images are scaled, aspect kept.

    `rule`: "longer" side at most `limit` px, "shorter" side exactly `limit` px, "pixels" at most
    `limit` in all; only "shorter" enlarges.
    """

    rule: Literal["longer", "shorter", "pixels"]
    limit: int

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The new (width, height)."""
        if self.rule == "shorter":
            ratio = self.limit / min(width, height)
        elif self.rule == "longer":
            ratio = min(1.0, self.limit / max(width, height))
        else:
            ratio = min(1.0, (self.limit / (width * height)) ** 0.5)
        return max(1, round(width * ratio)), max(1, round(height * ratio))

    def __str__(self) -> str:
        if self.rule == "pixels":
            return f"at most {self.limit:,} pixels, aspect kept, never enlarged"
        bound = "at most " if self.rule == "longer" else ""
        return f"{self.rule} side {bound}{self.limit} px"


def positives_within(
    database: NDArray[np.float64], queries: NDArray[np.float64], radius: float
) -> tuple[Ints, ...]:
    """Database rows within `radius` (≤) of each query, for flat coordinates `[N, 2]`, `[Q, 2]`."""
    order = np.argsort(database[:, 0], kind="stable")
    east = database[order, 0]
    low = np.searchsorted(east, queries[:, 0] - radius, side="left")
    high = np.searchsorted(east, queries[:, 0] + radius, side="right")
    found = []
    for place, start, end in zip(queries, low, high, strict=True):
        near = order[start:end]
        squared = ((database[near] - place) ** 2).sum(axis=1)
        found.append(np.sort(near[squared <= radius**2]))
    return tuple(found)


def positives_around(
    database: Sequence[geo.Position], queries: Sequence[geo.Position], radius: float
) -> tuple[Ints, ...]:
    """Database rows within `radius` metres (≤, geodesic) of each query, for WGS84 positions."""
    lats = np.array([place.lat for place in database])
    lons = np.array([place.lon for place in database])
    order = np.argsort(lats, kind="stable")
    # No degree of latitude is shorter than 110.5 km.
    reach = radius / 110_500
    found = []
    for query in queries:
        low = np.searchsorted(lats[order], query.lat - reach, side="left")
        high = np.searchsorted(lats[order], query.lat + reach, side="right")
        near = order[low:high]
        metres = geo.distances(query, lats[near], lons[near]) if len(near) else np.empty(0)
        found.append(np.sort(near[metres <= radius]))
    return tuple(found)
