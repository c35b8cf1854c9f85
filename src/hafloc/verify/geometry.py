"""Does one geometry explain the matches of two photos? Homography and fundamental matrix.

Both are fitted by MAGSAC++ (Baráth et al., CVPR 2020) as OpenCV has it. Which explains more is a
question of chance: a fundamental matrix asks a point only to lie near a line, so it always finds
more inliers. Each fit is therefore weighed by the number of equally good ones that random
matches would give, its NFA (Moisan & Stival, IJCV 2004); the better explained one has the smaller.

Most candidates show another place, and a fundamental matrix that is not there takes the longest to
look for. So a short search counts first how many matches one explains; where that is far from what
the homography says, or from what chance does, the long one is left out.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from hafloc.description import LocalFeatures
from hafloc.verify.evidence import Geometry, Size, Sizes
from hafloc.verify.matching import Matches

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
# Significance, geometry, inliers.
Fit = tuple[float, Geometry, Flags]

# Shares of the longer side: 8 and 4 of 480 pixels.
HOMOGRAPHY_TOLERANCE = 1 / 60
FUNDAMENTAL_TOLERANCE = 1 / 120
_CONFIDENCE = 0.999
_ITERATIONS = 1_000
# The short search, and how far in powers of ten its NFA may stand behind. Of 32,800 pairs of real
# photos a shorter one still (200) changed 30, and no query's first candidate
# (benchmarks/results/verification.md).
_SHORT_CONFIDENCE = 0.95
_SHORT_ITERATIONS = 300
_BEHIND = 3.0
_BEHIND_BY = 0.2  # and this share of the significance to beat, for it finds a share of the inliers
# Matches that fix the model, and inliers below which it says nothing.
_SAMPLE = {"homography": 4, "fundamental": 7}
_FEWEST = {"homography": 6, "fundamental": 10}
_LARGEST_SCALE = 6.0  # between two photos of one façade, along an axis
_NARROWEST = 0.01  # of the longer side: inliers that all lie within it fix no model
_UPRIGHT = 0.6  # of triangles that keep their sense of rotation
_TRIANGLES = 64


@dataclass(frozen=True, slots=True)
class Verified:
    """What geometry says of one candidate.

    `matches` and `mutual` count as `matching.Matches` does; `pairs` `[inliers, 4]` are x, y in the
    query and x, y in the candidate, in described pixels; `significance` is -log10 of the NFA (0
    without a geometry); `spread` in [0, 1] how much of both photos the inliers take.
    """

    matches: int
    mutual: int
    geometry: Geometry
    pairs: NDArray[np.float32]
    significance: float
    spread: float

    @property
    def inliers(self) -> int:
        return len(self.pairs)


NOTHING = Verified(0, 0, "", np.empty((0, 4), np.float32), 0.0, 0.0)


def verify(query: LocalFeatures, candidate: LocalFeatures, matches: Matches) -> Verified:
    """The better explained geometry of two photos' matches; the same on every run."""
    here = query.xy[matches.query].astype(np.float64)
    there = candidate.xy[matches.candidate].astype(np.float64)
    return verify_points(here, there, (query.size, candidate.size), mutual=matches.mutual)


def verify_points(
    here: Floats, there: Floats, sizes: Sizes, *, mutual: int | None = None
) -> Verified:
    """`verify` for places `[M, 2]` in the query that match those `[M, 2]` in the candidate.

    `sizes` are the (width, height) of the two images that x, y belong to.
    """
    counted = len(here) if mutual is None else mutual
    # Where the first one is sound, the other need not be looked at.
    for significance, geometry, inliers in _fits(here, there, sizes[1]):
        ends = here[inliers], there[inliers]
        if significance <= 0:
            break
        shapes = _covariance(ends[0]), _covariance(ends[1])
        if _is_sound(ends, shapes, sizes):
            spread = min(map(_spread, shapes, sizes))
            pairs = np.concatenate(ends, 1).astype(np.float32)
            return Verified(len(here), counted, geometry, pairs, significance, spread)
    return replace(NOTHING, matches=len(here), mutual=counted)


def _fits(here: Floats, there: Floats, size: Size) -> Iterator[Fit]:
    """Both fits, the better explained one first; each is made when it is asked for."""
    side = max(size)
    plane = _fit_homography(here, there, side)
    first: Fit = _significance("homography", plane, size), "homography", plane
    hopeful = _may_explain_more(here, there, size, first[0])
    if not hopeful:
        yield first
    depth = _fit_fundamental(here, there, side)
    second: Fit = _significance("fundamental", depth, size), "fundamental", depth
    yield from sorted((first, second), key=lambda fit: -fit[0]) if hopeful else (second,)


def _may_explain_more(here: Floats, there: Floats, size: Size, significance: float) -> bool:
    """Whether a fundamental matrix could be more significant than that."""
    matches = len(here)
    if matches < _FEWEST["fundamental"]:
        return False
    if _rarity("fundamental", matches, matches, size) <= significance:
        return False
    found = _fit_shortly(here, there, max(size))
    return (
        found > _SAMPLE["fundamental"]
        and _rarity("fundamental", matches, found, size) > (1 - _BEHIND_BY) * significance - _BEHIND
    )


def _fit_shortly(here: Floats, there: Floats, side: int) -> int:
    """How many matches the best fundamental matrix of a few samples explains."""
    search = cv2.UsacParams()
    search.score = cv2.SCORE_METHOD_RANSAC
    search.loMethod = cv2.LOCAL_OPTIM_INNER_LO
    search.final_polisher = cv2.NONE_POLISHER
    search.maxIterations = _SHORT_ITERATIONS
    search.confidence = _SHORT_CONFIDENCE
    # As by default today; versions of OpenCV have differed in both, and results with them.
    search.isParallel = False
    search.randomGeneratorState = 0
    search.threshold = FUNDAMENTAL_TOLERANCE * side
    with _failing_to_fit():
        _, mask = cv2.findFundamentalMat(here, there, search)
        if mask is not None:
            return int(np.count_nonzero(mask))
    return 0


def _fit_homography(here: Floats, there: Floats, side: int) -> Flags:
    inliers = np.zeros(len(here), bool)
    if len(here) < _FEWEST["homography"]:
        return inliers
    with _failing_to_fit():
        matrix, mask = cv2.findHomography(
            here,
            there,
            cv2.USAC_MAGSAC,
            HOMOGRAPHY_TOLERANCE * side,
            maxIters=_ITERATIONS,
            confidence=_CONFIDENCE,
        )
        if matrix is not None and mask is not None:
            inliers = mask.ravel().astype(bool)
            # Fewer would say nothing, plausible or not.
            if inliers.sum() >= _FEWEST["homography"]:
                inliers &= _scales_plausibly(np.asarray(matrix, np.float64), here)
    return inliers


def _fit_fundamental(here: Floats, there: Floats, side: int) -> Flags:
    inliers = np.zeros(len(here), bool)
    if len(here) < _FEWEST["fundamental"]:
        return inliers
    with _failing_to_fit():
        _, mask = cv2.findFundamentalMat(
            here,
            there,
            cv2.USAC_MAGSAC,
            FUNDAMENTAL_TOLERANCE * side,
            _CONFIDENCE,
            _ITERATIONS,
        )
        if mask is not None:
            inliers = mask.ravel().astype(bool)
    return inliers


def _failing_to_fit() -> suppress:
    """OpenCV 5.0 fails an assertion of its own where no sample of rare matches gives a model."""
    return suppress(cv2.error)


def _scales_plausibly(matrix: Floats, places: Floats) -> Flags:
    """Where a homography keeps the sense of rotation and no axis's scale leaves all reason."""
    x, y = places.T
    down = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    down = np.where(np.abs(down) < 1e-12, np.nan, down)
    to_x = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / down
    to_y = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / down
    # The derivative at each place; its singular values are the scales along two axes.
    a, b = ((matrix[0, i] - to_x * matrix[2, i]) / down for i in (0, 1))
    c, d = ((matrix[1, i] - to_y * matrix[2, i]) / down for i in (0, 1))
    area = a * d - b * c
    squares = (a * a + b * b + c * c + d * d) / 2
    apart = np.sqrt(np.maximum(squares * squares - area * area, 0))
    largest, smallest = np.sqrt(squares + apart), np.sqrt(np.maximum(squares - apart, 0))
    with np.errstate(invalid="ignore"):
        return np.asarray(
            (area > 0) & (largest < _LARGEST_SCALE) & (smallest > 1 / _LARGEST_SCALE), dtype=bool
        )


def _is_sound(ends: tuple[Floats, Floats], shapes: tuple[Floats, Floats], sizes: Sizes) -> bool:
    """Whether inliers spread in both photos, and turn the same way in both.

    `ends` are their places in either photo and `shapes` the covariances of these. A fundamental
    matrix alone is blind to a mirror: mirrored points lie on the same level lines.
    """
    for ((across, skew), (_, down)), size in zip(shapes, sizes, strict=True):
        # The smaller eigenvalue.
        least = (across + down) / 2 - math.hypot((across - down) / 2, skew)
        if math.sqrt(max(least, 0)) < _NARROWEST * max(size):
            return False
    corners = _triangles(len(ends[0]))
    turns = _turns(ends[0][corners]) * _turns(ends[1][corners])
    return bool((turns > 0).sum() >= _UPRIGHT * max((turns != 0).sum(), 1))


@cache
def _triangles(count: int) -> NDArray[np.int64]:
    """The corners `[3, N]` of triangles among so many places, the same ones each time."""
    return np.random.default_rng(0).integers(0, count, (3, _TRIANGLES))


def _covariance(places: Floats) -> Floats:
    """`np.cov` of places `[M, 2]`, in a fifth of its time."""
    apart = places - places.mean(0)
    return np.asarray(apart.T @ apart * (1 / (len(places) - 1)))


def _turns(corners: Floats) -> NDArray[np.float64]:
    """The sense of rotation of triangles `[3, N, 2]`: its sign, `[N]`."""
    (ax, ay), (bx, by) = (corners[1] - corners[0]).T, (corners[2] - corners[0]).T
    return np.asarray(np.sign(ax * by - ay * bx), dtype=np.float64)


def _significance(geometry: Geometry, inliers: Flags, size: Size) -> float:
    """-log10 of the number of fits as good that random matches would give; 0 where none is."""
    matches, found = len(inliers), int(inliers.sum())
    if found < _FEWEST[geometry]:
        return 0.0
    return max(0.0, _rarity(geometry, matches, found, size))


def _rarity(geometry: Geometry, matches: int, found: int, size: Size) -> float:
    """`_significance` of `found` inliers, below 0 where chance explains more than them."""
    width, height = size
    side = max(size)
    if geometry == "homography":
        chance = math.pi * (HOMOGRAPHY_TOLERANCE * side) ** 2 / (width * height)
    else:
        chance = 2 * FUNDAMENTAL_TOLERANCE * side * math.hypot(width, height) / (width * height)
    sample = _SAMPLE[geometry]
    tests = (
        math.log10(max(matches - sample, 1))
        + _log10_choose(matches, found)
        + _log10_choose(found, sample)
    )
    return -(tests + (found - sample) * math.log10(min(chance, 1.0)))


def _log10_choose(n: int, k: int) -> float:
    return (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)) / math.log(10)


def _spread(shape: Floats, size: Size) -> float:
    """How much of an image points take: 1 when they vary as if spread evenly over all of it."""
    # A uniform spread over a side s has the variance s² / 12.
    area = 12 * math.sqrt(max(np.linalg.det(shape), 0.0))
    return min(1.0, area / (size[0] * size[1]))
