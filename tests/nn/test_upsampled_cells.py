"""Pooling cell by cell against plain upsampling, and its gradient."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hafloc.nn import upsampled_cells as cells
from hafloc.nn.half_resolution import HalfResolution, detect, pool_power, pool_power_and_detect


def made(scale: int, *, blend: bool = True, seed: int = 0) -> HalfResolution:
    """Two images of 3×2 taps, cropped by a row and a column, where some taps do not fire."""
    generator = torch.Generator().manual_seed(seed)
    size = (3 * scale - 1, 2 * scale - 1)
    responses = torch.randn(2, 4, 3, 2, generator=generator, dtype=torch.float64).clamp(min=0)
    weights = torch.rand(2, 2, *size, generator=generator, dtype=torch.float64)
    mask = 0.1 + torch.rand(2, *size, generator=generator, dtype=torch.float64)
    return HalfResolution(6 * responses, weights if blend else None, mask, scale)


def upsampled(maps: HalfResolution) -> Tensor:
    """F̂ `[N, n, h, w]` by whole maps and autograd."""
    height, width = maps.size
    smooth = F.interpolate(maps.responses, scale_factor=maps.scale, mode="bilinear")
    sharp = F.interpolate(maps.responses, scale_factor=maps.scale, mode="nearest")
    smooth, sharp = smooth[..., :height, :width], sharp[..., :height, :width]
    if maps.blend is not None:
        smooth = maps.blend[:, :1] * sharp + maps.blend[:, 1:] * smooth
    return smooth * maps.mask[:, None]


@pytest.mark.parametrize("blend", [True, False])
@pytest.mark.parametrize("power", [1.0, 2.5, 3.0])
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_power_means_and_peaks_are_those_of_whole_maps(
    scale: int, power: float, blend: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "BAND_VALUES", 1)
    maps = made(scale, blend=blend)
    whole = upsampled(maps)
    pooled, scores = pool_power_and_detect(maps, torch.tensor(power))
    expected = whole.pow(power).mean((2, 3)).pow(1 / power)
    torch.testing.assert_close(pooled, expected, rtol=1e-12, atol=1e-6)
    peaks = whole.amax(1)
    torch.testing.assert_close(scores, peaks / peaks.sum((1, 2), keepdim=True))
    torch.testing.assert_close(detect(maps, "max"), scores)


@pytest.mark.parametrize("power", [1.0, 2.5, 3.0])
def test_sums_of_powers_pass_gradcheck(power: float) -> None:
    maps = made(2, seed=1)
    taps = cells.pad_taps(maps.responses).add(0.1).requires_grad_()
    weights = maps.cell_weights().add(0.1).requires_grad_()
    p = torch.tensor(power, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *x: cells.PowerSums.apply(*x)[0], (taps, weights, p))


@pytest.mark.parametrize("blend", [True, False])
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_the_gradient_of_a_power_mean_is_that_of_whole_maps(scale: int, blend: bool) -> None:
    gradients = []
    for cell_by_cell in (True, False):
        maps = made(scale, blend=blend)
        tensors = [t for t in (maps.responses, maps.blend, maps.mask) if t is not None]
        power = torch.tensor(3.0, dtype=torch.float64)
        for tensor in (*tensors, power):
            tensor.requires_grad_()
        if cell_by_cell:
            pooled = pool_power(maps, power)
        else:
            pooled = upsampled(maps).clamp(min=1e-9).pow(power).mean((2, 3)).pow(1 / power)
        (pooled * torch.arange(1.0, 5.0)).sum().backward()
        gradients.append([tensor.grad for tensor in (*tensors, power)])
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


def test_a_channel_that_never_fires_has_a_small_mean_and_no_gradient() -> None:
    maps = made(2)
    maps.responses[:, 1] = 0
    maps.responses.requires_grad_()
    pooled = pool_power(maps, torch.tensor(3.0))
    assert pooled[:, 1].tolist() == pytest.approx([1e-6, 1e-6])
    pooled.sum().backward()
    assert bool(maps.responses.grad.isfinite().all())


def test_values_at_places_are_those_of_whole_maps() -> None:
    maps = made(4)
    places = torch.arange(11 * 7).expand(2, -1)
    expected = (upsampled(maps) / maps.mask[:, None]).flatten(2).transpose(1, 2)
    torch.testing.assert_close(maps.at(places), expected)
