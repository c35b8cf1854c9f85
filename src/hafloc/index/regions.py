"""Similarity of parts: which photos show something of what the query shows.

Two photos of one place often share a half of their view, or less. With a vector for each of some
regions beside the whole photo's, a query's parts look for their likes among a photo's parts.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hafloc.description import ImageFeatures, LocalFeatures
from hafloc.index.records import GeoIndex, Hits, Near

Floats = NDArray[np.float32]

# Photos whose parts are compared, at least: those most similar as a whole. With a quarter of that
# recall was the same on all sets of ours (benchmarks/results/regions.md).
SHORTLIST = 200


def similarity(query: Floats, photos: Floats) -> Floats:
    """How alike a query `[1 + R, D]` and each of N photos `[N, 1 + S, D]` are, `[N]`.

    Unit vectors, the whole first. Each part of the query counts by its best match among a photo's
    parts; half of the similarity is that of the whole query, the other half the mean of its
    regions'. (As the late interaction of ColBERT, Khattab & Zaharia 2020, which sums over words.)
    """
    table = np.einsum("rd,nsd->nrs", query, photos, optimize=True).max(axis=2)
    return np.asarray((table[:, 0] + table[:, 1:].mean(axis=1)) / 2, dtype=np.float32)


def search_for(
    index: GeoIndex, queries: Sequence[ImageFeatures], k: int, near: Near | None = None
) -> Hits:
    """The k photos of an index most similar to each query, by regions where all have some."""
    known = [query.regions for query in queries if query.regions is not None]
    regions = np.stack(known) if len(known) == len(queries) else None
    return index.search(np.stack([query.vector for query in queries]), k, near, regions)


def stored_features_of(
    index: GeoIndex, id_: int, local: LocalFeatures | None = None
) -> ImageFeatures:
    """What an index holds of a photo, as of a query, with its `local` features where given."""
    regions = index.region_vectors([id_])[0] if index.regions else None
    return ImageFeatures(index.vectors([id_])[0], local, regions)


def search_by_regions(
    queries: Floats,
    k: int,
    search: Callable[[Floats, int], Hits],
    parts: Callable[[Sequence[int]], Floats],
) -> Hits:
    """The k photos most alike to each query `[Q, 1 + R, D]` by `similarity`, equals by lower id.

    `search` gives the photos most similar as a whole, of which the first SHORTLIST, and at least
    2k, are compared; `parts` gives vectors of theirs, `[N, 1 + S, D]`.
    """
    whole = search(queries[:, 0], max(SHORTLIST, 2 * k))
    k = min(k, whole.ids.shape[1])
    ids = np.empty((len(queries), k), dtype=np.int64)
    similarities = np.empty((len(queries), k), dtype=np.float32)
    for i, query in enumerate(queries):
        found = np.sort(whole.ids[i])
        values = similarity(query, parts(found.tolist()))
        best = np.argsort(-values, kind="stable")[:k]
        ids[i], similarities[i] = found[best], values[best]
    return Hits(ids, similarities)
