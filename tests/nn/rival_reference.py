"""HAF's rivals written straight from the formulas: float64 and loops."""

import torch
import torch.nn.functional as F
from reference import bilinear, ceil_max_pool, convolve

from hafloc.nn import CRN, HAFPublicCode, NetVLAD, SuperPoint
from hafloc.nn.vgg import LAYERS


def conv5_3(net: NetVLAD, image: torch.Tensor) -> torch.Tensor:
    """conv5_3 of one image `3×H×W` before its ReLU: `512×⌈H/16⌉×⌈W/16⌉`."""
    x = image.double() - torch.tensor([123.68, 116.779, 103.939]).double().view(3, 1, 1)
    for name in LAYERS:
        if name in ("conv2_1", "conv3_1", "conv4_1", "conv5_1"):
            x = ceil_max_pool(x)
        x = convolve(x, net.trunk.get_submodule(name))
        if name != "conv5_3":
            x = x.clamp(min=0)
    return x


def public_code(net: HAFPublicCode, image: torch.Tensor) -> torch.Tensor:
    """The vector before whitening of one image, sides multiples of 32, place by place at stride 4.

    As the authors' code goes about it: places of each pooling are repeated first, convolved next.
    """
    x = image.double() - torch.tensor([123.68, 116.779, 103.939]).double().view(3, 1, 1)
    levels = []
    for name in LAYERS:
        x = convolve(x, net.trunk.get_submodule(name)).clamp(min=0)
        if name in ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3"):
            x = ceil_max_pool(x)
        if name in ("conv3_3", "conv4_3", "conv5_3"):
            levels.append(x)
    height, width = image.shape[1] // 4, image.shape[2] // 4
    heads = []
    for head in net.heads.values():
        assert isinstance(head, torch.nn.Conv2d)
        assert head.bias is not None
        heads.append((head.weight.double()[:, :, 0, 0], head.bias.double()))
    assignment, centres = net.vlad.assignment.double(), net.vlad.centres.double()
    sums = torch.zeros_like(centres)
    for i in range(height):
        for j in range(width):
            place = torch.cat(
                [
                    weight @ level[:, i // n, j // n] + bias
                    for n, level, (weight, bias) in zip((2, 4, 8), levels, heads, strict=True)
                ]
            )
            place = place / place.norm()
            weights = torch.exp(assignment @ place)
            for k, centre in enumerate(centres):
                sums[k] += weights[k] / weights.sum() * (place - centre)
    return torch.cat([row / row.norm() for row in sums]) / len(centres) ** 0.5


def crn_mask(net: CRN, features: torch.Tensor) -> torch.Tensor:
    channels, height, width = features.shape
    rows, columns = (height + 1) // 2, (width + 1) // 2
    pooled = torch.zeros(channels, rows, columns, dtype=torch.float64)
    for i in range(rows):
        for j in range(columns):
            window = features[:, max(2 * i - 1, 0) : 2 * i + 2, max(2 * j - 1, 0) : 2 * j + 2]
            pooled[:, i, j] = window.mean((1, 2))
    small = torch.zeros(rows, columns, dtype=torch.float64)
    for layer in (net.mask.near, net.mask.middle, net.mask.far):
        for response in convolve(pooled, layer):
            small += response.clamp(min=0)
    small = (small + net.mask.bias.double()).clamp(min=0)
    mask = bilinear(small[None], 2, (height, width))[0]
    return mask if mask.max() > 0 else torch.ones_like(mask)


def netvlad(net: NetVLAD, image: torch.Tensor) -> dict[str, torch.Tensor]:
    """Vector before whitening, image vector, and what each place gives to the former."""
    features = conv5_3(net, image)
    height, width = features.shape[1:]
    mask = torch.ones(height, width, dtype=torch.float64)
    if isinstance(net, CRN):
        mask = crn_mask(net, features)
    assignment, centres = net.vlad.assignment.double(), net.vlad.centres.double()
    residuals = torch.zeros(height, width, *centres.shape, dtype=torch.float64)
    for i in range(height):
        for j in range(width):
            x = features[:, i, j] / features[:, i, j].norm()
            weights = torch.exp(assignment @ x)
            weights = weights / weights.sum()
            for k, centre in enumerate(centres):
                residuals[i, j, k] = mask[i, j] * weights[k] * (x - centre)
    sums = residuals.sum((0, 1))
    vector = torch.cat([row / row.norm() for row in sums]) / len(centres) ** 0.5
    # Each place's residuals go through the same scalings as their sum.
    scaled = residuals / sums.norm(dim=1)[:, None] / len(centres) ** 0.5
    return {
        "mask": mask,
        "raw": vector,
        "vector": whiten(net, vector),
        "shares": torch.einsum("ijkc,kc->ij", scaled, vector.view(centres.shape)),
    }


def whiten(net: NetVLAD | SuperPoint, vector: torch.Tensor) -> torch.Tensor:
    if net.whitening is not None:
        mean, projection = net.whitening.mean.double(), net.whitening.projection.double()
        vector = projection @ (vector - mean)
    return vector / vector.norm()


def cubic_matrix(small: int, large: int) -> torch.Tensor:
    """Row i: weights of `small` cells at the i-th of `large` pixels, 8 a cell; Keys, a = -3/4."""
    matrix = torch.zeros(large, small, dtype=torch.float64)
    for i in range(large):
        y = (i + 0.5) / 8 - 0.5
        for cell in range(int(y // 1) - 1, int(y // 1) + 3):
            t = abs(y - cell)
            near = 1.25 * t**3 - 2.25 * t**2 + 1
            far = -0.75 * (t**3 - 5 * t**2 + 8 * t - 4)
            matrix[i, min(max(cell, 0), small - 1)] += near if t <= 1 else far
    return matrix


def superpoint(net: SuperPoint, image: torch.Tensor) -> dict[str, torch.Tensor]:
    """Scores, unit descriptors of all pixels `256×H×W`, vector before and after whitening."""
    height, width = image.shape[1:]
    red, green, blue = image.double() / 255
    x = (0.299 * red + 0.587 * green + 0.114 * blue)[None]
    for name, layer in net.encoder.items():
        if name in ("conv2a", "conv3a", "conv4a"):
            x = ceil_max_pool(x)
        x = convolve(x, layer).clamp(min=0)
    logits = convolve(convolve(x, net.detector[0]).clamp(min=0), net.detector[2])
    cells = convolve(convolve(x, net.descriptor[0]).clamp(min=0), net.descriptor[2])
    scores = torch.zeros(height, width, dtype=torch.float64)
    for i in range(height):
        for j in range(width):
            cell = torch.exp(logits[:, i // 8, j // 8])
            scores[i, j] = cell[8 * (i % 8) + j % 8] / cell.sum()
    scores = scores / scores.sum()
    rows, columns = cubic_matrix(cells.shape[1], height), cubic_matrix(cells.shape[2], width)
    dense = F.normalize(torch.einsum("ih,chw,jw->cij", rows, cells, columns), dim=0)
    total = torch.einsum("ij,cij->c", scores, dense)
    raw = total / total.norm()
    return {"scores": scores, "dense": dense, "raw": raw, "vector": whiten(net, raw)}
