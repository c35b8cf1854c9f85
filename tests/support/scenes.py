"""Made-up key points: façades seen twice, with known geometry and wrong matches between."""

import numpy as np
from numpy.typing import NDArray

from hafloc.description import LocalFeatures

SIZE = (480, 360)
Floats = NDArray[np.float64]


def features(xy: Floats, rows: Floats, size: tuple[int, int] = SIZE) -> LocalFeatures:
    scaled = np.rint(rows * (127 / np.abs(rows).max(axis=1, keepdims=True)))
    return LocalFeatures(xy.astype(np.float32), scaled.astype(np.int8), size)


def directions(random: np.random.Generator, count: int) -> Floats:
    return random.standard_normal((count, 64))


def spread(random: np.random.Generator, count: int) -> Floats:
    return random.uniform((20, 20), (SIZE[0] - 20, SIZE[1] - 20), (count, 2))


def warp(matrix: Floats, xy: Floats) -> Floats:
    moved = np.column_stack([xy, np.ones(len(xy))]) @ matrix.T
    return np.asarray(moved[:, :2] / moved[:, 2:])


# A façade from a little farther to the right.
OBLIQUE = np.array([[0.9, 0.05, 20.0], [-0.08, 0.95, 25.0], [-2e-4, 1e-4, 1.0]])
MIRROR = np.array([[-1.0, 0.0, SIZE[0] - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def plane_pair(
    seed: int, *, right: int, wrong: int, matrix: Floats = OBLIQUE, noise: float = 0.5
) -> tuple[LocalFeatures, LocalFeatures]:
    """Two photos of one plane: `right` key points moved by `matrix`, `wrong` ones anywhere."""
    random = np.random.default_rng(seed)
    rows = directions(random, right + wrong)
    here = spread(random, right + wrong)
    there = warp(matrix, here) + random.normal(0, noise, here.shape)
    there[right:] = spread(random, wrong)
    order = random.permutation(right + wrong)
    other = rows + random.normal(0, 0.2, rows.shape)
    return features(here, rows), features(there[order], other[order])


def deep_pair(seed: int, *, right: int, wrong: int) -> tuple[LocalFeatures, LocalFeatures]:
    """Two photos of points at very different depths, the second one metre to the right."""
    random = np.random.default_rng(seed)
    count = right + wrong
    here = spread(random, count)
    shift = random.uniform(2, 120, count)
    there = here - np.column_stack([shift, shift / 8])
    there[right:] = spread(random, wrong)
    rows = directions(random, count)
    return features(here, rows), features(there, rows + random.normal(0, 0.2, rows.shape))
