"""Recall on a validation set, 25 metres: leave-one-place-out, or queries against a database."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import TrainingError
from hafloc.geo import heading_difference
from hafloc.measure import drop_rows, find_hits, recall_curve, rows_within, search
from hafloc.train.data import PhotoSet
from hafloc.train.mining import Ints, Vectors

CUTS = (1, 5, 10)
TOLERANCE = 25.0  # metres, the field's usual bound
SAME_WAY = 45.0  # degrees between two headings that look the same way

Rows = tuple[NDArray[np.int64], ...]


@dataclass(frozen=True, slots=True)
class Recall:
    """Parts of the queries with a right photo among the first 1, 5, 10.

    `by_position` counts photos within 25 m, `by_heading` those that also look the same way, None
    where the set has no headings. `queries` is their number, `hopeless` those that have no right
    photo at all; they count as misses.
    """

    by_position: tuple[float, ...]
    by_heading: tuple[float, ...] | None
    queries: int
    hopeless: int


def choose_queries(photos: PhotoSet, count: int, seed: int, *, after: int = 0) -> Ints:
    """At most `count` photo numbers from `after` on, drawn once; 0 takes all."""
    numbers = np.arange(after, len(photos), dtype=np.int32)
    if not count or count >= len(numbers):
        return numbers
    drawn = np.random.default_rng(seed).choice(numbers, count, replace=False)
    return np.sort(drawn)


def check_answerable(database: PhotoSet, queries: PhotoSet) -> None:
    """Raises TrainingError where no query has a photo of the database within 25 m."""
    if not any(len(rows) for rows in rows_within(database.xyz, queries.xyz, TOLERANCE)):
        raise TrainingError(
            f"none of the {len(queries):,} photos of data.validation_from is within "
            f"{TOLERANCE:g} m of one of data.validation; name folders that belong together"
        )


def recall(
    vectors: Vectors, photos: PhotoSet, queries: Ints, database_size: int | None = None
) -> Recall:
    """Recall of image vectors `[N, D]`, where the first `database_size` are looked through.

    Without it all are, and a query never finds a photo of its own place.
    """
    if database_size is not None:
        return _among(vectors, photos, queries, database_size)
    own = _own_places(photos, queries)
    right = _right_photos(photos, queries, own)
    # Own places are searched too and then dropped, so that the first ten are still full.
    depth = max(CUTS) + max((len(rows) for rows in own), default=0)
    ranking, _ = search(vectors, vectors[queries], depth)
    ranking = drop_rows(ranking, own, max(CUTS))
    by_heading = None
    if not np.isnan(photos.headings).all():
        by_heading = _at_cuts(ranking, _looking_alike(photos, queries, right))
    hopeless = sum(not len(rows) for rows in right)
    return Recall(_at_cuts(ranking, right), by_heading, len(queries), hopeless)


def _among(vectors: Vectors, photos: PhotoSet, queries: Ints, database_size: int) -> Recall:
    """The field's protocol: a database and queries apart from it, nothing left out."""
    right = rows_within(photos.xyz[:database_size], photos.xyz[queries], TOLERANCE)
    ranking, _ = search(vectors[:database_size], vectors[queries], max(CUTS))
    headings = photos.headings
    by_heading = None
    if not (np.isnan(headings[:database_size]).all() or np.isnan(headings[queries]).all()):
        by_heading = _at_cuts(ranking, _looking_alike(photos, queries, right))
    hopeless = sum(not len(rows) for rows in right)
    return Recall(_at_cuts(ranking, right), by_heading, len(queries), hopeless)


def _own_places(photos: PhotoSet, queries: Ints) -> Rows:
    order = np.argsort(photos.places, kind="stable")
    sorted_places = photos.places[order]
    wanted = photos.places[queries]
    first = np.searchsorted(sorted_places, wanted, side="left")
    last = np.searchsorted(sorted_places, wanted, side="right")
    return tuple(order[a:b] for a, b in zip(first, last, strict=True))


def _right_photos(photos: PhotoSet, queries: Ints, own: Rows) -> Rows:
    close = rows_within(photos.xyz, photos.xyz[queries], TOLERANCE)
    return tuple(np.setdiff1d(rows, mine) for rows, mine in zip(close, own, strict=True))


def _looking_alike(photos: PhotoSet, queries: Ints, right: Rows) -> Rows:
    return tuple(
        rows[heading_difference(photos.headings[rows], photos.headings[query]) <= SAME_WAY]
        for query, rows in zip(queries, right, strict=True)
    )


def _at_cuts(ranking: NDArray[np.int64], right: Rows) -> tuple[float, ...]:
    curve = recall_curve(find_hits(ranking, right), max(CUTS))
    return tuple(float(curve[cut - 1]) for cut in CUTS)
