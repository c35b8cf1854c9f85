"""A photo as HAF's masks and vector need it: per cell of 16×16 pixels, means and sums of powers.

Under "gem" pooling and masks that are constant on each cell, the vector depends on a photo only
through what the masks read of a cell and the cell's sum of F^p. Both are small, so masks and
whitenings can be trained on them without the trunk.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hafloc.errors import TrainingError
from hafloc.nn import HAF, LEVELS
from hafloc.nn.haf_level import MASK_STRIDE, Level
from hafloc.nn.half_resolution import HalfResolution
from hafloc.nn.images import check_sides, size_of
from hafloc.train.trainee import Inputs

CELL = MASK_STRIDE // 2  # places of half resolution along a cell
BITS = 12  # of a code: vectors are right to 1e-5, mask gradients to 3e-4 of their length

# `[k, n]` orthonormal rows by level: what of the n mean responses a mask reads; none: all of them.
Directions = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class LevelCells:
    """One level's U×V cells of a photo.

    `reads` `[k, U, V]` is what the mask reads; the mean of F^p over the grid, cell by cell, is
    `factors` `[n]` times `codes` `[U·V, n]` to the power p. Codes are BITS of
    the sum's p-th root; factors make the photo's whole sum exact.
    """

    reads: Tensor
    codes: Tensor
    factors: Tensor


def check_cells(network: HAF) -> None:
    """Raises TrainingError where the network's vector is no function of cells."""
    options = network.options
    wanted = {"pooling": "gem", "mask_stride": MASK_STRIDE}
    for key, value in wanted.items():
        if getattr(options, key) != value:
            raise TrainingError(
                f"data.cells needs network.options.{key} = {value!r}, the network has "
                f"{getattr(options, key)!r}; set it, or leave data.cells empty"
            )


@torch.no_grad()
def make_cells(network: HAF, image: Tensor, directions: Directions) -> Inputs:
    """The cells of a batch of one, `1×3×H×W`, as inputs "level.reads", ".codes" and ".factors"."""
    check_sides(image)
    size = size_of(image)
    tensors: dict[str, Tensor] = {}
    for name, maps in network.maps(network.taps(image), size).items():
        level = network.level(name)
        reads = level.mask_reads(maps.responses)[0]
        if name in directions:
            reads = torch.einsum("kn,nuv->kuv", directions[name].to(reads), reads)
        sums, power = sum_powers(maps, _power(level)), _power(level)
        codes, factors = encode(sums, power, maps.size)
        tensors |= {
            # Rounded to float16, they were seen to change a mask's gradient by a hundredth.
            f"{name}.reads": reads,
            f"{name}.codes": codes,
            f"{name}.factors": factors,
        }
    return Inputs(tensors, size)


def sum_powers(maps: HalfResolution, power: float) -> Tensor:
    """Each cell's sum of F^p over its places, without the mask: `[U·V, n]`, float64.

    Cells at the right and lower edge have fewer places.
    """
    height, width = maps.size
    rows = []
    for top in range(0, height, CELL):
        powers = maps.rows(top, min(top + CELL, height))[0].double().pow(power).sum(0)
        padded = F.pad(powers, (0, 0, 0, -width % CELL))
        rows.append(padded.view(-1, CELL, powers.shape[1]).sum(1))
    return torch.cat(rows)


def encode(sums: Tensor, power: float, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Codes `[C, n]` and factors `[n]` of the sums `[C, n]` over a grid of h×w places."""
    roots = sums.pow(1 / power)
    largest = roots.amax(0).clamp(min=1e-30)
    codes = (roots * ((2**BITS - 1) / largest)).round()
    coded = codes.pow(power).sum(0).clamp(min=1.0)
    factors = sums.sum(0) / coded / (grid[0] * grid[1])
    return codes.to(torch.int16), factors.float()


def pack(codes: Tensor) -> dict[str, Tensor]:
    """Codes `[C, n]` as bytes: their upper 8 bits, and the lower 4 of two codes together."""
    low = F.pad((codes & 15).flatten(), (0, codes.numel() % 2)).view(-1, 2)
    both = low[:, 0] | low[:, 1] << 4
    return {"upper": (codes >> 4).to(torch.uint8), "lower": both.to(torch.uint8)}


def unpack(upper: Tensor, lower: Tensor) -> Tensor:
    """The reverse of `pack`: `[C, n]`."""
    low = torch.stack([lower & 15, lower >> 4], 1).flatten()[: upper.numel()]
    return upper.to(torch.int16) << 4 | low.view(upper.shape)


def level_cells(inputs: Sequence[Inputs], name: str) -> LevelCells:
    """One level of photos of one size, stacked."""
    reads, codes, factors = (
        torch.stack([x.tensors[f"{name}.{part}"] for x in inputs])
        for part in ("reads", "codes", "factors")
    )
    return LevelCells(reads, codes, factors)


@torch.no_grad()
def find_directions(network: HAF, images: Iterable[Tensor], count: int) -> dict[str, Tensor]:
    """The `count` strongest directions of what each level's mask reads, `[k, n]`, not centred.

    None of a level with at most so many channels: its mask reads all of them.
    """
    squares: dict[str, Tensor] = {}
    for image in images:
        maps = network.maps(network.taps(image), size_of(image))
        for name in LEVELS:
            x = network.level(name).mask_reads(maps[name].responses)[0].flatten(1).double()
            squares[name] = squares.get(name, 0) + x @ x.T / x.shape[1]
    found = {}
    for name, square in squares.items():
        if count < len(square):
            axes = torch.linalg.eigh(square)[1].flip(1)[:, :count].T
            # An eigenvector's sign is open; fix it, so that the same photos give the same.
            signs = axes.sum(1, keepdim=True).sign()
            found[name] = (axes * torch.where(signs == 0, 1, signs)).float().contiguous()
    return found


def bytes_of_cells(size: tuple[int, int], network: HAF, count: int) -> int:
    """Bytes that a photo of `size` (H, W) pixels takes, but for its file's head."""
    cells = int(np.prod([-(-side // MASK_STRIDE) for side in size]))
    channels = [network.level(name).head.out_channels for name in LEVELS]
    reads = [4 * (min(count, n) if count else n) for n in channels]
    return sum(
        cells * (n * BITS // 8 + read) + 4 * n for n, read in zip(channels, reads, strict=True)
    )


def _power(level: Level) -> float:
    assert level.power is not None, "check_cells asks for gem"
    return float(level.power)
