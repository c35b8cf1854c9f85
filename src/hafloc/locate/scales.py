"""A query as it is and at half its size: what it shows may be closer than in the database.

A part cut out of a photo, or a photo taken from nearer by, shows the same things larger. Reduced
to half, they come near the size at which the database knows them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from hafloc.description import FeatureMaker, ImageFeatures
from hafloc.index import GeoIndex, Near, search_for

# A half of fewer pixels a side shows too little.
_LEAST_SIDE = 64
# By how much similarity the half must be ahead: most photos are neither cut nor closer, and
# calibration learns from queries as they are.
MARGIN = 0.02


@dataclass(frozen=True, slots=True)
class Found:
    """One of a query's most similar photos: its `similarity`, best of the query's scales, and the
    number of that scale."""

    id: int
    similarity: float
    scale: int


def at_scales(
    describer: FeatureMaker, image: NDArray[np.uint8], *, local: bool, regions: bool
) -> list[ImageFeatures]:
    """The features of an image, and, with `regions`, those of its half. Raises PhotoError."""
    found = [describer.features(image, local=local, regions=regions)]
    height, width = image.shape[:2]
    ratio = min(1.0, describer.longer_side / max(height, width)) / 2
    size = round(width * ratio), round(height * ratio)
    if found[0].regions is not None and min(size) >= _LEAST_SIDE:
        half = Pillow.fromarray(image).resize(size, Pillow.Resampling.LANCZOS)
        found.append(describer.features(np.array(half), local=local, regions=True))
    return found


def search_scales(
    index: GeoIndex, query: Sequence[ImageFeatures], k: int, near: Near | None = None
) -> list[Found]:
    """The k photos most similar to a query at one of its scales, equals by lower id."""
    best: dict[int, Found] = {}
    hits = search_for(index, query, k, near)
    for scale, (ids, values) in enumerate(zip(hits.ids, hits.similarities, strict=True)):
        for id_, value in zip(ids.tolist(), values.tolist(), strict=True):
            similarity = value - MARGIN * (scale > 0)
            if id_ not in best or similarity > best[id_].similarity:
                best[id_] = Found(id_, similarity, scale)
    return sorted(best.values(), key=lambda found: (-found.similarity, found.id))[:k]
