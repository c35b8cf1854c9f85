"""One level of HAF: from a tap of the trunk to its maps, mask and pooled vector.

Equation numbers are the paper's (ICASSP 2021, arXiv 2102.09186); `haf.py` joins the levels.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hafloc.nn.half_resolution import (
    Detection,
    HalfResolution,
    contributions,
    detect,
    pool_power,
    pool_power_and_detect,
    pool_power_regions,
    pool_sum,
    upsample,
)
from hafloc.nn.vgg import TAP_CHANNELS, TAP_STRIDES
from hafloc.nn.whitening import Whitening

LEVELS = ("low", "mid", "high")
MASK_STRIDE = 16
# Start of fusion's last layer: weights within about 0.1 of 1/2, and a gradient for the first layer.
FUSION_SPREAD = 0.01


@dataclass(frozen=True, slots=True)
class HAFOptions:
    """Every choice that the paper leaves open; triples are (low, mid, high).

    channels         n_l of the levels' responses
    head_kernel      1 or 3: the convolution in front of ReLU6
    asf              adaptive spatial fusion, or bilinear upsampling alone
    masks            attention masks, or 1 everywhere
    mask_filters     filters of a mask's 3×3, 5×5 and 7×7 convolutions; 0 leaves one out
    mask_stride      where masks are read: 16, or the tap's own (0)
    mask_upsampling  "bilinear", or "nearest": one value for all places of a cell of that stride
    detection        scores: D2-Net's "soft", "max" response, or "none" (uniform)
    pooling          "sum" of scored unit descriptors, or "gem", the responses' power mean
    power            start of p under "gem" (1 is the mean); learnable
    level_whitening  bring levels to one footing: "none", "centre", or "pca"
    level_sizes      dimensions kept of each level under "pca"
    level_weights    λ, at least 0, sum 1
    compact          dimensions that PCA leaves of the fused vector; 0 keeps no such PCA
    use_compact      whether the image vector is the compact one
    key_points       at most this many a photo
    local_features   at most this many compact key points a photo; 0: the network has none
    local_dimension  size of a compact descriptor
    longer_side      photos larger than this many pixels are reduced to it before describing
    """

    channels: tuple[int, int, int] = (384, 512, 256)
    head_kernel: Literal[1, 3] = 1
    asf: bool = True
    masks: bool = True
    mask_filters: tuple[int, int, int] = (32, 32, 20)
    mask_stride: Literal[0, 16] = 16
    mask_upsampling: Literal["bilinear", "nearest"] = "bilinear"
    detection: Detection = "max"
    pooling: Literal["sum", "gem"] = "gem"
    power: float = 3.0
    level_whitening: Literal["none", "centre", "pca"] = "pca"
    level_sizes: tuple[int, int, int] = (384, 512, 256)
    level_weights: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3)
    compact: int = 0
    use_compact: bool = False
    key_points: int = 1024
    local_features: int = 0
    local_dimension: int = 32
    longer_side: int = 640

    def __post_init__(self) -> None:
        if min(self.level_weights) < 0 or abs(sum(self.level_weights) - 1) > 1e-6:
            raise ValueError(f"level_weights must be at least 0 and sum to 1: {self.level_weights}")
        if min(self.mask_filters) < 0 or not any(self.mask_filters):
            raise ValueError(f"mask_filters must be at least 0, one above: {self.mask_filters}")
        if self.use_compact and not self.compact:
            raise ValueError("use_compact needs a compact size; set compact above 0")


class ContextMask(nn.Module):
    """Attention m of one level, in (0, 1): CRN's context modulation, read at `MASK_STRIDE`.

    `N×n×h×w` responses to `N×1×h×w`. Starts near 1/2 everywhere.
    """

    def __init__(self, channels: int, filters: tuple[int, int, int] = (32, 32, 20)) -> None:
        super().__init__()
        near, middle, far = filters
        self.near = nn.Conv2d(channels, near, 3, padding=1) if near else None
        self.middle = nn.Conv2d(channels, middle, 5, padding=2) if middle else None
        self.far = nn.Conv2d(channels, far, 7, padding=3) if far else None
        self.accumulate = nn.Conv2d(sum(filters), 1, 1)
        nn.init.normal_(self.accumulate.weight, std=1e-3)
        nn.init.zeros_(self.accumulate.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        mask: Tensor = self.logits(x).sigmoid()
        return mask

    def logits(self, x: Tensor) -> Tensor:
        """The mask before its sigmoid, `N×1×h×w`."""
        read = [reader(x) for reader in self.readers.values()]
        logits: Tensor = self.accumulate(F.relu(torch.cat(read, 1)))
        return logits

    @property
    def readers(self) -> dict[str, nn.Conv2d]:
        """The convolutions that read the level's responses, by name: those that the mask has."""
        every = {"near": self.near, "middle": self.middle, "far": self.far}
        return {name: reader for name, reader in every.items() if reader is not None}


class SpatialFusion(nn.Module):
    """AugFPN's adaptive spatial fusion: weights of the nearest and the bilinear upsampling.

    `N×n×h×w` responses to `N×2×h×w`, independent weights in (0, 1); starts near an even blend.
    Read at the tap's own resolution, so that no convolution runs on the upsampled maps.
    """

    def __init__(self, channels: int, hidden: int = 16) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.weigh = nn.Conv2d(hidden, 2, 3, padding=1)
        nn.init.normal_(self.weigh.weight, std=FUSION_SPREAD)
        nn.init.zeros_(self.weigh.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.weigh(F.relu(self.reduce(x))).sigmoid()
        return weights


class Reads(NamedTuple):
    """What one level makes of its tap, at the tap's own resolution.

    `responses` R `[N, n, h, w]` after ReLU6; `blend` `[N, 2, h, w]` of the spatial fusion and
    `mask` `[N, 1, U, V]` on the mask's own grid, or None where the level has none.
    """

    responses: Tensor
    blend: Tensor | None
    mask: Tensor | None


class Level(nn.Module):
    """One level from its tap to its maps F̂ and pooled vector."""

    def __init__(self, name: str, options: HAFOptions) -> None:
        super().__init__()
        index = LEVELS.index(name)
        self.stride = TAP_STRIDES[name]
        self.mask_stride = options.mask_stride or self.stride
        self.mask_upsampling = options.mask_upsampling
        channels = options.channels[index]
        kernel = options.head_kernel
        self.head = nn.Conv2d(TAP_CHANNELS[name], channels, kernel, padding=kernel // 2)
        self.fusion = SpatialFusion(channels) if options.asf else None
        self.mask = ContextMask(channels, options.mask_filters) if options.masks else None
        self.power: nn.Parameter | None = None
        if options.pooling == "gem":
            self.power = nn.Parameter(torch.tensor(float(options.power)))
        self.whitening: Whitening | None = None
        if options.level_whitening != "none":
            whole = options.level_whitening == "centre"
            size = channels if whole else options.level_sizes[index]
            self.whitening = Whitening(channels, size)

    def maps(self, tap: Tensor, size: tuple[int, int]) -> HalfResolution:
        """The tap's F̂ on the grid `size` = (⌈H/2⌉, ⌈W/2⌉); pooled from in float32."""
        return self.spread(self.read(tap), size)

    def read(self, tap: Tensor) -> Reads:
        """What head, fusion and mask make of the tap `[N, C, h, w]`."""
        responses = self.responses(tap)
        return Reads(
            responses,
            None if self.fusion is None else self.fusion(responses),
            None if self.mask is None else self.mask(self.mask_reads(responses)),
        )

    def spread(self, reads: Reads, size: tuple[int, int]) -> HalfResolution:
        """F̂ on the grid `size` from what `read` gave."""
        responses, blend, mask = reads
        if blend is not None:
            blend = upsample(blend.float(), self.stride // 2, size)
        if mask is None:
            mask = responses.new_ones((len(responses), *size), dtype=torch.float32)
        else:
            mask = self.upsample_mask(mask.float(), size)
        return HalfResolution(responses.float(), blend, mask, self.stride // 2)

    def responses(self, tap: Tensor) -> Tensor:
        """R of the tap `[N, C, h, w]`: the head's convolution and ReLU6, `[N, n, h, w]`."""
        return F.relu6(self._respond(tap), inplace=True)

    def mask_reads(self, responses: Tensor) -> Tensor:
        """What the mask reads: mean responses of each cell of `mask_stride`, `[N, n, U, V]`."""
        ratio = self.mask_stride // self.stride
        return F.avg_pool2d(responses, ratio, ceil_mode=True) if ratio > 1 else responses

    def upsample_mask(self, mask: Tensor, size: tuple[int, int]) -> Tensor:
        """The mask `[N, 1, U, V]` on the grid `size` of half resolution, `[N, h, w]`."""
        scale = self.mask_stride // 2
        if self.mask_upsampling == "bilinear":
            return upsample(mask, scale, size)[:, 0]
        sharp = mask[:, 0].repeat_interleave(scale, 1).repeat_interleave(scale, 2)
        return sharp[:, : size[0], : size[1]]

    def _respond(self, tap: Tensor) -> Tensor:
        """The head's convolution; a 1×1 is one matrix product over all places, and faster so."""
        if self.head.kernel_size != (1, 1):
            responses: Tensor = self.head(tap.contiguous(memory_format=torch.channels_last))
            return responses
        count, _, height, width = tap.shape
        weight = self.head.weight.flatten(1).T.expand(count, -1, -1)
        assert self.head.bias is not None
        rows = torch.baddbmm(self.head.bias, tap.flatten(2).transpose(1, 2), weight)
        return rows.view(count, height, width, -1).permute(0, 3, 1, 2)

    def pool(self, maps: HalfResolution, scores: Tensor | None) -> Tensor:
        """The level's vector v, `[N, n]`, of unit length under "gem"."""
        if self.power is not None:
            return F.normalize(pool_power(maps, self.power), dim=-1)
        assert scores is not None, "the sum needs detection scores"
        return pool_sum(maps, scores)

    def pool_regions(self, maps: HalfResolution) -> Tensor:
        """As `pool` under "gem", of the whole photo and of each region: `[N, 1 + R, n]`."""
        assert self.power is not None, "regions are power means"
        return F.normalize(pool_power_regions(maps, self.power), dim=-1)

    def pool_and_detect(self, maps: HalfResolution, detection: Detection) -> tuple[Tensor, Tensor]:
        """The level's vector as of `pool`, and scores (4), `[N, h, w]`.

        The scores carry a gradient only where the vector depends on them.
        """
        if self.power is not None and detection == "max":
            vector, scores = pool_power_and_detect(maps, self.power)
            return F.normalize(vector, dim=-1), scores
        with torch.set_grad_enabled(self.power is None and torch.is_grad_enabled()):
            scores = detect(maps, detection)
        return self.pool(maps, scores), scores

    def contributions(self, maps: HalfResolution, scores: Tensor) -> Tensor:
        """Each place's share in the level's vector, `[N, h, w]`: the scores where they pool."""
        return scores if self.power is None else contributions(maps, self.power)

    def whiten(self, vectors: Tensor) -> Tensor:
        """w = L2(Wh (v − μ)), `[N, d]`."""
        if self.whitening is None:
            return F.normalize(vectors, dim=-1)
        whitened: Tensor = self.whitening(vectors)
        return whitened
