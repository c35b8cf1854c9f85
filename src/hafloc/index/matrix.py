"""The searched matrix of a GeoPackage: made once from its tables, made anew when they change."""

import sqlite3
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import IndexFileError
from hafloc.index import vectors as stored
from hafloc.index.connections import Connections, Lend
from hafloc.index.rows import place
from hafloc.index.search import VectorSearch

_FETCH = 4_096  # rows fetched at a time


class Matrix:
    """Vectors and places of all photos of an index file, in memory.

    One thread makes it while the others wait; whoever has got it searches on with it whatever
    happens meanwhile.
    """

    def __init__(self, connections: Connections, vector_type: str, dimension: int) -> None:
        self._connections = connections
        self._vector_type = vector_type
        self._dimension = dimension
        self._changes = 0
        self._start()
        connections.when_forked(self._start)

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._lend: Lend | None = None
        self._made: tuple[tuple[int, int], VectorSearch] | None = None

    def changed(self) -> None:
        """To be called within each change by the index's own connection."""
        self._changes += 1
        self._made = None  # frees its memory; counting is what makes it anew

    def current(self) -> VectorSearch:
        """The matrix with every change that was finished before the call."""
        with self._lock:
            if self._lend is None:
                self._lend = self._connections.another()
            with self._lend() as connection:
                # Counts the commits of all others, as this one connection sees them.
                (others,) = connection.execute("PRAGMA data_version").fetchone()
                version = self._changes, int(others)
                made = self._made
                if made is None or made[0] != version:
                    self._made = made = None  # frees its memory before the new one is made
                    made = version, self._make(connection)
                    self._made = made
                return made[1]

    def _make(self, connection: sqlite3.Connection) -> VectorSearch:
        kind = stored.stored_dtype(self._vector_type)
        file = str(self._connections.path)
        # Others may add photos between counting and reading; the next search will see them.
        (count,) = connection.execute("SELECT count(*) FROM descriptors").fetchone()
        ids = np.empty(count, dtype=np.int64)
        places = np.empty((count, 2))
        rows = np.empty((count, self._dimension), np.int8 if kind == np.int8 else np.float32)
        found = connection.execute(
            "SELECT id, geom, vector FROM photos JOIN descriptors ON photo_id = id "
            "WHERE geom NOT NULL ORDER BY id LIMIT ?",
            (count,),
        )
        n = 0
        while fetched := found.fetchmany(_FETCH):
            placed = [
                (id_, place(id_, geometry, file), vector) for id_, geometry, vector in fetched
            ]
            # A GIS may have taken the position away.
            batch = [(id_, point, vector) for id_, point, vector in placed if point is not None]
            if not batch:
                continue
            part = slice(n, n + len(batch))
            ids[part] = [id_ for id_, _, _ in batch]
            places[part] = [point for _, point, _ in batch]
            rows[part] = self.stack([(id_, vector) for id_, _, vector in batch])
            n += len(batch)
        return VectorSearch(ids[:n], rows[:n], lats=places[:n, 1], lons=places[:n, 0])

    def stack(self, found: Sequence[tuple[int, bytes]]) -> NDArray[np.generic]:
        """Stored vectors by id as rows `[N, D]`. Raises IndexFileError for one of wrong length."""
        expected = self._dimension * stored.stored_dtype(self._vector_type).itemsize
        for id_, blob in found:
            if len(blob) != expected:
                raise IndexFileError(
                    f"photo {id_} of {self._connections.path} has a vector of {len(blob):,} bytes, "
                    f"not {expected:,}; remove it with `hafloc index remove` and add it again"
                )
        return stored.stack([blob for _, blob in found], self._vector_type)
