"""A network whose photos are compared by their regions too, as an index with regions does."""

import numpy as np
from numpy.typing import NDArray

from hafloc.describe import Describer
from hafloc.errors import EvaluationError
from hafloc.evaluate.protocol import Ints
from hafloc.index import Hits, search_by_regions
from hafloc.measure import search

Floats = NDArray[np.float32]


class WithRegions:
    """A describer as an evaluated network: its vector `[(1 + R) · D]` is those of the whole image
    and its R regions one after the other, of unit length together."""

    def __init__(self, describer: Describer) -> None:
        """Raises EvaluationError where the network has no regions."""
        if not describer.regions:
            raise EvaluationError(f"{describer.name} has no vectors of regions; leave them out")
        self._describer = describer
        self.name = describer.name
        self.hash = describer.hash
        self.options = describer.options
        self.runtime = describer.runtime
        self.longer_side = describer.longer_side
        self.parts = 1 + describer.regions
        self.dimension = self.parts * describer.dimension

    def vector(self, image: NDArray[np.uint8]) -> Floats:
        """The vectors of the whole image and its regions, one after the other."""
        seen = self._describer.features(image, local=False)
        assert seen.regions is not None, "asked for"
        every = np.concatenate([seen.vector, seen.regions.ravel()])
        return np.asarray(every / np.float32(self.parts**0.5), dtype=np.float32)


def split(vectors: Floats, parts: int) -> Floats:
    """Vectors as of `WithRegions` `[N, P · D]` as unit vectors of their parts, `[N, P, D]`."""
    return vectors.reshape(len(vectors), parts, -1) * np.float32(parts**0.5)


def search_parts(
    database: Floats, queries: Floats, k: int | None, parts: int
) -> tuple[Ints, Floats]:
    """As `measure.search`, by regions: `[N, P · D]`, `[Q, P · D]` to rows and similarities."""
    photos = split(database, parts)
    whole = np.ascontiguousarray(photos[:, 0])
    hits = search_by_regions(
        split(queries, parts),
        len(whole) if k is None else k,
        lambda vectors, most: Hits(*search(whole, vectors, most)),
        lambda rows: photos[np.asarray(rows)],
    )
    return hits.ids, hits.similarities
