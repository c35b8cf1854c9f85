"""HAF: hierarchical attention fusion for geo-localization (ICASSP 2021, arXiv 2102.09186).

Three levels of a VGG16 each get responses (1×1, ReLU6), adaptive spatial fusion to half the
image's resolution, an attention mask, unit descriptors and detection scores; pooled, whitened
and weighted they become one image vector. Equation numbers are the paper's.
"""

from collections.abc import Sequence

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
from hafloc.nn.haf_level import LEVELS, HAFOptions, Level
from hafloc.nn.half_resolution import HalfResolution, detect
from hafloc.nn.images import check_sides, on_processor, one_by_one, size_of, to_numpy
from hafloc.nn.local_features import (
    LocalHead,
    corners_beside,
    find_corners,
    sample,
    sample_all,
    to_int8,
)
from hafloc.nn.regions import REGIONS
from hafloc.nn.vgg import TAP_CHANNELS, TAP_STRIDES, VGG16, Taps
from hafloc.nn.whitening import Whitening

# Levels that describe compact key points; the high one is too coarse to tell neighbours apart.
LOCAL_LEVELS = ("low", "mid")


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

        So are those that the network has not. Images that lie where they were read cost a GPU no
        way back. Raises PhotoError for a side below 32 px.
        """
        check_sides(images)
        local = local and self.local is not None
        shown, images = images, images.to(self.device)
        if not local or on_processor(images):
            taps = self.taps(images)
            pooled = self._pooled(taps, size_of(images), regions=regions)
            points = self._local(images, taps) if local else [None] * len(images)
        else:
            with corners_beside(to_pixels(shown), self.options.local_features) as corners:
                taps = self.taps(images)
                pooled = self._pooled(taps, size_of(images), regions=regions)
                points = self._local_at([each.result() for each in corners], taps, images)
        # Copies of their own: views would keep the network's last large block alive.
        return [
            ImageFeatures(
                np.array(vectors[0], np.float32),
                found,
                np.array(vectors[1:], np.float32) if len(vectors) > 1 else None,
            )
            for vectors, found in zip(self.fuse(pooled).cpu().numpy(), points, strict=True)
        ]

    def _pooled(self, taps: Taps, size: tuple[int, int], *, regions: bool) -> dict[str, Tensor]:
        """The levels' vectors, of the whole photo and perhaps of its regions, `[N, 1 + R, n_l]`."""
        if regions and self.regions:
            maps = self.maps(taps, size)
            return {name: self.level(name).pool_regions(m) for name, m in maps.items()}
        return {name: v[:, None] for name, v in self.pool(taps, size).items()}

    def _local(self, images: Tensor, taps: Taps) -> list[LocalFeatures | None]:
        assert self.local is not None, "asked for"
        height, width = size_of(images)
        found: list[LocalFeatures | None] = []
        for i in range(len(images)):
            own = slice(i, i + 1)
            xy, responses = local_responses(
                images[own], Taps(*(tap[own] for tap in taps)), self.options.local_features
            )
            rows = to_int8(self.local(responses))
            found.append(LocalFeatures(to_numpy(xy), rows, (width, height)))
        return found

    def _local_at(
        self, corners: list[NDArray[np.float32]], taps: Taps, images: Tensor
    ) -> list[LocalFeatures | None]:
        """As `_local`, of all images at once: for a device that is slow to be asked."""
        assert self.local is not None, "asked for"
        height, width = size_of(images)
        most = max(len(xy) for xy in corners)
        if most == 0:
            return self._local(images, taps)
        filled = np.zeros((len(corners), most, 2), np.float32)
        for row, xy in zip(filled, corners, strict=True):
            row[: len(xy)] = xy
        places = torch.from_numpy(filled).to(images.device)
        responses = [
            sample_all(getattr(taps, name).float(), places, TAP_STRIDES[name]).flatten(0, 1)
            for name in LOCAL_LEVELS
        ]
        rows = to_int8(self.local(responses)).reshape(len(corners), most, -1)
        return [
            LocalFeatures(xy, np.array(own[: len(xy)]), (width, height))
            for xy, own in zip(corners, rows, strict=True)
        ]

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


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """Images `N×3×H×W` as they are shown, `N×H×W×3`, on the processor."""
    shown = images.permute(0, 2, 3, 1)
    if images.dtype != torch.uint8:
        shown = shown.round().clamp(0, 255)
    pixels: NDArray[np.uint8] = shown.to("cpu", torch.uint8).numpy()
    return pixels


def local_responses(image: Tensor, taps: Taps, count: int) -> tuple[Tensor, list[Tensor]]:
    """Compact key points of a batch of one, and what LOCAL_LEVELS respond there.

    At most `count` pixels `[M, 2]`, strongest first, and `[M, n]` of each level.
    """
    xy = torch.from_numpy(find_corners(to_pixels(image)[0], count)).to(image.device)
    return xy, [sample(getattr(taps, name).float(), xy, TAP_STRIDES[name]) for name in LOCAL_LEVELS]
