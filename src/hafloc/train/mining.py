"""Which photos make a query's tuple: positives by position, hard negatives by vector.

NetVLAD's protocol (Arandjelović et al., CVPR 2016, and its code). Neighbours come from a KD-tree.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.spatial import KDTree

from hafloc.errors import TrainingError
from hafloc.geo import heading_difference
from hafloc.train.data import PhotoSet, number_places

Ints = NDArray[np.int32]
Vectors = NDArray[np.float32]

# Queries looked up in the tree at once: bounds the memory of a dense city.
CHUNK = 500


class Mining(BaseModel):
    """NetVLAD's numbers; distances in metres.

    positive_beyond      a positive lies farther than this: no second shot of the same spot
    positive_within      and within this
    negative_beyond      a negative lies farther than this
    heading_within       a positive looks the same way to this many degrees; 0 asks no heading
    random_negatives     drawn anew for each visit of a query
    remembered_negatives the hardest of a query's last visit, tried again
    negatives            at most this many of the hardest violators make the tuple
    margin               a negative violates if d²(q,n) < d²(q,p) + margin
    refresh              queries between two refreshes of the vectors; doubled when the rate is
                         halved
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    positive_beyond: float = Field(default=1.0, ge=0)
    positive_within: float = Field(default=10.0, gt=0)
    negative_beyond: float = Field(default=25.0, gt=0)
    heading_within: float = Field(default=0.0, ge=0, le=180)
    random_negatives: int = Field(default=1000, ge=1)
    remembered_negatives: int = Field(default=10, ge=0)
    negatives: int = Field(default=10, ge=1)
    margin: float = Field(default=0.1, ge=0)
    refresh: int = Field(default=1000, ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> "Mining":
        if not self.positive_beyond < self.positive_within <= self.negative_beyond:
            raise ValueError("positive_beyond < positive_within <= negative_beyond must hold")
        return self


@dataclass(frozen=True, slots=True)
class Lists:
    """A list of numbers for each of Q queries, end to end: `values[starts[q]:starts[q + 1]]`."""

    starts: NDArray[np.int64]
    values: Ints

    def of(self, query: int) -> Ints:
        return self.values[self.starts[query] : self.starts[query + 1]]

    def counts(self) -> NDArray[np.int64]:
        return np.diff(self.starts)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Database numbers by query: `positives`, and `near` ones that can be no negatives.

    `usable` numbers the queries that have both a positive and a negative.
    """

    positives: Lists
    near: Lists
    usable: Ints
    without_positive: int
    without_negative: int


@dataclass(frozen=True, slots=True)
class Tuple:
    """A query, its best positive and its hard negatives, hardest first; database numbers."""

    query: int
    positive: int
    negatives: tuple[int, ...]


def find_neighbours(queries: PhotoSet, database: PhotoSet, mining: Mining) -> Neighbours:
    """Positives and non-negatives of every query, by position and perhaps heading.

    Photos at a query's very own position are neither. Raises TrainingError where no query is left.
    """
    reach = max(mining.positive_within, mining.negative_beyond)
    tree = KDTree(database.xyz)
    own = _shared_places(queries, database)
    positives, near = [], []
    for first in range(0, len(queries), CHUNK):
        rows = slice(first, first + CHUNK)
        pairs = KDTree(queries.xyz[rows]).sparse_distance_matrix(tree, reach, output_type="ndarray")
        pairs = pairs[np.lexsort((pairs["j"], pairs["i"]))]
        i, j, metres = pairs["i"] + first, pairs["j"], pairs["v"]
        fits = (metres > mining.positive_beyond) & (metres <= mining.positive_within)
        fits &= own[0][i] != own[1][j]
        fits &= _look_alike(queries.headings[i], database.headings[j], mining.heading_within)
        positives.append((i[fits], j[fits]))
        close = metres <= mining.negative_beyond
        near.append((i[close], j[close]))
    return _neighbours(_lists(positives, len(queries)), _lists(near, len(queries)), len(database))


def _shared_places(
    queries: PhotoSet, database: PhotoSet
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Place numbers that both sets share, by position."""
    places = number_places(np.concatenate([queries.xyz, database.xyz]))
    return places[: len(queries)], places[len(queries) :]


def _look_alike(a: NDArray[np.float64], b: NDArray[np.float64], within: float) -> NDArray[np.bool_]:
    """Whether headings differ by at most `within` degrees; unknown ones may be anything."""
    if not within:
        return np.ones(len(a), bool)
    turn = heading_difference(a, b)
    return np.isnan(turn) | (turn <= within)


def _lists(pairs: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], queries: int) -> Lists:
    i = np.concatenate([pair[0] for pair in pairs])
    counts = np.bincount(i, minlength=queries)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Lists(starts, np.concatenate([pair[1].astype(np.int32) for pair in pairs]))


def _neighbours(positives: Lists, near: Lists, database: int) -> Neighbours:
    has_positive = positives.counts() > 0
    has_negative = near.counts() < database
    usable = np.flatnonzero(has_positive & has_negative).astype(np.int32)
    lone, crowded = int((~has_positive).sum()), int((~has_negative).sum())
    if not len(usable):
        raise TrainingError(
            f"none of {len(has_positive):,} queries can train: {lone:,} have no positive, "
            f"{crowded:,} no negative; widen mining.positive_within or bring more photos"
        )
    return Neighbours(positives, near, usable, lone, crowded)


def draw_negatives(near: Ints, database: int, count: int, generator: np.random.Generator) -> Ints:
    """Up to `count` different database numbers that are not in `near`, drawn evenly: `[n]`."""
    drawn = generator.choice(database, min(database, count + len(near)), replace=False)
    kept: Ints = drawn[~np.isin(drawn, near)][:count].astype(np.int32)
    return kept


class Miner:
    """Makes tuples from vectors, and remembers each query's hardest negatives.

    `memory` `[Q, remembered]` holds database numbers, -1 where there is none yet; it is all that a
    resumed run needs back.
    """

    def __init__(self, neighbours: Neighbours, database: int, mining: Mining) -> None:
        self.neighbours = neighbours
        self.mining = mining
        self.memory = np.full(
            (len(neighbours.positives.starts) - 1, mining.remembered_negatives), -1, np.int32
        )
        self._database = database

    def tuple_of(
        self,
        query: int,
        vector: Vectors,
        database: Vectors,
        generator: np.random.Generator,
    ) -> Tuple | None:
        """The tuple of one query, or None where no negative violates the margin.

        `vector` `[D]`, `database` `[N, D]`, which may be memory-mapped: only the rows of this
        query's positives and drawn negatives are read.
        """
        positives = self.neighbours.positives.of(query)
        to_positives = squared_distances(vector, database[positives])
        best = int(to_positives.argmin())
        negatives = self._pool(query, generator)
        to_negatives = squared_distances(vector, database[negatives])
        order = to_negatives.argsort(kind="stable")
        self._remember(query, negatives[order])
        hardest = order[: self.mining.negatives]
        violating = hardest[to_negatives[hardest] < to_positives[best] + self.mining.margin]
        if not len(violating):
            return None
        chosen = tuple(int(n) for n in negatives[violating])
        return Tuple(query, int(positives[best]), chosen)

    def _pool(self, query: int, generator: np.random.Generator) -> Ints:
        near = self.neighbours.near.of(query)
        drawn = draw_negatives(near, self._database, self.mining.random_negatives, generator)
        remembered = self.memory[query]
        pool: Ints = np.unique(np.concatenate([drawn, remembered[remembered >= 0]]))
        return pool

    def _remember(self, query: int, hardest: Ints) -> None:
        kept = hardest[: self.mining.remembered_negatives]
        self.memory[query] = -1
        self.memory[query, : len(kept)] = kept


def squared_distances(vector: Vectors, others: Vectors) -> NDArray[np.float64]:
    """Squared Euclidean distances of one `[D]` to many `[M, D]`: `[M]`."""
    difference = others - vector
    squared: NDArray[np.float64] = np.einsum("md,md->m", difference, difference, dtype=np.float64)
    return squared
