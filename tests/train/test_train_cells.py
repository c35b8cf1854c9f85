"""Cells: the network's own vector and mask gradients, from what is cached of a photo."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hafloc.nn import HAF, LEVELS, HAFOptions
from hafloc.train import cells as cells_module
from hafloc.train.cell_trainee import CellTrainee
from hafloc.train.cells import (
    bytes_of_cells,
    find_directions,
    make_cells,
    pack,
    sum_powers,
    unpack,
)

OPTIONS = HAFOptions(
    channels=(24, 32, 16),
    level_sizes=(24, 32, 16),
    mask_upsampling="nearest",
    level_weights=(0.3, 0.4, 0.3),
)
Size = tuple[int, int]


def network(options: HAFOptions = OPTIONS, seed: int = 0) -> HAF:
    """A net whose masks, fusion and whitenings are far from their start."""
    torch.manual_seed(seed)
    net = HAF(options).eval().requires_grad_(False)
    for name in LEVELS:
        level = net.level(name)
        assert level.mask is not None
        level.mask.requires_grad_(True)
        with torch.no_grad():
            level.mask.accumulate.weight.normal_(std=2.0)
            if level.fusion is not None:
                level.fusion.weigh.weight.normal_(std=0.3)
    return net


def photo(size: Size, seed: int = 1) -> torch.Tensor:
    """Blocks of colour, so that cells differ."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 5, 6, generator=random) * 255
    fine = torch.rand(1, 3, *size, generator=random) * 60
    blocks = torch.nn.functional.interpolate(coarse, size, mode="nearest")
    return (blocks + fine).clamp(0, 255)


def mask_gradients(net: HAF, vector: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of how far the vectors lie along a fixed direction, by parameter of a mask."""
    aim = torch.randn(vector.shape[-1], generator=torch.Generator().manual_seed(3))
    net.zero_grad()
    (vector @ (aim / aim.norm())).sum().backward()
    found = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    assert len(found) == 3 * 8
    return found


def compare(net: HAF, sizes: list[Size], directions: int) -> tuple[float, float]:
    """How far vectors from cells are from the full network's, at most in any entry; and mask
    gradients, as a part of their length: along the directions that masks read.
    """
    images = [photo(size, seed) for seed, size in enumerate(sizes)]
    within = find_directions(net, images, directions) if directions else {}
    trainee = CellTrainee(net, within)
    cells = [make_cells(net, image, within) for image in images]
    full = torch.cat([net(image) for image in images])
    expected = mask_gradients(net, full)
    found = trainee.vectors(cells)
    apart, length = 0.0, 0.0
    for name, gradient in mask_gradients(net, found).items():
        right = expected[name]
        axes = within.get(name.split(".")[1])
        if axes is not None and gradient.dim() == 4 and gradient.shape[1] == axes.shape[1]:
            right = torch.einsum("onyx,kn,km->omyx", right, axes, axes)
        apart += float((gradient - right).square().sum())
        length += float(right.square().sum())
    return float((found - full).detach().abs().max()), (apart / length) ** 0.5


SIZES: list[Size] = [(48, 64), (37, 83), (100, 131), (100, 131)]


@pytest.mark.parametrize("power", [3.0, pytest.param(2.5, marks=pytest.mark.slow)])
@pytest.mark.parametrize("directions", [0, 8], ids=["all read", "eight directions read"])
@pytest.mark.parametrize(
    ("bits", "limit"), [(12, 1e-3), pytest.param(15, 1.5e-4, marks=pytest.mark.slow)]
)
def test_cells_give_the_networks_vector_and_mask_gradients(
    power: float, directions: int, bits: int, limit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given photos of odd sizes, whose cells at the edge are smaller, some of one size
    monkeypatch.setattr(cells_module, "BITS", bits)
    vector, gradient = compare(network(replace(OPTIONS, power=power)), SIZES, directions)
    # Then what training sees is the network's own, but for the rounding of what is stored
    assert vector < 1e-4
    assert gradient < limit


@settings(max_examples=8, deadline=None)
@given(height=st.integers(32, 100), width=st.integers(32, 100))
def test_cells_fit_photos_of_any_size(height: int, width: int) -> None:
    assert compare(network(), [(height, width)], 0)[0] < 1e-4


def test_masks_blended_between_cells_are_followed_closely() -> None:
    net = network(replace(OPTIONS, mask_upsampling="bilinear"))
    images = [photo(size) for size in SIZES]
    found = CellTrainee(net, {}).vectors([make_cells(net, image, {}) for image in images])
    full = torch.cat([net(image) for image in images])
    assert float((found * full).detach().sum(1).min()) > 0.999


def test_sums_of_powers_are_those_of_the_networks_places() -> None:
    net, image = network(), photo((37, 83))
    maps = net.maps(net.taps(image), (37, 83))["low"]
    rows = maps.rows(0, 19)[0].double()
    sums = sum_powers(maps, 3.0)
    assert sums.shape == (3 * 6, 24)
    for row, column in ((0, 0), (1, 4), (2, 5)):
        cell = rows[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        torch.testing.assert_close(sums[6 * row + column], cell.pow(3).sum((0, 1)))


@given(codes=arrays(np.int16, st.tuples(st.integers(1, 5), st.integers(1, 5)),
                    elements=st.integers(0, 4095)))  # fmt: skip
def test_packed_codes_come_back(codes: np.ndarray) -> None:
    packed = pack(torch.from_numpy(codes))
    assert unpack(**packed).tolist() == codes.tolist()


def test_a_photo_takes_less_than_its_megabytes() -> None:
    net = HAF(HAFOptions())
    assert bytes_of_cells((360, 480), net, 16) < 1_500_000


def test_masks_with_filters_of_one_size_learn_from_cells_too() -> None:
    net = network(replace(OPTIONS, mask_filters=(0, 16, 0)))
    within = find_directions(net, [photo((64, 64))], 4)
    trainee, image = CellTrainee(net, within), photo((48, 64))
    # Given filters that stay within what they read, cells give the network's vector
    apart = trainee.vectors([make_cells(net, image, within)]) - net(image)
    assert float(apart.detach().abs().max()) < 1e-4


def test_filters_stay_within_the_directions_that_masks_read() -> None:
    net = network()
    directions = find_directions(net, [photo((64, 64))], 4)
    trainee = CellTrainee(net, directions)
    mask = net.level("low").mask
    assert mask is not None
    with torch.no_grad():
        mask.near.weight.normal_()
    trainee.stay_within()
    axes = directions["low"]
    kept = torch.einsum("onyx,kn,km->omyx", mask.near.weight, axes, axes)
    torch.testing.assert_close(kept, mask.near.weight.detach())
    assert float(mask.near.weight.detach().norm()) > 1
