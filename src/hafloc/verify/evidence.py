"""What speaks for a candidate: how alike the photos look, and what geometry confirms."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Geometry = Literal["", "homography", "fundamental"]
Size = tuple[int, int]
# Of the query and of the candidate.
Sizes = tuple[Size, Size]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for one candidate `id` of a query.

    `similarity` is the dot product of the image vectors. `matches` counts the key points that
    are each other's nearest, `inliers` those of them that one `geometry` explains ("" where none
    was found). `pairs` `[inliers, 4]` are their x, y in the query's and x, y in the candidate's
    described pixels, `sizes` the (width, height) of both. `strength` is the log-odds that the
    candidate shows the query's place, by the learned rule; candidates are ranked by it. Where key
    points could not be compared, because there are none or the candidate's file is gone,
    `verified` is false, `sizes` is None, and only the similarity speaks.
    """

    id: int
    similarity: float
    matches: int
    inliers: int
    geometry: Geometry
    pairs: NDArray[np.float32]
    strength: float
    verified: bool = True
    sizes: Sizes | None = None
