"""A database's photos as vector tiles, thinned to what a map can show (Mapbox Vector Tile 2.1)."""

import math
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hafloc.index import GeoIndex
from hafloc.serve.problems import NOT_FOUND, Problem

LAYER = "photos"
MOST_ZOOM = 22
EXTENT = 4_096
# Squares along a tile's side, of each of which one photo stands for all: at most 4,096 a tile.
_SQUARES = 64
# Photos beyond a tile's edge, so that a circle is not cut in two: of its side.
_BUFFER = 1 / 64
# The poles are at infinity in Web Mercator.
_MOST_LATITUDE = 85.051129
_DEGREES_NONE = -1.0
# A map of photos that change is made anew, but not for more than this share of the time.
_SHARE_OF_TIME = 0.2


@dataclass(frozen=True, slots=True)
class Points:
    """All N photos of a database: `ids`, `x` and `y` in the square of Web Mercator (0 to 1, y
    down), and `headings` in degrees, -1 where unknown."""

    ids: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    headings: NDArray[np.float32]

    @classmethod
    def of(cls, index: GeoIndex) -> "Points":
        ids: list[int] = []
        places: list[tuple[float, float, float]] = []
        for record in index.iterate():
            ids.append(record.id or 0)
            heading = _DEGREES_NONE if record.heading is None else record.heading
            places.append((record.position.lon, record.position.lat, heading))
        table = np.array(places, dtype=np.float64).reshape(-1, 3)
        x, y = mercator(table[:, 0], table[:, 1])
        return cls(np.array(ids, np.int64), x, y, table[:, 2].astype(np.float32))


class PointStore:
    """The points of one database, made again when it has changed. Safe in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: tuple[object, Points] | None = None
        self._not_before = 0.0

    def current(self, index: GeoIndex) -> Points:
        """The points as they are, or as they were shortly before."""
        with self._lock:
            now = time.monotonic()
            if self._made is not None and now < self._not_before:
                return self._made[1]
            version = _version(index)
            if self._made is None or self._made[0] != version:
                self._made = version, Points.of(index)
            took = time.monotonic() - now
            self._not_before = time.monotonic() + max(1.0, took / _SHARE_OF_TIME)
            return self._made[1]


def _version(index: GeoIndex) -> object:
    """What is another when photos have changed, as far as that can be told cheaply."""
    facts: list[object] = [index.count()]
    for end in ("", "-wal"):
        with suppress(OSError, ValueError):
            seen = Path(index.location + end).stat()
            facts.append((end, seen.st_size, seen.st_mtime_ns))
    return tuple(facts)


def mercator(
    lons: NDArray[np.float64], lats: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Degrees `[N]` as places in the unit square of Web Mercator, y down (EPSG:3857, scaled)."""
    sines = np.sin(np.radians(np.clip(lats, -_MOST_LATITUDE, _MOST_LATITUDE)))
    return lons / 360 + 0.5, 0.5 - np.arctanh(sines) / (2 * math.pi)


def tile_of(points: Points, zoom: int, column: int, row: int) -> bytes:
    """The tile at `zoom`, `column`, `row`, as bytes; empty where no photo lies in it.

    Of each square of the tile one photo stands for all that lie there: `count` says how many.
    Raises Problem where there is no such tile.
    """
    side = 1 << zoom if 0 <= zoom <= MOST_ZOOM else 0
    if not (0 <= column < side and 0 <= row < side):
        raise Problem(
            NOT_FOUND, f"there is no tile {zoom}/{column}/{row}: zoom is 0 to {MOST_ZOOM}"
        )
    x, y = points.x * side - column, points.y * side - row
    low, high = -_BUFFER, 1 + _BUFFER
    inside = np.flatnonzero((x >= low) & (x < high) & (y >= low) & (y < high))
    if not len(inside):
        return b""
    x, y = x[inside], y[inside]
    squares = np.floor(x * _SQUARES) + (_SQUARES + 4) * np.floor(y * _SQUARES)
    _, first, counts = np.unique(squares, return_index=True, return_counts=True)
    # What lies beyond the edge is drawn for the circles' sake, and its count is the next tile's.
    chosen = inside[first]
    return encode(
        points.ids[chosen].tolist(),
        np.floor(x[first] * EXTENT).astype(int).tolist(),
        np.floor(y[first] * EXTENT).astype(int).tolist(),
        counts.tolist(),
        points.headings[chosen].tolist(),
    )


def encode(
    ids: Sequence[int],
    xs: Sequence[int],
    ys: Sequence[int],
    counts: Sequence[int],
    headings: Sequence[float],
) -> bytes:
    """One layer of points with the properties `id`, `count` and `heading` (none below 0).

    Source: Mapbox Vector Tile Specification 2.1, sections 4.1 to 4.4.
    """
    values: dict[bytes, int] = {}

    def number_of(value: bytes) -> int:
        return values.setdefault(value, len(values))

    features = bytearray()
    for id_, x, y, count, heading in zip(ids, xs, ys, counts, headings, strict=True):
        tags = [0, number_of(_whole(id_)), 1, number_of(_whole(count))]
        if heading >= 0:
            tags += [2, number_of(b"\x19" + struct.pack("<d", round(heading, 1)))]
        feature = _bytes(2, b"".join(map(_varint, tags)))
        feature += b"\x18\x01"  # a point
        feature += _bytes(4, _varint(9) + _varint(_zigzag(x)) + _varint(_zigzag(y)))
        if id_ >= 0:
            feature = b"\x08" + _varint(id_) + feature
        features += _bytes(2, feature)
    layer = _bytes(1, LAYER.encode()) + bytes(features)
    for key in ("id", "count", "heading"):
        layer += _bytes(3, key.encode())
    for value in values:
        layer += _bytes(4, value)
    layer += b"\x28" + _varint(EXTENT) + b"\x78\x02"
    return _bytes(3, layer)


def _whole(value: int) -> bytes:
    """A value of the layer: an unsigned number, or a signed one below 0."""
    return b"\x28" + _varint(value) if value >= 0 else b"\x30" + _varint(_zigzag(value))


def _bytes(field: int, content: bytes) -> bytes:
    """A field of protobuf that holds bytes."""
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
