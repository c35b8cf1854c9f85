"""Exact search in memory: the most similar of N unit vectors, all or only those nearby.

Measured with 100,000 vectors of 1,024 on two busy cores, milliseconds for one query and for
each of 32 at once: float32 matrix 25 and 7; int8 turned to float32 in blocks of 1 MB 29 and
12; torch's float16 product 33 and 26, its bfloat16 product 46 and 34, and both round their
sums. So float16 is held as float32, which is twice its bytes, and int8 stays bytes, which a single
query looks at as they are (`first_look.py`).
"""

import threading
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hafloc import geo
from hafloc.index import first_look
from hafloc.index import vectors as stored
from hafloc.index.records import Hits, Near

Rows = NDArray[np.int64]

_BLOCK = 256  # rows a query turned to float32 at a time: 1 MB at 1,024 entries, the cache
_QUERIES_AT_ONCE = 64  # bounds the table of similarities: 26 MB for 100,000 photos
_EARTH_RADIUS = 6_371_008.8  # metres, the mean radius of IUGG
# Distances on that sphere and on the ellipsoid differ by at most 0.56 percent.
_SPHERE_MARGIN = 1.01
_FLOAT32_ROUNDING = 2.0**-24


class VectorSearch:
    """The photos of an index by vector and place, rows in ascending order of `ids` `[N]`.

    `rows` `[R, D]` as stored (float32, float16 or int8) or as `first_look.to_bytes` makes them
    (uint8), perhaps mapped from a file; `lats` and `lons` `[N]` in degrees. Photo n has row
    `stored_in[n]`, row n unless given; `scales` `[N]` are one over the rows' lengths, measured
    unless given.
    """

    def __init__(
        self,
        ids: NDArray[np.int64],
        rows: NDArray[np.generic],
        lats: NDArray[np.float64],
        lons: NDArray[np.float64],
        scales: NDArray[np.float32] | None = None,
        stored_in: Rows | None = None,
    ) -> None:
        # A product takes all cores by itself. Several at once wait for each other's threads: 16
        # took nine times as long as one after the other.
        self._one_product = threading.Lock()
        self._ids = ids
        self._lats, self._lons = lats, lons
        # Northwards, so that a circle needs looking for in its band alone.
        self._northwards: tuple[Rows, NDArray[np.float64]] | None = None
        # float16 is turned to float32 once: each search would take ten times as long with it.
        if rows.dtype == np.int8:
            rows = first_look.to_bytes(rows)
        self._bytes = rows.view(np.uint8) if rows.dtype == np.uint8 else None
        self._rows = rows.astype(np.float32, copy=False) if self._bytes is None else rows
        if scales is None:
            scales = np.concatenate(
                [1 / stored.lengths(self.as_stored(rows[part])) for part in _parts(len(rows))]
            ).astype(np.float32)
            scales = scales if stored_in is None else scales[stored_in]
        self._scales = scales
        in_order = stored_in is None or np.array_equal(stored_in, np.arange(len(rows)))
        self._stored_in = None if in_order else stored_in

    def search(self, queries: NDArray[np.float32], k: int, near: Near | None = None) -> Hits:
        """The k most similar rows of each unit vector `[Q, D]`, equals by lower id first."""
        rows = np.arange(len(self._ids)) if near is None else self._within(near)
        k = min(k, len(rows))
        ids = np.empty((len(queries), k), dtype=np.int64)
        similarities = np.empty((len(queries), k), dtype=np.float32)
        if k > 0:
            for start in range(0, len(queries), _QUERIES_AT_ONCE):
                part = slice(start, start + _QUERIES_AT_ONCE)
                for i, (best, values) in enumerate(
                    self._search(queries[part], rows, k, whole=near is None), start
                ):
                    ids[i], similarities[i] = self._ids[best], values
        return Hits(ids, similarities)

    def _search(
        self, queries: NDArray[np.float32], rows: Rows, k: int, *, whole: bool
    ) -> Iterator[tuple[Rows, NDArray[np.float32]]]:
        """The best rows of each query, and how similar they are."""
        if (
            whole
            and self._bytes is not None
            and first_look.is_worth(len(queries), *self._rows.shape)
        ):
            for query in queries:
                with self._one_product:
                    some = first_look.possible(query, self._bytes, self._scales, self._stored_in, k)
                    table = self._similarities(query[None], some, whole=False)
                yield self._best(query, table[0], some, k)
            return
        with self._one_product:
            table = self._similarities(queries, rows, whole=whole)
        for query, similarities in zip(queries, table, strict=True):
            yield self._best(query, similarities, rows, k)

    def search_among(self, query: NDArray[np.float32], photos: Rows, k: int) -> Hits:
        """The k most similar of these photos, by number ascending, to one unit vector `[D]`."""
        with self._one_product:
            table = self._similarities(query[None], photos, whole=False)
        best, similarities = self._best(query, table[0], photos, k)
        return Hits(self._ids[best][None], similarities[None])

    def vectors(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The unit vectors of ids that are there, `[N, D]`."""
        rows = np.searchsorted(self._ids, np.asarray(ids, dtype=np.int64))
        return stored.unit(self._take(rows))

    def _take(self, rows: Rows) -> NDArray[np.generic]:
        """The vectors of these photos as numbers."""
        return self.as_stored(
            self._rows[rows if self._stored_in is None else self._stored_in[rows]]
        )

    def as_stored(self, block: NDArray[np.generic]) -> NDArray[np.generic]:
        """Bytes as the int8 they stand for."""
        return block if self._bytes is None else first_look.from_bytes(block)

    def _within(self, near: Near) -> Rows:
        if self._northwards is None:
            order = np.argsort(self._lats, kind="stable")
            self._northwards = order, self._lats[order]
        order, lats = self._northwards
        centre = near.centre
        band = np.degrees(min(near.radius * _SPHERE_MARGIN + 1, np.pi * _EARTH_RADIUS)
                          / _EARTH_RADIUS)  # fmt: skip
        ends = np.searchsorted(lats, [centre.lat - band, centre.lat + band], side="right")
        rows = np.sort(order[max(ends[0] - 1, 0) : ends[1]])
        chords = np.linalg.norm(
            _sphere(self._lats[rows], self._lons[rows])
            - _sphere(np.array([centre.lat]), np.array([centre.lon])),
            axis=1,
        )
        # A geodesic costs ten microseconds, so only those in the ring of doubt get one.
        inside = chords < _chord(near.radius / _SPHERE_MARGIN - 1)
        ring = np.flatnonzero(~inside & (chords <= _chord(near.radius * _SPHERE_MARGIN + 1)))
        exact = geo.distances(centre, self._lats[rows[ring]], self._lons[rows[ring]])
        inside[ring] = exact <= near.radius
        return np.asarray(rows[inside])

    def _similarities(
        self, queries: NDArray[np.float32], rows: Rows, *, whole: bool
    ) -> NDArray[np.float32]:
        if whole and self._rows.dtype == np.float32 and self._stored_in is None:
            return np.asarray(queries @ self._rows.astype(np.float32, copy=False).T * self._scales)
        count = len(self._rows) if whole else len(rows)
        table = np.empty((len(queries), count), dtype=np.float32)
        # With more queries a product is long enough to leave the cache, and short ones keep the
        # threads waiting for each other.
        for part in _parts(count, _BLOCK * len(queries)):
            block = self.as_stored(self._rows[part]) if whole else self._take(rows[part])
            table[:, part] = queries @ block.astype(np.float32, copy=False).T
        if whole and self._stored_in is not None:
            table = table[:, self._stored_in]
        table *= self._scales[rows]
        return table

    def _best(
        self, query: NDArray[np.float32], similarities: NDArray[np.float32], rows: Rows, k: int
    ) -> tuple[Rows, NDArray[np.float32]]:
        # The order of a float32 sum depends on the size of the matrix and the library, so equal
        # rows may differ in the last digits. All rows that rounding could bring among the first
        # k are summed again, in float64 and each in the same order.
        threshold = np.partition(similarities, len(similarities) - k)[-k]
        slack = 4 * len(query) * _FLOAT32_ROUNDING
        candidates = rows[similarities >= threshold - slack]
        exact = np.concatenate(
            [self._exact(query, candidates[part]) for part in _parts(len(candidates))]
        )
        order = np.lexsort((candidates, -exact))[:k]
        return candidates[order], exact[order].astype(np.float32)

    def _exact(self, query: NDArray[np.float32], rows: Rows) -> NDArray[np.float64]:
        block = self._take(rows).astype(np.float64)
        norms = np.sqrt(np.einsum("nd,nd->n", block, block))
        return np.asarray(np.einsum("nd,d->n", block, query.astype(np.float64)) / norms)


def _parts(n: int, size: int = _BLOCK) -> Iterator[slice]:
    for start in range(0, max(n, 1), size):
        yield slice(start, min(start + size, n))


def _chord(metres: float) -> float:
    """The straight line between two places on the unit sphere that far apart."""
    return 2.0 * float(np.sin(min(max(metres, 0.0) / _EARTH_RADIUS, np.pi) / 2))


def _sphere(lats: NDArray[np.float64], lons: NDArray[np.float64]) -> NDArray[np.float64]:
    lat, lon = np.radians(lats), np.radians(lons)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
