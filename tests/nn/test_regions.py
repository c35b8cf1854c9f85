"""Regions: pooled in one pass, and equal to the slow way over all places."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from nn_samples import HAF_OPTIONS, close, image, shaken

from hafloc.nn import HAF, LEVELS
from hafloc.nn.regions import GRID, REGIONS, blocks, membership

SMALL = replace(HAF_OPTIONS, pooling="gem")


def block_of_places(scale: int, size: int) -> list[int]:
    """Each place's block along one axis: that of the middle of its cell, cut off at the ends."""
    found = []
    for place in range(size):
        cell = (place + scale // 2) // scale
        inside = [p for p in range(size) if (p + scale // 2) // scale == cell]
        middle = (inside[0] + inside[-1] + 1) / 2
        found.append(min(int(middle * GRID / size), GRID - 1))
    return found


@given(st.sampled_from([2, 4, 8]), st.integers(16, 200))
def test_every_place_is_in_the_block_of_its_cell(scale: int, size: int) -> None:
    count = -(-size // scale) + 1
    block, places = blocks(count, scale, size)
    expected = block_of_places(scale, size)
    assert [block[(p + scale // 2) // scale].item() for p in range(size)] == expected
    assert places.tolist() == [expected.count(b) for b in range(GRID)]
    assert block.diff().min() >= 0


def test_regions_are_halves_and_quarters_of_the_view() -> None:
    rows = membership(torch.zeros(1)).view(-1, GRID, GRID)
    assert rows[0].sum() == GRID * GRID
    assert sorted(rows[1:].sum((1, 2)).tolist()) == [4] * 4 + [8] * 3
    assert len(rows) == 1 + len(REGIONS)
    # The quarters together are the whole, once.
    assert torch.equal(rows[4:8].sum(0), rows[0])


@pytest.mark.parametrize("size", [(48, 64), (90, 131), (33, 35)])
def test_a_region_is_the_power_mean_of_its_places(size: tuple[int, int]) -> None:
    net, photo = shaken(HAF(SMALL)), image(*size)[None]
    assert isinstance(net, HAF)
    (seen,) = net.features(photo, local=False, regions=True)
    assert seen.regions is not None
    assert seen.regions.shape == (net.regions, net.dimension)
    close(torch.from_numpy(seen.vector), net(photo)[0].double(), 1e-5)

    with torch.no_grad():
        maps = net.maps(net.taps(photo), size)
        for region, vector in zip(REGIONS, seen.regions, strict=True):
            pooled = {}
            for name in LEVELS:
                m, level = maps[name], net.level(name)
                assert level.power is not None
                made = (m.rows(0, m.size[0]) * m.mask[..., None])[0].double()
                down = torch.tensor(block_of_places(m.scale, m.size[0]))
                across = torch.tensor(block_of_places(m.scale, m.size[1]))
                left, top, right, bottom = region
                inside = made[(down >= top) & (down < bottom)][
                    :, (across >= left) & (across < right)
                ].flatten(0, 1)
                if len(inside) == 0:
                    inside = torch.zeros(1, made.shape[-1], dtype=torch.float64)
                power = level.power.double()
                means = inside.pow(power).mean(0).clamp(min=1e-6 ** power.item())
                pooled[name] = F.normalize(means.pow(1 / power), dim=-1).float()[None]
            close(torch.from_numpy(vector), net.fuse(pooled)[0].double(), 1e-5)


def test_a_photo_of_sky_still_has_unit_vectors() -> None:
    net = shaken(HAF(SMALL))
    assert isinstance(net, HAF)
    (seen,) = net.features(torch.full((1, 3, 64, 64), 200.0), local=False, regions=True)
    assert seen.regions is not None
    assert np.linalg.norm(seen.regions, axis=1) == pytest.approx(1, abs=1e-5)
