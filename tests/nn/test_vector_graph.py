"""Whole networks as ONNX graphs give the vectors that torch gives, at any size, in any batch."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hafloc.nn import (
    CRN,
    HAF,
    NETWORKS,
    HAFOptions,
    HAFPublicCode,
    HAFPublicCodeOptions,
    NetVLAD,
    NetVLADOptions,
    SuperPoint,
    SuperPointOptions,
    parts_of,
    write_vector_graph,
)

runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

FEW: dict[str, Any] = {"channels": (6, 8, 5), "level_sizes": (4, 5, 3)}
# Odd sides, one higher than wide, and the smallest.
SIZES = [(70, 45), (32, 32)]


def drawn(network: Any, seed: int = 0) -> Any:
    """A network whose every weight says something, so that no step of the graph is without part."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if "power" in name or not tensor.dim():
                continue
            spread = (2 / max(1, tensor[0].numel())) ** 0.5 if tensor.dim() > 1 else 0.1
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * spread)
    return network.eval().requires_grad_(False)


def images(count: int, height: int, width: int) -> NDArray[np.float32]:
    random = np.random.default_rng(height * width)
    coarse = random.integers(0, 256, (count, 3, -(-height // 8), -(-width // 8)))
    large = coarse.repeat(8, 2).repeat(8, 3)[:, :, :height, :width]
    return (large * 0.8 + random.integers(0, 50, large.shape)).astype(np.float32)


def opened(content: bytes) -> Any:
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = 1
    return runtime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])


def ask(content: bytes, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return list(opened(content).run(None, {"image": image}))


EVERY = {
    "haf": lambda: HAF(HAFOptions(**FEW)),
    "haf, compact": lambda: HAF(HAFOptions(**FEW, compact=7, use_compact=True)),
    "haf, plain": lambda: HAF(
        HAFOptions(**FEW, asf=False, masks=False, level_whitening="none", power=2.5)
    ),
    "haf, head of 3×3, own strides": lambda: HAF(
        HAFOptions(**FEW, head_kernel=3, mask_stride=0, level_whitening="centre")
    ),
    "haf, sum by the strongest": lambda: HAF(
        HAFOptions(**FEW, pooling="sum", detection="max", mask_upsampling="nearest")
    ),
    "haf, sum by D2-Net's": lambda: HAF(HAFOptions(**FEW, pooling="sum", detection="soft")),
    "haf, sum of all alike": lambda: HAF(HAFOptions(**FEW, pooling="sum", detection="none")),
    "netvlad": lambda: NetVLAD(NetVLADOptions(clusters=4, size=16)),
    "netvlad, unwhitened": lambda: NetVLAD(NetVLADOptions(clusters=3, size=0)),
    "crn": lambda: CRN(NetVLADOptions(clusters=4, size=16)),
    "superpoint": lambda: SuperPoint(SuperPointOptions(size=32)),
    "superpoint, unwhitened": lambda: SuperPoint(SuperPointOptions(size=0)),
    "haf_public_code": lambda: HAFPublicCode(
        HAFPublicCodeOptions(clusters=4, size=16, channels=(4, 5, 6))
    ),
}


@pytest.mark.parametrize("name", EVERY)
def test_a_graph_gives_the_networks_vectors_at_any_size(name: str) -> None:
    network = drawn(EVERY[name]())
    session = opened(write_vector_graph(network))
    for number, (height, width) in enumerate(SIZES):
        image = images(1 + number % 2, height, width)
        (theirs,) = session.run(None, {"image": image})
        ours = network(torch.from_numpy(image)).numpy()
        assert theirs.shape == (len(image), network.dimension)
        assert np.abs(theirs - ours).max() < 2e-5, (height, width)


def test_every_network_of_the_package_is_among_these() -> None:
    assert {EVERY[name]().name for name in EVERY} == set(NETWORKS)


@pytest.mark.parametrize("level", ["low", "mid", "high"])
def test_a_level_alone_gives_its_own_whitened_vector(level: str) -> None:
    network = drawn(HAF(HAFOptions(**FEW)))
    image = images(2, 40, 56)
    (theirs,) = ask(write_vector_graph(network, level), image)
    ours = network.level(level).whiten(network.level_vectors(torch.from_numpy(image))[level])
    assert np.abs(theirs - ours.numpy()).max() < 2e-5


def test_the_trunk_alone_gives_its_three_taps() -> None:
    network = drawn(NetVLAD(NetVLADOptions(clusters=2, size=0)))
    image = images(1, 45, 64)
    theirs = ask(write_vector_graph(network, "trunk"), image)
    ours = network.trunk(torch.from_numpy(image))
    assert [x.shape for x in theirs] == [(1, 256, 12, 16), (1, 512, 6, 8), (1, 512, 3, 4)]
    for a, b in zip(theirs, ours, strict=True):
        assert np.abs(a - b.numpy()).max() < 1e-4 * float(b.max())


def test_where_nothing_fires_scores_are_alike_as_in_torch() -> None:
    # Given responses that are 0 on every place
    network = drawn(HAF(HAFOptions(**FEW, pooling="sum", detection="max")))
    for name in ("low", "mid", "high"):
        network.level(name).head.weight.zero_()
        network.level(name).head.bias.fill_(-1)
    image = images(1, 48, 48)
    (theirs,) = ask(write_vector_graph(network), image)
    assert np.abs(theirs - network(torch.from_numpy(image)).numpy()).max() < 2e-5


def test_a_part_that_a_network_has_not_is_told() -> None:
    network = SuperPoint(SuperPointOptions(size=0))
    assert parts_of(network) == ("vector",)
    with pytest.raises(ValueError, match="superpoint has no part 'low'"):
        write_vector_graph(network, "low")
