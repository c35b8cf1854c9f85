"""What holds for every network alike."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nn_samples import CASES, Case, close, image, shaken

from hafloc.errors import PhotoError
from hafloc.nn import NETWORKS, HAFOptions, Network, build_network

NETS: dict[str, Network] = {case.name: shaken(case.fresh()) for case in CASES}

each_network = pytest.mark.parametrize("net", NETS.values(), ids=NETS.keys())


@each_network
def test_a_batch_gives_what_its_images_give_alone(net: Network) -> None:
    photos = torch.stack([image(40, 56, seed) for seed in range(3)])
    alone = torch.cat([net(photo[None]) for photo in photos])
    close(net(photos), alone.double(), 1e-4)


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(sorted(NETS)), st.integers(32, 90), st.integers(32, 90))
def test_any_size_gives_a_sound_description(name: str, height: int, width: int) -> None:
    net, photo = NETS[name], image(height, width)
    description = net.describe(photo[None])[0]
    assert description.size == (width, height)
    assert description.vector.shape == (net.dimension,)
    assert np.linalg.norm(description.vector) == pytest.approx(1, abs=1e-5)
    close(description.vector, net(photo[None])[0].double(), 1e-4)
    assert description.fused_score.shape == ((height + 1) // 2, (width + 1) // 2)
    assert description.fused_score.mean() == pytest.approx(1, abs=1e-3)
    assert description.fused_score.min() >= 0


@each_network
@pytest.mark.parametrize("size", [(61, 77), (64, 80), (150, 101)], ids=str)
def test_key_points_lie_in_the_image_strongest_first(net: Network, size: tuple[int, int]) -> None:
    points = net.describe(image(*size)[None])[0].key_points
    assert len(points) > 0
    assert (points.xy >= -0.5).all()
    assert (points.xy <= np.array([size[1] - 0.5, size[0] - 0.5])).all()
    assert (np.diff(points.score) <= 0).all()
    assert np.linalg.norm(points.descriptors, axis=1) == pytest.approx(1, abs=1e-4)


@each_network
def test_arrays_of_different_sizes_are_described_as_batches_are(net: Network) -> None:
    photos = [image(40, 56), image(48, 33)]
    described = net.describe([photo.permute(1, 2, 0).numpy() for photo in photos])
    for photo, description in zip(photos, described, strict=True):
        close(description.vector, net(photo[None])[0].double(), 1e-4)


@each_network
def test_an_image_below_32_pixels_is_refused(net: Network) -> None:
    with pytest.raises(PhotoError, match="31×64"):
        net.describe(image(64, 31)[None])
    with pytest.raises(PhotoError, match="31×64"):
        net(image(64, 31)[None])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_gradients_reach_every_parameter(case: Case) -> None:
    net = shaken(case.fresh()).train().requires_grad_(True)
    vectors = net(torch.stack([image(64, 96, seed) for seed in range(2)]))
    (vectors[0] * vectors[1]).sum().backward()
    untouched = [
        name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert untouched == []


def test_each_network_is_listed_under_its_own_name() -> None:
    for name in NETWORKS:
        assert build_network(name, {}).name == name


def test_lists_stand_for_tuples_and_whole_numbers_for_fractions() -> None:
    net = build_network("haf", {"level_weights": [0, 0, 1], "power": 2})
    assert net.options == HAFOptions(level_weights=(0, 0, 1), power=2)


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("resnet", {}, "no network 'resnet'; there are haf, netvlad, crn, superpoint, haf_pub"),
        ("netvlad", {"sise": 256}, "netvlad has no option 'sise'; it has clusters, size"),
        ("crn", {"size": "256"}, "option 'size' of crn is '256'; write it like 256"),
        ("crn", {"size": True}, "option 'size' of crn is True; write it like 256"),
        ("superpoint", {"size": 300}, "size must be 0 to 256"),
        ("haf", {"detection": "hard"}, "is 'hard'; it can be 'soft', 'max', 'none'"),
        ("haf", {"level_weights": [0.5, 0.5]}, "option 'level_weights' of haf is"),
        ("haf", {"level_weights": [0.5, 0.5, 0.5]}, "sum to 1"),
        ("haf", {"use_compact": True}, "use_compact needs a compact size"),
    ],
)
def test_options_that_do_not_fit_are_named(
    name: str, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason.replace("[", r"\[")):
        build_network(name, options)
