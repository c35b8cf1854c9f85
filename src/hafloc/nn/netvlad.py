"""NetVLAD (Arandjelović et al., CVPR 2016, arXiv 1511.07247) on VGG16's conv5_3.

Each place of conv5_3, before its ReLU and scaled to unit length, is softly assigned to K centres;
its residuals to them are summed, normalised per centre and as a whole, and whitened.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from hafloc.description import Description, KeyPoints
from hafloc.nn import key_points
from hafloc.nn.half_resolution import upsample
from hafloc.nn.images import check_sides, one_by_one, size_of, to_numpy
from hafloc.nn.k_means import k_means
from hafloc.nn.vgg import VGG16
from hafloc.nn.whitening import Whitening

CHANNELS = 512
STRIDE = 16
# The second nearest centre's assignment relative to the nearest's, on average, at the start.
SECOND_TO_FIRST = 0.01


@dataclass(frozen=True, slots=True)
class NetVLADOptions:
    """NetVLAD's own choices.

    clusters     K centres
    size         dimensions kept by whitening; 0 leaves the K × C of the plain vector
    key_points   at most this many a photo
    longer_side  photos larger than this many pixels are reduced to it before describing
    """

    clusters: int = 64
    size: int = 256
    key_points: int = 1024
    longer_side: int = 640

    def __post_init__(self) -> None:
        if self.clusters < 1:
            raise ValueError(f"clusters must be at least 1, not {self.clusters:,}")
        largest = self.clusters * self.place_size
        if not 0 <= self.size <= largest:
            raise ValueError(
                f"size must be 0 to {largest:,} for {self.clusters:,} clusters, not {self.size:,}"
            )

    @property
    def place_size(self) -> int:
        """Channels C of a place's descriptor."""
        return CHANNELS


class VLAD(nn.Module):
    """Soft assignment and residual sums over one map of local descriptors.

    Assignment and centres are parameters of their own, as in NetVLAD; both are zero until
    `initialise`, which training must call (zeros keep all clusters alike for ever).
    """

    def __init__(self, clusters: int, channels: int = CHANNELS) -> None:
        super().__init__()
        self.assignment = nn.Parameter(torch.zeros(clusters, channels))
        self.centres = nn.Parameter(torch.zeros(clusters, channels))

    @torch.no_grad()
    def initialise(self, descriptors: Tensor, generator: torch.Generator) -> None:
        """Centres by k-means on unit descriptors `[M, C]`; assignment α · centre / ‖centre‖.

        α makes the assignment of the second-best centre about 1 % of the best one's. Raises
        ValueError for fewer descriptors than clusters.
        """
        centres = k_means(descriptors, len(self.centres), generator)
        directions = F.normalize(centres, dim=1)
        self.centres.copy_(centres)
        alpha = 1.0
        if len(centres) > 1:
            best = (descriptors @ directions.T).topk(2, dim=1).values
            gap = (best[:, 0] - best[:, 1]).mean().clamp(min=1e-6)
            alpha = -math.log(SECOND_TO_FIRST) / float(gap)
        self.assignment.copy_(alpha * directions)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Unit vectors `[N, K·C]`, centre by centre, of features `N×C×h×w`.

        `mask` `[N, h, w]`, at least 0, multiplies every assignment of its place.
        """
        x = F.normalize(features.flatten(2), dim=1)
        return F.normalize(F.normalize(self._sums(x, self._assign(x, mask)), dim=2).flatten(1))

    def shares(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """What each place gives to the unit vector v, `[N, h, w]`; an image's shares sum to 1.

        A place's share is the dot product of v with the place's own residuals as they enter v.
        """
        x = F.normalize(features.flatten(2), dim=1)
        assigned = self._assign(x, mask)
        sums = self._sums(x, assigned)
        lengths = sums.norm(dim=2, keepdim=True).clamp(min=1e-12)
        directions = sums / lengths
        whole = directions.square().sum((1, 2), keepdim=True).clamp(min=1e-12)
        pull = directions / lengths / whole
        dots = pull @ x - (pull * self.centres).sum(2, keepdim=True)
        shares: Tensor = (assigned * dots).sum(1)
        return shares.view(len(features), *features.shape[2:])

    def _assign(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Soft assignments `[N, K, P]` of unit descriptors `[N, C, P]`."""
        assigned = (self.assignment @ x).softmax(1)
        return assigned if mask is None else assigned * mask.flatten(1)[:, None]

    def _sums(self, x: Tensor, assigned: Tensor) -> Tensor:
        """Residual sums Σ_i a_k(x_i) (x_i − c_k): `[N, K, C]`."""
        sums = assigned @ x.transpose(1, 2)
        return sums - assigned.sum(2, keepdim=True) * self.centres


class NetVLAD(nn.Module):
    """The network; see the module's head. Images are `N×3×H×W`, RGB 0..255, sides ≥ 32 px."""

    name = "netvlad"
    stride = STRIDE  # of places, in pixels

    def __init__(self, options: NetVLADOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or NetVLADOptions()
        self.trunk = VGG16()
        self.vlad = VLAD(options.clusters, options.place_size)
        self.raw_dimension = options.clusters * options.place_size
        self.whitening = Whitening(self.raw_dimension, options.size) if options.size else None

    @property
    def dimension(self) -> int:
        """Length D of the image vector."""
        return self.options.size or self.raw_dimension

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def features(self, images: Tensor) -> Tensor:
        """conv5_3 before its ReLU, `N×512×⌈H/16⌉×⌈W/16⌉`. Raises PhotoError for a short side."""
        check_sides(images)
        return self.trunk.before_last_relu("conv1_1", self.trunk.centre(images))

    def weights(self, features: Tensor) -> Tensor | None:
        """What multiplies each place's assignments, `[N, h, w]`; None where all count alike."""
        return None

    def pool(self, features: Tensor) -> Tensor:
        """Unit vectors before whitening, `[N, K·C]`, which training compares."""
        mask = self.weights(features)
        # Assignments are exponentials of large products: bf16 would round them to others.
        with torch.autocast(features.device.type, enabled=False):
            vectors: Tensor = self.vlad(features.float(), None if mask is None else mask.float())
        return vectors

    def compact(self, vectors: Tensor) -> Tensor:
        """Vectors of `pool` whitened, `[N, D]`, where the options say so."""
        if self.whitening is None:
            return vectors
        whitened: Tensor = self.whitening(vectors)
        return whitened

    def forward(self, images: Tensor) -> Tensor:
        """Image vectors `[N, D]` of unit length."""
        return self.compact(self.pool(self.features(images)))

    @torch.inference_mode()
    def describe(self, images: Tensor | Sequence[NDArray[np.uint8]]) -> list[Description]:
        """Descriptions of a batch `N×3×H×W`, or of `H×W×3` arrays of any sizes.

        `fused_score` shows each place's share in the vector, negative ones as 0; key points are
        its maxima on the places' grid. Raises PhotoError for a side below 32 px.
        """
        return [self._describe(image) for image in one_by_one(images, self.device)]

    def _describe(self, image: Tensor) -> Description:
        height, width = size_of(image)
        features = self.features(image)
        shares = self.vlad.shares(features.float(), self.weights(features)).clamp(min=0)
        score = shares / shares.mean().clamp(min=1e-30)
        grid = (-(-height // 2), -(-width // 2))
        fused = upsample(score[:, None], self.stride // 2, grid)[0, 0]
        return Description(
            vector=to_numpy(self.compact(self.pool(features))[0]),
            size=(width, height),
            levels={},
            fused_score=to_numpy(fused / fused.mean().clamp(min=1e-30)),
            key_points=self._key_points(score[0], features[0].float(), (height, width)),
        )

    def _key_points(self, score: Tensor, features: Tensor, size: tuple[int, int]) -> KeyPoints:
        places, xy, strengths = key_points.find(
            score, count=self.options.key_points, radius=1, cell=4
        )
        # The last places of odd sizes reach over the image's border.
        border = xy.new_tensor([size[1] - 1, size[0] - 1])
        pixels = (self.stride * (xy + 0.5) - 0.5).clamp(min=0).minimum(border)
        descriptors = F.normalize(features.flatten(1)[:, places].T, dim=1)
        return KeyPoints(to_numpy(pixels), to_numpy(strengths), to_numpy(descriptors))
