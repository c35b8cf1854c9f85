"""What an index holds and answers, apart from how it is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hafloc.description import LocalFeatures
from hafloc.geo import Position


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The network that made an index's vectors; an index belongs to exactly one.

    `hash` identifies the checkpoint's content, `options` is JSON text, `dimension` the length
    of a vector.
    """

    name: str
    hash: str
    options: str
    dimension: int


@dataclass(frozen=True, slots=True)
class Record:
    """One photo of the database. `path` is relative to the index file's folder where it can be;
    `id` is None until the index has stored it."""

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


@dataclass(frozen=True, slots=True)
class Near:
    """Search only within `radius` metres of `centre`."""

    centre: Position
    radius: float


@dataclass(frozen=True, slots=True)
class Hits:
    """The nearest photos of Q queries, best first: `ids` and `similarities`, both `[Q, k]`.

    Where an index holds fewer than k photos, k is that number.
    """

    ids: NDArray[np.int64]
    similarities: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """The facts of an index for a person: its model, number of photos, extent and size.

    `verifiable` photos have their local features stored.
    """

    path: str
    photos: int
    verifiable: int
    model: ModelInfo
    bounds: tuple[float, float, float, float] | None  # west, south, east, north
    bytes: int
    vector_type: str
    format_version: int


class GeoIndex(Protocol):
    """A database of photos with positions that can be searched by descriptor."""

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
        ...

    def update(self, records: Sequence[Record]) -> None:
        """Rewrite records by their `id` in one transaction; their vectors stay."""
        ...

    def remove(self, ids: Sequence[int]) -> int:
        """Delete photos with all that hangs on them; how many there were."""
        ...

    def search(self, vectors: NDArray[np.float32], k: int, near: Near | None = None) -> Hits:
        """The k most similar photos of each of Q unit vectors `[Q, D]`."""
        ...

    def get(self, ids: Sequence[int]) -> list[Record]:
        """The records of `ids`, in that order."""
        ...

    def vectors(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The unit vectors of `ids` in that order, as they are searched: `[N, D]`."""
        ...

    def local_features(self, ids: Sequence[int]) -> list[LocalFeatures | None]:
        """The local features of `ids`, in that order; None for photos without."""
        ...

    def contents(self) -> dict[tuple[str, str], int]:
        """The id of each (content, path) that the index holds complete with its vector."""
        ...

    def photos(self, bbox: tuple[float, float, float, float] | None = None) -> list[Record]:
        """All records, or those within (west, south, east, north) degrees, by id.

        A box with west > east crosses the 180th meridian.
        """
        ...

    def file_of(self, path: str) -> Path:
        """Where the photo lies that a record calls `path`."""
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
