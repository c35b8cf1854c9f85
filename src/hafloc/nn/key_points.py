"""Key points: places of an image where a score has a clear, sharp maximum."""

import torch
import torch.nn.functional as F
from torch import Tensor


def find(score: Tensor, *, count: int, radius: int, cell: int) -> tuple[Tensor, Tensor, Tensor]:
    """The strongest local maxima of one score map `[h, w]`, spread over the image.

    A maximum is the largest of its (2 radius + 1)² window, where that is not all flat. Places are
    taken in rounds: first the strongest of every `cell`×`cell` block, then the second of each, and
    so on, so that no single façade takes all. Returns flat places `[M]`, sub-pixel positions
    `[M, 2]` (x, y on the grid; quadratic fit along each axis, at most half a place away) and
    scores `[M]`, strongest first.
    """
    width = score.shape[1]
    window = 2 * radius + 1
    largest = F.max_pool2d(score[None], window, 1, radius)[0]
    smallest = -F.max_pool2d(-score[None], window, 1, radius)[0]
    is_peak = (score == largest) & (largest > smallest) & (score > 0)
    places = torch.nonzero(is_peak.flatten()).squeeze(1)
    strengths = score.flatten()[places]
    order = strengths.argsort(descending=True, stable=True)
    places, strengths = places[order], strengths[order]
    blocks = (places // width // cell) * (-(-width // cell)) + places % width // cell
    chosen = _round_of(blocks).argsort(stable=True)[:count].sort().values
    places, strengths = places[chosen], strengths[chosen]
    return places, _refine(score, places), strengths


def _round_of(blocks: Tensor) -> Tensor:
    """For each place, how many stronger ones share its block: `[M]` (places strongest first)."""
    by_block = blocks.argsort(stable=True)
    grouped = blocks[by_block]
    positions = torch.arange(len(blocks), device=blocks.device)
    is_start = torch.ones_like(grouped, dtype=torch.bool)
    is_start[1:] = grouped[1:] != grouped[:-1]
    starts = torch.where(is_start, positions, 0).cummax(0).values if len(blocks) else positions
    rounds = torch.empty_like(blocks)
    rounds[by_block] = positions - starts
    return rounds


def _refine(score: Tensor, places: Tensor) -> Tensor:
    """Grid positions (x, y) `[M, 2]` moved to the top of the parabola through three values."""
    height, width = score.shape
    y, x = places // width, places % width
    flat = score.flatten()
    offsets = []
    for step, coordinate, size in ((1, x, width), (width, y, height)):
        inner = (coordinate > 0) & (coordinate < size - 1)
        before = flat[torch.where(inner, places - step, places)]
        after = flat[torch.where(inner, places + step, places)]
        bend = before - 2 * flat[places] + after
        move = torch.where(bend < 0, (before - after) / (2 * bend.clamp(max=-1e-30)), 0)
        offsets.append(move.clamp(-0.5, 0.5))
    return torch.stack([x + offsets[0], y + offsets[1]], 1)
