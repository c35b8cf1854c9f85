"""A GeoIndex in a collection of Milvus."""

from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hafloc.description import LocalFeatures
from hafloc.errors import IndexFileError
from hafloc.index import runtimes
from hafloc.index import vectors as stored
from hafloc.index.checks import check_model, check_regions, check_vectors
from hafloc.index.milvus import address, schema
from hafloc.index.milvus import rows as photos
from hafloc.index.milvus.reading import CALIBRATION, MilvusReader
from hafloc.index.milvus.rows import Row, missing
from hafloc.index.milvus.schema import Settings
from hafloc.index.milvus.server import Server, leaving
from hafloc.index.records import ModelInfo, Record

_LOOKED_UP = ("id", "path")
# What a request may hold; the server takes no longer ones.
_REQUEST_BYTES = 16 << 20
_PATHS_AT_ONCE = 1_000


class MilvusIndex(MilvusReader):
    """Photos, their positions and vectors in a collection, and a small one beside it.

    A photo's id comes of its path, so that storing it again changes nothing, and two may write at
    once. It serves any number of threads, and each process that opens it or is forked. What
    is stored before a call is seen by it. Photos are sent in requests of at most 16 MB, of which
    each is stored whole or not at all. All methods raise IndexFileError with cause and cure where
    the server fails, and after `close`.
    """

    def __init__(self, server: Server, settings: Settings, *, write: bool) -> None:
        super().__init__(server, settings)
        self._write = write
        # The runtime of whoever opened it with a model; what it adds was made by that.
        self._adds_by = ""

    @classmethod
    def create(
        cls, location: str, model: ModelInfo, vector_type: str = "int8", regions: int = 0
    ) -> Self:
        """A new empty index, open for writing.

        The engine holds float32; `vector_type` is how vectors are rounded before, so that answers
        are those of a GeoPackage of that type. Raises IndexFileError where the collection exists
        or cannot be made.
        """
        stored.check_type(vector_type)
        where = address.parse(location)
        settings = Settings(model, vector_type, regions, where.index_type)
        with leaving(Server(where)) as server:
            schema.make(server, settings)
            return cls(server, settings, write=True)

    @classmethod
    def open(cls, location: str, *, write: bool = False, model: ModelInfo | None = None) -> Self:
        """An existing index. Raises IndexFileError where there is none, or of another checkpoint
        than `model`."""
        where = address.parse(location)
        # Looking into a folder of Milvus Lite would make it.
        if where.folder is not None and not where.folder.exists():
            raise IndexFileError(
                f"cannot open {location}: there is no such folder; make it with "
                "`hafloc index build`"
            )
        with leaving(Server(where)) as server:
            settings = schema.read_settings(server)
            check_model(location, settings.model, model)
            index = cls(server, settings, write=write)
            index._adds_by = "" if model is None else model.runtime
            return index

    def __reduce__(self) -> tuple[Any, ...]:
        """Sent to another process, an index that is open for reading is opened there anew."""
        if self._write:
            raise TypeError(f"{self.location} is open for writing, which no other process shares")
        return type(self).open, (self.location,)

    def add(
        self,
        records: Sequence[Record],
        vectors: NDArray[np.float32],
        local: Sequence[LocalFeatures | None] | None = None,
        regions: NDArray[np.float32] | None = None,
    ) -> list[int]:
        """Store N records with unit vectors `[N, D]`; their ids.

        A record whose path is there already takes the old one's place and keeps its id. `local`
        holds the photos' local features, where they are to be stored, and `regions` `[N, R, D]`
        their regions' unit vectors, which an index of R > 0 needs and another leaves alone.
        """
        self._require_write()
        dimension = self.model.dimension
        check_vectors(vectors, (len(records), dimension))
        parts: NDArray[np.float32] = np.empty((len(records), 0, dimension), dtype=np.float32)
        if self.regions:
            parts = check_regions(regions, (len(records), self.regions, dimension))
        if not records:
            return []
        rows = [self._row(record) for record in records]
        kept = [None] * len(records) if local is None else local
        rounded = photos.rounded(vectors, self._settings.vector_type)
        for row, vector, features, part in zip(rows, rounded, kept, parts, strict=True):
            text = photos.of_features(features)
            row |= {"vector": vector, "regions": photos.of_regions(part)}
            row |= {"features": text, "verifiable": bool(text)}
        ids = self._ids_of(list(dict.fromkeys(record.path for record in records)))
        for row in rows:
            row["id"] = ids[row["path"]]
        self._record_runtime()
        # Of two records of one path the last counts; the engine would keep both.
        self._put(list({row["id"]: row for row in rows}.values()))
        return [row["id"] for row in rows]

    def update(self, records: Sequence[Record]) -> None:
        """Rewrite records by their `id`; their vectors stay.

        Raises IndexFileError where an id is not there, or a path is another photo's.
        """
        self._require_write()
        renewed = {record.id or 0: self._row(record) for record in records}
        held = self._table.by_id(
            list(renewed), ("id", "vector", "regions", "features", "verifiable")
        )
        for record in records:
            if record.id not in held:
                raise missing(record.id, self.location)
        self._check_paths(renewed)
        self._put([held[id_] | row | {"id": id_} for id_, row in renewed.items()])

    def remove(self, ids: Sequence[int]) -> int:
        """Delete photos with all that hangs on them; how many there were."""
        self._require_write()
        there = sorted(self._table.by_id(ids, ("id",)))
        for start in range(0, len(there), 1_000):
            self._server.call(
                "write to",
                "delete",
                collection_name=self._server.address.collection,
                filter=photos.chosen("id", there[start : start + 1_000]),
            )
        return len(there)

    def store_calibration(self, text: str) -> None:
        """Keep what was learned of the errors of this database's answers, in place of the last."""
        self._require_write()
        schema.write(self._server, {CALIBRATION: text})

    def drop(self) -> bool:
        """Close, and delete both collections if there is no photo; whether it did."""
        self._require_write()
        with self:
            if self.count():
                return False
            schema.drop(self._server)
            return True

    def close(self) -> None:
        """Leave the server; a second time it does nothing."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _record_runtime(self) -> None:
        """Write down what makes the vectors that come, before they do."""
        model = self.model
        made_by = runtimes.joined(model.runtime, self._adds_by or model.runtime)
        if made_by != model.runtime:
            schema.write(self._server, {runtimes.KEY: made_by})
            self._settings = replace(self._settings, model=replace(model, runtime=made_by))

    def _row(self, record: Record) -> Row:
        try:
            return photos.of_record(record)
        except ValueError as error:
            raise IndexFileError(
                f"cannot write to {self.location}: {error}; leave it out or shorten it"
            ) from error

    def _ids_of(self, paths: Sequence[str]) -> dict[str, int]:
        """The id of each path: that of the photo which has it, or a free one that comes of it."""
        found: dict[str, int] = {}
        taken: set[int] = set()
        for start in range(0, len(paths), _PATHS_AT_ONCE):
            keys = sorted({photos.key(path) for path in paths[start : start + _PATHS_AT_ONCE]})
            filter_ = f"{photos.chosen('path_key', keys)} or {photos.chosen('id', keys)}"
            for row in self._table.matching(filter_, _LOOKED_UP):
                found[row["path"]] = int(row["id"])
                taken.add(int(row["id"]))
        return {path: found[path] if path in found else self._free(path, taken) for path in paths}

    def _free(self, path: str, taken: set[int]) -> int:
        """An id that comes of a path and is none of `taken`, which gets it."""
        id_ = photos.key(path)
        attempt = 0
        # A photo that has moved keeps the id of its first path.
        while id_ in taken or (attempt and self._table.by_id([id_], ("id",))):
            attempt += 1
            id_ = photos.key(path, attempt)
        taken.add(id_)
        return id_

    def _check_paths(self, renewed: dict[int, Row]) -> None:
        """Raises IndexFileError where a path would be there twice."""
        keys = sorted({row["path_key"] for row in renewed.values()})
        taken = {
            row["path"]: int(row["id"])
            for row in self._table.where("path_key", keys, _LOOKED_UP)
            if int(row["id"]) not in renewed
        }
        for id_, row in renewed.items():
            if taken.setdefault(row["path"], id_) != id_:
                raise IndexFileError(
                    f"cannot write to {self.location}: two photos would be {row['path']}; remove "
                    "one of them first"
                )

    def _put(self, rows: Sequence[Row]) -> None:
        request: list[Row] = []
        size = 0
        for row in rows:
            length = 4 * len(row["vector"]) + len(row["regions"]) + len(row["features"])
            length += 1_000 + len(row["path"])
            if request and size + length > _REQUEST_BYTES:
                self._send(request)
                request, size = [], 0
            request.append(row)
            size += length
        if request:
            self._send(request)

    def _send(self, rows: list[Row]) -> None:
        self._server.call(
            "write to",
            "upsert",
            collection_name=self._server.address.collection,
            data=rows,
        )

    def _require_write(self) -> None:
        if not self._write:
            raise IndexFileError(
                f"cannot write to {self.location}: it is open for reading; open it with write=True"
            )


def exists(location: str) -> bool:
    """Whether there is a collection of that name. Raises IndexFileError where nobody answers."""
    where = address.parse(location)
    if where.folder is not None and not where.folder.exists():
        return False
    server = Server(where)
    try:
        return server.has(where.collection)
    finally:
        server.close()
