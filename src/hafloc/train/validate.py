"""Recall on a validation set: leave-one-place-out, 25 metres."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hafloc.train.data import PhotoSet
from hafloc.train.mining import Ints, Vectors

CUTS = (1, 5, 10)
TOLERANCE = 25.0  # metres, the field's usual bound
SAME_WAY = 45.0  # degrees between two headings that look the same way
CHUNK = 100


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


def choose_queries(photos: PhotoSet, count: int, seed: int) -> Ints:
    """At most `count` photo numbers, drawn once; 0 takes all."""
    numbers = np.arange(len(photos), dtype=np.int32)
    if not count or count >= len(numbers):
        return numbers
    drawn = np.random.default_rng(seed).choice(numbers, count, replace=False)
    return np.sort(drawn)


def recall(vectors: Vectors, photos: PhotoSet, queries: Ints) -> Recall:
    """Recall of image vectors `[N, D]`; a query never finds a photo of its own place."""
    hits, looks, possible = [], [], []
    for part in chunks(queries):
        similarity = vectors[part] @ vectors.T
        right, alike, allowed = judge(photos, part)
        first = ranking(similarity, allowed)
        hits.append(np.take_along_axis(right, first, 1))
        looks.append(np.take_along_axis(alike, first, 1))
        possible.append(right.any(1))
    by_heading = None
    if not np.isnan(photos.headings).all():
        by_heading = at_cuts(np.concatenate(looks))
    found = np.concatenate(possible)
    return Recall(at_cuts(np.concatenate(hits)), by_heading, len(found), int((~found).sum()))


def chunks(queries: Ints) -> Iterator[Ints]:
    for first in range(0, len(queries), CHUNK):
        yield queries[first : first + CHUNK]


def judge(
    photos: PhotoSet, queries: Ints
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which photos are right for each query, right and looking its way, and allowed: `[Q, N]`."""
    metres = np.linalg.norm(photos.xyz[queries][:, None] - photos.xyz[None], axis=-1)
    allowed = photos.places[queries][:, None] != photos.places[None]
    right = (metres <= TOLERANCE) & allowed
    turn = photos.headings[queries][:, None] - photos.headings[None]
    alike = right & (np.abs((turn + 180) % 360 - 180) <= SAME_WAY)
    return right, alike, allowed


def ranking(similarity: NDArray[np.floating], allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The numbers of the most similar allowed photos, best first: `[Q, 10]`."""
    ranked = np.where(allowed, similarity, -np.inf)
    count = min(max(CUTS), ranked.shape[1])
    first = np.argpartition(-ranked, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(ranked, first, 1), axis=1, kind="stable")
    return np.take_along_axis(first, order, 1)


def at_cuts(hits: NDArray[np.bool_]) -> tuple[float, ...]:
    """Recall at 1, 5, 10 from hits in ranked order `[Q, 10]`."""
    return tuple(float(hits[:, :cut].any(1).mean()) for cut in CUTS)
