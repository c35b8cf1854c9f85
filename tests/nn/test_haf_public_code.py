"""The authors' public code's HAF against a slow computation at its own resolution."""

import pytest
import rival_reference as reference
import torch
from nn_samples import PUBLIC_OPTIONS, close, image, shaken

from hafloc.nn import HAFPublicCode, HAFPublicCodeOptions, build_network
from hafloc.nn.haf_public_code import POOLED


@pytest.fixture(scope="module")
def net() -> HAFPublicCode:
    return shaken(HAFPublicCode(PUBLIC_OPTIONS))


def test_the_vector_is_the_codes_at_stride_4(net: HAFPublicCode) -> None:
    photo = image(64, 96)
    close(net.pool(net.features(photo[None]))[0], reference.public_code(net, photo))


def test_levels_meet_on_the_lowest_ones_grid(net: HAFPublicCode) -> None:
    # Given a photo whose sides no pooling divides, then the last places reach over its border
    features = net.features(image(75, 101)[None])
    assert features.shape == (1, 6 + 8 + 10, 10, 13)
    # And each high place stands for 4×4 of them, each mid one for 2×2
    low, mid, high = features[0].split([6, 8, 10])
    assert torch.equal(high[:, :4, :4], high[:, :1, :1].expand(-1, 4, 4))
    assert torch.equal(mid[:, 2:4, 2:4], mid[:, 2:3, 2:3].expand(-1, 2, 2))
    assert not torch.equal(low[:, 0, 0], low[:, 0, 1])


def test_places_may_be_negative_for_no_relu_follows_the_heads(net: HAFPublicCode) -> None:
    for part in net.features(image(64, 64)[None])[0].split([6, 8, 10]):
        assert part.min() < 0 < part.max()


def test_the_layers_are_those_in_front_of_the_poolings(net: HAFPublicCode) -> None:
    photo = image(48, 64)[None]
    found = net.trunk.responses(POOLED.values(), net.trunk.centre(photo))
    taps = net.trunk(photo)
    assert torch.equal(found["conv4_3"], taps.mid)
    assert torch.equal(found["conv5_3"], taps.high)
    assert found["conv3_3"].shape == taps.low.shape


def test_sizes_are_those_of_the_code() -> None:
    plain = HAFPublicCode(HAFPublicCodeOptions(size=0))
    assert plain.dimension == 64 * (64 + 64 + 64)
    with pytest.raises(ValueError, match="size must be 0 to 96 for 4 clusters, not 97"):
        build_network("haf_public_code", {"clusters": 4, "channels": [8, 8, 8], "size": 97})
