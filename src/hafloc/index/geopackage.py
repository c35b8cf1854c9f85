"""A GeoIndex in one GeoPackage file, which every GIS opens as a layer of points."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hafloc.description import LocalFeatures
from hafloc.errors import IndexBusyError, IndexFileError
from hafloc.index import connection as sqlite
from hafloc.index import local_features as compact
from hafloc.index import runtimes, writing
from hafloc.index import vectors as stored
from hafloc.index.approximate import check_kind
from hafloc.index.checks import check_model, check_regions, check_vectors
from hafloc.index.checksums import seal_settings
from hafloc.index.connections import Connections
from hafloc.index.paths import linked_file
from hafloc.index.reading import (
    CALIBRATION,
    LOCAL_BITS,
    LOCAL_POINTS,
    REGION_TYPE,
    REGIONS,
    SEARCH,
    GeoPackageReader,
)
from hafloc.index.records import ModelInfo, Record


class GeoPackageIndex(GeoPackageReader):
    """One `.gpkg` file with photos, their positions and their vectors.

    Open for reading it serves any number of threads at once, each through a connection of its own,
    and worker processes: after `fork` it opens the file anew, and pickled for `spawn` as well.
    Open for writing its threads take turns, and it stays with the process that opened it. Another
    process may write meanwhile: each call sees what was stored before it, all of a batch or
    nothing. All methods raise IndexFileError with cause and cure where the file or its medium
    fails, and after `close`.
    """

    # The runtime of whoever opened it with a model; what it adds was made by that.
    _adds_by = ""

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        model: ModelInfo,
        vector_type: str = "int8",
        regions: int = 0,
        local: compact.LocalSize = compact.ALL,
    ) -> Self:
        """A new empty index, open for writing; `vector_type` is float16, float32 or int8.

        `regions` is how many regions of each photo have a vector too, as int8; `local` how much
        of the key points it keeps. Raises IndexFileError where `path` exists or cannot be written.
        """
        stored.check_type(vector_type)
        settings = {
            "model_name": model.name,
            "model_hash": model.hash,
            "model_options": model.options,
            "dimension": str(model.dimension),
            "vector_type": vector_type,
            REGIONS: str(regions),
            runtimes.KEY: model.runtime,
            LOCAL_BITS: str(local.bits),
        }
        if local.points is not None:
            settings[LOCAL_POINTS] = str(local.points)
        sqlite.create_file(Path(path), settings)
        try:
            return cls.open(path, write=True)
        except IndexBusyError:  # somebody was quicker to write to it, so it is theirs
            raise
        except BaseException:
            with suppress(OSError):
                linked_file(Path(path)).unlink()
            raise

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        write: bool = False,
        model: ModelInfo | None = None,
    ) -> Self:
        """An existing index, for reading or as its one writer.

        Raises IndexBusyError while another writes, IndexFileError where the file is missing, no
        index, damaged, of a newer format, or made with another checkpoint than `model`.
        """
        file = Path(path)
        connections = Connections(file, write=write)
        try:
            index = cls(file, connections)
            if model is not None:
                check_model(file, index._model, model)
                index._adds_by = model.runtime
        except BaseException:
            connections.close()
            raise
        return index

    def __reduce__(self) -> tuple[Any, ...]:
        """Sent to another process, an index that is open for reading is opened there anew."""
        if self._connections.write:
            raise TypeError(f"{self._path} is open for writing, which no other process may share")
        return type(self).open, (str(self._path.absolute()),)

    def add(
        self,
        records: Sequence[Record],
        vectors: NDArray[np.float32],
        local: Sequence[LocalFeatures | None] | None = None,
        regions: NDArray[np.float32] | None = None,
    ) -> list[int]:
        """Store a batch in one transaction: N records with unit vectors `[N, D]`; their ids.

        A record whose path is there already takes the old one's place and keeps its id. `local`
        holds the photos' local features, where they are to be stored, and `regions` `[N, R, D]`
        their regions' unit vectors, which an index of R > 0 needs and another leaves alone.
        """
        return self.add_pictured(records, vectors, local, regions, [None] * len(records))

    def add_pictured(
        self,
        records: Sequence[Record],
        vectors: NDArray[np.float32],
        local: Sequence[LocalFeatures | None] | None,
        regions: NDArray[np.float32] | None,
        thumbnails: Sequence[bytes | None],
    ) -> list[int]:
        """As `add`, with a small picture of each record where there is one: see `thumbnails`."""
        check_vectors(vectors, (len(records), self._model.dimension))
        blobs = stored.encode(vectors, self._vector_type)
        local = [None] * len(records) if local is None else local
        features = [
            None if found is None else compact.encode(compact.shrink(found, self._local))
            for found in local
        ]
        parts: Sequence[bytes | None] = [None] * len(records)
        if self._regions:
            shape = len(records), self._regions, self._model.dimension
            coded = stored.encode(
                check_regions(regions, shape).reshape(-1, self._model.dimension), REGION_TYPE
            )
            parts = [
                b"".join(coded[i : i + self._regions]) for i in range(0, len(coded), self._regions)
            ]
        with self._transaction() as connection:
            ids = writing.insert(connection, records, blobs, features, parts, thumbnails)
            writing.fit_extent(connection)
            made_by = runtimes.joined(self._model.runtime, self._adds_by or self._model.runtime)
            if made_by != self._model.runtime:
                runtimes.record(connection, made_by)
        self._model = replace(self._model, runtime=made_by)
        return ids

    def update(self, records: Sequence[Record]) -> None:
        """Rewrite records by their `id` in one transaction; their vectors stay.

        Raises IndexFileError where an id is not there.
        """
        with self._transaction() as connection:
            for record in records:
                if not writing.update(connection, record):
                    raise self._missing(record.id)
            writing.fit_extent(connection)

    def remove(self, ids: Sequence[int]) -> int:
        """Delete photos with all that hangs on them in one transaction; how many there were."""
        with self._transaction() as connection:
            removed = writing.delete(connection, ids)
            writing.fit_extent(connection)
        return removed

    def choose_search(self, kind: str) -> None:
        """Search it by `kind` from now on; `make_search` of the index opened anew makes that.

        Raises OptionError where it is none of `approximate.KINDS`, MissingExtraError where it needs
        a package.
        """
        check_kind(kind)
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO hafloc VALUES (?, ?)", (SEARCH, kind))
            seal_settings(connection)

    def store_calibration(self, text: str) -> None:
        """Keep what was learned of the errors of this database's answers, in place of the last."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO hafloc VALUES (?, ?)", (CALIBRATION, text))
            seal_settings(connection)

    def drop(self) -> bool:
        """Close, and delete the file if it holds no photo; whether it did."""
        self._require_write()
        dropped = bool(self._connections.close(sqlite.drop))
        if dropped and self._matrix.companion is not None:
            self._matrix.companion.remove()
        return dropped

    def close(self) -> None:
        """Leave one single file, unless others have it open; a second time it does nothing.

        What other threads are reading breaks off with IndexFileError.
        """
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._require_write()
        with self._connections.lent("write to") as connection:
            sqlite.begin(connection)
            self._matrix.changed()
            try:
                yield connection
            except BaseException:
                sqlite.rollback(connection)
                raise
            sqlite.commit(connection)

    def _require_write(self) -> None:
        if not self._connections.write:
            raise IndexFileError(
                f"cannot write to {self._path}: it is open for reading; open it with write=True"
            )
