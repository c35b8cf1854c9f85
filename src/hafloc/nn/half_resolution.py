"""One level's fused maps F̂ on the half-resolution grid, computed band by band.

Held whole, the three levels of a 640×480 photo take 350 MB in float32. Everything pooled from
them needs each place once or twice, so bands of rows are made, used and dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from hafloc.nn import regions
from hafloc.nn import upsampled_cells as cells
from hafloc.nn.cubes import cube_sums
from hafloc.nn.images import on_processor

Detection = Literal["soft", "max", "none"]

# The power whose sums need no upsampled value.
CUBE = 3
# A band of about this many values stays in the processor's cache.
BAND_VALUES = 1 << 20
# On a GPU each question costs more than its answer: few large bands, of 256 MB each.
DEVICE_BAND_VALUES = 1 << 26


@dataclass(frozen=True, slots=True)
class HalfResolution:
    """F of one level, ready to be made: F = blend_0 · nearest(R) + blend_1 · bilinear(R).

    `responses` R `[N, n, h_l, w_l]` after ReLU6; `blend` `[N, 2, h, w]` from the adaptive spatial
    fusion, or None for bilinear alone; `mask` m `[N, h, w]`; `scale` half-resolution places per
    tap place and axis. Maps are cropped to the grid `h×w`.
    """

    responses: Tensor
    blend: Tensor | None
    mask: Tensor
    scale: int

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.mask.shape[-2:]
        return height, width

    def rows(self, top: int, bottom: int) -> Tensor:
        """F without its mask, rows `top` to `bottom`: `[N, bottom - top, w, n]`."""
        s, width = self.scale, self.size[1]
        # One row of taps on each side is all that bilinear interpolation reaches.
        first = max(top // s - 1, 0)
        last = min((bottom - 1) // s + 2, self.responses.shape[-2])
        taps = self.responses[:, :, first:last]
        smooth = F.interpolate(taps, scale_factor=s, mode="bilinear", align_corners=False)
        smooth = smooth[:, :, top - first * s : bottom - first * s, :width].permute(0, 2, 3, 1)
        if self.blend is None:
            return smooth
        sharp = _repeat(taps, s, top - first * s, bottom - first * s, width)
        blend = self.blend[:, :, top:bottom, :, None]
        return torch.addcmul(smooth * blend[:, 1], sharp, blend[:, 0])

    def bands(self) -> Iterator[tuple[int, int]]:
        """Row ranges that together cover the grid, each of about so many values as suit."""
        height, width = self.size
        batch, channels = self.responses.shape[:2]
        most = BAND_VALUES if on_processor(self.responses) else DEVICE_BAND_VALUES
        step = max(1, most // (batch * channels * width))
        step = max(self.scale, step // self.scale * self.scale)
        for top in range(0, height, step):
            yield top, min(top + step, height)

    def at(self, places: Tensor) -> Tensor:
        """F without its mask at flat places `[N, K]` of the grid: `[N, K, n]`."""
        width, s = self.size[1], self.scale
        high, wide = self.responses.shape[-2:]
        y = torch.div(places, width, rounding_mode="floor") + s // 2
        x = places % width + s // 2
        step = torch.arange(2, device=places.device)
        rows = (y // s)[..., None] + step
        columns = (x // s)[..., None] + step
        rows, columns = (rows - 1).clamp(0, high - 1), (columns - 1).clamp(0, wide - 1)
        image = torch.arange(len(places), device=places.device).view(-1, 1, 1, 1)
        index = (image * high + rows[..., None]) * wide + columns[..., None, :]
        taps = self.responses.permute(0, 2, 3, 1).flatten(0, 2)
        corners = taps.index_select(0, index.flatten()).view(*places.shape, 4, taps.shape[-1])
        sharp, smooth = cells.corner_weights(self.scale, self.mask)
        phase = y % s * s + x % s
        weights = smooth[phase]
        if self.blend is not None:
            pair = self.blend.flatten(2).gather(2, places[:, None].expand(-1, 2, -1))
            weights = sharp[phase] * pair[:, 0, :, None] + weights * pair[:, 1, :, None]
        return (weights[..., None, :] @ corners).squeeze(-2)

    def cell_weights(self) -> Tensor:
        """The weights of F̂ = m·F for `cells.PowerSums`, mask and blend multiplied in."""
        sharp, smooth = cells.corner_weights(self.scale, self.mask)
        taps = self.responses.shape[-2], self.responses.shape[-1]
        mask = cells.to_cells(self.mask, self.scale, taps)[..., None]
        if self.blend is None:
            return mask * smooth
        near, between = (cells.to_cells(b, self.scale, taps) for b in self.blend.unbind(1))
        return mask * torch.addcmul(near[..., None] * sharp, between[..., None], smooth)


def _repeat(taps: Tensor, scale: int, top: int, bottom: int, width: int) -> Tensor:
    """Nearest upsampling of `[N, n, h, w]`, rows `top` to `bottom`: `[N, rows, width, n]`."""
    rows = torch.arange(top, bottom, device=taps.device) // scale
    columns = torch.arange(width, device=taps.device) // scale
    return taps.permute(0, 2, 3, 1).index_select(1, rows).index_select(2, columns)


def upsample(maps: Tensor, scale: int, size: tuple[int, int]) -> Tensor:
    """Bilinear upsampling of `N×C×h×w` by a whole factor, cropped to `size`."""
    if scale > 1:
        maps = F.interpolate(maps, scale_factor=scale, mode="bilinear", align_corners=False)
    return maps[:, :, : size[0], : size[1]]


def detect(maps: HalfResolution, detection: Detection) -> Tensor:
    """Detection scores s of equation (4), `[N, h, w]`, each image's summing to 1.

    An image where nothing fires gets uniform scores.
    """
    if detection == "none":
        strength = torch.ones_like(maps.mask)
    elif detection == "max":
        largest = cells.strongest(cells.pad_taps(maps.responses), maps.cell_weights())
        strength = cells.to_places(largest, maps.scale, maps.size)
    else:
        strength = _soft(maps)
    return as_scores(strength)


def as_scores(strength: Tensor) -> Tensor:
    """Strengths `[N, h, w]`, at least 0, divided by each image's sum; uniform where that is 0."""
    total = strength.sum((1, 2), keepdim=True)
    places = strength.shape[1] * strength.shape[2]
    return torch.where(total > 0, strength / total.clamp(min=1e-30), 1 / places)


def _peaks(maps: HalfResolution) -> Tensor:
    """The strongest channel of each place, without the mask: `[N, h, w]`."""
    return torch.cat([maps.rows(top, bottom).amax(-1) for top, bottom in maps.bands()], 1)


def _soft(maps: HalfResolution) -> Tensor:
    """γ of D2-Net's soft detection: max over channels of α β, `[N, h, w]`."""
    height = maps.size[0]
    peaks = _peaks(maps)
    strongest = (peaks * maps.mask).amax((1, 2), keepdim=True).clamp(min=1e-30)
    scale = (maps.mask / strongest)[..., None]
    gamma = []
    for top, bottom in maps.bands():
        above, below = max(top - 1, 0), min(bottom + 1, height)
        rows = maps.rows(above, below)
        exponentials = (rows * scale[:, above:below]).exp()
        neighbours = _three_by_three(exponentials)[:, top - above : bottom - above]
        inner = slice(top - above, bottom - above)
        alpha = exponentials[:, inner] / neighbours
        gamma.append((alpha * rows[:, inner]).amax(-1))
    # β's denominator does not depend on the channel, so it can wait for the maximum.
    result = torch.cat(gamma, 1) / peaks.clamp(min=1e-30)
    return torch.where(peaks > 0, result, 0)


def _three_by_three(maps: Tensor) -> Tensor:
    """Sums over the 3×3 neighbourhood in `[N, rows, columns, n]`, of the places that exist."""
    padded = F.pad(maps, (0, 0, 0, 0, 1, 1))
    tall = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    padded = F.pad(tall, (0, 0, 1, 1))
    return padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]


def pool_sum(maps: HalfResolution, scores: Tensor) -> Tensor:
    """v = Σ s d, `[N, n]`: unit descriptors (2) weighted by their scores."""
    total = maps.responses.new_zeros(maps.responses.shape[:2])
    for top, bottom in maps.bands():
        rows = maps.rows(top, bottom)
        # The mask scales a place's whole descriptor, so it cancels in the unit vector.
        weights = scores[:, top:bottom] / rows.norm(dim=-1).clamp(min=1e-12)
        total = total + torch.einsum("nyxc,nyx->nc", rows, weights)
    return total


def pool_power(maps: HalfResolution, power: Tensor) -> Tensor:
    """Power mean (mean (m F)^p)^(1/p) over the grid, `[N, n]`; at least 1e-6."""
    return _pool_power(maps, power, largest=False)[0]


@torch.no_grad()
def pool_power_regions(maps: HalfResolution, power: Tensor) -> Tensor:
    """`pool_power` over the whole grid and over each region, `[N, 1 + R, n]`; no gradient."""
    # There is one cell more than taps, each way.
    (down, high), (across, wide) = (
        regions.blocks(taps + 1, maps.scale, size, maps.responses.device)
        for taps, size in zip(maps.responses.shape[2:], maps.size, strict=True)
    )
    if not on_processor(maps.responses):
        sums = _made_sums(maps, power, down, across, regions.GRID)
    elif power.item() == CUBE:
        sums = cube_sums(maps.responses, maps.cell_weights(), down, across, regions.GRID)
    else:
        of_cells = down[:, None] * regions.GRID + across
        taps = cells.pad_taps(maps.responses)
        sums = cells.block_sums(taps, maps.cell_weights(), power.item(), of_cells, regions.GRID**2)
    places = (high[:, None] * wide).flatten()[:, None].to(sums)
    # A region without a place, in a photo a few places wide, is as one where nothing fires.
    return _to_means(regions.of_blocks(sums), regions.of_blocks(places[None]).clamp(min=1), power)


def contributions(maps: HalfResolution, power: Tensor) -> Tensor:
    """Each place's share in what `pool_power` sums, Σ_c (m F_c)^p, `[N, h, w]`; no gradient."""
    with torch.no_grad():
        sums = cells.summed_powers(
            cells.pad_taps(maps.responses), maps.cell_weights(), power.item()
        )
        return as_scores(cells.to_places(sums, maps.scale, maps.size))


def pool_power_and_detect(maps: HalfResolution, power: Tensor) -> tuple[Tensor, Tensor]:
    """`pool_power` with gradient and `detect` "max" without, in one scan of the maps."""
    pooled, largest = _pool_power(maps, power, largest=True)
    return pooled, as_scores(cells.to_places(largest, maps.scale, maps.size))


def _made_sums(
    maps: HalfResolution, power: Tensor, down: Tensor, across: Tensor, grid: int
) -> Tensor:
    """As `cube_sums`, for any power, with every value made: few questions to a device.

    `down` and `across` name the block of each cell along an axis, as there.
    """
    of_rows, of_columns = (
        _members(block, maps.scale, size, grid, maps.mask)
        for block, size in zip((down, across), maps.size, strict=True)
    )
    sums = maps.mask.new_zeros(len(maps.mask), grid, grid, maps.responses.shape[1])
    # In half precision a sum of ten thousand places would lose what comes late.
    with torch.autocast(maps.mask.device.type, enabled=False):
        for top, bottom in maps.bands():
            values = (maps.rows(top, bottom) * maps.mask[:, top:bottom, :, None]).pow(power)
            by_row = torch.einsum("gy,nyxc->ngxc", of_rows[:, top:bottom], values)
            sums += torch.einsum("kx,ngxc->ngkc", of_columns, by_row)
    return sums.flatten(1, 2)


def _members(block: Tensor, scale: int, size: int, grid: int, like: Tensor) -> Tensor:
    """Which of `size` places each block has, 1 or 0, `[grid, size]`."""
    # Half of the first cell lies outside.
    places = torch.arange(size, device=like.device)
    of_places = block[(places + scale // 2) // scale]
    return (torch.arange(grid, device=like.device)[:, None] == of_places).to(like)


def _pool_power(maps: HalfResolution, power: Tensor, *, largest: bool) -> tuple[Tensor, Tensor]:
    places = maps.mask[0].numel()
    if not (largest or torch.is_grad_enabled()):
        down, across = (
            torch.zeros(n + 1, dtype=torch.long, device=maps.responses.device)
            for n in maps.responses.shape[2:]
        )
        if not on_processor(maps.responses):
            sums = _made_sums(maps, power, down, across, 1)[:, 0]
            return _to_means(sums, places, power), maps.mask.new_empty(0)
        if power.item() == CUBE:
            sums = cube_sums(maps.responses, maps.cell_weights(), down, across, 1)[:, 0]
            return _to_means(sums, places, power), maps.mask.new_empty(0)
    weights = maps.cell_weights()
    taps = cells.pad_taps(maps.responses)
    if torch.is_grad_enabled():
        sums, found = cells.PowerSums.apply(taps, weights, power)  # type: ignore[no-untyped-call]
    else:
        sums, found = cells.power_sums(taps, weights, power.item(), largest=largest)
    return _to_means(sums, places, power), found


def _to_means(sums: Tensor, places: Tensor | int, power: Tensor) -> Tensor:
    # A channel that never fires must not give an endless slope. A number would be waited for.
    least = 1e-6 ** (power.item() if power.device.type == "cpu" else power.detach())
    return (sums / places).clamp(min=least).pow(1 / power)
