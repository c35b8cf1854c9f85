"""Local features as bytes, at most `MOST_BYTES` a photo.

A blob is a head of five little-endian uint16 (the blob's version, M, D, width, height), M
positions as two uint16 (fractions of the longer side, of which 65,535 make the whole), and M rows
of D int8. Where all entries are within ±7, each takes half a byte: version 2, with 8 added, the
earlier of two in the lower half. What either is worth: `benchmarks/results/key_points.md`; zlib and
LZMA save 3 % of version 1.
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hafloc.description import LocalFeatures
from hafloc.errors import IndexFileError

MOST_BYTES = 24 * 1024
BITS = (4, 8)
_WHOLE_BYTES, _HALF_BYTES = 1, 2  # the versions of a blob
_LARGEST_HALF = 7
_HEAD = struct.Struct("<5H")
_WHOLE = 65_535


@dataclass(frozen=True, slots=True)
class LocalSize:
    """How much of each photo's key points is kept: so many, None for all, of 4 or 8 bits a number.

    Raises ValueError for fewer than one, and for other bits.
    """

    points: int | None = None
    bits: int = 8

    def __post_init__(self) -> None:
        if (self.points is not None and self.points < 1) or self.bits not in BITS:
            raise ValueError(f"key points cannot be kept as {self}")


ALL = LocalSize()


def shrink(features: LocalFeatures, size: LocalSize) -> LocalFeatures:
    """The strongest key points, as many and as fine as `size` says."""
    rows = features.descriptors[: size.points]
    if size.bits == 4:
        largest = np.abs(rows.astype(np.float32)).max(axis=1, keepdims=True, initial=1)
        rows = np.rint(rows * (_LARGEST_HALF / largest)).astype(np.int8)
    return LocalFeatures(features.xy[: size.points], rows, features.size)


def encode(features: LocalFeatures) -> bytes:
    """The blob of one photo's features, the strongest that fit.

    Raises ValueError for sides that a uint16 cannot hold.
    """
    width, height = features.size
    if not (0 < width <= _WHOLE and 0 < height <= _WHOLE):
        raise ValueError(f"an image of {width}×{height} pixels cannot be written down")
    dimension = features.descriptors.shape[1]
    count = min(len(features), (MOST_BYTES - _HEAD.size) // (dimension + 4))
    places = np.rint(features.xy[:count] * (_WHOLE / max(width, height))).clip(0, _WHOLE)
    rows = np.ascontiguousarray(features.descriptors[:count], dtype=np.int8)
    version = _HALF_BYTES if _fit_half(rows) else _WHOLE_BYTES
    return b"".join(
        (
            _HEAD.pack(version, count, dimension, width, height),
            places.astype("<u2").tobytes(),
            (_to_halves(rows) if version == _HALF_BYTES else rows).tobytes(),
        )
    )


def decode(blob: bytes) -> LocalFeatures:
    """What `encode` wrote. Raises IndexFileError where it is anything else."""
    if problem := find_problem(blob):
        raise IndexFileError(problem)
    version, count, dimension, width, height = _HEAD.unpack_from(blob)
    places = np.frombuffer(blob, "<u2", 2 * count, _HEAD.size).reshape(count, 2)
    kept = np.frombuffer(blob, np.uint8, offset=_HEAD.size + places.nbytes)
    rows = _from_halves(kept, dimension) if version == _HALF_BYTES else kept.view(np.int8)
    xy = places.astype(np.float32) * (max(width, height) / _WHOLE)
    return LocalFeatures(
        xy.astype(np.float32), rows.reshape(count, dimension), (int(width), int(height))
    )


def find_problem(blob: object) -> str:
    """What is wrong with a blob, in words; empty where nothing is."""
    if not isinstance(blob, bytes) or len(blob) < _HEAD.size:
        return "local features without a head"
    version, count, dimension, width, height = _HEAD.unpack_from(blob)
    if version not in (_WHOLE_BYTES, _HALF_BYTES):
        return f"local features of version {version}, not {_WHOLE_BYTES} or {_HALF_BYTES}"
    row = dimension if version == _WHOLE_BYTES else _bytes_of_halves(dimension)
    expected = _HEAD.size + count * (4 + row)
    if len(blob) != expected:
        return f"local features of {len(blob):,} bytes, not {expected:,}"
    return "" if width and height else "local features of an image without pixels"


def _fit_half(rows: NDArray[np.int8]) -> bool:
    # -128 has no absolute value in int8.
    return (
        bool(rows.size) and int(rows.min()) >= -_LARGEST_HALF and int(rows.max()) <= _LARGEST_HALF
    )


def _bytes_of_halves(dimension: int) -> int:
    return (dimension + 1) // 2


def _to_halves(rows: NDArray[np.int8]) -> NDArray[np.uint8]:
    halves = np.full((len(rows), 2 * _bytes_of_halves(rows.shape[1])), 8, np.uint8)
    halves[:, : rows.shape[1]] = rows + np.int8(8)
    return np.asarray(halves[:, 0::2] | (halves[:, 1::2] << 4), dtype=np.uint8)


def _from_halves(kept: NDArray[np.uint8], dimension: int) -> NDArray[np.int8]:
    halves = np.stack([kept & 15, kept >> 4], axis=1).reshape(-1, 2 * _bytes_of_halves(dimension))
    return np.ascontiguousarray(halves[:, :dimension]).view(np.int8) - np.int8(8)
