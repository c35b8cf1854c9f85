"""What every backend of an index refuses: vectors that are none, and those of another network."""

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import IndexFileError
from hafloc.index import runtimes
from hafloc.index.records import ModelInfo


def check_vectors(vectors: NDArray[np.float32], expected: tuple[int, ...]) -> None:
    """Raises ValueError unless the vectors have that shape and each is a direction."""
    if vectors.shape != expected:
        raise ValueError(f"vectors have shape {vectors.shape}, not {expected}")
    if not np.isfinite(vectors).all() or not vectors.any(axis=-1).all():
        raise ValueError("vectors must be finite and none of them zero")


def check_regions(
    regions: NDArray[np.float32] | None, expected: tuple[int, int, int]
) -> NDArray[np.float32]:
    """The photos' vectors of regions `[N, R, D]`. Raises ValueError as `check_vectors`, and where
    there are none."""
    if regions is None:
        raise ValueError("the index has regions, so its photos need vectors of theirs")
    check_vectors(regions, expected)
    return regions


def check_queries(vectors: NDArray[np.float32], k: int, dimension: int) -> None:
    """Raises ValueError unless the vectors are `[Q, dimension]` and k is at least 1."""
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise ValueError(f"vectors have shape {vectors.shape}, not (Q, {dimension})")
    if k < 1:
        raise ValueError(f"k is {k}, not at least 1")


def check_model(location: object, ours: ModelInfo, wanted: ModelInfo | None) -> None:
    """Raises IndexFileError where the index at `location` is of another checkpoint, or of a runtime
    whose vectors are not proven to fit."""
    if wanted is None:
        return
    if wanted.hash != ours.hash:
        raise IndexFileError(
            f"{location} was made with checkpoint {ours.name} ({ours.hash[:12]}), not with "
            f"{wanted.name} ({wanted.hash[:12]}); rebuild with `hafloc index build`, or pass "
            f"--model with checkpoint {ours.name}"
        )
    runtimes.check(str(location), ours.runtime, wanted.runtime)
