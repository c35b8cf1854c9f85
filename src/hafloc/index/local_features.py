"""Local features as bytes, at most `MOST_BYTES` a photo.

A blob is a head of five little-endian uint16 (the blob's version, M, D, width, height), M
positions as two uint16 (fractions of the longer side, of which 65,535 make the whole), and M rows
of D int8.
"""

import struct

import numpy as np

from hafloc.description import LocalFeatures
from hafloc.errors import IndexFileError

MOST_BYTES = 24 * 1024
_VERSION = 1
_HEAD = struct.Struct("<5H")
_WHOLE = 65_535


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
    return b"".join(
        (
            _HEAD.pack(_VERSION, count, dimension, width, height),
            places.astype("<u2").tobytes(),
            np.ascontiguousarray(features.descriptors[:count], dtype=np.int8).tobytes(),
        )
    )


def decode(blob: bytes) -> LocalFeatures:
    """What `encode` wrote. Raises IndexFileError where it is anything else."""
    if problem := find_problem(blob):
        raise IndexFileError(problem)
    _, count, dimension, width, height = _HEAD.unpack_from(blob)
    places = np.frombuffer(blob, "<u2", 2 * count, _HEAD.size).reshape(count, 2)
    rows = np.frombuffer(blob, np.int8, count * dimension, _HEAD.size + places.nbytes)
    xy = places.astype(np.float32) * (max(width, height) / _WHOLE)
    return LocalFeatures(
        xy.astype(np.float32), rows.reshape(count, dimension), (int(width), int(height))
    )


def find_problem(blob: object) -> str:
    """What is wrong with a blob, in words; empty where nothing is."""
    if not isinstance(blob, bytes) or len(blob) < _HEAD.size:
        return "local features without a head"
    version, count, dimension, width, height = _HEAD.unpack_from(blob)
    if version != _VERSION:
        return f"local features of version {version}, not {_VERSION}"
    expected = _HEAD.size + count * (4 + dimension)
    if len(blob) != expected:
        return f"local features of {len(blob):,} bytes, not {expected:,}"
    return "" if width and height else "local features of an image without pixels"
