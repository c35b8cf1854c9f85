"""Fit one set of points to another by turning, moving and scaling, though some are wrong."""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from hafloc.errors import PositionError
from hafloc.photos.projects.turning import Floats

_FEWEST = 3
_FREEDOM = 7  # numbers of a similarity
_TRIES = 300
_SEED = 26
# Points are wrong that lie this many deviations off, but none within metres of the rest.
_DEVIATIONS, _ALWAYS_RIGHT = 4.0, 1.0
_MEDIAN_TO_DEVIATION = 1.4826
# How wide a set of points must be beside its length, that it cannot turn about a line.
_NARROWEST = 0.01


@dataclass(frozen=True, slots=True)
class Similarity:
    """`target = scale * rotation @ source + shift`; `error` is by how many metres
    points are off their references, `used` of `given` of which agree, the worst by `worst`."""

    scale: float
    rotation: Floats
    shift: Floats
    error: float
    worst: float
    used: int
    given: int

    def __call__(self, points: Floats) -> Floats:
        """Points `[N, 3]` of the source in the target."""
        return np.asarray(self.scale * points @ self.rotation.T + self.shift)


def fit_similarity(source: Floats, target: Floats) -> Similarity:
    """The similarity that brings `source` `[N, 3]` to `target` `[N, 3]` (metres).

    By least squares over the points that agree, which least median of squares finds.
    Raises PositionError for fewer than three points, or points on one line.
    Source: Umeyama, Least-squares estimation of transformation parameters, PAMI 1991.
    """
    count = len(source)
    if count < _FEWEST:
        raise PositionError(
            f"{count:,} of its photos {'has' if count == 1 else 'have'} a reference, and "
            f"{_FEWEST} are needed; name more"
        )
    used = _agreeing(source, target)
    if _is_line(source) or (used.all() and _is_line(target)):
        raise PositionError(
            "the photos with a reference lie on one line, about which the others could be turned; "
            "add a reference beside it"
        )
    if _is_line(source[used]) or _is_line(target[used]):
        raise PositionError(
            "the references contradict each other; check names and the order of coordinates"
        )
    scale, rotation, shift = _umeyama(source[used], target[used])
    off = np.linalg.norm(scale * source[used] @ rotation.T + shift - target[used], axis=1)
    free = max(1, 3 * len(off) - _FREEDOM)
    error = math.sqrt(3 * float(off @ off) / free)
    return Similarity(scale, rotation, shift, error, float(off.max()), int(used.sum()), count)


def _agreeing(source: Floats, target: Floats) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    count = len(source)
    if count <= _FEWEST:
        return np.ones(count, bool)
    best, limit = np.ones(count, bool), math.inf
    for chosen in _triples(count):
        rows = list(chosen)
        if _is_line(source[rows]):
            continue
        scale, rotation, shift = _umeyama(source[rows], target[rows])
        off = np.linalg.norm(scale * source @ rotation.T + shift - target, axis=1)
        # The three themselves lie near in any case.
        middle = float(np.sort(off)[(count + _FEWEST + 1) // 2 - 1])
        if middle < limit:
            limit = middle
            best = off <= max(_DEVIATIONS * _MEDIAN_TO_DEVIATION * middle, _ALWAYS_RIGHT)
    return best


def _triples(count: int) -> "list[tuple[int, ...]]":
    if math.comb(count, _FEWEST) <= _TRIES:
        return list(itertools.combinations(range(count), _FEWEST))
    draw = np.random.default_rng(_SEED)
    return [tuple(draw.choice(count, _FEWEST, replace=False)) for _ in range(_TRIES)]


def _is_line(points: Floats) -> bool:
    widths = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return bool(widths[1] <= _NARROWEST * widths[0])


def _umeyama(source: Floats, target: Floats) -> tuple[float, Floats, Floats]:
    here, there = source - source.mean(axis=0), target - target.mean(axis=0)
    left, sizes, right = np.linalg.svd(there.T @ here)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left) * np.linalg.det(right)) or 1.0])
    rotation = left @ np.diag(signs) @ right
    scale = float((sizes * signs).sum() / np.square(here).sum())
    return scale, rotation, target.mean(axis=0) - scale * rotation @ source.mean(axis=0)
