"""HAF's vector from cells, differentiable in masks and whitenings: how it trains on a cache."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from hafloc.errors import TrainingError
from hafloc.nn import HAF, LEVELS
from hafloc.nn.haf_level import ContextMask, Level
from hafloc.train.cells import CELL, Directions, LevelCells, level_cells
from hafloc.train.initialise import fit_whitening
from hafloc.train.trainee import Inputs, View


class CellTrainee:
    """HAF as a `Trainee` whose inputs are cells; trunk, heads, fusion and power stay as they are.

    Where masks read `directions` alone, their filters stay within these: `stay_within`.
    """

    whitens = True
    start_photos = 0
    kept: tuple[str, ...] = ()

    def __init__(self, network: HAF, directions: Directions) -> None:
        self._network = network
        self._directions = directions
        self.weights: tuple[float, ...] = network.options.level_weights
        self._widths = [network.level(name).head.out_channels for name in LEVELS]
        self.pooled_size = sum(self._widths)
        self.stay_within()

    @property
    def network(self) -> HAF:
        return self._network

    def start(self, photos: Iterable[Inputs], generator: torch.Generator) -> None:
        raise TrainingError("cells start from a checkpoint; name one in network.start")

    def view(self, inputs: Inputs, *, vector: bool, local: bool) -> View:
        return View(self.vectors([inputs])[0] if vector else None, ())

    def pooled(self, inputs: Inputs) -> Tensor:
        return self.pool([inputs])[0]

    def finish(self, pooled: Tensor) -> Tensor:
        return self._network.fuse(self._split(pooled))

    def fit(self, pooled: Tensor, pairs: Tensor) -> None:
        fit_whitening(self._network, self._split(pooled), pairs)

    def vectors(self, photos: Sequence[Inputs]) -> Tensor:
        """The image vectors of photos of any sizes, `[N, D]`."""
        return self.finish(self.pool(photos))

    def pool(self, photos: Sequence[Inputs]) -> Tensor:
        """The levels' vectors v_l of photos side by side, `[N, P]`; equal sizes go together."""
        by_size: dict[tuple[int, int], list[int]] = {}
        for number, photo in enumerate(photos):
            by_size.setdefault(photo.size, []).append(number)
        parts = []
        for size, numbers in by_size.items():
            same = [photos[number] for number in numbers]
            vectors = [self._pool_level(name, level_cells(same, name), size) for name in LEVELS]
            parts.append(torch.cat(vectors, -1))
        order = torch.tensor([number for numbers in by_size.values() for number in numbers])
        return torch.cat(parts)[order.argsort().to(parts[0].device)]

    @torch.no_grad()
    def stay_within(self) -> None:
        """Take from the masks' filters what lies outside the directions that they read."""
        for name, directions in self._directions.items():
            mask = self._network.level(name).mask
            for reader in () if mask is None else mask.readers.values():
                within = directions.to(reader.weight)
                reader.weight.copy_(_onto(_onto(reader.weight, within), within.T))

    def _pool_level(self, name: str, cells: LevelCells, size: tuple[int, int]) -> Tensor:
        level = self._network.level(name)
        assert level.power is not None
        power = level.power.item()
        weights = self._weights(name, level, cells, size, power)
        sums: Tensor = CellSums.apply(weights, cells.codes, power)  # type: ignore[no-untyped-call]
        means = (sums * cells.factors).clamp(min=1e-6**power)
        return F.normalize(means.pow(1 / power), dim=-1)

    def _weights(
        self, name: str, level: Level, cells: LevelCells, size: tuple[int, int], power: float
    ) -> Tensor:
        """What each cell's sum of F^p counts: the mean of m^p over its places, `[N, U·V]`."""
        if level.mask is None:
            return cells.factors.new_ones(cells.codes.shape[:2])
        mask = self._read(name, level.mask, cells.reads).float()
        if level.mask_upsampling == "nearest":
            return mask.pow(power).flatten(1)
        grid = -(-size[0] // 2), -(-size[1] // 2)
        places = level.upsample_mask(mask, grid).pow(power)
        return F.avg_pool2d(places[:, None], CELL, ceil_mode=True).flatten(1)

    def _read(self, name: str, mask: ContextMask, reads: Tensor) -> Tensor:
        if name not in self._directions:
            return torch.as_tensor(mask(reads))
        within = self._directions[name].to(reads.device)
        narrow = {
            f"{key}.weight": _onto(reader.weight, within) for key, reader in mask.readers.items()
        }
        return torch.as_tensor(functional_call(mask, narrow, (reads,)))

    def _split(self, pooled: Tensor) -> dict[str, Tensor]:
        return dict(zip(LEVELS, torch.split(pooled, self._widths, -1), strict=True))


def check_learning(network: HAF) -> None:
    """Raises TrainingError where something learns that cells cannot teach."""
    for name, parameter in network.named_parameters():
        if parameter.requires_grad and not (".mask." in name or name.endswith(".change")):
            raise TrainingError(
                f"cells are made with {name}, so it cannot learn from them; set optimizer.rates to "
                '{ "*" = 0.0, "*.mask.*" = 1.0 }, perhaps with "*.change" too'
            )


def _onto(filters: Tensor, directions: Tensor) -> Tensor:
    """Filters `[out, n, h, w]` along `directions` `[k, n]`: `[out, k, h, w]`."""
    return torch.einsum("onyx,kn->okyx", filters, directions)


class CellSums(torch.autograd.Function):
    """Σ over cells of weight · code^p: `[N, C]` and whole numbers `[N, C, n]` to `[N, n]`.

    Works photo by photo, within the processor's cache; keeps the codes and makes powers again for
    the gradient, which goes to the weights alone.
    """

    @staticmethod
    def forward(ctx: Any, weights: Tensor, codes: Tensor, power: float) -> Tensor:
        ctx.save_for_backward(codes)
        ctx.power = power
        return torch.stack([w @ _powers(c, power) for w, c in zip(weights, codes, strict=True)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None]:
        (codes,) = ctx.saved_tensors
        pairs = zip(codes, gradient, strict=True)
        return torch.stack([_powers(c, ctx.power) @ g for c, g in pairs]), None, None


def _powers(codes: Tensor, power: float) -> Tensor:
    values = codes.float()
    return values.square().mul_(values) if power == 3 else values.pow_(power)
