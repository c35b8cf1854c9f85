"""A GeoIndex in one GeoPackage file, which every GIS opens as a layer of points."""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hafloc import geo
from hafloc.description import LocalFeatures
from hafloc.errors import IndexFileError
from hafloc.geo import Position
from hafloc.index import connection as sqlite
from hafloc.index import local_features as compact
from hafloc.index import rows as photos
from hafloc.index import spatial
from hafloc.index import vectors as stored
from hafloc.index.paths import PhotoPaths, index_root
from hafloc.index.point import read_point
from hafloc.index.records import Box, Held, Hits, IndexInfo, ModelInfo, Near, Record
from hafloc.index.search import VectorSearch
from hafloc.index.soundness import find_problems

_FETCH = 4_096  # rows fetched at a time
_CALIBRATION = "calibration"


class GeoPackageIndex:
    """One `.gpkg` file with photos, their positions and their vectors.

    Reading is safe from several threads; writing is for one at a time. All methods raise
    IndexFileError with cause and cure where the file or its medium fails.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, *, write: bool) -> None:
        self._path = path
        self._connection = connection
        self._write = write
        settings: dict[str, str] = dict(connection.execute("SELECT key, value FROM hafloc"))
        self._vector_type = settings["vector_type"]
        self._format_version = int(settings["format_version"])
        self._model = ModelInfo(
            name=settings["model_name"],
            hash=settings["model_hash"],
            options=settings["model_options"],
            dimension=int(settings["dimension"]),
        )
        self._columns = photos.columns(self._format_version)
        # Files of format 1 have no such table, and readers leave them as they are.
        self._holds_local_features = self._format_version >= 2
        self._search: tuple[int, VectorSearch] | None = None

    @property
    def model(self) -> ModelInfo:
        """The network that made the vectors."""
        return self._model

    @property
    def location(self) -> str:
        """The path of the file, as it was given."""
        return str(self._path)

    @property
    def paths(self) -> PhotoPaths:
        """How the index names the files of its photos: relative to its own folder."""
        return PhotoPaths(index_root(self._path))

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], model: ModelInfo, vector_type: str = "float16"
    ) -> Self:
        """A new empty index, open for writing; `vector_type` is float16, float32 or int8.

        Raises IndexFileError where `path` exists or cannot be written.
        """
        stored.check_type(vector_type)
        settings = {
            "model_name": model.name,
            "model_hash": model.hash,
            "model_options": model.options,
            "dimension": str(model.dimension),
            "vector_type": vector_type,
        }
        sqlite.create_file(Path(path), settings)
        return cls.open(path, write=True)

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
        connection = sqlite.open_writer(file) if write else sqlite.open_reader(file)
        close = sqlite.close_writer if write else sqlite.close_reader
        try:
            with sqlite.translated(file, "open"):
                index = cls(file, connection, write=write)
            _check_model(file, index._model, model)
        except BaseException:
            close(connection, file)
            raise
        return index

    def add(
        self,
        records: Sequence[Record],
        vectors: NDArray[np.float32],
        local: Sequence[LocalFeatures | None] | None = None,
    ) -> list[int]:
        """Store a batch in one transaction: N records with unit vectors `[N, D]`; their ids.

        A record whose path is there already takes the old one's place and keeps its id. `local`
        holds the photos' local features, where they are to be stored.
        """
        expected = (len(records), self._model.dimension)
        if vectors.shape != expected:
            raise ValueError(f"vectors have shape {vectors.shape}, not {expected}")
        if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
            raise ValueError("vectors must be finite and none of them zero")
        blobs = stored.encode(vectors, self._vector_type)
        local = [None] * len(records) if local is None else local
        features = [None if found is None else compact.encode(found) for found in local]
        names = ", ".join(photos.FIELDS)
        renewed = ", ".join(f"{name} = excluded.{name}" for name in photos.FIELDS)
        statement = (
            f"INSERT INTO photos ({names}) VALUES ({', '.join('?' * len(photos.FIELDS))}) "
            f"ON CONFLICT (path) DO UPDATE SET {renewed} RETURNING id"
        )
        ids = []
        with self._transaction() as run:
            for record, blob, found in zip(records, blobs, features, strict=True):
                ((id_,),) = run(statement, photos.row(record)).fetchall()
                run("INSERT OR REPLACE INTO descriptors VALUES (?, ?)", (id_, blob))
                # A photo that takes another's place must not keep that one's features.
                run("DELETE FROM local_features WHERE photo_id = ?", (id_,))
                if found is not None:
                    run("INSERT INTO local_features VALUES (?, ?)", (id_, found))
                ids.append(int(id_))
            if records:
                self._grow_extent(records)
        return ids

    def update(self, records: Sequence[Record]) -> None:
        """Rewrite records by their `id` in one transaction; their vectors stay.

        Raises IndexFileError where an id is not there.
        """
        assignments = ", ".join(f"{name} = ?" for name in photos.FIELDS)
        with self._transaction() as run:
            for record in records:
                changed = run(
                    f"UPDATE photos SET {assignments} WHERE id = ?",
                    (*photos.row(record), record.id),
                )
                if changed.rowcount == 0:
                    raise self._missing(record.id)
            self._fit_extent()

    def remove(self, ids: Sequence[int]) -> int:
        """Delete photos with all that hangs on them in one transaction; how many there were."""
        with self._transaction() as run:
            query = "DELETE FROM photos WHERE id IN (SELECT value FROM json_each(?))"
            removed = int(run(query, (_json(ids),)).rowcount)
            self._fit_extent()
        return removed

    def search(self, vectors: NDArray[np.float32], k: int, near: Near | None = None) -> Hits:
        """The k most similar photos of each of Q unit vectors `[Q, D]`, equals by lower id."""
        if vectors.ndim != 2 or vectors.shape[1] != self._model.dimension:
            raise ValueError(
                f"vectors have shape {vectors.shape}, not (Q, {self._model.dimension})"
            )
        if k < 1:
            raise ValueError(f"k is {k}, not at least 1")
        return self._searcher().search(vectors, k, near)

    def get(self, ids: Sequence[int]) -> list[Record]:
        """The records of `ids`, in that order.

        Raises IndexFileError where one is not there.
        """
        query = f"SELECT {self._columns} FROM photos WHERE id IN (SELECT value FROM json_each(?))"
        found = {record.id: record for record in self._records(query, (_json(ids),))}
        try:
            return [found[int(id_)] for id_ in ids]
        except KeyError as error:
            raise self._missing(error.args[0]) from None

    def count(self) -> int:
        """How many photos with a position there are."""
        return int(self._rows("SELECT count(*) FROM rtree_photos_geom_rowid")[0][0])

    def find_content(self, contents: Sequence[str]) -> list[Record]:
        """The records with one of these contents, by id."""
        return self._records_where("content", contents)

    def find_paths(self, paths: Sequence[str]) -> list[Record]:
        """The records with one of these paths, by id."""
        return self._records_where("path", paths)

    def nearest(self, position: Position, k: int) -> list[Record]:
        """The k records nearest to `position` by geodesic distance, equals by lower id."""
        if k < 1:
            raise ValueError(f"k is {k}, not at least 1")
        return self._present(spatial.nearest(self._rows, position, k))

    def within(self, near: Near) -> Iterator[Record]:
        """The records at most `near.radius` metres from its centre, by id."""
        for batch in self._batches(spatial.ids_in(self._rows, spatial.around(near))):
            lats = [record.position.lat for record in batch]
            lons = [record.position.lon for record in batch]
            inside = geo.distances(near.centre, lats, lons) <= near.radius
            yield from (batch[i] for i in np.flatnonzero(inside))

    def sample(self, n: int, seed: int | np.random.Generator) -> list[Record]:
        """n records drawn without replacement, or all where there are no more, by id."""
        ids = np.array(
            [id_ for (id_,) in self._rows("SELECT rowid FROM rtree_photos_geom_rowid")],
            dtype=np.int64,
        )
        if len(ids) > n:
            chosen = np.random.default_rng(seed).choice(len(ids), n, replace=False)
            ids = np.sort(ids)[np.sort(chosen)]
        return self._present(np.sort(ids))

    def iterate(self, bbox: Box | None = None) -> Iterator[Record]:
        """All records, or those within (west, south, east, north) degrees, by id.

        A box with west > east crosses the 180th meridian.
        """
        if bbox is None:
            query = f"SELECT {self._columns} FROM photos WHERE id > ? ORDER BY id LIMIT {_FETCH}"
            for rows in self._pages(query):
                yield from self._read(rows)
            return
        boxes = spatial.halves(bbox)
        for batch in self._batches(spatial.ids_in(self._rows, boxes)):
            yield from (record for record in batch if _is_inside(record.position, boxes))

    def photos(self, bbox: Box | None = None) -> list[Record]:
        """What `iterate` goes through, at once: for databases that fit into memory."""
        return list(self.iterate(bbox))

    def held(self) -> Iterator[Held]:
        """What a scan is compared with, for each photo that has its vector and position, by id."""
        since_3 = self._format_version >= 3
        facts = "bytes, modified, stated" if since_3 else "NULL, NULL, NULL"
        # Without the index of numbers, pages of vectors would be read to see that they are there.
        table = "descriptors" + (" INDEXED BY descriptors_by_photo" if since_3 else "")
        query = (
            f"SELECT id, path, content, {facts}, geom FROM photos WHERE id > ? AND geom NOT NULL "
            f"AND EXISTS (SELECT 1 FROM {table} WHERE photo_id = id) ORDER BY id LIMIT {_FETCH}"
        )
        for rows in self._pages(query):
            yield from (Held(*row[:-1]) for row in rows if read_point(row[-1]) is not None)

    def names(self) -> Iterator[tuple[int, str]]:
        """The id and path of every photo, also of those that `verify` finds incomplete, by id."""
        query = f"SELECT id, path FROM photos WHERE id > ? ORDER BY id LIMIT {_FETCH}"
        for rows in self._pages(query):
            yield from rows

    def vectors(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The unit vectors of `ids` in that order, as they are searched: `[N, D]`."""
        rows = self._rows(
            "SELECT photo_id, vector FROM descriptors "
            "WHERE photo_id IN (SELECT value FROM json_each(?))",
            (_json(ids),),
        )
        blobs = dict(rows)
        result = np.empty((len(ids), self._model.dimension), dtype=np.float32)
        for i, id_ in enumerate(ids):
            if int(id_) not in blobs:
                raise self._missing(int(id_))
            result[i] = stored.unit(self._stack([(int(id_), blobs[int(id_)])]))[0]
        return result

    def local_features(self, ids: Sequence[int]) -> list[LocalFeatures | None]:
        """The local features of `ids`, in that order; None for photos without.

        Raises IndexFileError where some are damaged.
        """
        if not self._holds_local_features:
            return [None] * len(ids)
        rows = self._rows(
            "SELECT photo_id, features FROM local_features "
            "WHERE photo_id IN (SELECT value FROM json_each(?))",
            (_json(ids),),
        )
        found = {}
        for id_, blob in rows:
            if problem := compact.find_problem(blob):
                raise IndexFileError(
                    f"photo {id_} of {self._path} has {problem}; remove it with "
                    "`hafloc index remove` and add it again"
                )
            found[id_] = compact.decode(blob)
        return [found.get(int(id_)) for id_ in ids]

    def calibration(self) -> str | None:
        """The text that `store_calibration` was last given; None where it never was."""
        rows = self._rows("SELECT value FROM hafloc WHERE key = ?", (_CALIBRATION,))
        return str(rows[0][0]) if rows else None

    def store_calibration(self, text: str) -> None:
        """Keep what was learned of the errors of this database's answers, in place of the last."""
        with self._transaction() as run:
            run("INSERT OR REPLACE INTO hafloc VALUES (?, ?)", (_CALIBRATION, text))

    def info(self) -> IndexInfo:
        """The facts of this index for a person."""
        count = self.count()
        verifiable = 0
        if self._holds_local_features:
            (verifiable,) = self._rows("SELECT count(*) FROM local_features")[0]
        bounds = self._rows(
            "SELECT min_x, min_y, max_x, max_y FROM gpkg_contents WHERE table_name = 'photos'"
        )[0]
        return IndexInfo(
            location=self.location,
            photos=count,
            verifiable=verifiable,
            model=self._model,
            bounds=None if None in bounds or not count else bounds,
            vector_type=self._vector_type,
            details={"size": self._path.stat().st_size, "format": self._format_version},
        )

    def verify(self) -> list[str]:
        """Problems found, in words; empty when the index is sound."""
        with sqlite.translated(self._path, "verify"):
            return find_problems(self._connection, self._vector_type, self._model.dimension)

    def drop(self) -> bool:
        """Close, and delete the file if it holds no photo; whether it did."""
        self._search = None
        return sqlite.drop(self._connection, self._path)

    def close(self) -> None:
        """Leave one single file; the index is of no use afterwards."""
        close = sqlite.close_writer if self._write else sqlite.close_reader
        self._search = None
        close(self._connection, self._path)

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
    def _transaction(self) -> Iterator[Any]:
        if not self._write:
            raise IndexFileError(
                f"cannot write to {self._path}: it is open for reading; open it with write=True"
            )
        self._search = None
        with sqlite.translated(self._path, "write to"):
            sqlite.begin(self._connection)
            try:
                yield self._connection.execute
            except BaseException:
                sqlite.rollback(self._connection)
                raise
            sqlite.commit(self._connection)

    def _grow_extent(self, records: Sequence[Record]) -> None:
        lats = [record.position.lat for record in records]
        lons = [record.position.lon for record in records]
        self._connection.execute(
            "UPDATE gpkg_contents SET last_change = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), "
            "min_x = min(coalesce(min_x, ?1), ?1), min_y = min(coalesce(min_y, ?2), ?2), "
            "max_x = max(coalesce(max_x, ?3), ?3), max_y = max(coalesce(max_y, ?4), ?4) "
            "WHERE table_name = 'photos'",
            (min(lons), min(lats), max(lons), max(lats)),
        )

    def _fit_extent(self) -> None:
        self._connection.execute(
            "UPDATE gpkg_contents SET last_change = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), "
            "(min_x, min_y, max_x, max_y) = (SELECT min(ST_MinX(geom)), min(ST_MinY(geom)), "
            "max(ST_MaxX(geom)), max(ST_MaxY(geom)) FROM photos) WHERE table_name = 'photos'"
        )

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with sqlite.translated(self._path, "read"):
            return self._connection.execute(query, values).fetchall()

    def _pages(self, query: str) -> Iterator[list[Any]]:
        """The rows of `query`, whose parameter is the id after which to go on."""
        last = -(2**63)
        while rows := self._rows(query, (last,)):
            last = rows[-1][0]
            yield rows

    def _batches(self, ids: NDArray[np.int64]) -> Iterator[list[Record]]:
        for start in range(0, len(ids), _FETCH):
            yield self._present(ids[start : start + _FETCH])

    def _present(self, ids: NDArray[np.int64]) -> list[Record]:
        """The records of `ids`, in that order, without those removed in the meantime."""
        query = f"SELECT {self._columns} FROM photos WHERE id IN (SELECT value FROM json_each(?))"
        found = {record.id: record for record in self._records(query, (_json(ids),))}
        return [found[id_] for id_ in ids.tolist() if id_ in found]

    def _records_where(self, column: str, values: Sequence[str]) -> list[Record]:
        query = (
            f"SELECT {self._columns} FROM photos WHERE {column} IN "
            "(SELECT value FROM json_each(?)) ORDER BY id"
        )
        return list(self._records(query, (json.dumps(list(values)),)))

    def _records(self, query: str, values: Sequence[Any] = ()) -> Iterator[Record]:
        return self._read(self._rows(query, values))

    def _read(self, rows: Sequence[Any]) -> Iterator[Record]:
        for row in rows:
            record = photos.record(row, self.location)
            if record is not None:
                yield record

    def _missing(self, id_: int | None) -> IndexFileError:
        return IndexFileError(
            f"there is no photo {id_} in {self._path}; `hafloc index verify` checks the file"
        )

    def _searcher(self) -> VectorSearch:
        # Counts the commits of others; our own changes drop the structure themselves.
        (version,) = self._rows("PRAGMA data_version")[0]
        if self._search is None or self._search[0] != version:
            self._search = None  # frees its memory before the new one is built
            self._search = version, self._build_search()
        return self._search[1]

    def _build_search(self) -> VectorSearch:
        kind = stored.stored_dtype(self._vector_type)
        with sqlite.translated(self._path, "read"):
            (count,) = self._connection.execute("SELECT count(*) FROM descriptors").fetchone()
            ids = np.empty(count, dtype=np.int64)
            places = np.empty((count, 2))
            held = np.int8 if kind == np.int8 else np.float32
            rows = np.empty((count, self._model.dimension), dtype=held)
            found = self._connection.execute(
                "SELECT id, geom, vector FROM photos JOIN descriptors ON photo_id = id "
                "WHERE geom NOT NULL AND NOT ST_IsEmpty(geom) ORDER BY id LIMIT ?",
                (count,),
            )
            n = 0
            while batch := found.fetchmany(_FETCH):
                part = slice(n, n + len(batch))
                ids[part] = [id_ for id_, _, _ in batch]
                places[part] = [read_point(geometry) for _, geometry, _ in batch]
                rows[part] = self._stack([(id_, vector) for id_, _, vector in batch])
                n += len(batch)
        return VectorSearch(ids[:n], rows[:n], lats=places[:n, 1], lons=places[:n, 0])

    def _stack(self, found: Sequence[tuple[int, bytes]]) -> NDArray[np.generic]:
        expected = self._model.dimension * stored.stored_dtype(self._vector_type).itemsize
        for id_, blob in found:
            if len(blob) != expected:
                raise IndexFileError(
                    f"photo {id_} of {self._path} has a vector of {len(blob):,} bytes, not "
                    f"{expected:,}; remove it with `hafloc index remove` and add it again"
                )
        return stored.stack([blob for _, blob in found], self._vector_type)


def _check_model(path: Path, ours: ModelInfo, wanted: ModelInfo | None) -> None:
    if wanted is not None and wanted.hash != ours.hash:
        raise IndexFileError(
            f"{path} was made with checkpoint {ours.name} ({ours.hash[:12]}), not with "
            f"{wanted.name} ({wanted.hash[:12]}); rebuild with `hafloc index build`, or pass "
            f"--model with checkpoint {ours.name}"
        )


def _is_inside(place: Position, boxes: Sequence[Box]) -> bool:
    return any(
        west <= place.lon <= east and south <= place.lat <= north
        for west, south, east, north in boxes
    )


def _json(ids: Iterable[int]) -> str:
    return json.dumps([int(id_) for id_ in ids])
