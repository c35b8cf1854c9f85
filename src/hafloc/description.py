"""What a network says of one image, and what asks it: shared by later floors, without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LevelDescription:
    """One level's part: pooled vector `[n_l]`, and maps over the half-resolution grid `[h, w]`.

    `score` is the detection score s of equation (4) and sums to 1; `mask` is the attention m
    of equation (1), in (0, 1); `contribution` is each place's share in what is pooled into
    `vector`, and sums to 1.
    """

    vector: Array
    score: Array
    mask: Array
    contribution: Array


@dataclass(frozen=True, slots=True)
class KeyPoints:
    """M places that stand out, strongest first.

    `xy` `[M, 2]` in pixels of the described image (x right, y down, centres at integers),
    `score` `[M]`, `descriptors` `[M, C]` with unit rows.
    """

    xy: Array
    score: Array
    descriptors: Array

    def __len__(self) -> int:
        return len(self.xy)


@dataclass(frozen=True, slots=True)
class Description:
    """One image as a network sees it.

    `vector` `[D]` has unit length; nearest image = largest dot product. `size` is the
    described image's `(width, height)` in pixels. `fused_score` `[h, w]` is the mean over the
    grid 1: Σ λ_l s_l · hw. `fused_contribution` is the same of the levels' contributions; None
    where the scores are what pools. Networks without levels leave `levels` empty.
    """

    vector: Array
    size: tuple[int, int]
    levels: Mapping[str, LevelDescription]
    fused_score: Array
    key_points: KeyPoints
    fused_contribution: Array | None = None

    @property
    def attention(self) -> Array:
        """Where the image vector comes from, `[h, w]` with mean 1."""
        return self.fused_score if self.fused_contribution is None else self.fused_contribution


@dataclass(frozen=True, slots=True)
class LocalFeatures:
    """Key points compact enough to be stored beside an image vector: M places, strongest first.

    `xy` `[M, 2]` in pixels of the described image, whose (width, height) is `size`;
    `descriptors` `[M, D]` int8 are directions: only the angle between two rows counts.
    """

    xy: Array
    descriptors: NDArray[np.int8]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.xy)


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """What one image is found and verified by.

    `vector` `[D]` of the whole image and `regions` `[R, D]` of its parts have unit length. `local`
    or `regions` are None where the network has none, or none were asked for.
    """

    vector: Array
    local: LocalFeatures | None = None
    regions: Array | None = None


class FeatureMaker(Protocol):
    """What locating and indexing need of `hafloc.describe.Describer`.

    Images are upright RGB `H×W×3` uint8, of any size. What is not asked for may be left out.
    """

    longer_side: int

    def features(
        self, image: NDArray[np.uint8], *, local: bool = True, regions: bool = True
    ) -> ImageFeatures: ...
