"""SuperPoint (DeTone et al., CVPRW 2018, arXiv 1712.07629) with an image vector, as HAF's rival.

A small encoder of grey images feeds a detector, with one score a pixel, and a 256-D descriptor.
SuperPoint has no image vector; here it is the score-weighted sum of the descriptors. No pretrained
weights come with it: it starts from random (He) weights and learns under HAF's own setup.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hafloc.description import Description, KeyPoints
from hafloc.nn import key_points
from hafloc.nn.images import check_sides, one_by_one, size_of, to_numpy
from hafloc.nn.whitening import Whitening

CELL = 8
DIMENSION = 256
ENCODER = {
    "conv1a": (1, 64),
    "conv1b": (64, 64),
    "conv2a": (64, 64),
    "conv2b": (64, 64),
    "conv3a": (64, 128),
    "conv3b": (128, 128),
    "conv4a": (128, 128),
    "conv4b": (128, 128),
}
POOLED = ("conv2a", "conv3a", "conv4a")
# ITU-R BT.601 luma of red, green and blue.
LUMA = (0.299, 0.587, 0.114)
# Rows of cells whose descriptors are upsampled at once: 256 × 8 × 8 values a cell add up.
BAND = 4
# Cells that bicubic interpolation reaches beyond a cell's own.
REACH = 2


@dataclass(frozen=True, slots=True)
class SuperPointOptions:
    """SuperPoint's own choices.

    size         dimensions kept by whitening, at most 256; 0 leaves the plain 256-D vector
    key_points   at most this many a photo
    longer_side  photos larger than this many pixels are reduced to it before describing
    """

    size: int = 256
    key_points: int = 1024
    longer_side: int = 640

    def __post_init__(self) -> None:
        if not 0 <= self.size <= DIMENSION:
            raise ValueError(f"size must be 0 to {DIMENSION}, not {self.size:,}")


@dataclass(frozen=True, slots=True)
class PixelMaps:
    """One image's only level, at full resolution: what the loss (5) reads.

    `score` s `[H, W]` sums to 1; `cells` `[256, ⌈H/8⌉, ⌈W/8⌉]` are descriptors before upsampling.
    """

    score: Tensor
    cells: Tensor

    def scores(self) -> Tensor:
        """Detection scores s `[H, W]`, without gradient."""
        return self.score.detach()

    def described(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Descriptors `[K, 256]` and s `[K]` at flat places `[K]`, with gradient."""
        return self.descriptors(places), self.score.flatten()[places]

    def descriptors(self, places: Tensor) -> Tensor:
        """Unit descriptors d at flat places `[K]` of the pixels: `[K, 256]`, with gradient."""
        height, width = self.cells.shape[1:]
        across = self.score.shape[1]
        pixels = torch.stack([places % across, torch.div(places, across, rounding_mode="floor")], 1)
        # grid_sample counts from -1 to 1 over the cells' whole area.
        corners = pixels.new_tensor([width * CELL, height * CELL])
        grid = ((2 * pixels + 1) / corners - 1).to(self.cells.dtype)
        sampled = F.grid_sample(
            self.cells[None], grid[None, None], "bicubic", "border", align_corners=False
        )
        return F.normalize(sampled[0, :, 0].T, dim=1)


class SuperPoint(nn.Module):
    """The network; see the module's head. Images are `N×3×H×W`, RGB 0..255, sides ≥ 32 px."""

    name = "superpoint"

    def __init__(self, options: SuperPointOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or SuperPointOptions()
        self.encoder = nn.ModuleDict(
            {name: nn.Conv2d(i, o, 3, padding=1) for name, (i, o) in ENCODER.items()}
        )
        self.detector = nn.Sequential(
            nn.Conv2d(128, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, CELL * CELL + 1, 1)
        )
        self.descriptor = nn.Sequential(
            nn.Conv2d(128, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, DIMENSION, 1)
        )
        self.whitening = Whitening(DIMENSION, options.size) if options.size else None
        self.raw_dimension = DIMENSION
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)
        self.initialise(None)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None) -> None:
        """Draw all weights anew (He et al., ICCV 2015); biases are 0."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                drawn = torch.empty(layer.weight.shape)
                nn.init.kaiming_normal_(drawn, nonlinearity="relu", generator=generator)
                layer.weight.copy_(drawn)
                assert layer.bias is not None
                layer.bias.zero_()

    @property
    def dimension(self) -> int:
        """Length D of the image vector."""
        return self.options.size or DIMENSION

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def dense(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Scores s `[N, H, W]`, each image's summing to 1, and cells `[N, 256, ⌈H/8⌉, ⌈W/8⌉]`.

        Cells are descriptors before upsampling. Raises PhotoError for a side below 32 px.
        """
        check_sides(images)
        height, width = size_of(images)
        luma = self.get_buffer("luma")
        x = (images.to(luma.dtype) * luma).sum(1, keepdim=True) / 255
        for name, layer in self.encoder.items():
            if name in POOLED:
                x = F.max_pool2d(x, 2, ceil_mode=True)
            x = F.relu(layer(x), inplace=True)
        # The last of the 65 channels is the dustbin: no point in this cell.
        inside = self.detector(x).float().softmax(1)[:, :-1]
        scores = F.pixel_shuffle(inside, CELL)[:, 0, :height, :width]
        return scores / scores.sum((1, 2), keepdim=True), self.descriptor(x).float()

    def pool(self, scores: Tensor, cells: Tensor) -> Tensor:
        """Unit vectors before whitening, `[N, 256]`: Σ s d over all pixels, then L2."""
        return F.normalize(pool_pixels(scores, cells), dim=1)

    def compact(self, vectors: Tensor) -> Tensor:
        """Vectors of `pool` whitened, `[N, D]`, where the options say so."""
        if self.whitening is None:
            return vectors
        whitened: Tensor = self.whitening(vectors)
        return whitened

    def forward(self, images: Tensor) -> Tensor:
        """Image vectors `[N, D]` of unit length."""
        return self.compact(self.pool(*self.dense(images)))

    @torch.inference_mode()
    def describe(self, images: Tensor | Sequence[NDArray[np.uint8]]) -> list[Description]:
        """Descriptions of a batch `N×3×H×W`, or of `H×W×3` arrays of any sizes.

        Raises PhotoError for a side below 32 px.
        """
        return [self._describe(image) for image in one_by_one(images, self.device)]

    def _describe(self, image: Tensor) -> Description:
        height, width = size_of(image)
        scores, cells = self.dense(image)
        halved = F.avg_pool2d(scores, 2, ceil_mode=True)[0]
        return Description(
            vector=to_numpy(self.compact(self.pool(scores, cells))[0]),
            size=(width, height),
            levels={},
            fused_score=to_numpy(halved / halved.mean()),
            key_points=self._key_points(PixelMaps(scores[0], cells[0])),
        )

    def _key_points(self, maps: PixelMaps) -> KeyPoints:
        score = maps.score * maps.score.numel()
        # Radius 4 is SuperPoint's own suppression.
        places, xy, strengths = key_points.find(
            score, count=self.options.key_points, radius=4, cell=64
        )
        descriptors = maps.descriptors(places)
        return KeyPoints(to_numpy(xy), to_numpy(strengths), to_numpy(descriptors))


def pool_pixels(scores: Tensor, cells: Tensor) -> Tensor:
    """Σ s d, `[N, 256]`: unit descriptors of all pixels weighted by their scores.

    Descriptors of a whole photo at full resolution take hundreds of megabytes: they are made band
    by band, and made again for the gradient rather than kept.
    """
    total = cells.new_zeros(cells.shape[:2])
    for band in _bands(cells.shape[2]):
        if torch.is_grad_enabled():
            part = checkpoint(_pool_band, scores, cells, band, use_reentrant=False)
        else:
            part = _pool_band(scores, cells, band)
        assert isinstance(part, Tensor)
        total = total + part
    return total


def _bands(rows: int) -> Iterator[tuple[int, int]]:
    for top in range(0, rows, BAND):
        yield top, min(top + BAND, rows)


def _pool_band(scores: Tensor, cells: Tensor, band: tuple[int, int]) -> Tensor:
    """The part of Σ s d from the pixels of cell rows `band` (first, one after the last)."""
    top, bottom = band
    first, last = max(top - REACH, 0), min(bottom + REACH, cells.shape[2])
    weights = scores[:, CELL * top : CELL * bottom]
    dense = F.interpolate(
        cells[:, :, first:last], scale_factor=CELL, mode="bicubic", align_corners=False
    )
    start = CELL * (top - first)
    dense = dense[:, :, start : start + weights.shape[1], : weights.shape[2]]
    weights = weights / dense.norm(dim=1).clamp(min=1e-12)
    return torch.einsum("ncyx,nyx->nc", dense, weights)
