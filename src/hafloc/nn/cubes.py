"""Sums of the cubes of upsampled maps, from products of taps: no upsampled value is ever made.

A place's value weighs the four taps around its cell, so its cube is a sum of twenty products of
three taps, and a cell's sum of cubes weighs the same products with sums over its places. Weights
are alike for all channels, and a product of neighbours serves every cell that has them: thirteen
products a tap and channel, whatever the scale.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import factorial, prod

import torch
from torch import Tensor

# Sums of about this many values stay in the processor's cache.
BAND_VALUES = 1 << 19
# A cell's taps, numbered as in `upsampled_cells`: row by row.
_TRIPLES = tuple(combinations_with_replacement(range(4), 3))
# Those of them that have taps in the cell's first row and in its first column.
_KINDS = tuple(t for t in _TRIPLES if t[0] < 2 and any(tap in (0, 2) for tap in t))


def cube_sums(
    responses: Tensor, weights: Tensor, down: Tensor, across: Tensor, grid: int
) -> Tensor:
    """Σ over the places of each of grid×grid blocks of the maps' cubes: `[N, grid², n]`.

    `responses` `[N, n, h, w]` of the taps, at least 0; `weights` `[N, U, V, s², 4]` of cells, as in
    `upsampled_cells.PowerSums`; `down` `[U]` and `across` `[V]`, which never fall, say in which
    row and column of blocks a cell is. No gradient.
    """
    device = responses.device
    high, wide = responses.shape[2:]
    rows, columns = _apart(down.to(device), high), _apart(across.to(device), wide)
    of_columns = (torch.arange(grid, device=device)[:, None] == columns.block).to(weights)
    most = max(1, BAND_VALUES // (len(columns.tap) * responses.shape[1]))
    sums = weights.new_zeros(len(weights), grid, grid, responses.shape[1])
    # In bf16 a sum of ten thousand places would lose what comes late.
    with torch.autocast(device.type, enabled=False):
        for image, taps in enumerate(responses.permute(0, 2, 3, 1)):
            of_products = _of_products(_of_cells(weights[image]), rows, columns)
            for block, top, bottom in _bands(rows.block, most):
                near = _near(taps, rows.tap[top : bottom + 1], columns.tap)
                found = _weighed(near, of_products[:, top:bottom].flatten(1, 2), len(columns.tap))
                by_column = found.view(bottom - top, len(columns.tap), -1).sum(0)
                sums[image, block] += of_columns @ by_column
    return sums.flatten(1, 2)


def _of_cells(weights: Tensor) -> list[Tensor]:
    """What each product of a cell's taps counts: `[U, V, s², 4]` to `[U, V]` for each triple."""
    taps = weights.permute(3, 2, 0, 1).contiguous()
    pairs = {pair: taps[pair[0]] * taps[pair[1]] for pair in {triple[:2] for triple in _TRIPLES}}
    return [(pairs[t[:2]] * taps[t[2]]).sum(0).mul_(_orders(t)) for t in _TRIPLES]


def _orders(triple: tuple[int, ...]) -> int:
    """In how many orders three taps can be drawn: how often a cube has their product."""
    return 6 // prod(factorial(triple.count(tap)) for tap in set(triple))


@dataclass(frozen=True, slots=True)
class _Apart:
    """One axis with a place for every tap that a block's cells have, so that no two share one.

    `tap` and `block` of each place; `cell` is the place of each cell's first tap.
    """

    tap: Tensor
    block: Tensor
    cell: Tensor


def _apart(block: Tensor, taps: int) -> _Apart:
    """`block` names that of each cell along the axis; the outermost of `taps` count twice."""
    is_last = torch.cat([block.diff() != 0, block.new_ones(1, dtype=torch.bool)])
    times = 1 + is_last.long()
    cell = times.cumsum(0) - times
    tap = torch.arange(len(block), device=block.device).repeat_interleave(times)
    tap[cell[is_last] + 1] += 1
    # Before the first tap and behind the last one lie half cells.
    return _Apart((tap - 1).clamp(0, taps - 1), block.repeat_interleave(times), cell)


def _bands(block: Tensor, most: int) -> Iterator[tuple[int, int, int]]:
    """A block's number, and first and last but one of its at most `most` places, in turn."""
    numbers, counts = torch.unique_consecutive(block, return_counts=True)
    start = 0
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        for top in range(start, start + count, most):
            yield number, top, min(top + most, start + count)
        start += count


def _of_products(of_cells: list[Tensor], rows: _Apart, columns: _Apart) -> Tensor:
    """What each product counts, by the place of its first row and column: `[13, T, S, 1]`."""
    shared = of_cells[0].new_zeros(len(_KINDS), len(rows.tap), len(columns.tap))
    for triple, of_triple in zip(_TRIPLES, of_cells, strict=True):
        # Three taps of a cell's lower row, or right column, are another cell's upper or left ones.
        down, right = min(tap // 2 for tap in triple), min(tap % 2 for tap in triple)
        kind = _KINDS.index(tuple(tap - 2 * down - right for tap in triple))
        shared[kind, (rows.cell + down)[:, None], columns.cell + right] += of_triple
    return shared[..., None]


def _near(taps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Those of the taps `[h, w, n]`, row by row, and more to read on to: `[M, n]`."""
    index = (rows[:, None] * taps.shape[1] + columns).flatten()
    # Only weights of 0 meet what lies beyond.
    beyond = index[-1:].expand(len(columns) + 1)
    return taps.flatten(0, 1).index_select(0, torch.cat([index, beyond]))


def _weighed(near: Tensor, weights: Tensor, wide: int) -> Tensor:
    """The products that begin at each place, weighed by `[13, M, 1]` and added up: `[M, n]`."""
    count = weights.shape[1]
    a, b, c, d = (near[step : step + count] for step in (0, 1, wide, wide + 1))
    w = dict(zip(_KINDS, weights.unbind(), strict=True))
    total = _blend((w[0, 0, 0], a), (w[0, 0, 1], b), (w[0, 0, 2], c), (w[0, 0, 3], d)).mul_(a)
    total.addcmul_(b, _blend((w[0, 1, 1], b), (w[0, 1, 2], c), (w[0, 1, 3], d)))
    total.addcmul_(c, _blend((w[0, 2, 2], c), (w[0, 2, 3], d)))
    total.addcmul_(d, w[0, 3, 3] * d).mul_(a)
    without = _blend((w[1, 1, 2], b), (w[1, 2, 2], c), (w[1, 2, 3], d))
    return total.addcmul_(without.mul_(b), c)


def _blend(*parts: tuple[Tensor, Tensor]) -> Tensor:
    (weight, rows), *others = parts
    total = weight * rows
    for weight, rows in others:
        total.addcmul_(weight, rows)
    return total
