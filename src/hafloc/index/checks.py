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
