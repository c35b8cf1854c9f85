"""HAF: hierarchical attention fusion for geo-localization (ICASSP 2021, arXiv 2102.09186).

Three levels of a VGG16 each get responses (1×1, ReLU6), adaptive spatial fusion to half the
image's resolution, an attention mask, unit descriptors and detection scores; pooled, whitened
and weighted they become one image vector. Equation numbers are the paper's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from hafloc.description import (
    Description,
    ImageFeatures,
    KeyPoints,
    LevelDescription,
    LocalFeatures,
)
from hafloc.nn import key_points
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
from hafloc.nn.images import check_sides, one_by_one, size_of, to_numpy
from hafloc.nn.local_features import LocalHead, find_corners, sample, to_int8
from hafloc.nn.regions import REGIONS
from hafloc.nn.vgg import TAP_CHANNELS, TAP_STRIDES, VGG16, Taps
from hafloc.nn.whitening import Whitening

LEVELS = ("low", "mid", "high")
MASK_STRIDE = 16
# Levels that describe compact key points; the high one is too coarse to tell neighbours apart.
LOCAL_LEVELS = ("low", "mid")
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


class HAF(nn.Module):
    """The network; see the module's head. Images are `N×3×H×W`, RGB 0..255, sides ≥ 32 px."""

    name = "haf"

    def __init__(self, options: HAFOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or HAFOptions()
        self.trunk = VGG16()
        self.levels = nn.ModuleDict({name: Level(name, options) for name in LEVELS})
        widths = options.level_sizes if options.level_whitening == "pca" else options.channels
        self.full_dimension = sum(widths)
        self.compact = Whitening(self.full_dimension, options.compact) if options.compact else None
        self.local: LocalHead | None = None
        if options.local_features:
            channels = [TAP_CHANNELS[name] for name in LOCAL_LEVELS]
            self.local = LocalHead(channels, options.local_dimension)

    @property
    def dimension(self) -> int:
        """Length D of the image vector."""
        return self.options.compact if self.options.use_compact else self.full_dimension

    def level(self, name: str) -> Level:
        level = self.levels[name]
        assert isinstance(level, Level)
        return level

    def taps(self, images: Tensor) -> Taps:
        taps: Taps = self.trunk(images)
        return taps

    def maps(self, taps: Taps, size: tuple[int, int]) -> dict[str, HalfResolution]:
        """Each level's F̂ for images of `size` (H, W) pixels."""
        grid = (-(-size[0] // 2), -(-size[1] // 2))
        return {
            name: self.level(name).maps(tap, grid) for name, tap in zip(LEVELS, taps, strict=True)
        }

    def fuse(self, vectors: dict[str, Tensor]) -> Tensor:
        """The image vector `[N, D]` from the levels' vectors v_l: full, or compact if so chosen."""
        fused = self.fuse_full(vectors)
        if self.options.use_compact:
            assert self.compact is not None, "use_compact needs a compact size"
            fused = self.compact(fused)
        return fused

    def fuse_full(self, vectors: dict[str, Tensor]) -> Tensor:
        """v = [√λ_low w_low, √λ_mid w_mid, √λ_high w_high], unit length."""
        parts = [
            self.level(name).whiten(vectors[name]) * weight**0.5
            for name, weight in zip(LEVELS, self.options.level_weights, strict=True)
        ]
        return F.normalize(torch.cat(parts, -1), dim=-1)

    def level_vectors(self, images: Tensor) -> dict[str, Tensor]:
        """The levels' pooled vectors before whitening, `[N, n_l]` each."""
        check_sides(images)
        return self.pool(self.taps(images), size_of(images))

    def pool(self, taps: Taps, size: tuple[int, int]) -> dict[str, Tensor]:
        """The levels' vectors from the taps of images of `size` (H, W) pixels."""
        maps = self.maps(taps, size)
        return {name: self.level(name).pool(m, self._scores(m)) for name, m in maps.items()}

    def _scores(self, maps: HalfResolution) -> Tensor | None:
        return detect(maps, self.options.detection) if self.options.pooling == "sum" else None

    def forward(self, images: Tensor) -> Tensor:
        """Image vectors `[N, D]` of unit length, without what only a full description needs."""
        return self.fuse(self.level_vectors(images))

    @property
    def regions(self) -> int:
        """How many regions of a photo can have a vector of their own; 0 under sum pooling."""
        return len(REGIONS) if self.options.pooling == "gem" else 0

    @torch.inference_mode()
    def features(self, images: Tensor, *, local: bool, regions: bool) -> list[ImageFeatures]:
        """What N images are found and verified by, from one pass; parts not asked for are None.

        So are those that the network has not. Raises PhotoError for a side below 32 px.
        """
        check_sides(images)
        size = size_of(images)
        taps = self.taps(images)
        if regions and self.regions:
            maps = self.maps(taps, size)
            pooled = {name: self.level(name).pool_regions(m) for name, m in maps.items()}
        else:
            pooled = {name: v[:, None] for name, v in self.pool(taps, size).items()}
        found = []
        for i, vectors in enumerate(self.fuse(pooled).cpu().numpy()):
            # Copies of their own: views would keep the network's last large block alive.
            own = slice(i, i + 1)
            found.append(
                ImageFeatures(
                    np.array(vectors[0], np.float32),
                    self._local(images[own], Taps(*(tap[own] for tap in taps))) if local else None,
                    np.array(vectors[1:], np.float32) if len(vectors) > 1 else None,
                )
            )
        return found

    def _local(self, image: Tensor, taps: Taps) -> LocalFeatures | None:
        if self.local is None:
            return None
        height, width = size_of(image)
        xy, responses = local_responses(image, taps, self.options.local_features)
        return LocalFeatures(to_numpy(xy), to_int8(self.local(responses)), (width, height))

    @torch.inference_mode()
    def describe(self, images: Tensor | Sequence[NDArray[np.uint8]]) -> list[Description]:
        """Full descriptions of a batch `N×3×H×W`, or of `H×W×3` arrays of any sizes.

        Raises PhotoError for a side below 32 px.
        """
        return [self._describe(image) for image in one_by_one(images, self.device)]

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def _describe(self, image: Tensor) -> Description:
        check_sides(image)
        height, width = size_of(image)
        maps = self.maps(self.taps(image), (height, width))
        vectors, scores, parts = {}, {}, {}
        for name, m in maps.items():
            vectors[name], scores[name] = self.level(name).pool_and_detect(
                m, self.options.detection
            )
            parts[name] = self.level(name).contributions(m, scores[name])
        fused = self._weighted(scores)
        return Description(
            vector=to_numpy(self.fuse(vectors)[0]),
            size=(width, height),
            levels={
                name: LevelDescription(
                    to_numpy(vectors[name][0]),
                    to_numpy(scores[name][0]),
                    to_numpy(maps[name].mask[0]),
                    to_numpy(parts[name][0]),
                )
                for name in LEVELS
            },
            fused_score=to_numpy(fused),
            key_points=self._key_points(fused, maps),
            fused_contribution=to_numpy(self._weighted(parts)),
        )

    def _weighted(self, shares: dict[str, Tensor]) -> Tensor:
        """Σ λ_l of the levels' shares `[1, h, w]` of one image, mean 1: `[h, w]`."""
        weighted = zip(self.options.level_weights, shares.values(), strict=True)
        total = sum((w * s[0] for w, s in weighted), torch.zeros(()))
        assert isinstance(total, Tensor)
        return total * total.numel()

    def _key_points(self, fused: Tensor, maps: dict[str, HalfResolution]) -> KeyPoints:
        places, xy, strengths = key_points.find(
            fused, count=self.options.key_points, radius=2, cell=32
        )
        parts = [
            F.normalize(maps[name].at(places[None])[0], dim=-1) * weight**0.5
            for name, weight in zip(LEVELS, self.options.level_weights, strict=True)
        ]
        descriptors = F.normalize(torch.cat(parts, -1), dim=-1)
        # A place of the half-resolution grid covers two pixels; their common centre lies between.
        return KeyPoints(to_numpy(2 * xy + 0.5), to_numpy(strengths), to_numpy(descriptors))


def local_responses(image: Tensor, taps: Taps, count: int) -> tuple[Tensor, list[Tensor]]:
    """Compact key points of a batch of one, and what LOCAL_LEVELS respond there.

    At most `count` pixels `[M, 2]`, strongest first, and `[M, n]` of each level.
    """
    pixels = image[0].permute(1, 2, 0).round().clamp(0, 255).to("cpu", torch.uint8).numpy()
    xy = torch.from_numpy(find_corners(pixels, count)).to(image.device)
    return xy, [sample(getattr(taps, name).float(), xy, TAP_STRIDES[name]) for name in LOCAL_LEVELS]
