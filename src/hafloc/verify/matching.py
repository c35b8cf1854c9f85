"""Which key points of two photos are each other's nearest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hafloc.description import LocalFeatures

Numbers = NDArray[np.int64]
Floats = NDArray[np.float32]


# OpenBLAS shares a product of more terms out to threads of its own. Where candidates are shared out
# to threads already, these wait for each other: three times the processor time on two busy cores.
_TERMS = 262_144
_FEWEST_ROWS = 8  # fewer at a time are slower than the waiting


@dataclass(frozen=True, slots=True)
class Matches:
    """Key points of two photos that correspond: `query` and `candidate` number them, `[M]`.

    `similarities` `[M]` are the cosines of their descriptors; `mutual` counts the pairs that were
    each other's nearest before the ratio test.
    """

    query: Numbers
    candidate: Numbers
    similarities: Floats
    mutual: int

    def __len__(self) -> int:
        return len(self.query)


def match(query: LocalFeatures, candidate: LocalFeatures, ratio: float) -> Matches:
    """The matches of a query's M key points with a candidate's N.

    A pair is a match when each is the other's most similar, and the distance of their unit
    descriptors is below `ratio` times that to the second best in the candidate (1 lets all pass;
    Lowe, IJCV 2004).
    """
    return match_rows(unit_rows(query.descriptors), unit_rows(candidate.descriptors), ratio)


def match_rows(query: Floats, candidate: Floats, ratio: float) -> Matches:
    """`match` for unit descriptors `[M, D]` and `[N, D]`."""
    if not len(query) or not len(candidate):
        none = np.empty(0, np.int64)
        return Matches(none, none, np.empty(0, np.float32), mutual=0)
    table = _products(query, candidate)
    best = table.argmax(1)
    nearest = table[np.arange(len(query)), best]
    mutual = np.flatnonzero(nearest == table.max(0)[best])
    # Of key points with the same descriptor only the first can be the nearest.
    mutual = np.sort(mutual[np.unique(best[mutual], return_index=True)[1]])
    others = table[mutual]
    others[np.arange(len(mutual)), best[mutual]] = -np.inf
    second = others.max(1)
    # For unit vectors |a - b|² = 2 - 2 a·b; a candidate with a single key point has no second.
    passes = 1 - nearest[mutual] < ratio * ratio * (1 - second)
    chosen = mutual[passes]
    return Matches(chosen, best[chosen], nearest[chosen], len(mutual))


def unit_rows(descriptors: NDArray[np.int8]) -> Floats:
    """Descriptors `[M, D]` scaled to unit length; rows of zeros stay."""
    rows = descriptors.astype(np.float32)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    return np.asarray(rows / np.maximum(lengths, 1)[:, None], dtype=np.float32)


def _products(query: Floats, candidate: Floats) -> Floats:
    """Dot products of all rows with all, `[M, N]`, by the calling thread alone where that pays."""
    at_once = min(_TERMS // candidate.size, len(query))
    if at_once < min(_FEWEST_ROWS, len(query)):
        return query @ candidate.T
    count, dimension = query.shape
    padded = np.zeros((-(-count // at_once), at_once, dimension), np.float32)
    padded.reshape(-1, dimension)[:count] = query
    table = padded @ np.ascontiguousarray(candidate.T)
    return np.asarray(table.reshape(-1, len(candidate))[:count], dtype=np.float32)
