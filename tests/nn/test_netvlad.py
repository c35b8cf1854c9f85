"""NetVLAD and CRN against their slow reference, and their starts."""

import math

import numpy as np
import pytest
import rival_reference as reference
import torch
import torch.nn.functional as F
from nn_samples import VLAD_OPTIONS, close, image, shaken

from hafloc.nn import CRN, NetVLAD, NetVLADOptions
from hafloc.nn.netvlad import VLAD
from hafloc.nn.vgg import VGG16


@pytest.fixture(scope="module", params=[NetVLAD, CRN], ids=["netvlad", "crn"])
def net(request: pytest.FixtureRequest) -> NetVLAD:
    network: NetVLAD = shaken(request.param(VLAD_OPTIONS))
    return network


@pytest.mark.parametrize("size", [(64, 96), (69, 115)], ids=["even", "odd"])
def test_vectors_and_shares_agree_with_the_formulas(net: NetVLAD, size: tuple[int, int]) -> None:
    photo = image(*size)
    expected = reference.netvlad(net, photo)
    assert (expected["mask"].min() < expected["mask"].max()) == isinstance(net, CRN)
    features = net.features(photo[None])
    close(net.pool(features)[0], expected["raw"])
    close(net(photo[None])[0], expected["vector"])
    close(net.vlad.shares(features, net.weights(features))[0], expected["shares"], 1e-3)


def test_shares_of_an_image_sum_to_one(net: NetVLAD) -> None:
    features = net.features(torch.stack([image(80, 112, seed) for seed in range(2)]))
    shares = net.vlad.shares(features, net.weights(features))
    assert shares.sum((1, 2)).tolist() == pytest.approx([1, 1], abs=1e-4)


def test_without_a_size_the_vector_is_not_whitened() -> None:
    plain = shaken(NetVLAD(NetVLADOptions(clusters=3, size=0)))
    vector = plain(image(40, 56)[None])
    assert vector.shape == (1, 3 * 512)
    assert plain.dimension == 3 * 512


def test_the_trunk_gives_conv5_3_before_its_relu() -> None:
    trunk = shaken(VGG16())
    photos = image(48, 64)[None]
    features = trunk.before_last_relu("conv1_1", trunk.centre(photos))
    assert features.min() < 0
    assert torch.equal(F.relu(features), trunk(photos).high)
    upper = trunk.before_last_relu("conv5_1", trunk(photos).mid)
    assert torch.equal(upper, features)


def test_every_cluster_starts_where_k_means_puts_it() -> None:
    # Given three tight groups of unit descriptors
    generator = torch.Generator().manual_seed(1)
    groups = F.normalize(torch.randn(3, 512, generator=generator), dim=1)
    noise = torch.randn(300, 512, generator=generator) * 1e-3
    descriptors = F.normalize(groups.repeat(100, 1) + noise, dim=1)
    # When the clusters start from them
    vlad = VLAD(3)
    vlad.initialise(descriptors, torch.Generator().manual_seed(0))
    # Then each group has its centre
    apart = torch.cdist(groups, vlad.centres)
    assert apart.min(1).values.max() < 0.01
    assert sorted(apart.argmin(1).tolist()) == [0, 1, 2]


def test_alpha_follows_the_protocol() -> None:
    generator = torch.Generator().manual_seed(2)
    descriptors = F.normalize(torch.randn(400, 512, generator=generator), dim=1)
    vlad = VLAD(6)
    vlad.initialise(descriptors, torch.Generator().manual_seed(0))
    directions = F.normalize(vlad.centres, dim=1)
    gaps = []
    for descriptor in descriptors:
        first, second = sorted((directions @ descriptor).tolist())[:-3:-1]
        gaps.append(first - second)
    alpha = -math.log(0.01) / np.mean(gaps)
    close(vlad.assignment, (alpha * directions).double(), 1e-4)


def test_the_start_depends_on_the_generator_alone() -> None:
    generator = torch.Generator().manual_seed(3)
    descriptors = F.normalize(torch.randn(200, 512, generator=generator), dim=1)
    starts = []
    for seed in (5, 5, 6):
        torch.manual_seed(len(starts))  # the global state must not matter
        vlad = VLAD(4)
        vlad.initialise(descriptors, torch.Generator().manual_seed(seed))
        starts.append(vlad.centres.detach().clone())
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"clusters": 0}, "clusters must be at least 1"),
        ({"size": -1}, "size must be 0 to 32,768"),
        ({"clusters": 2, "size": 1025}, "size must be 0 to 1,024 for 2 clusters"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        NetVLADOptions(**options)


def test_a_mask_of_zero_somewhere_silences_those_places() -> None:
    net = shaken(CRN(VLAD_OPTIONS))
    features = net.features(image(96, 128)[None])
    mask = net.weights(features)
    close(mask[0], reference.crn_mask(net, reference.conv5_3(net, image(96, 128))), 1e-3)
    assert mask.min() == 0 < mask.max()
    assert (net.vlad.shares(features, mask)[mask == 0] == 0).all()


def test_an_image_whose_mask_is_zero_everywhere_is_not_reweighted() -> None:
    net = shaken(CRN(VLAD_OPTIONS))
    features = net.features(image(64, 64)[None])
    net.mask.bias.fill_(-1e9)
    close(net.pool(features), net.vlad(features).double(), 1e-6)


def test_a_crn_starts_as_its_netvlad() -> None:
    netvlad = shaken(NetVLAD(VLAD_OPTIONS))
    crn = CRN.from_netvlad(netvlad, torch.Generator().manual_seed(0))
    photos = image(64, 80)[None]
    assert crn.options == netvlad.options
    with torch.no_grad():
        assert float((crn(photos) * netvlad(photos)).sum()) > 0.999
    # And its filters come from the generator alone.
    again = CRN.from_netvlad(netvlad, torch.Generator().manual_seed(0))
    assert torch.equal(again.mask.far.weight, crn.mask.far.weight)


def test_only_the_bias_of_the_masks_sum_learns() -> None:
    names = {name for name, _ in CRN(VLAD_OPTIONS).mask.named_parameters()}
    filters = {f"{f}.{kind}" for f in ("near", "middle", "far") for kind in ("weight", "bias")}
    assert names == filters | {"bias"}
