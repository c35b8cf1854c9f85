"""Sums of cubes from products of taps against upsampled values, one place after the other."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hafloc.nn import cubes
from hafloc.nn import upsampled_cells as cells
from hafloc.nn.cubes import cube_sums
from hafloc.nn.half_resolution import HalfResolution, pool_power, pool_power_regions
from hafloc.nn.regions import GRID, blocks


def made(scale: int, taps: tuple[int, int], *, blend: bool = True, seed: int = 0) -> HalfResolution:
    """Two images, cropped by a row and a column, where some taps do not fire."""
    generator = torch.Generator().manual_seed(seed)
    size = (taps[0] * scale - 1, taps[1] * scale - 1)
    responses = torch.randn(2, 3, *taps, generator=generator, dtype=torch.float64).clamp(min=0)
    weights = torch.rand(2, 2, *size, generator=generator, dtype=torch.float64)
    mask = torch.rand(2, *size, generator=generator, dtype=torch.float64)
    return HalfResolution(responses, weights if blend else None, mask, scale)


def slowly(maps: HalfResolution, down: Tensor, across: Tensor, grid: int) -> Tensor:
    """Each place's cube, added to its block: the block of a place is that of its cell."""
    height, width = maps.size
    made = (maps.rows(0, height) * maps.mask[..., None]).pow(3)
    rows = down[(torch.arange(height) + maps.scale // 2) // maps.scale]
    columns = across[(torch.arange(width) + maps.scale // 2) // maps.scale]
    block = (rows[:, None] * grid + columns).flatten()
    sums = made.new_zeros(len(made), grid * grid, made.shape[-1])
    return sums.index_add_(1, block, made.flatten(1, 2))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([2, 4, 8]),
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.booleans(),
    st.sampled_from([1, 40, 1 << 19]),
)
def test_sums_of_cubes_are_those_of_all_places(
    scale: int, taps: tuple[int, int], blend: bool, band: int
) -> None:
    # Given maps of any size, and bands of one row as well as of all
    maps = made(scale, taps, blend=blend)
    down, _ = blocks(taps[0] + 1, scale, maps.size[0])
    across, _ = blocks(taps[1] + 1, scale, maps.size[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cubes, "BAND_VALUES", band)
        found = cube_sums(maps.responses, maps.cell_weights(), down, across, GRID)
    torch.testing.assert_close(found, slowly(maps, down, across, GRID), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_cubes_and_powers_near_three_give_nearly_the_same_means(scale: int) -> None:
    # Given a power that upsampled values serve, and the cube, which products of taps serve
    maps = made(scale, (5, 6), seed=3)
    near, cube = (torch.tensor(p, dtype=torch.float64) for p in (3 + 1e-9, 3.0))
    with torch.no_grad():
        for pool in (pool_power, pool_power_regions):
            torch.testing.assert_close(pool(maps, cube), pool(maps, near), rtol=1e-7, atol=1e-9)


def test_without_gradient_and_with_it_means_are_the_same() -> None:
    maps, power = made(4, (5, 6)), torch.tensor(3.0, dtype=torch.float64)
    with_gradient = pool_power(maps, power)
    with torch.no_grad():
        torch.testing.assert_close(pool_power(maps, power), with_gradient)


def test_sums_stay_in_float32_where_products_are_rounded_to_bf16() -> None:
    maps = made(2, (40, 40))
    responses, weights = maps.responses.float(), cells.to_cells(maps.mask.float(), 2, (40, 40))
    weights = weights[..., None].expand(-1, -1, -1, -1, 4) / 4
    zeros = torch.zeros(41, dtype=torch.long)
    plain = cube_sums(responses, weights, zeros, zeros, 1)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(cube_sums(responses, weights, zeros, zeros, 1), plain)
