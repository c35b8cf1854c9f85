"""Search by the engine, made exact: its best are scored again, and equals ordered by their ids."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hafloc import geo
from hafloc.index import spatial
from hafloc.index.milvus.rows import Row, floats
from hafloc.index.milvus.schema import Settings, search_options
from hafloc.index.milvus.table import MOST_ROWS, Table, in_boxes
from hafloc.index.records import Hits, Near
from hafloc.index.search import VectorSearch

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

# More than k, among which those lie that rounding could bring among the first k.
_SPARE = 32
_GROWTH = 4
# Of the photos in the cells about a place, about one in three is near enough: so many more are
# asked for at once, since a second request takes as long as the first.
_NEAR = 4
_QUERIES_AT_ONCE = 16
_FLOAT32_ROUNDING = 2.0**-24


class Engine:
    """The search of one collection."""

    def __init__(self, table: Table, settings: Settings) -> None:
        self._table = table
        self._dimension = settings.model.dimension
        self._index_type = settings.index_type
        self._is_exact = settings.index_type == "FLAT"
        # By how much two sums of products of unit vectors can be off together in float32.
        self._slack = 4 * self._dimension * _FLOAT32_ROUNDING

    def search(self, queries: Floats, k: int, near: Near | None) -> Hits:
        """The k most similar photos of each unit vector `[Q, D]`, equals by lower id.

        Where the engine's index is exact (FLAT), this is exact too.
        """
        queries = np.asarray(queries, dtype=np.float32)
        found: list[tuple[Ids, Floats]] = []
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            part = queries[start : start + _QUERIES_AT_ONCE]
            candidates = self._candidates(part, k, near)
            if candidates is None:  # more than the engine gives out
                hits = self._all(part, k, near)
                found += zip(hits.ids, hits.similarities, strict=True)
            else:
                found += self._exact(part, candidates, k)
        # Between two queries others may have added or removed photos.
        width = min((len(ids) for ids, _ in found), default=0)
        shape = len(queries), width
        return Hits(
            np.array([ids[:width] for ids, _ in found], dtype=np.int64).reshape(shape),
            np.array([values[:width] for _, values in found], dtype=np.float32).reshape(shape),
        )

    def _candidates(self, queries: Floats, k: int, near: Near | None) -> list[Ids] | None:
        """For each query the ids among which its k best are; None where these are too many, or
        an approximate index has lost its way to some."""
        filter_ = "" if near is None else in_boxes(spatial.around(near))
        limit = k + _SPARE if self._is_exact else 2 * k + _SPARE
        limit *= 1 if near is None else _NEAR
        while limit <= MOST_ROWS:
            options = search_options(self._index_type, limit)
            answers = self._table.search(queries, limit, filter_, options)
            chosen = []
            for rows in answers:
                ids = np.array([row["id"] for row in rows], dtype=np.int64)
                values = np.array([row["distance"] for row in rows], dtype=np.float64)
                inside = _inside(rows, near)
                if len(ids) == limit and not self._decided(values, inside, k):
                    break
                chosen.append(self._first(ids[inside], values[inside], k))
            else:
                if not self._is_exact and len({min(len(ids), k) for ids in chosen}) > 1:
                    return None
                return chosen
            limit = limit * _GROWTH if limit * _GROWTH <= MOST_ROWS else _last(limit)
        return None

    def _decided(self, values: NDArray[np.float64], inside: NDArray[np.bool_], k: int) -> bool:
        """Whether no photo beyond those named could be among the first k."""
        kept = values[inside]
        if len(kept) < k:
            return False
        return not self._is_exact or bool(np.sort(kept)[-k] - values.min() > self._slack)

    def _first(self, ids: Ids, values: NDArray[np.float64], k: int) -> Ids:
        """The ids that rounding could bring among the first k."""
        if len(ids) <= k or not self._is_exact:
            return ids
        return np.asarray(ids[values >= np.sort(values)[-k] - self._slack])

    def _exact(self, queries: Floats, candidates: list[Ids], k: int) -> list[tuple[Ids, Floats]]:
        wanted = set(np.concatenate(candidates).tolist())
        rows = self._table.after_search(list(wanted), ("id", "vector"))
        there = np.array(sorted(rows), dtype=np.int64)
        vectors = floats((rows[id_] for id_ in there.tolist()), self._dimension).astype(np.float64)
        lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
        found = []
        for query, ids in zip(queries, candidates, strict=True):
            # One may have been removed since the engine named it.
            ids = np.intersect1d(ids, there)
            at = np.searchsorted(there, ids)
            values = np.einsum("nd,d->n", vectors[at], query.astype(np.float64)) / lengths[at]
            order = np.lexsort((ids, -values))[:k]
            found.append((ids[order], values[order].astype(np.float32)))
        return found

    def _all(self, queries: Floats, k: int, near: Near | None) -> Hits:
        """By looking at every vector, in pages."""
        best = Hits(
            np.empty((len(queries), 0), dtype=np.int64),
            np.empty((len(queries), 0), dtype=np.float32),
        )
        filter_ = "" if near is None else in_boxes(spatial.around(near))
        for page in self._table.pages(filter_, ("id", "vector", "lat", "lon")):
            here = VectorSearch(
                np.array([row["id"] for row in page], dtype=np.int64),
                floats(page, self._dimension),
                lats=np.array([row["lat"] for row in page], dtype=np.float64),
                lons=np.array([row["lon"] for row in page], dtype=np.float64),
            ).search(queries, k, near)
            ids = np.concatenate([best.ids, here.ids], axis=1)
            values = np.concatenate([best.similarities, here.similarities], axis=1)
            order = np.lexsort((ids, -values), axis=1)[:, :k]
            best = Hits(
                np.take_along_axis(ids, order, axis=1), np.take_along_axis(values, order, axis=1)
            )
        return best


def _inside(rows: Sequence[Row], near: Near | None) -> NDArray[np.bool_]:
    if near is None:
        return np.ones(len(rows), dtype=np.bool_)
    lats, lons = [row["lat"] for row in rows], [row["lon"] for row in rows]
    return np.asarray(geo.distances(near.centre, lats, lons) <= near.radius)


def _last(limit: int) -> int:
    return MOST_ROWS if limit < MOST_ROWS else MOST_ROWS + 1
