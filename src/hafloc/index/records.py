"""What an index holds and answers, apart from how it is stored."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hafloc.description import LocalFeatures
from hafloc.errors import PositionError
from hafloc.geo import Position
from hafloc.index import runtimes
from hafloc.index.local_features import ALL, LocalSize


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The network that made an index's vectors; an index belongs to exactly one.

    `hash` identifies the checkpoint's content, `options` is JSON text, `dimension` the length
    of a vector. `runtime` is what ran the network, as `str` of a describer's: several, with " + "
    between them, where an index has vectors by each.
    """

    name: str
    hash: str
    options: str
    dimension: int
    runtime: str = runtimes.FLOAT32


@dataclass(frozen=True, slots=True)
class Record:
    """One photo of the database.

    `path` is its name as `PhotoPaths` writes it; `content` identifies the file's bytes. `heading`
    is degrees clockwise from north, magnetic north where `magnetic`; `accuracy` metres, as the
    position's source gives it; `gps_status` the receiver's own "A" (valid) or "V" (warned).
    `bytes` and `modified` (nanoseconds since 1970) are those of the file when it was read, and
    `stated` a fingerprint of what its table row and name said then. `licence`, `producer` and
    `source_url` are the credit of a photo of others. `id` is None until the index has stored the
    record.
    """

    path: str
    content: str
    position: Position
    width: int
    height: int
    source: str
    heading: float | None = None
    altitude: float | None = None
    time: datetime | None = None
    id: int | None = None
    magnetic: bool = False
    accuracy: float | None = None
    gps_status: str | None = None
    bytes: int | None = None
    modified: int | None = None
    stated: str | None = None
    licence: str | None = None
    producer: str | None = None
    source_url: str | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What a scan is compared with: the part of a record that says which file it was made from."""

    id: int
    path: str
    content: str
    bytes: int | None
    modified: int | None
    stated: str | None


@dataclass(frozen=True, slots=True)
class Near:
    """Search only within `radius` metres of `centre`."""

    centre: Position
    radius: float

    @classmethod
    def parse(cls, text: str, name: str) -> Self:
        """Read LAT,LON,METRES; `name` is what a message calls it.

        Raises ValueError for a text of another form, PositionError for what is no place on Earth.
        """
        lat, lon, radius = (float(part) for part in text.split(","))
        if not 0 < radius < math.inf:
            raise PositionError(f"{name}: a radius of {radius:g} m holds no place; give metres")
        return cls(Position(lat, lon), radius)


@dataclass(frozen=True, slots=True)
class Hits:
    """The nearest photos of Q queries, best first: `ids` and `similarities`, both `[Q, k]`.

    Where an index holds fewer than k photos, k is that number.
    """

    ids: NDArray[np.int64]
    similarities: NDArray[np.float32]


Box = tuple[float, float, float, float]  # west, south, east, north in degrees


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """The facts of an index for a person: where it is, its model, number of photos and extent.

    `verifiable` photos have their local features stored; `vector_type` is how vectors are stored;
    `regions` is how many parts of each photo have a vector of their own; `local` how much of a
    photo's key points is kept. `details` are facts of the backend, such as the size and format of a
    file.
    """

    location: str
    photos: int
    verifiable: int
    model: ModelInfo
    bounds: Box | None
    vector_type: str
    regions: int = 0
    local: LocalSize = ALL
    details: Mapping[str, str | int] = field(default_factory=dict)


class GeoIndex(Protocol):
    """A database of photos with positions that can be searched by descriptor.

    An index open for writing belongs to one thread; one open for reading may be used by any number
    of threads at once. All methods raise IndexFileError with cause and cure where the database
    fails, or was closed.
    """

    @property
    def model(self) -> ModelInfo:
        """The network that made the vectors."""
        ...

    @property
    def location(self) -> str:
        """What `open_index` was given, for messages and for whoever opens the index again."""
        ...

    @property
    def regions(self) -> int:
        """How many regions R of each photo have a vector of their own; 0: none have."""
        ...

    def add(
        self,
        records: Sequence[Record],
        vectors: NDArray[np.float32],
        local: Sequence[LocalFeatures | None] | None = None,
        regions: NDArray[np.float32] | None = None,
    ) -> list[int]:
        """Store a batch, all or nothing: N records with unit vectors `[N, D]`; their ids.

        A record whose path is there already takes the old one's place and keeps its id. `local`
        holds the photos' local features, where they are to be stored, and `regions` `[N, R, D]`
        their regions' unit vectors, which an index of R > 0 needs and another leaves alone.
        """
        ...

    def update(self, records: Sequence[Record]) -> None:
        """Rewrite records by their `id`, all or nothing; their vectors stay.

        Raises IndexFileError where an id is not there.
        """
        ...

    def remove(self, ids: Sequence[int]) -> int:
        """Delete photos with all that hangs on them; how many there were."""
        ...

    def drop(self) -> bool:
        """Close, and delete the database if it holds no photo; whether it did."""
        ...

    def search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        near: Near | None = None,
        regions: NDArray[np.float32] | None = None,
    ) -> Hits:
        """The k most similar photos of each of Q unit vectors `[Q, D]`, equals by lower id.

        With the queries' `regions` `[Q, R, D]`, in an index that has such, similar means what
        `regions.search_by_regions` says. Reflects every change that was finished before the call.
        """
        ...

    def get(self, ids: Sequence[int]) -> list[Record]:
        """The records of `ids`, in that order. Raises IndexFileError where one is not there."""
        ...

    def vectors(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The unit vectors of `ids` in that order, as they are searched: `[N, D]`."""
        ...

    def region_vectors(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The unit vectors of the regions of `ids`, in that order: `[N, R, D]`."""
        ...

    def local_features(self, ids: Sequence[int]) -> list[LocalFeatures | None]:
        """The local features of `ids`, in that order; None for photos without."""
        ...

    def count(self) -> int:
        """How many photos there are. Cheap."""
        ...

    def find_content(self, contents: Sequence[str]) -> list[Record]:
        """The records with one of these contents, by id."""
        ...

    def find_paths(self, paths: Sequence[str]) -> list[Record]:
        """The records with one of these paths, by id."""
        ...

    def nearest(self, position: Position, k: int) -> list[Record]:
        """The k records nearest to `position` by geodesic distance, equals by lower id."""
        ...

    def within(self, near: Near) -> Iterator[Record]:
        """The records at most `near.radius` metres from its centre, by id."""
        ...

    def sample(self, n: int, seed: int | np.random.Generator) -> list[Record]:
        """n records drawn without replacement, or all where there are no more, by id.

        One seed draws the same from the same photos.
        """
        ...

    def iterate(self, bbox: Box | None = None, after: int | None = None) -> Iterator[Record]:
        """All records, or those within (west, south, east, north) degrees, by id.

        A box with west > east crosses the 180th meridian. With `after`, only those of a greater
        id. What is added or removed meanwhile may or may not be among them; none comes twice.
        """
        ...

    def held(self) -> Iterator[Held]:
        """What a scan is compared with, for each photo that has its vector and position, by id."""
        ...

    def names(self) -> Iterator[tuple[int, str]]:
        """The id and path of every photo, also of those that `verify` finds incomplete, by id."""
        ...

    def calibration(self) -> str | None:
        """The text that `store_calibration` was last given; None where it never was."""
        ...

    def store_calibration(self, text: str) -> None:
        """Keep what was learned of the errors of this database's answers, in place of the last."""
        ...

    def info(self) -> IndexInfo: ...

    def verify(self) -> list[str]:
        """Problems found, in words; empty when the index is sound."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@runtime_checkable
class KeepsThumbnails(Protocol):
    """A database that may keep a small picture of each photo: a JPEG as `thumbnails` makes it."""

    def thumbnails(self, ids: Sequence[int]) -> list[bytes | None]:
        """The pictures of `ids`, in that order; None for photos without."""
        ...

    def add_pictured(
        self,
        records: Sequence[Record],
        vectors: NDArray[np.float32],
        local: Sequence[LocalFeatures | None] | None,
        regions: NDArray[np.float32] | None,
        thumbnails: Sequence[bytes | None],
    ) -> list[int]:
        """As `GeoIndex.add`, with the pictures of the records, all or nothing."""
        ...
