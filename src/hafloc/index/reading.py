"""All that is read from a GeoPackage: records, vectors, key points, and the search in them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hafloc import geo
from hafloc.description import LocalFeatures
from hafloc.errors import IndexFileError
from hafloc.geo import Position
from hafloc.index import approximate, checksums, runtimes, spatial
from hafloc.index import local_features as compact
from hafloc.index import rows as photos
from hafloc.index import vectors as stored
from hafloc.index.checks import check_queries
from hafloc.index.companion import WORTH
from hafloc.index.connections import Connections
from hafloc.index.matrix import Matrix
from hafloc.index.paths import PhotoPaths, index_root
from hafloc.index.records import Box, Held, Hits, IndexInfo, ModelInfo, Near, Record
from hafloc.index.regions import search_by_regions
from hafloc.index.sizes import part_sizes
from hafloc.index.soundness import find_problems
from hafloc.progress import Progress

_FETCH = 4_096  # rows fetched at a time
_LARGEST = 65_536  # entries of a vector
CALIBRATION = "calibration"
# How many regions a photo has; and how their vectors are stored.
REGIONS = "regions"
REGION_TYPE = "int8"
SEARCH = "search"
# How much of a photo's key points is kept.
LOCAL_POINTS, LOCAL_BITS = "local_points", "local_bits"


def local_size_in(settings: Mapping[str, str]) -> compact.LocalSize:
    """How much of key points a file keeps, by its settings. Raises ValueError."""
    points = settings.get(LOCAL_POINTS)
    return compact.LocalSize(
        None if points is None else int(points), int(settings.get(LOCAL_BITS, 8))
    )


class GeoPackageReader:
    """The part of `GeoPackageIndex` that changes nothing."""

    def __init__(self, path: Path, connections: Connections) -> None:
        self._path = path
        self._connections = connections
        self._rows = connections.rows
        settings: dict[str, str] = dict(self._rows("SELECT key, value FROM hafloc"))
        checksums.check_settings(settings, path)
        try:
            self._read_settings(settings)
        except (KeyError, ValueError, TypeError) as error:
            raise IndexFileError(
                f"cannot open {path}: it is damaged: its settings lack or garble {error}; restore "
                "a copy or rebuild it with `hafloc index build`"
            ) from error
        # Files of format 1 have no such table, and readers leave them as they are.
        self._holds_local_features = self._format_version >= 2
        self._holds_thumbnails = self._format_version >= 7
        self._matrix = Matrix(
            connections,
            self._vector_type,
            self._model.dimension,
            follows=self._format_version >= 5,
            sealed=self._format_version >= checksums.SINCE,
            kind=settings.get(SEARCH, approximate.EXACT),
        )

    def _read_settings(self, settings: Mapping[str, str]) -> None:
        """What the file says of itself. Raises KeyError, ValueError or TypeError for damage."""
        self._vector_type = settings["vector_type"]
        self._format_version = int(settings["format_version"])
        self._model = ModelInfo(
            name=settings["model_name"],
            hash=settings["model_hash"],
            options=settings["model_options"],
            dimension=int(settings["dimension"]),
            runtime=settings.get(runtimes.KEY, runtimes.FLOAT32),
        )
        self._regions = int(settings.get(REGIONS, 0))
        self._local = local_size_in(settings)
        self._columns = photos.columns(self._format_version)
        known = self._vector_type in stored.VECTOR_TYPES
        if not known or not 1 <= self._model.dimension <= _LARGEST or not 0 <= self._regions < 100:
            raise ValueError("the size of vectors")

    @property
    def model(self) -> ModelInfo:
        """The network that made the vectors."""
        return self._model

    @property
    def regions(self) -> int:
        """How many regions R of each photo have a vector of their own; 0: none have."""
        return self._regions

    @property
    def location(self) -> str:
        """The path of the file, as it was given."""
        return str(self._path)

    @property
    def paths(self) -> PhotoPaths:
        """How the index names the files of its photos: relative to its own folder."""
        return PhotoPaths(index_root(self._path))

    def search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        near: Near | None = None,
        regions: NDArray[np.float32] | None = None,
    ) -> Hits:
        """The k most similar photos of each of Q unit vectors `[Q, D]`, equals by lower id.

        With the queries' `regions` `[Q, R, D]`, in an index that has such, similar means what
        `regions.search_by_regions` says.
        """
        check_queries(vectors, k, self._model.dimension)
        whole = self._matrix.current()
        if regions is None or not self._regions:
            return whole.search(vectors, k, near)
        return search_by_regions(
            np.concatenate([vectors[:, None], regions], axis=1),
            k,
            lambda queries, most: whole.search(queries, most, near),
            lambda ids: np.concatenate(
                [whole.vectors(ids)[:, None], self.region_vectors(ids)], axis=1
            ),
        )

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
        return self._present(spatial.nearest(spatial.RTree(self._rows), position, k))

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

    def iterate(self, bbox: Box | None = None, after: int | None = None) -> Iterator[Record]:
        """All records, or those within (west, south, east, north) degrees, by id.

        A box with west > east crosses the 180th meridian. With `after`, only those of a greater id.
        """
        if bbox is None:
            query = f"SELECT {self._columns} FROM photos WHERE id > ? ORDER BY id LIMIT {_FETCH}"
            for rows in self._pages(query, after):
                yield from self._read(rows)
            return
        boxes = spatial.halves(bbox)
        ids = spatial.ids_in(self._rows, boxes)
        if after is not None:
            ids = ids[np.searchsorted(ids, after, side="right") :]
        for batch in self._batches(ids):
            yield from (record for record in batch if spatial.is_inside(record.position, boxes))

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
            yield from (
                Held(*row[:-1]) for row in rows if photos.place(row[0], row[-1], self.location)
            )

    def names(self) -> Iterator[tuple[int, str]]:
        """The id and path of every photo, also of those that `verify` finds incomplete, by id."""
        query = f"SELECT id, path FROM photos WHERE id > ? ORDER BY id LIMIT {_FETCH}"
        for rows in self._pages(query):
            yield from rows

    def vectors(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The unit vectors of `ids` in that order, as they are searched: `[N, D]`."""
        blobs = self._blobs("descriptors", "vector", ids)
        result = np.empty((len(ids), self._model.dimension), dtype=np.float32)
        for i, id_ in enumerate(ids):
            if int(id_) not in blobs:
                raise self._missing(int(id_))
            result[i] = stored.unit(self._matrix.stack([(int(id_), blobs[int(id_)])]))[0]
        return result

    def region_vectors(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The unit vectors of the regions of `ids`, in that order: `[N, R, D]`."""
        shape = self._regions, self._model.dimension
        result = np.zeros((len(ids), *shape), dtype=np.float32)
        if not self._regions:
            return result
        blobs = self._blobs("regions", "vectors", ids)
        for i, id_ in enumerate(ids):
            blob = blobs.get(int(id_), b"")
            if len(blob) == shape[0] * shape[1]:
                result[i] = stored.unit(np.frombuffer(blob, np.int8).reshape(shape))
            elif blob:
                raise IndexFileError(
                    f"photo {id_} of {self._path} has regions of {len(blob):,} bytes, "
                    f"not {shape[0] * shape[1]:,}; remove it with `hafloc index remove` and add "
                    "it again"
                )
        return result

    def local_features(self, ids: Sequence[int]) -> list[LocalFeatures | None]:
        """The local features of `ids`, in that order; None for photos without.

        Raises IndexFileError where some are damaged.
        """
        if not self._holds_local_features:
            return [None] * len(ids)
        found = {}
        blobs = self._blobs("local_features", "features", ids)
        for id_, blob in blobs.items():
            if problem := compact.find_problem(blob):
                raise IndexFileError(
                    f"photo {id_} of {self._path} has {problem}; remove it with "
                    "`hafloc index remove` and add it again"
                )
            found[id_] = compact.decode(blob)
        return [found.get(int(id_)) for id_ in ids]

    def thumbnails(self, ids: Sequence[int]) -> list[bytes | None]:
        """The small pictures of `ids`, in that order, unchecked; None for photos without."""
        if not self._holds_thumbnails:
            return [None] * len(ids)
        query = (
            "SELECT photo_id, jpeg FROM thumbnails "
            "WHERE photo_id IN (SELECT value FROM json_each(?))"
        )
        found: dict[int, bytes] = dict(self._rows(query, (_json(ids),)))
        return [found.get(int(id_)) for id_ in ids]

    def _blobs(self, table: str, column: str, ids: Sequence[int]) -> dict[int, bytes]:
        """Blobs of photos, by id; those that are there, and are what was stored."""
        query, what = checksums.blob_query(
            table, column, known=self._format_version >= checksums.SINCE
        )
        return checksums.checked(self._rows(query, (_json(ids),)), what, self._path)

    def calibration(self) -> str | None:
        """The text that `store_calibration` was last given; None where it never was."""
        rows = self._rows("SELECT value FROM hafloc WHERE key = ?", (CALIBRATION,))
        return str(rows[0][0]) if rows else None

    def info(self) -> IndexInfo:
        """The facts of this index for a person."""
        count = self.count()
        verifiable = 0
        if self._holds_local_features:
            (verifiable,) = self._rows("SELECT count(*) FROM local_features")[0]
        told = self._rows(
            "SELECT min_x, min_y, max_x, max_y FROM gpkg_contents WHERE table_name = 'photos'"
        )
        bounds = told[0] if told and all(isinstance(side, float) for side in told[0]) else None
        return IndexInfo(
            location=self.location,
            photos=count,
            verifiable=verifiable,
            model=self._model,
            bounds=bounds if count else None,
            vector_type=self._vector_type,
            regions=self._regions,
            local=self._local,
            details=self._details(),
        )

    def _details(self) -> dict[str, str | int]:
        details: dict[str, str | int] = {
            "size": self._path.stat().st_size,
            "format": self._format_version,
        }
        with self._connections.lent("info") as connection:
            details |= part_sizes(
                connection,
                self._vector_type,
                self._model.dimension,
                self._regions,
                self._holds_local_features,
            )
        if self._holds_thumbnails:
            query = "SELECT count(*), coalesce(sum(length(jpeg)), 0) FROM thumbnails"
            pictures, size = self._rows(query)[0]
            if pictures:
                details |= {"thumbnails": pictures, "thumbnail_bytes": size}
        details["search"] = self._matrix.kind
        if self._matrix.kind != approximate.EXACT and self.count() < WORTH:
            details["search"] = approximate.EXACT
            details["search_chosen"] = f"{self._matrix.kind}, from {WORTH:,} photos on"
        companion = self._matrix.companion
        if companion is not None and (self.count() >= WORTH or companion.folder.exists()):
            with self._connections.lent("info") as connection:
                details |= companion.facts(connection)
            if self._matrix.kind != approximate.EXACT:
                made = approximate.read_made(companion.folder)
                reason = approximate.find_reason(made, self._matrix.kind, *companion.rows())
                details["search_recall"] = (
                    f"1.000: exact, for {reason}" if reason or made is None else made.in_words()
                )
        return details

    def make_search(self, progress: Progress) -> approximate.Made | None:
        """Make the search that was chosen, where it is not exact nor fresh; what it is now.

        None where it is exact: by choice, or since the database is small or nothing can be written
        beside it. Raises IndexBusyError while another makes it, MissingExtraError without FAISS.
        """
        return self._matrix.make_approximate(progress)

    def verify(self) -> list[str]:
        """Problems found, in words; empty when the index is sound."""
        with self._connections.lent("verify") as connection:
            return find_problems(
                connection, self._vector_type, self._model.dimension, self._regions
            )

    def _pages(self, query: str, after: int | None = None) -> Iterator[list[Any]]:
        """The rows of `query`, whose parameter is the id after which to go on."""
        last = -(2**63) if after is None else after
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


def _json(ids: Iterable[int]) -> str:
    return json.dumps([int(id_) for id_ in ids])
