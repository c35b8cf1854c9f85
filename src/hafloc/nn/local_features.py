"""Key points made compact: descriptors of all levels, whitened to a few int8 each.

The whole descriptors of (2) take 4.6 kB a key point in float32. A centring and whitening fitted
on unrelated photos keeps what tells key points apart in a small part of that.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from hafloc.nn.whitening import Whitening

_LARGEST = 127


class LocalHead(nn.Module):
    """Responses of the levels at key points to compact descriptors.

    `channels` are n_l of the levels, `weights` their shares (at least 0; a level of share 0 is
    left out), `dimension` the size of a descriptor.
    """

    def __init__(self, channels: Sequence[int], weights: Sequence[float], dimension: int) -> None:
        super().__init__()
        self.weights = tuple(weights)
        inputs = sum(n for n, weight in zip(channels, weights, strict=True) if weight > 0)
        self.whitening = Whitening(inputs, dimension)

    def whole(self, responses: Sequence[Tensor]) -> Tensor:
        """Unit descriptors of the levels `[M, n_l]`, scaled by √share, in one row: `[M, n]`."""
        return torch.cat(
            [
                F.normalize(level, dim=-1) * weight**0.5
                for level, weight in zip(responses, self.weights, strict=True)
                if weight > 0
            ],
            -1,
        )

    def forward(self, responses: Sequence[Tensor]) -> Tensor:
        """Unit rows `[M, dimension]` from the levels' responses `[M, n_l]`."""
        compact: Tensor = self.whitening(self.whole(responses))
        return compact


def to_int8(rows: Tensor) -> NDArray[np.int8]:
    """Rows `[M, D]` rounded to int8, each scaled so that its largest entry becomes ±127."""
    largest = rows.abs().amax(-1, keepdim=True).clamp(min=1e-30)
    return np.array((rows * (_LARGEST / largest)).round().cpu().numpy(), dtype=np.int8)


def sample(responses: Tensor, xy: Tensor, stride: int) -> Tensor:
    """One image's responses `[1, n, h, w]` at pixels `xy` `[M, 2]`, bilinear: `[M, n]`.

    A tap's value belongs to the middle of the `stride`×`stride` pixels that it covers.
    """
    height, width = responses.shape[-2:]
    # grid_sample wants the outer edges at ±1.
    scale = torch.tensor([2 / (width * stride), 2 / (height * stride)]).to(xy)
    grid = (xy + 0.5) * scale - 1
    found = F.grid_sample(responses, grid[None, None], padding_mode="border", align_corners=False)
    return found[0, :, 0].T
