"""Upsampled maps cell by cell: what lies between four taps is a small matrix times their values.

Nearest and bilinear upsampling by an even factor s, blended and masked, are linear in the taps. The
s×s places between four tap centres form a cell; each place weighs the same four taps for all
channels. A cell's maps are thus a matrix product `[s², 4] · [4, n]`, and so are both gradients.
Around the outermost tap centres the edge taps are repeated.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# A band of about this many values stays in the processor's cache.
BAND_VALUES = 1 << 19
# An image's number, rows and columns of its cells.
Band = tuple[int, slice, slice]


def corner_weights(scale: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest and bilinear weights of a cell's places for its four taps, `[s², 4]` each.

    Places go row by row, taps too: upper left, upper right, lower left, lower right. Type and
    device are those of `like`.
    """
    assert scale % 2 == 0, "a cell needs whole places on either side of its middle"
    after = (torch.arange(scale, dtype=like.dtype, device=like.device) + 0.5) / scale
    smooth = torch.stack([1 - after, after], 1)
    return _both_ways(smooth.round()), _both_ways(smooth)


def _both_ways(along: Tensor) -> Tensor:
    return torch.einsum("ya,xb->yxab", along, along).reshape(-1, 4)


def to_cells(maps: Tensor, scale: int, taps: tuple[int, int]) -> Tensor:
    """Values of the places `[N, h, w]` by cell, 0 where there is no place: `[N, U, V, s²]`.

    `taps` is the size of the tap's own map; there is one cell more each way.
    """
    high, wide = (count + 1 for count in taps)
    height, width = maps.shape[1:]
    margin = scale // 2
    right, below = wide * scale - margin - width, high * scale - margin - height
    padded = F.pad(maps, (margin, right, margin, below))
    cells = padded.view(-1, high, scale, wide, scale).transpose(2, 3)
    return cells.reshape(-1, high, wide, scale * scale)


def to_places(cells: Tensor, scale: int, size: tuple[int, int]) -> Tensor:
    """The reverse of `to_cells`: `[N, U, V, s²]` to `[N, h, w]`."""
    count, high, wide = cells.shape[:3]
    maps = cells.view(count, high, wide, scale, scale).transpose(2, 3)
    maps = maps.reshape(count, high * scale, wide * scale)
    margin = scale // 2
    return maps[:, margin : margin + size[0], margin : margin + size[1]]


def pad_taps(taps: Tensor) -> Tensor:
    """Taps `[N, n, h, w]` with their edges repeated, channels last: `[N, h + 2, w + 2, n]`."""
    taps = taps.contiguous(memory_format=torch.channels_last)
    return F.pad(taps, (1, 1, 1, 1), mode="replicate").permute(0, 2, 3, 1).contiguous()


def strongest(taps: Tensor, weights: Tensor) -> Tensor:
    """The largest channel of each place, `[N, U, V, s²]`; inputs as in `PowerSums`."""
    largest = weights.new_empty(weights.shape[:-1])
    for band in _bands(taps, weights):
        made = torch.bmm(_weights(weights, band), _corners(taps, band))
        largest[band] = made.amax(-1).view_as(largest[band])
    return largest


def summed_powers(taps: Tensor, weights: Tensor, power: float) -> Tensor:
    """Each place's sum over the channels of its values to a power, `[N, U, V, s²]`."""
    sums = weights.new_empty(weights.shape[:-1])
    for band in _bands(taps, weights):
        made = torch.bmm(_weights(weights, band), _corners(taps, band))
        sums[band] = _to_power(made, power).sum(-1).view_as(sums[band])
    return sums


class PowerSums(torch.autograd.Function):
    """Σ over all places of the maps' values to a power, and each place's largest channel.

    `taps` `[N, h + 2, w + 2, n]` from `pad_taps`, all at least 0; `weights` `[N, U, V, s², 4]`, at
    least 0; `power` a tensor of one number. Gives sums `[N, n]` with gradients to all three, and
    `[N, U, V, s²]` without. Nothing of the upsampled maps is kept: the gradient makes them again.
    """

    @staticmethod
    def forward(ctx: Any, taps: Tensor, weights: Tensor, power: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(taps, weights, power)
        sums, largest = power_sums(taps, weights, power.item(), largest=True)
        ctx.mark_non_differentiable(largest)
        return sums, largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        taps, weights, power = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        to_taps = torch.zeros_like(taps) if wanted[0] else None
        to_weights = torch.empty_like(weights) if wanted[1] else None
        to_power = torch.zeros_like(power) if wanted[2] else None
        p = power.item()
        for band in _bands(taps, weights):
            matrix, corners = _weights(weights, band), _corners(taps, band)
            made = torch.bmm(matrix, corners)
            if to_power is not None:
                logs = torch.xlogy(_to_power(made, p), made).sum((0, 1))
                to_power += (logs * gradient[band[0]]).sum()
            slope = _slope(made, p, gradient[band[0]])
            if to_weights is not None:
                found = torch.bmm(slope, corners.transpose(1, 2))
                to_weights[band] = found.view_as(to_weights[band])
            if to_taps is not None:
                _add_corners(to_taps, band, torch.bmm(matrix.transpose(1, 2), slope))
        return to_taps, to_weights, to_power


def power_sums(
    taps: Tensor, weights: Tensor, power: float, *, largest: bool
) -> tuple[Tensor, Tensor]:
    """What `PowerSums` computes, without gradient; the second is empty unless `largest`."""
    sums = taps.new_zeros(len(taps), taps.shape[-1])
    peaks = weights.new_empty(weights.shape[:-1] if largest else (0,))
    for band in _bands(taps, weights):
        made = torch.bmm(_weights(weights, band), _corners(taps, band))
        if largest:
            peaks[band] = made.amax(-1).view_as(peaks[band])
        sums[band[0]] += _to_power(made, power).sum((0, 1))
    return sums, peaks


def block_sums(taps: Tensor, weights: Tensor, power: float, blocks: Tensor, count: int) -> Tensor:
    """`power_sums` of `count` blocks, `[N, count, n]`; `blocks` `[U, V]` names that of a cell."""
    sums = taps.new_zeros(len(taps), count, taps.shape[-1])
    for band in _bands(taps, weights):
        made = torch.bmm(_weights(weights, band), _corners(taps, band))
        image, rows, columns = band
        sums[image].index_add_(0, blocks[rows, columns].flatten(), _to_power(made, power).sum(1))
    return sums


def _bands(taps: Tensor, weights: Tensor) -> Iterator[Band]:
    """Blocks of cells that together cover all, each of about BAND_VALUES values."""
    high, wide, places = weights.shape[1:4]
    fitting = max(1, BAND_VALUES // (places * taps.shape[-1]))
    rows, columns = max(1, fitting // wide), -(-wide // -(-wide // min(fitting, wide)))
    for image in range(len(taps)):
        for top in range(0, high, rows):
            for left in range(0, wide, columns):
                yield image, slice(top, top + rows), slice(left, left + columns)


def _weights(weights: Tensor, band: Band) -> Tensor:
    """A band's matrices, `[cells, s², 4]`."""
    return weights[band].flatten(0, 1)


def _part(taps: Tensor, band: Band) -> Tensor:
    """The taps around a band's cells, one more each way than cells: a view."""
    image, rows, columns = band
    return taps[image, rows.start : rows.stop + 1, columns.start : columns.stop + 1]


def _corners(taps: Tensor, band: Band) -> Tensor:
    """The four taps of each of a band's cells, `[cells, 4, n]`."""
    part = _part(taps, band)
    upper, lower = part[:-1], part[1:]
    corners = torch.stack([upper[:, :-1], upper[:, 1:], lower[:, :-1], lower[:, 1:]], 2)
    return corners.flatten(0, 1)


def _add_corners(to_taps: Tensor, band: Band, gradient: Tensor) -> None:
    """Add a band's gradient `[cells, 4, n]` to that of the taps."""
    part = _part(to_taps, band)
    corners = gradient.view(len(part) - 1, -1, 4, gradient.shape[-1]).unbind(2)
    part[:-1, :-1] += corners[0]
    part[:-1, 1:] += corners[1]
    part[1:, :-1] += corners[2]
    part[1:, 1:] += corners[3]


def _to_power(values: Tensor, power: float) -> Tensor:
    # Two products a value where a general power costs thirty times as much.
    return values.square().mul_(values) if power == 3 else values.pow(power)


def _slope(values: Tensor, power: float, gradient: Tensor) -> Tensor:
    """The gradient of sums `[n]` to the values of a power; finite at 0 for powers below 1."""
    if power == 3:
        return values.square_().mul_(3 * gradient)
    return values.clamp(min=1e-6).pow_(power - 1).mul_(power * gradient)
