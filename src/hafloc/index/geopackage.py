"""A GeoIndex in one GeoPackage file, which every GIS opens as a layer of points."""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hafloc.description import LocalFeatures
from hafloc.errors import IndexFileError, PositionError
from hafloc.geo import Position
from hafloc.index import connection as sqlite
from hafloc.index import local_features as compact
from hafloc.index import vectors as stored
from hafloc.index.point import read_point, write_point
from hafloc.index.records import Hits, IndexInfo, ModelInfo, Near, Record
from hafloc.index.search import VectorSearch
from hafloc.index.soundness import find_problems

Box = tuple[float, float, float, float]

_COLUMNS = "id, geom, path, content, heading, time, altitude, width, height, source"
_FIELDS = ("geom", "path", "content", "heading", "time", "altitude", "width", "height", "source")
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
        # Files of format 1 have no such table, and readers leave them as they are.
        self._holds_local_features = self._format_version >= 2
        self._search: tuple[int, VectorSearch] | None = None

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
        names = ", ".join(_FIELDS)
        renewed = ", ".join(f"{name} = excluded.{name}" for name in _FIELDS)
        statement = (
            f"INSERT INTO photos ({names}) VALUES ({', '.join('?' * len(_FIELDS))}) "
            f"ON CONFLICT (path) DO UPDATE SET {renewed} RETURNING id"
        )
        ids = []
        with self._transaction() as run:
            for record, blob, found in zip(records, blobs, features, strict=True):
                ((id_,),) = run(statement, _row(record)).fetchall()
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
        assignments = ", ".join(f"{name} = ?" for name in _FIELDS)
        with self._transaction() as run:
            for record in records:
                changed = run(
                    f"UPDATE photos SET {assignments} WHERE id = ?", (*_row(record), record.id)
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
        query = f"SELECT {_COLUMNS} FROM photos WHERE id IN (SELECT value FROM json_each(?))"
        found = {record.id: record for record in self._records(query, (_json(ids),))}
        try:
            return [found[int(id_)] for id_ in ids]
        except KeyError as error:
            raise self._missing(error.args[0]) from None

    def contents(self) -> dict[tuple[str, str], int]:
        """The id of each (content, path) that the index holds complete with its vector."""
        rows = self._rows(
            "SELECT content, path, id FROM photos JOIN descriptors ON photo_id = id ORDER BY id"
        )
        return {(content, path): id_ for content, path, id_ in rows}

    def photos(self, bbox: Box | None = None) -> list[Record]:
        """All records, or those within (west, south, east, north) degrees, by id.

        A box with west > east crosses the 180th meridian.
        """
        if bbox is None:
            return list(self._records(f"SELECT {_COLUMNS} FROM photos ORDER BY id"))
        west, south, east, north = bbox
        if west > east:
            halves = (
                self.photos((west, south, 180.0, north)),
                self.photos((-180.0, south, east, north)),
            )
            return sorted(halves[0] + halves[1], key=lambda record: record.id or 0)
        # The R-tree rounds outward to float32, hence the exact test after it.
        query = (
            f"SELECT {_COLUMNS} FROM photos JOIN rtree_photos_geom USING (id) "
            "WHERE maxx >= ? AND minx <= ? AND maxy >= ? AND miny <= ? ORDER BY id"
        )
        return [
            record
            for record in self._records(query, (west, east, south, north))
            if west <= record.position.lon <= east and south <= record.position.lat <= north
        ]

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
        (count,) = self._rows("SELECT count(*) FROM photos")[0]
        verifiable = 0
        if self._holds_local_features:
            (verifiable,) = self._rows("SELECT count(*) FROM local_features")[0]
        bounds = self._rows(
            "SELECT min_x, min_y, max_x, max_y FROM gpkg_contents WHERE table_name = 'photos'"
        )[0]
        return IndexInfo(
            path=str(self._path),
            photos=count,
            verifiable=verifiable,
            model=self._model,
            bounds=None if None in bounds or not count else bounds,
            bytes=self._path.stat().st_size,
            vector_type=self._vector_type,
            format_version=self._format_version,
        )

    def verify(self) -> list[str]:
        """Problems found, in words; empty when the index is sound."""
        with sqlite.translated(self._path, "verify"):
            return find_problems(self._connection, self._vector_type, self._model.dimension)

    def stored_path(self, file: str | os.PathLike[str]) -> str:
        """How a photo's file is written down: relative to the index's folder where it can be."""
        folder, target = self._path.absolute().parent, Path(file).absolute()
        try:
            return Path(os.path.relpath(target, folder)).as_posix()
        except ValueError:  # another drive
            return target.as_posix()

    def file_of(self, path: str) -> Path:
        """Where the photo lies that is written down as `path`."""
        return Path(os.path.normpath(self._path.absolute().parent / path))

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

    def _records(self, query: str, values: Sequence[Any] = ()) -> Iterator[Record]:
        for row in self._rows(query, values):
            record = self._record(row)
            if record is not None:
                yield record

    def _record(self, row: Sequence[Any]) -> Record | None:
        id_, geometry, path, content, heading, time, altitude, width, height, source = row
        try:
            point = None if geometry is None else read_point(geometry)
            if point is None:  # a GIS took its position away: no photo of this index any more
                return None
            return Record(
                path=path,
                content=content,
                position=Position(lat=point[1], lon=point[0]),
                width=width,
                height=height,
                source=source,
                heading=heading,
                altitude=altitude,
                time=None if time is None else datetime.fromisoformat(time),
                id=id_,
            )
        except (ValueError, PositionError) as error:
            raise IndexFileError(
                f"cannot read photo {id_} ({path}) of {self._path}: {error}; correct it or remove "
                "it with `hafloc index remove`"
            ) from error

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


def _row(record: Record) -> tuple[Any, ...]:
    return (
        write_point(record.position.lon, record.position.lat),
        record.path,
        record.content,
        record.heading,
        None if record.time is None else record.time.isoformat(),
        record.altitude,
        record.width,
        record.height,
        record.source,
    )


def _json(ids: Sequence[int]) -> str:
    return json.dumps([int(id_) for id_ in ids])
