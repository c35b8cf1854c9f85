"""An index in plain lists: proof that the conformance suite binds, and the slow way beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hafloc.description import LocalFeatures
from hafloc.errors import IndexFileError
from hafloc.geo import Position, distance
from hafloc.index import (
    Box,
    Held,
    Hits,
    IndexInfo,
    ModelInfo,
    Near,
    Record,
    search_by_regions,
)


class MemoryStore:
    """What outlives an open `MemoryIndex`."""

    def __init__(self, model: ModelInfo, regions: int = 0) -> None:
        self.model = model
        self.regions = regions
        self.parts: dict[int, NDArray[np.float32]] = {}
        self.records: dict[int, Record] = {}
        self.vectors: dict[int, NDArray[np.float32]] = {}
        self.local: dict[int, LocalFeatures] = {}
        self.calibration: str | None = None
        self.next = 1


class MemoryIndex:
    def __init__(self, store: MemoryStore, *, write: bool) -> None:
        self._store, self._write, self._open = store, write, True

    @property
    def model(self) -> ModelInfo:
        return self._store.model

    @property
    def location(self) -> str:
        return "memory://test"

    def _writing(self) -> MemoryStore:
        if not self._write:
            raise IndexFileError("it is open for reading")
        return self._reading()

    def _reading(self) -> MemoryStore:
        if not self._open:
            raise IndexFileError("it was closed; open it again")
        return self._store

    def _all(self) -> list[Record]:
        return [record for _, record in sorted(self._reading().records.items())]

    def _one(self, id_: int | None) -> Record:
        if id_ not in self._reading().records:
            raise IndexFileError(f"there is no photo {id_}")
        return self._store.records[id_]

    def add(
        self,
        records: Sequence[Record],
        vectors: NDArray[np.float32],
        local: Sequence[LocalFeatures | None] | None = None,
        regions: NDArray[np.float32] | None = None,
    ) -> list[int]:
        store = self._writing()
        if store.regions and (regions is None or regions.shape[1] != store.regions):
            raise ValueError("regions are missing")
        expected = (len(records), self.model.dimension)
        if vectors.shape != expected:
            raise ValueError(f"vectors have shape {vectors.shape}, not {expected}")
        if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
            raise ValueError("vectors must be finite and none of them zero")
        if any(record.path is None for record in records):
            raise IndexFileError("cannot write to memory: a path is missing")
        ids = []
        features = local or [None] * len(records)
        for record, vector, found in zip(records, vectors, features, strict=True):
            held = self.find_paths([record.path])
            id_ = held[0].id or 0 if held else store.next
            store.next += not held
            store.records[id_] = replace(record, id=id_)
            store.vectors[id_] = vector
            store.local.pop(id_, None)
            if store.regions and regions is not None:
                store.parts[id_] = regions[len(ids)]
            if found is not None:
                store.local[id_] = found
            ids.append(id_)
        return ids

    def update(self, records: Sequence[Record]) -> None:
        store = self._writing()
        for record in records:
            self._one(record.id)
        store.records.update((record.id or 0, record) for record in records)

    def remove(self, ids: Sequence[int]) -> int:
        store = self._writing()
        there = [id_ for id_ in set(ids) if id_ in store.records]
        for table in (store.records, store.vectors, store.local, store.parts):
            for id_ in there:
                table.pop(id_, None)  # type: ignore[attr-defined]
        return len(there)

    def drop(self) -> bool:
        empty = not self._writing().records
        self.close()
        return empty

    @property
    def regions(self) -> int:
        return self._store.regions

    def region_vectors(self, ids: Sequence[int]) -> NDArray[np.float32]:
        rows = [self._store.parts[id_] for id_ in ids] if self.regions else []
        return np.array(rows, np.float32).reshape(len(ids), self.regions, self.model.dimension)

    def search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        near: Near | None = None,
        regions: NDArray[np.float32] | None = None,
    ) -> Hits:
        if regions is None or not self.regions:
            return self._search(vectors, k, near)
        return search_by_regions(
            np.concatenate([vectors[:, None], regions], 1),
            k,
            lambda queries, most: self._search(queries, most, near),
            lambda ids: np.concatenate([self.vectors(ids)[:, None], self.region_vectors(ids)], 1),
        )

    def _search(self, vectors: NDArray[np.float32], k: int, near: Near | None) -> Hits:
        if vectors.ndim != 2 or vectors.shape[1] != self.model.dimension:
            raise ValueError(f"vectors have shape {vectors.shape}")
        if k < 1:
            raise ValueError(f"k is {k}, not at least 1")
        records = self._all() if near is None else list(self.within(near))
        ids = np.array([record.id for record in records], dtype=np.int64)
        table = vectors @ self.vectors(ids.tolist()).T
        order = np.argsort(-table, axis=1, kind="stable")[:, :k]
        return Hits(ids[order], np.take_along_axis(table, order, axis=1))

    def get(self, ids: Sequence[int]) -> list[Record]:
        return [self._one(id_) for id_ in ids]

    def vectors(self, ids: Sequence[int]) -> NDArray[np.float32]:
        rows = [self._store.vectors[self._one(id_).id or 0] for id_ in ids]
        return np.array(rows, dtype=np.float32).reshape(-1, self.model.dimension)

    def local_features(self, ids: Sequence[int]) -> list[LocalFeatures | None]:
        return [self._reading().local.get(id_) for id_ in ids]

    def count(self) -> int:
        return len(self._reading().records)

    def find_content(self, contents: Sequence[str]) -> list[Record]:
        return [record for record in self._all() if record.content in contents]

    def find_paths(self, paths: Sequence[str]) -> list[Record]:
        return [record for record in self._all() if record.path in paths]

    def nearest(self, position: Position, k: int) -> list[Record]:
        if k < 1:
            raise ValueError(f"k is {k}, not at least 1")
        return sorted(self._all(), key=lambda record: distance(position, record.position))[:k]

    def within(self, near: Near) -> Iterator[Record]:
        return (r for r in self._all() if distance(near.centre, r.position) <= near.radius)

    def sample(self, n: int, seed: int | np.random.Generator) -> list[Record]:
        records = self._all()
        if len(records) <= n:
            return records
        chosen = np.random.default_rng(seed).choice(len(records), n, replace=False)
        return [records[int(i)] for i in np.sort(chosen)]

    def iterate(self, bbox: Box | None = None, after: int | None = None) -> Iterator[Record]:
        west, south, east, north = bbox or (-180, -90, 180, 90)

        def inside(place: Position) -> bool:
            across = west > east and (place.lon >= west or place.lon <= east)
            return south <= place.lat <= north and (across or west <= place.lon <= east)

        return (
            record
            for record in self._all()
            if inside(record.position) and (after is None or (record.id or 0) > after)
        )

    def held(self) -> Iterator[Held]:
        for r in self._all():
            yield Held(r.id or 0, r.path, r.content, r.bytes, r.modified, r.stated)

    def names(self) -> Iterator[tuple[int, str]]:
        return ((record.id or 0, record.path) for record in self._all())

    def calibration(self) -> str | None:
        return self._reading().calibration

    def store_calibration(self, text: str) -> None:
        self._writing().calibration = text

    def info(self) -> IndexInfo:
        places = [record.position for record in self._all()]
        lats, lons = [place.lat for place in places], [place.lon for place in places]
        bounds = (min(lons), min(lats), max(lons), max(lats)) if places else None
        verifiable = len(self._store.local)
        return IndexInfo(
            *(self.location, len(places), verifiable, self.model, bounds, "float32"),
            details={"kind": "lists"},
        )

    def verify(self) -> list[str]:
        return []

    def close(self) -> None:
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
