"""Unit vectors as bytes: float32, float16 or int8.

What is stored is a direction: a vector read back is the stored one divided by its length, so
that it has unit length again however coarsely it was rounded. int8 needs no scale beside it
for the same reason; each vector is scaled so that its largest entry becomes ±127.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hafloc.errors import IndexFileError

Floats = NDArray[np.float32]

# Little-endian, so that a file means the same on every machine.
_STORED: dict[str, DTypeLike] = {"float16": "<f2", "float32": "<f4", "int8": "i1"}
VECTOR_TYPES = tuple(_STORED)
_INT8_MAX = 127
# A unit vector rounded to float16 is off by at most 2⁻¹¹ in length, plus subnormal entries.
_LENGTH_TOLERANCE = 1e-3


def check_type(vector_type: str) -> None:
    """Raises IndexFileError unless `vector_type` is one of `VECTOR_TYPES`."""
    if vector_type not in _STORED:
        raise IndexFileError(
            f"vector type {vector_type!r} is not known; choose one of {', '.join(VECTOR_TYPES)}"
        )


def stored_dtype(vector_type: str) -> np.dtype[np.generic]:
    """The type of one stored entry."""
    return np.dtype(_STORED[vector_type])


def encode(vectors: Floats, vector_type: str) -> list[bytes]:
    """Unit vectors `[N, D]` as N blobs."""
    rows = np.asarray(vectors, dtype=np.float32)
    if vector_type == "int8":
        rows = np.rint(rows * (_INT8_MAX / np.abs(rows).max(axis=1, keepdims=True)))
    return [row.tobytes() for row in rows.astype(stored_dtype(vector_type))]


def stack(blobs: Sequence[bytes], vector_type: str) -> NDArray[np.generic]:
    """N blobs of one length as the stored rows `[N, D]`, not yet of unit length."""
    rows: NDArray[np.generic] = np.frombuffer(b"".join(blobs), dtype=stored_dtype(vector_type))
    return rows.reshape(len(blobs), -1)


def unit(rows: NDArray[np.generic]) -> Floats:
    """Stored rows `[N, D]` as float32 vectors of unit length."""
    floats = rows.astype(np.float32)
    floats /= lengths(floats)[:, None]
    return floats


def lengths(rows: NDArray[np.generic]) -> Floats:
    """Euclidean lengths `[N]` of stored rows `[N, D]`."""
    floats = rows.astype(np.float32, copy=False)
    return np.asarray(np.sqrt(np.einsum("nd,nd->n", floats, floats)))


def is_sound(rows: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Which stored rows `[N, D]` are directions as `encode` writes them: `[N]`."""
    if rows.dtype == np.int8:
        return np.asarray(np.abs(rows.astype(np.int16)).max(axis=1) == _INT8_MAX)
    return np.asarray(np.abs(lengths(rows) - 1) <= _LENGTH_TOLERANCE)
