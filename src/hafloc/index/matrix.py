"""The searched matrix of a GeoPackage: made once from its tables, made anew when they change."""

import json
import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from hafloc.errors import HaflocError, IndexBusyError, IndexFileError
from hafloc.index import approximate, checksums, first_look
from hafloc.index import vectors as stored
from hafloc.index.companion import WORTH, Batch, Companion, CompanionFolder
from hafloc.index.connections import Connections, Lend
from hafloc.index.paths import linked_file
from hafloc.index.rows import place
from hafloc.index.search import VectorSearch
from hafloc.progress import Progress

log = logging.getLogger(__name__)

Search = VectorSearch | approximate.ApproximateSearch

_FETCH = 4_096  # rows fetched at a time


class Matrix:
    """Vectors and places of all photos of an index file: mapped from its companion, or in memory.

    One thread makes it while the others wait; whoever has got it searches on with it whatever
    happens meanwhile. `follows` says whether the file knows what changed in it, `sealed` whether it
    has checksums, `kind` which search was chosen.
    """

    def __init__(
        self,
        connections: Connections,
        vector_type: str,
        dimension: int,
        *,
        follows: bool,
        sealed: bool = False,
        kind: str = approximate.EXACT,
    ) -> None:
        self._connections = connections
        self._vector_type = vector_type
        self._dimension = dimension
        self._sealed = sealed
        self.companion = (
            CompanionFolder(linked_file(connections.path), vector_type, dimension)
            if follows
            else None
        )
        self.kind = kind
        self._changes = 0
        self._told = False
        self._mapped: tuple[Companion, VectorSearch] | None = None
        self._start()
        connections.when_forked(self._start_anew)

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._lend: Lend | None = None
        self._made: tuple[tuple[int, int], Search] | None = None
        # FAISS's index outlives changes of the database.
        self._loaded: tuple[approximate.Made, Any] | None = None

    def _start_anew(self) -> None:
        """In a forked process."""
        if self._loaded is not None:
            approximate.leave_to_parent(self._loaded[1])
        self._start()

    def changed(self) -> None:
        """To be called within each change by the index's own connection."""
        self._changes += 1
        self._made = None  # frees its memory; counting is what makes it anew

    def current(self) -> Search:
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

    def make_approximate(self, progress: Progress) -> approximate.Made | None:
        """Make the search that was chosen, where it is not fresh; None where it has to be exact.

        Raises IndexBusyError while another makes it, MissingExtraError without FAISS, OutputError
        where it cannot be written.
        """
        if self.companion is None or self.kind == approximate.EXACT:
            if self.companion is not None:
                approximate.remove(self.companion.folder)
            return None
        self._told = True  # that it is not made yet is why it is made now
        current = self.current()
        if self._mapped is None:
            return None
        folder = self.companion.folder
        found, whole = self._mapped
        if isinstance(current, approximate.ApproximateSearch) and current.is_fresh:
            return current.made
        try:
            with FileLock(folder / "approximate-lock", timeout=0):
                made = approximate.make(self.kind, folder, found, whole, progress)
        except Timeout as error:
            raise IndexBusyError(
                f"another program makes the {self.kind} search of {self._connections.path}; wait "
                "until it is done"
            ) from error
        with self._lock:
            self._made = None
        return made

    def _make(self, connection: sqlite3.Connection) -> Search:
        with _one_moment(connection):
            # Others may add photos between counting and reading; the next search will see them.
            (count,) = connection.execute("SELECT count(*) FROM descriptors").fetchone()
            if self.companion is not None and count >= WORTH:
                found = self.companion.current(connection, lambda ids: self._read(connection, ids))
                if found is not None:
                    photos = found.photos
                    whole = VectorSearch(
                        photos["id"].copy(),
                        found.rows,
                        lats=photos["lat"].copy(),
                        lons=photos["lon"].copy(),
                        scales=photos["scale"].copy(),
                        stored_in=photos["row"].astype(np.int64),
                    )
                    self._mapped = found, whole
                    return self._chosen(self.companion.folder, found, whole)
            self._mapped = None
            return self._in_memory(connection, count)

    def _chosen(self, folder: Path, found: Companion, whole: VectorSearch) -> Search:
        """The search that was chosen, where it is made and sound; else the exact one."""
        if self.kind == approximate.EXACT:
            return whole
        made = approximate.read_made(folder)
        reason = approximate.find_reason(made, self.kind, found.token, len(found.rows))
        if made is not None and not reason:
            try:
                if self._loaded is None or self._loaded[0] != made:
                    self._loaded = None  # frees its memory
                    self._loaded = made, approximate.load(folder, made, self._dimension)
                return approximate.ApproximateSearch(whole, found, *self._loaded)
            except HaflocError as error:
                reason = str(error)
        if not self._told:
            log.warning(
                "%s is searched exactly: %s; `hafloc index build` makes it anew",
                self._connections.path,
                reason,
            )
        self._told = True
        return whole

    def _in_memory(self, connection: sqlite3.Connection, count: int) -> VectorSearch:
        kind = stored.stored_dtype(self._vector_type)
        ids = np.empty(count, dtype=np.int64)
        lats, lons = np.empty(count), np.empty(count)
        is_bytes = kind == np.int8
        rows = np.empty((count, self._dimension), np.uint8 if is_bytes else np.float32)
        n = 0
        for batch in self._read(connection, None):
            part = slice(n, n + len(batch.ids))
            ids[part], lats[part], lons[part] = batch.ids, batch.lats, batch.lons
            rows[part] = first_look.to_bytes(batch.rows) if is_bytes else batch.rows
            n += len(batch.ids)
        return VectorSearch(ids[:n], rows[:n], lats=lats[:n], lons=lons[:n])

    def _read(
        self, connection: sqlite3.Connection, wanted: Sequence[int] | None
    ) -> Iterator[Batch]:
        """The photos of these ids, or all, by id: those that have a position and a vector."""
        file = str(self._connections.path)
        chosen = "" if wanted is None else "WHERE id IN (SELECT value FROM json_each(?)) "
        wants = "checksums.vector" if self._sealed else "NULL"
        joined = "LEFT JOIN checksums ON checksums.photo_id = id" if self._sealed else ""
        found = connection.execute(
            f"SELECT id, geom, descriptors.vector, {wants} FROM photos "
            f"JOIN descriptors ON descriptors.photo_id = id {joined} {chosen}ORDER BY id",
            () if wanted is None else (json.dumps(list(wanted)),),
        )
        number = 0
        while fetched := found.fetchmany(_FETCH):
            number += len(fetched)
            checksums.check_vectors(fetched, file)
            placed = [
                (id_, place(id_, geometry, file), vector) for id_, geometry, vector, _ in fetched
            ]
            # A GIS may have taken the position away.
            batch = [(id_, point, vector) for id_, point, vector in placed if point is not None]
            if batch:
                points = np.array([point for _, point, _ in batch])
                yield Batch(
                    np.array([id_ for id_, _, _ in batch], dtype=np.int64),
                    points[:, 1],
                    points[:, 0],
                    self.stack([(id_, vector) for id_, _, vector in batch]),
                )

        if wanted is None and self._sealed:
            (expected,) = connection.execute("SELECT count(*) FROM checksums").fetchone()
            if number < expected:
                raise IndexFileError(
                    f"cannot read {file}: it is damaged: {expected - number:,} of its "
                    f"{expected:,} photos are gone; restore a copy or rebuild it with "
                    "`hafloc index build`"
                )

    def stack(self, found: Sequence[tuple[int, bytes]]) -> NDArray[np.generic]:
        """Stored vectors by id as rows `[N, D]`. Raises IndexFileError for one of wrong length."""
        expected = self._dimension * stored.stored_dtype(self._vector_type).itemsize
        for id_, blob in found:
            if not isinstance(blob, bytes):
                raise checksums.damaged(id_, "its vector", self._connections.path)
            if len(blob) != expected:
                raise IndexFileError(
                    f"photo {id_} of {self._connections.path} has a vector of {len(blob):,} bytes, "
                    f"not {expected:,}; remove it with `hafloc index remove` and add it again"
                )
        return stored.stack([blob for _, blob in found], self._vector_type)


@contextmanager
def _one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is read within is of one moment; a writer's own transaction sees to that already."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")
