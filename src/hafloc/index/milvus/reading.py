"""All that is read from a collection: records, vectors, key points, and the search in them."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hafloc import geo
from hafloc.description import LocalFeatures
from hafloc.geo import Position
from hafloc.index import spatial
from hafloc.index.checks import check_queries
from hafloc.index.milvus import rows as photos
from hafloc.index.milvus import schema
from hafloc.index.milvus.rows import RECORD, Row, missing
from hafloc.index.milvus.schema import Settings
from hafloc.index.milvus.search import Engine
from hafloc.index.milvus.server import Server
from hafloc.index.milvus.table import Table, in_boxes
from hafloc.index.records import Box, Held, Hits, IndexInfo, ModelInfo, Near, Record
from hafloc.index.regions import search_by_regions

CALIBRATION = "calibration"
_WHOLE = (*RECORD, "path_key", "content_key", "cell", "verifiable", "vector", "regions", "features")


class MilvusReader:
    """The part of `MilvusIndex` that changes nothing."""

    def __init__(self, server: Server, settings: Settings) -> None:
        self._server = server
        self._settings = settings
        self._table = Table(server, settings)
        self._engine = Engine(self._table, settings)

    @property
    def model(self) -> ModelInfo:
        """The network that made the vectors."""
        return self._settings.model

    @property
    def regions(self) -> int:
        """How many regions R of each photo have a vector of their own; 0: none have."""
        return self._settings.regions

    @property
    def location(self) -> str:
        """The address, as it was given."""
        return self._server.address.location

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
        check_queries(vectors, k, self.model.dimension)
        if regions is None or not self.regions:
            return self._engine.search(vectors, k, near)
        return search_by_regions(
            np.concatenate([vectors[:, None], regions], axis=1),
            k,
            lambda queries, most: self._engine.search(queries, most, near),
            self._parts,
        )

    def get(self, ids: Sequence[int]) -> list[Record]:
        """The records of `ids`, in that order. Raises IndexFileError where one is not there."""
        return [self._record(row) for row in self._of(ids, RECORD)]

    def vectors(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The unit vectors of `ids` in that order, as they are searched: `[N, D]`."""
        return photos.floats(self._of(ids, ("id", "vector")), self.model.dimension)

    def region_vectors(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The unit vectors of the regions of `ids`, in that order: `[N, R, D]`."""
        shape = self.regions, self.model.dimension
        result = np.zeros((len(ids), *shape), dtype=np.float32)
        if self.regions:
            for i, row in enumerate(self._of(ids, ("id", "path", "regions"))):
                result[i] = photos.regions(row, shape, self.location)
        return result

    def local_features(self, ids: Sequence[int]) -> list[LocalFeatures | None]:
        """The local features of `ids`, in that order; None for photos without.

        Raises IndexFileError where some are damaged.
        """
        found = self._table.by_id(ids, ("id", "path", "features"))
        there = [found.get(int(id_)) for id_ in ids]
        return [None if row is None else photos.features(row, self.location) for row in there]

    def count(self) -> int:
        """How many photos there are."""
        return self._table.count()

    def find_content(self, contents: Sequence[str]) -> list[Record]:
        """The records with one of these contents, by id."""
        return self._found("content", contents)

    def find_paths(self, paths: Sequence[str]) -> list[Record]:
        """The records with one of these paths, by id."""
        return self._found("path", paths)

    def nearest(self, position: Position, k: int) -> list[Record]:
        """The k records nearest to `position` by geodesic distance, equals by lower id."""
        if k < 1:
            raise ValueError(f"k is {k}, not at least 1")
        ids = spatial.nearest(self._table, position, k).tolist()
        found = self._table.by_id(ids, RECORD)
        return [self._record(found[id_]) for id_ in ids if id_ in found]

    def within(self, near: Near) -> Iterator[Record]:
        """The records at most `near.radius` metres from its centre, by id."""
        for page in self._table.pages(in_boxes(spatial.around(near)), RECORD):
            batch = [self._record(row) for row in page]
            lats = [record.position.lat for record in batch]
            lons = [record.position.lon for record in batch]
            inside = geo.distances(near.centre, lats, lons) <= near.radius
            yield from (batch[i] for i in np.flatnonzero(inside))

    def sample(self, n: int, seed: int | np.random.Generator) -> list[Record]:
        """n records drawn without replacement, or all where there are no more, by id."""
        ids = np.array([row["id"] for page in self._table.pages("", ("id",)) for row in page])
        if len(ids) > n:
            picked = np.random.default_rng(seed).choice(len(ids), n, replace=False)
            ids = ids[np.sort(picked)]
        found = self._table.by_id(ids.tolist(), RECORD)
        return [self._record(found[id_]) for id_ in ids.tolist() if id_ in found]

    def iterate(self, bbox: Box | None = None, after: int | None = None) -> Iterator[Record]:
        """All records, or those within (west, south, east, north) degrees, by id.

        A box with west > east crosses the 180th meridian. With `after`, only those of a greater id.
        """
        boxes = None if bbox is None else spatial.halves(bbox)
        wanted = [] if boxes is None else [f"({in_boxes(boxes)})"]
        wanted += [] if after is None else [f"id > {after}"]
        for page in self._table.pages(" and ".join(wanted), RECORD):
            for row in page:
                record = self._record(row)
                if boxes is None or spatial.is_inside(record.position, boxes):
                    yield record

    def held(self) -> Iterator[Held]:
        """What a scan is compared with, for each photo, by id."""
        for page in self._table.pages("", ("id", "path", "content", "facts")):
            yield from (photos.held(row, self.location) for row in page)

    def names(self) -> Iterator[tuple[int, str]]:
        """The id and path of every photo, by id."""
        for page in self._table.pages("", ("id", "path")):
            yield from ((row["id"], row["path"]) for row in page)

    def calibration(self) -> str | None:
        """The text that `store_calibration` was last given; None where it never was."""
        return schema.read(self._server).get(CALIBRATION)

    def info(self) -> IndexInfo:
        """The facts of this index for a person."""
        return IndexInfo(
            location=self.location,
            photos=self.count(),
            verifiable=self._table.count("verifiable == true"),
            model=self.model,
            bounds=self._table.bounds(),
            vector_type=self._settings.vector_type,
            regions=self.regions,
            details={
                "engine": self._server.version(),
                "search": self._settings.index_type,
                "format": schema.FORMAT,
            },
        )

    def verify(self) -> list[str]:
        """Problems found, in words; empty when the index is sound."""
        shape = self.regions, self.model.dimension
        paths: set[int] = set()
        problems = []
        for page in self._table.pages("", _WHOLE):
            for row in page:
                problems += photos.problems_of(row, shape, self.location)
                if row["path_key"] in paths:
                    problems.append(f"photo {row['id']} ({row['path']}) is there twice; remove it")
                paths.add(row["path_key"])
        return problems

    def _parts(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The vectors of photos and of their regions, `[N, 1 + R, D]`."""
        shape = self.regions, self.model.dimension
        found = self._of(ids, ("id", "path", "vector", "regions"))
        parts = [photos.regions(row, shape, self.location) for row in found]
        whole = photos.floats(found, self.model.dimension)
        return np.concatenate([whole[:, None], np.stack(parts)], axis=1)

    def _of(self, ids: Sequence[int], columns: Sequence[str]) -> list[Row]:
        found = self._table.by_id(ids, columns)
        try:
            return [found[int(id_)] for id_ in ids]
        except KeyError as error:
            raise missing(error.args[0], self.location) from None

    def _found(self, column: str, texts: Sequence[str]) -> list[Record]:
        # Two texts may have one key, so what is found is compared.
        keys = sorted({photos.key(text) for text in texts})
        rows = self._table.where(f"{column}_key", keys, RECORD)
        wanted = set(texts)
        return [self._record(row) for row in rows if row[column] in wanted]

    def _record(self, row: Row) -> Record:
        return photos.record(row, self.location)
