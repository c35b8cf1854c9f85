"""SuperPoint with an image vector against its slow reference."""

import pytest
import rival_reference as reference
import torch
from nn_samples import POINT_OPTIONS, close, image, shaken

from hafloc.nn import SuperPoint, SuperPointOptions, superpoint
from hafloc.nn.superpoint import PixelMaps


@pytest.fixture(scope="module")
def net() -> SuperPoint:
    return shaken(SuperPoint(POINT_OPTIONS))


def maps_of(net: SuperPoint, photo: torch.Tensor) -> PixelMaps:
    scores, cells = net.dense(photo[None])
    return PixelMaps(scores[0], cells[0])


@pytest.mark.parametrize("size", [(48, 88), (37, 85)], ids=["even", "odd"])
def test_every_stage_agrees_with_the_formulas(net: SuperPoint, size: tuple[int, int]) -> None:
    # Given an image of more cell rows than one band
    photo = image(*size)
    expected = reference.superpoint(net, photo)
    maps = maps_of(net, photo)
    places = torch.arange(size[0] * size[1])
    close(maps.scores(), expected["scores"])
    close(maps.described(places)[1], expected["scores"].flatten())
    close(maps.descriptors(places), expected["dense"].flatten(1).T)
    close(net.pool(*net.dense(photo[None]))[0], expected["raw"])
    close(net(photo[None])[0], expected["vector"])


def test_band_size_changes_neither_vector_nor_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(2, 70, 45, generator=generator, requires_grad=True)
    cells = torch.randn(2, 256, 9, 6, generator=generator, requires_grad=True)
    direction = torch.randn(2, 256, generator=generator)
    found = []
    for band in (1, 2, 100):
        monkeypatch.setattr(superpoint, "BAND", band)
        vector = superpoint.pool_pixels(scores, cells)
        gradients = torch.autograd.grad((vector * direction).sum(), (scores, cells))
        found.append((vector.detach(), *gradients))
    for banded in found[:2]:
        for actual, expected in zip(banded, found[2], strict=True):
            close(actual, expected.double(), 1e-5)


def test_a_colour_counts_by_its_luma(net: SuperPoint) -> None:
    grey = torch.full((1, 3, 40, 40), 76.245)
    red = torch.zeros(1, 3, 40, 40)
    red[:, 0] = 255
    close(net(red), net(grey).double(), 1e-4)


def test_it_starts_from_the_generator_alone() -> None:
    nets = [SuperPoint(SuperPointOptions(size=0)) for _ in range(2)]
    for net in nets:
        net.initialise(torch.Generator().manual_seed(4))
    for first, second in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(first, second)
    # He: the variance of a layer's weights is 2 / inputs.
    weight = nets[0].encoder["conv4a"].weight
    assert float(weight.detach().var() * 128 * 9) == pytest.approx(2, rel=0.05)


def test_gradients_reach_both_heads_through_chosen_places() -> None:
    net = SuperPoint(POINT_OPTIONS)
    maps = maps_of(net, image(40, 48))
    places = torch.tensor([0, 47, 700, 1919])
    assert not maps.scores().requires_grad
    descriptors, scores = maps.described(places)
    (scores[:, None] * descriptors).sum().backward()
    assert net.detector[2].weight.grad.abs().sum() > 0
    assert net.descriptor[2].weight.grad.abs().sum() > 0


def test_more_dimensions_than_it_has_are_refused() -> None:
    with pytest.raises(ValueError, match="size must be 0 to 256, not 1,024"):
        SuperPointOptions(size=1024)
