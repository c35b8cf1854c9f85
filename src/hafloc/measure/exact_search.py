"""Exact nearest neighbours of many queries at once, in little memory.

Every similarity is computed. What costs time then is to find the k largest of a long row: the row
is cut into groups, and only the k groups with the largest maxima can hold one of them.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hafloc.errors import EvaluationError

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

_TABLE = 16_000_000  # similarities held at a time: 64 MB


@torch.inference_mode()
def search(database: Floats, queries: Floats, k: int | None = None) -> tuple[Ints, Floats]:
    """The k database rows of largest dot product for each query, best first, all for None.

    `[N, D]`, `[Q, D]` to rows and similarities, both `[Q, min(k, N)]`. Among unit vectors that is
    the order of L2 distance. Equals are ordered by row; where they straddle the k-th place, any
    of them may be left out. Raises EvaluationError for NaN or infinite vectors.
    """
    for name, vectors in (("database", database), ("query", queries)):
        check_finite(vectors, name)
    count = len(database)
    k = count if k is None else min(k, count)
    rows = np.empty((len(queries), k), dtype=np.int64)
    similarities = np.empty((len(queries), k), dtype=np.float32)
    if k == 0:
        return rows, similarities
    group = _group_size(count, k)
    step = max(1, min(len(queries), _TABLE // count))
    padded = -(-count // group) * group
    transposed = torch.from_numpy(np.ascontiguousarray(database)).T
    table = torch.full((step, padded), -torch.inf)
    for start in range(0, len(queries), step):
        block = torch.from_numpy(np.ascontiguousarray(queries[start : start + step]))
        part = table[: len(block)]
        torch.mm(block, transposed, out=part[:, :count])
        found, values = _largest(part, k, group)
        rows[start : start + len(block)] = found.numpy()
        similarities[start : start + len(block)] = values.numpy()
    return _order_equals(rows, similarities)


def check_finite(vectors: Floats, name: str) -> None:
    """Raises EvaluationError where a vector of `[N, D]` holds NaN or infinity."""
    # A sum is finite only if its parts are, and needs no table of flags.
    broken = ~np.isfinite(vectors.sum(axis=1, dtype=np.float64))
    if broken.any():
        raise EvaluationError(
            f"{int(broken.sum()):,} {name} vectors hold NaN or infinity, the first in row "
            f"{int(broken.argmax()):,}; the network or the cache is broken"
        )


def _group_size(count: int, k: int) -> int:
    """Balances the number of groups against what their k best hold."""
    return max(1, int((count / k) ** 0.5))


def _largest(table: Tensor, k: int, group: int) -> tuple[Tensor, Tensor]:
    if group == 1:
        values, found = table.topk(k, dim=1)
        return found, values
    grouped = table.view(len(table), -1, group)
    best = grouped.amax(2).topk(k, dim=1, sorted=False).indices
    members = grouped.gather(1, best[:, :, None].expand(-1, -1, group)).flatten(1)
    values, at = members.topk(k, dim=1)
    return best.gather(1, at // group) * group + at % group, values


def _order_equals(rows: Ints, similarities: Floats) -> tuple[Ints, Floats]:
    tied = np.flatnonzero((similarities[:, 1:] == similarities[:, :-1]).any(axis=1))
    for q in tied:
        rows[q] = rows[q][np.lexsort((rows[q], -similarities[q]))]
    return rows, similarities
