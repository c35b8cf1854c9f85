"""HAF written straight from the formulas: float64, whole maps, loops where they are clearer."""

import numpy as np
import torch
import torch.nn.functional as F

from hafloc.nn.haf import HAF
from hafloc.nn.haf_level import LEVELS, Level
from hafloc.nn.vgg import LAYERS, TAPS


def trunk(net: HAF, image: torch.Tensor) -> dict[str, torch.Tensor]:
    """Taps of one image `3×H×W`: each `C×⌈H/s⌉×⌈W/s⌉`."""
    x = image.double()[None] - torch.tensor([123.68, 116.779, 103.939]).double().view(1, 3, 1, 1)
    taps = {}
    for name in LAYERS:
        if name in ("conv2_1", "conv3_1", "conv4_1", "conv5_1"):
            x = ceil_max_pool(x)
        layer = net.trunk.get_submodule(name)
        x = F.conv2d(x, layer.weight.double(), layer.bias.double(), padding=1).clamp(min=0)
        for level, tap in TAPS.items():
            if tap == name:
                taps[level] = x[0]
    return taps


def ceil_max_pool(x: torch.Tensor) -> torch.Tensor:
    height, width = x.shape[-2:]
    padded = F.pad(x, (0, width % 2, 0, height % 2), value=-np.inf)
    corners = [padded[..., dy::2, dx::2] for dy in (0, 1) for dx in (0, 1)]
    return torch.stack(corners).amax(0)


def ceil_mean_pool(x: torch.Tensor, size: int) -> torch.Tensor:
    channels, height, width = x.shape
    result = torch.zeros(channels, -(-height // size), -(-width // size), dtype=x.dtype)
    for i in range(result.shape[1]):
        for j in range(result.shape[2]):
            window = x[:, i * size : (i + 1) * size, j * size : (j + 1) * size]
            result[:, i, j] = window.mean((1, 2))
    return result


def bilinear_matrix(small: int, scale: int, large: int) -> torch.Tensor:
    """Row i: weights of the `small` values at the i-th of `large` upsampled places."""
    matrix = torch.zeros(large, small, dtype=torch.float64)
    for i in range(large):
        y = max((i + 0.5) / scale - 0.5, 0.0)
        below = int(y)
        above = min(below + 1, small - 1)
        matrix[i, below] += 1 - (y - below)
        matrix[i, above] += y - below
    return matrix


def bilinear(x: torch.Tensor, scale: int, size: tuple[int, int]) -> torch.Tensor:
    rows = bilinear_matrix(x.shape[1], scale, size[0])
    columns = bilinear_matrix(x.shape[2], scale, size[1])
    return torch.einsum("ih,chw,jw->cij", rows, x, columns)


def nearest(x: torch.Tensor, scale: int, size: tuple[int, int]) -> torch.Tensor:
    result = torch.zeros(x.shape[0], *size, dtype=x.dtype)
    for i in range(size[0]):
        for j in range(size[1]):
            result[:, i, j] = x[:, i // scale, j // scale]
    return result


def convolve(x: torch.Tensor, layer: torch.nn.Conv2d) -> torch.Tensor:
    padding = layer.kernel_size[0] // 2
    return F.conv2d(x[None], layer.weight.double(), layer.bias.double(), padding=padding)[0]


def fused_maps(level: Level, tap: torch.Tensor, size: tuple[int, int]) -> dict[str, torch.Tensor]:
    """R, F, m and F̂ = m F of one level (1)."""
    responses = convolve(tap, level.head).clamp(0, 6)
    scale = level.stride // 2
    maps = bilinear(responses, scale, size)
    if level.fusion is not None:
        weights = torch.sigmoid(
            convolve(convolve(responses, level.fusion.reduce).clamp(min=0), level.fusion.weigh)
        )
        weights = bilinear(weights, scale, size)
        maps = weights[0] * nearest(responses, scale, size) + weights[1] * maps
    mask = torch.ones(size, dtype=torch.float64)
    if level.mask is not None:
        pooled = ceil_mean_pool(responses, level.mask_stride // level.stride)
        filters = (level.mask.near, level.mask.middle, level.mask.far)
        context = torch.cat([convolve(pooled, f) for f in filters]).clamp(min=0)
        small = torch.sigmoid(convolve(context, level.mask.accumulate))
        upsampled = nearest if level.mask_upsampling == "nearest" else bilinear
        mask = upsampled(small, level.mask_stride // 2, size)[0]
    return {"responses": responses, "maps": maps, "mask": mask, "attended": mask * maps}


def descriptors(attended: torch.Tensor) -> torch.Tensor:
    """d (2), `n×h×w`; zero where nothing fires."""
    return attended / attended.norm(dim=0).clamp(min=1e-300)


def scores(attended: torch.Tensor, detection: str) -> torch.Tensor:
    """s (4), `h×w`."""
    height, width = attended.shape[1:]
    gamma = torch.zeros(height, width, dtype=torch.float64)
    if detection == "none":
        gamma += 1
    elif detection == "max":
        gamma = attended.amax(0)
    elif attended.max() > 0:
        exponentials = torch.exp(attended / attended.max())
        for i in range(height):
            for j in range(width):
                strongest = attended[:, i, j].max()
                if strongest == 0:
                    continue
                window = exponentials[:, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
                alpha = exponentials[:, i, j] / window.sum((1, 2))
                beta = attended[:, i, j] / strongest
                gamma[i, j] = (alpha * beta).max()
    if gamma.sum() == 0:
        return torch.full((height, width), 1 / (height * width), dtype=torch.float64)
    return gamma / gamma.sum()


def level_vector(level: Level, attended: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    if level.power is not None:
        p = level.power.double()
        powers = attended.clamp(min=0) ** p
        vector = powers.mean((1, 2)) ** (1 / p)
        return vector / vector.norm()
    return torch.einsum("ij,cij->c", score, descriptors(attended))


def whiten(level: Level, vector: torch.Tensor) -> torch.Tensor:
    if level.whitening is not None:
        mean, projection = level.whitening.mean.double(), level.whitening.projection.double()
        vector = projection @ (vector - mean)
    return vector / vector.norm()


def image_vector(net: HAF, whitened: dict[str, torch.Tensor]) -> torch.Tensor:
    weights = net.options.level_weights
    parts = [np.sqrt(weight) * whitened[name] for name, weight in zip(LEVELS, weights, strict=True)]
    vector = torch.cat(parts)
    if net.options.use_compact:
        vector = net.compact.projection.double() @ (vector - net.compact.mean.double())
    return vector / vector.norm()


def describe(net: HAF, image: torch.Tensor) -> dict[str, dict[str, torch.Tensor] | torch.Tensor]:
    """Everything of one image `3×H×W`: per level all stages, and the image vector."""
    size = (-(-image.shape[1] // 2), -(-image.shape[2] // 2))
    taps = trunk(net, image)
    result: dict[str, dict[str, torch.Tensor] | torch.Tensor] = {}
    whitened = {}
    for name in LEVELS:
        level = net.level(name)
        stages = fused_maps(level, taps[name], size)
        stages["score"] = scores(stages["attended"], net.options.detection)
        stages["vector"] = level_vector(level, stages["attended"], stages["score"])
        stages["whitened"] = whitened[name] = whiten(level, stages["vector"])
        result[name] = stages
    result["vector"] = image_vector(net, whitened)
    return result
