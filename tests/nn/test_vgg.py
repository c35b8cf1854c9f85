"""The trunk's convolutions with torch's private Winograd kernel, and where torch lacks it."""

from importlib.util import module_from_spec, spec_from_file_location

import pytest
import torch
import torch.nn.functional as F
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
