"""HAF over many images at once, pooled as `HAF.forward` does or from some of its places."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from hafloc.nn import HAF, LEVELS, Whitening
from hafloc.nn.half_resolution import upsample
from hafloc.nn.vgg import LAYERS
from views.photos import Photos

PHASES = {"low": 2, "mid": 4, "high": 6}  # places a tap and step, of 4, 16 and 64
CHUNK = 48  # images whose maps are held at once
TAPS_OF = {"low": "conv3_2", "mid": "conv4_3", "high": "conv5_3"}


def phase(maps: Tensor, scale: int, dy: int, dx: int) -> Tensor:
    """Bilinear upsampling by `scale`, of which only places (dy, dx) of each tap: `N×C×h×w`."""

    def along(x: Tensor, d: int, dim: int) -> Tensor:
        offset = (d + 0.5) / scale - 0.5
        count = x.shape[dim]
        index = torch.arange(count, device=x.device)
        other = (index + (1 if offset > 0 else -1)).clamp(0, count - 1)
        return x * (1 - abs(offset)) + x.index_select(dim, other) * abs(offset)

    return along(along(maps, dy, 2), dx, 3)


def pool_level(
    net: HAF, name: str, tap: Tensor, size: tuple[int, int], phases: Sequence[tuple[int, int]]
) -> tuple[Tensor, Tensor]:
    """v of one level `[N, n]` from some of the places of each tap, and the mask's logits."""
    level = net.level(name)
    scale, grid = level.stride // 2, (-(-size[0] // 2), -(-size[1] // 2))
    responses = F.relu6(level.head(tap))
    assert level.power is not None
    blend = None
    if level.fusion is not None:
        blend = upsample(level.fusion(responses).float(), scale, grid)
    logits = torch.zeros((len(tap), 1, 1, 1), device=tap.device)
    mask = torch.ones((len(tap), 1, *grid), device=tap.device)
    if level.mask is not None and net.options.masks:
        logits = level.mask.logits(level.mask_reads(responses)).float()
        mask = level.upsample_mask(logits.sigmoid(), grid)[:, None]
    total: Any = 0
    places: Any = 0
    for dy, dx in phases:
        rows, columns = -(-(grid[0] - dy) // scale), -(-(grid[1] - dx) // scale)
        smooth = phase(responses, scale, dy, dx)[:, :, :rows, :columns].float()
        if blend is not None:
            sharp = responses[:, :, :rows, :columns].float()
            b = blend[:, :, dy::scale, dx::scale]
            smooth = b[:, :1] * sharp + b[:, 1:] * smooth
        made = smooth * mask[:, :, dy::scale, dx::scale]
        total = total + made.clamp(min=1e-6).pow(level.power).sum((2, 3))
        places = places + rows * columns
    means = (total / places).clamp(min=1e-18)
    return F.normalize(means.pow(1 / level.power), dim=-1), logits


def all_phases(net: HAF) -> dict[str, list[tuple[int, int]]]:
    scales = {name: net.level(name).stride // 2 for name in LEVELS}
    return {n: [(y, x) for y in range(s) for x in range(s)] for n, s in scales.items()}


def some_phases(net: HAF, rng: np.random.Generator) -> dict[str, list[tuple[int, int]]]:
    return {
        name: [every[i] for i in rng.permutation(len(every))[: PHASES[name]]]
        for name, every in all_phases(net).items()
    }


def level_vectors(
    net: HAF,
    images: Tensor,
    first: str,
    phases: Mapping[str, Sequence[tuple[int, int]]],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The levels' v and masks' logits of `N×3×H×W`; layers before `first` get no gradient."""
    size = (images.shape[2], images.shape[3])
    names = list(LAYERS)
    vectors: dict[str, list[Tensor]] = {name: [] for name in LEVELS}
    logits: dict[str, list[Tensor]] = {name: [] for name in LEVELS}
    for part in images.split(CHUNK):

        def work(part: Tensor = part) -> list[Tensor]:
            with torch.autocast("cuda", torch.bfloat16, enabled=images.is_cuda):
                x = net.trunk.centre(part.float()).contiguous(memory_format=torch.channels_last)
                taps: dict[str, Tensor] = {}
                with torch.no_grad():
                    for layer in names[: names.index(first) if first in names else len(names)]:
                        x = net.trunk.responses([layer], x, layer)[layer]
                        taps |= {level: x for level, tap in TAPS_OF.items() if tap == layer}
                if first in names:
                    taps |= net.trunk.from_layer(first, x, taps)._asdict()
                found = [pool_level(net, n, taps[n], size, phases[n]) for n in LEVELS]
            return [part for pair in found for part in pair]

        made = checkpoint(work, use_reentrant=False) if torch.is_grad_enabled() else work()
        for i, name in enumerate(LEVELS):
            vectors[name].append(made[2 * i])
            logits[name].append(made[2 * i + 1])
    return (
        {name: torch.cat(parts) for name, parts in vectors.items()},
        {name: torch.cat(parts) for name, parts in logits.items()},
    )


@torch.no_grad()
def describe(net: HAF, photos: Photos) -> dict[str, Tensor]:
    """Every photo's level vectors, in the order of `photos`: `[N, n]` by level."""
    sizes: dict[tuple[int, int], list[int]] = {}
    for i, image in enumerate(photos.images):
        sizes.setdefault((image.shape[1], image.shape[2]), []).append(i)
    rows = {n: torch.zeros((len(photos), net.level(n).head.out_channels)) for n in LEVELS}
    every = all_phases(net)
    for numbers in sizes.values():
        for part in [numbers[i : i + 192] for i in range(0, len(numbers), 192)]:
            images = torch.stack([photos.images[i] for i in part])
            found, _ = level_vectors(net, images, "heads", every)
            for name, vectors in found.items():
                rows[name][part] = vectors.float().cpu()
    return {name: part.to(net.device) for name, part in rows.items()}


def whole(net: HAF, levels: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The image vectors `[N, D]` and the compact ones."""
    full = net.fuse_full(dict(levels))
    assert net.compact is not None
    return full, net.compact(full)


def without_masks(net: HAF) -> HAF:
    """The same network with masks that are 1 everywhere."""
    other = deepcopy(net)
    for name in LEVELS:
        other.level(name).mask = None
    return other


def between(start: HAF, end: HAF, part: float) -> HAF:
    """Weights on the way from start to end, two networks of the same parts."""
    other = deepcopy(end)
    first = dict(start.named_parameters()) | dict(start.named_buffers())
    with torch.no_grad():
        for name, value in [*other.named_parameters(), *other.named_buffers()]:
            value.lerp_(first[name], 1 - part)
    return other


def settled(net: HAF) -> HAF:
    """The network, on the processor, with what whitenings learned made part of them."""
    other = deepcopy(net).cpu()
    for part in other.modules():
        if isinstance(part, Whitening):
            part.settle()
    return other
