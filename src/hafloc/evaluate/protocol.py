"""The steps in which protocols differ, as small functions that a benchmark puts together.

Rankings are `[Q, K]` database rows, best first; -1 fills the places that a step leaves empty.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hafloc.measure import keep_rows

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
    return keep_rows(ranking, keep, depth)


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
