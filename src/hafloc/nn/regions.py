"""The regions of a photo that get a vector of their own, pooled from one pass of the network.

A half of the view, or a quarter, is what two photos of one place often share. The regions lie on a
grid of four by four blocks, so their pooled sums are sums of blocks.
"""

from functools import cache

import torch
from torch import Tensor

# Blocks along each side.
GRID = 4
# Left, top, right and bottom in blocks: three strips of half the width, and the quarters.
REGIONS = (
    (0, 0, 2, 4),
    (1, 0, 3, 4),
    (2, 0, 4, 4),
    (0, 0, 2, 2),
    (2, 0, 4, 2),
    (0, 2, 2, 4),
    (2, 2, 4, 4),
)
_WHOLE = (0, 0, GRID, GRID)


def blocks(
    count: int, scale: int, size: int, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """The block of each of `count` cells along one axis, and how many places a block has.

    Cells are those of `upsampled_cells`: `scale` places each, the first half outside, cut off at
    `size` places. One whose middle is in a block belongs to it.
    """
    edges = (torch.arange(count + 1, device=device) * scale - scale // 2).clamp(0, size)
    starts, ends = edges[:-1], edges[1:]
    block = ((starts + ends) * GRID // (2 * size)).clamp(max=GRID - 1)
    places = edges.new_zeros(GRID).index_add_(0, block, ends - starts)
    return block, places


def of_blocks(sums: Tensor) -> Tensor:
    """Sums over the whole photo and its regions from those of blocks: `[N, GRID², n]` to
    `[N, 1 + R, n]`, the whole first."""
    return membership(sums) @ sums


def membership(like: Tensor) -> Tensor:
    """Which blocks the whole photo and each region have, `[1 + R, GRID²]`, 1 or 0."""
    return _membership(like.device, like.dtype)


@cache
def _membership(device: torch.device, dtype: torch.dtype) -> Tensor:
    rows = torch.zeros(1 + len(REGIONS), GRID, GRID, dtype=dtype)
    for row, (left, top, right, bottom) in zip(rows, (_WHOLE, *REGIONS), strict=True):
        row[top:bottom, left:right] = 1
    return rows.flatten(1).to(device)
