"""The trunk's convolutions with torch's private Winograd kernel, and where torch lacks it."""

from importlib.util import module_from_spec, spec_from_file_location

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from nn_samples import image

from hafloc.nn import VGG16, vgg


@pytest.fixture(scope="module")
def trunk() -> VGG16:
    torch.manual_seed(0)
    return VGG16().eval().requires_grad_(False)


def test_without_the_private_kernel_torchs_own_convolution_gives_the_same(
    trunk: VGG16, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given photos whose lower maps are large enough for it, and whose upper ones are not
    photos = torch.stack([image(96, 128), image(96, 128, seed=2)])
    before = trunk(photos)
    monkeypatch.setattr(vgg, "_winograd", None)
    for with_kernel, without in zip(before, trunk(photos), strict=True):
        assert (with_kernel - without).abs().max() <= 1e-5 * without.abs().max()
    layer = trunk.get_submodule("conv1_1")
    x = trunk.centre(photos)
    assert torch.equal(vgg.convolve(x, layer), F.conv2d(x, layer.weight, layer.bias, padding=1))


def test_a_torch_that_lacks_the_private_kernel_is_noticed_when_the_module_loads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(torch, "_nnpack_spatial_convolution")
    spec = spec_from_file_location("vgg_of_another_torch", vgg.__file__)
    assert spec is not None
    assert spec.loader is not None
    other = module_from_spec(spec)
    spec.loader.exec_module(other)
    layer = torch.nn.Conv2d(3, 4, 3, padding=1).requires_grad_(False)
    x = image(32, 40)[None].float()
    assert torch.equal(other.convolve(x, layer), layer(x))


@pytest.mark.parametrize("rows", [6, 12])
@pytest.mark.parametrize("size", [(50, 67), (48, 64), (37, 32)])
def test_bands_of_rows_give_what_whole_maps_give(
    trunk: VGG16, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], rows: int
) -> None:
    # Given two photos of several bands, the last of them cut off, and poolings of odd sides
    photos = torch.stack([image(*size), image(*size, seed=2)])
    x, whole = trunk.centre(photos), {}
    for name in ("conv1_1", "conv1_2", "conv2_1"):
        if name == "conv2_1":
            x = F.max_pool2d(x, 2, ceil_mode=True)
        layer = trunk.get_submodule(name)
        assert isinstance(layer, torch.nn.Conv2d)
        x = whole[name] = F.conv2d(x, layer.weight, layer.bias, padding=1).relu()
    monkeypatch.setattr(vgg, "BAND_ROWS", rows)
    monkeypatch.setattr(vgg, "WINOGRAD_PLACES", 0)
    # Then a layer behind them is the same, and so is one of theirs that is asked for
    for wanted in (("conv2_1",), ("conv1_2", "conv2_1"), ("conv1_1",)):
        found = trunk.responses(wanted, trunk.centre(photos))
        assert tuple(found) == wanted
        for name in wanted:
            assert (found[name] - whole[name]).abs().max() <= 1e-5 * whole[name].abs().max()


@given(st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_pooling_is_torchs_own(height: int, width: int, channels_last: bool) -> None:
    x = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(height))
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    assert torch.equal(vgg.pool(x), F.max_pool2d(x, 2, ceil_mode=True))


def test_pooling_passes_the_gradient_of_ties_to_one_place() -> None:
    x = torch.ones(1, 1, 3, 4, requires_grad=True)
    vgg.pool(x).sum().backward()
    assert x.grad is not None
    assert x.grad.sum() == 4
    assert set(x.grad.flatten().tolist()) == {0.0, 1.0}
