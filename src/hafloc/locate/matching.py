"""Which key points of two photos are each other's nearest: one matrix product for a whole list."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hafloc.nn import LocalFeatures

Numbers = NDArray[np.int64]
Floats = NDArray[np.float32]

# Candidates compared at a time: the table of similarities stays below 40 MB.
_AT_ONCE = 32


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


def match(query: LocalFeatures, candidates: Sequence[LocalFeatures], ratio: float) -> list[Matches]:
    """The matches of a query's M key points with each of K candidates.

    A pair is a match when each is the other's most similar, and the distance of their unit
    descriptors is below `ratio` times that to the second best in the candidate (1 lets all pass;
    Lowe, IJCV 2004).
    """
    own = _unit(query.descriptors)
    found: list[Matches] = []
    for start in range(0, len(candidates), _AT_ONCE):
        found += _match_some(own, candidates[start : start + _AT_ONCE], ratio)
    return found


def _match_some(own: Floats, candidates: Sequence[LocalFeatures], ratio: float) -> list[Matches]:
    if not len(own):
        return [_NONE] * len(candidates)
    ends = np.cumsum([0, *(len(candidate) for candidate in candidates)])
    table = _unit(np.concatenate([candidate.descriptors for candidate in candidates])) @ own.T
    return [
        _mutual(table[first:last], ratio) if last > first else _NONE
        for first, last in pairwise(ends)
    ]


def _mutual(table: Floats, ratio: float) -> Matches:
    """Matches from similarities `[N, M]` of N candidate and M query key points."""
    columns = np.arange(table.shape[1])
    best = table.argmax(0)
    nearest = table[best, columns]
    mutual = table.argmax(1)[best] == columns
    table[best, columns] = -np.inf
    second = table.max(0)
    table[best, columns] = nearest
    # For unit vectors |a - b|² = 2 - 2 a·b; a candidate with a single key point has no second.
    kept = mutual & (1 - nearest < ratio * ratio * (1 - second))
    chosen = np.flatnonzero(kept)
    return Matches(chosen, best[chosen], nearest[chosen], int(mutual.sum()))


def _unit(descriptors: NDArray[np.int8]) -> Floats:
    rows = descriptors.astype(np.float32)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    return np.asarray(rows / np.maximum(lengths, 1)[:, None], dtype=np.float32)


_NONE = Matches(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), mutual=0)
