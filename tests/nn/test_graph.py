"""The graph of a HAF, run by ONNX Runtime, against the network itself."""

import json
import sys
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hafloc.errors import MissingExtraError
from hafloc.nn import HAF, GraphHAF, HAFOptions, HalfHAF, Responses, write_graph
from hafloc.nn.graph import Graph, _with_their_sums
from hafloc.nn.haf_level import LEVELS
from hafloc.nn.vgg import LAYERS

pytest.importorskip("onnx", reason="makes the graph; pip install hafloc[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install hafloc[onnx]")

SMALL = {"channels": (12, 16, 8), "level_sizes": (12, 16, 8), "local_features": 40}
Floats = NDArray[np.float32]


@cache
def network(**options: object) -> HAF:
    """A HAF with random weights that neither die out nor explode on the way up."""
    torch.manual_seed(0)
    haf = HAF(HAFOptions(**(SMALL | options)))  # type: ignore[arg-type]
    for name, tensor in haf.state_dict().items():
        if name.startswith("trunk") and name.endswith("weight"):
            tensor.normal_(std=(2 / tensor[0].numel()) ** 0.5)
        elif "accumulate" in name or "weigh" in name.split("."):
            tensor.normal_(std=0.5)
        elif name.endswith("head.weight"):
            tensor.normal_(std=0.05 / tensor.shape[1] ** 0.5)
    return haf.eval().requires_grad_(False)


def run_of(content: bytes) -> Callable[[Floats], Sequence[Floats]]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"image": image})


def an_image(height: int, width: int) -> torch.Tensor:
    random = np.random.default_rng(height)
    blocks = random.uniform(0, 255, (3, height // 8 + 1, width // 8 + 1)).repeat(8, 1).repeat(8, 2)
    noisy = blocks[:, :height, :width] + random.normal(0, 8, (3, height, width))
    return torch.from_numpy(noisy.clip(0, 255).astype(np.uint8))[None]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"asf": False, "masks": False},
        {"head_kernel": 3, "mask_filters": (4, 0, 2), "mask_stride": 0},
        {"mask_upsampling": "nearest", "pooling": "sum", "local_features": 0},
    ],
    ids=["whole", "without fusion and masks", "wide heads", "sum of cells"],
)
def test_a_graph_describes_photos_of_any_size_as_the_network_does(
    options: dict[str, object],
) -> None:
    haf = network(**options)
    run = run_of(write_graph(haf))
    for size in ((97, 65), (32, 111)):
        image = an_image(*size)
        ours = haf.features(image, local=True, regions=True)[0]
        theirs = GraphHAF(haf, run).features(image, local=True, regions=True)[0]
        np.testing.assert_allclose(theirs.vector, ours.vector, atol=2e-5)
        if ours.regions is not None:
            np.testing.assert_allclose(theirs.regions, ours.regions, atol=2e-5)
        if ours.local is not None:
            assert theirs.local is not None
            np.testing.assert_array_equal(theirs.local.xy, ours.local.xy)
            assert np.abs(theirs.local.descriptors.astype(int) - ours.local.descriptors).max() <= 1


def test_heat_maps_of_a_graph_are_those_of_the_network() -> None:
    haf = network()
    image = an_image(64, 80)
    ours = haf.describe(image)[0]
    theirs = GraphHAF(haf, run_of(write_graph(haf))).describe(image)[0]
    np.testing.assert_allclose(theirs.fused_score, ours.fused_score, atol=1e-3)
    np.testing.assert_allclose(theirs.attention, ours.attention, atol=1e-3)


def test_int8_is_near_and_its_graph_a_quarter_as_large() -> None:
    haf = network()
    images = [an_image(64, 96), an_image(80, 64)]
    content = write_graph(haf, Responses.of(haf, images))
    assert len(content) < 0.3 * len(write_graph(haf))
    for image in images:
        cosine = float((haf(image) @ GraphHAF(haf, run_of(content))(image).T).item())
        assert 0.98 < cosine < 1 - 1e-6


def test_a_batch_gets_what_its_images_get_alone() -> None:
    haf = network()
    run = run_of(write_graph(haf))
    kept: dict[int, Floats] = {}

    def over_the_last(image: Floats) -> Sequence[Floats]:
        """As OpenVINO does: each image's outputs lie where the last one's lay."""
        for number, array in enumerate(run(image)):
            kept.setdefault(number, np.empty_like(array))[...] = array
        return list(kept.values())

    graph = GraphHAF(haf, over_the_last)
    images = torch.cat([an_image(64, 96), 255 - an_image(64, 96)])
    together = graph(images)
    np.testing.assert_allclose(together[1:], graph(images[1:]), atol=1e-6)
    assert float(together[0] @ together[1]) < 0.9999


def test_responses_that_lack_a_layer_are_refused() -> None:
    haf = network()
    whole = Responses.of(haf, [an_image(64, 64)])
    for largest, means in (({"conv1_1": 1.0}, whole.means), (whole.largest, {})):
        with pytest.raises(ValueError, match="each layer"):
            write_graph(haf, Responses(largest, means))


def test_responses_come_back_from_json() -> None:
    found = Responses.of(network(), [an_image(64, 96), an_image(80, 64)])
    again = Responses.from_json(json.loads(json.dumps(found.to_json())))
    assert again.to_json() == found.to_json()
    for name, means in found.means.items():
        np.testing.assert_allclose(again.means[name], means, rtol=1e-3)


def test_means_are_those_of_what_each_layer_reads() -> None:
    haf = network()
    image = an_image(64, 96)
    found = Responses.of(haf, [image]).means
    x = haf.trunk.centre(image)
    for name in LAYERS:
        if name != "conv1_1":
            x = torch.nn.functional.max_pool2d(x, 2, ceil_mode=True) if name[-1] == "1" else x
            np.testing.assert_allclose(found[name], x.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
        x = torch.relu(haf.trunk.get_submodule(name)(x))
    for level, tap in zip(LEVELS, haf.taps(image), strict=True):
        np.testing.assert_allclose(found[level], tap.mean((0, 2, 3)), rtol=1e-3, atol=1e-3)


@given(seed=st.integers(0, 1000), kernel=st.sampled_from([1, 3]))
def test_kernels_are_rounded_by_less_than_one_and_keep_their_sums(seed: int, kernel: int) -> None:
    steps = np.random.default_rng(seed).uniform(-126, 126, (3, 4, kernel, kernel))
    rows = _with_their_sums(steps.astype(np.float32))
    assert np.abs(rows - steps).max() < 1
    assert np.abs(rows.sum((2, 3)) - steps.sum((2, 3))).max() <= 0.501


def test_the_bias_takes_away_what_rounding_adds_on_the_average() -> None:
    # Given a 1×1 layer whose weights 0.4 and 1 round to steps of 1/127, and inputs of mean 2 and 3
    haf = network()
    graph = Graph(Responses.of(haf, [an_image(64, 64)]))
    weight = np.array([[[[0.4]], [[1.0]]]], np.float32)
    _, bias = graph._rounded(weight, np.array([5.0], np.float32), np.array([2, 3], np.float32))
    # Then 0.4 is 50.8 steps, rounded to 51: 0.2 steps too many, twice
    np.testing.assert_allclose(bias, [5.0 - 0.2 / 127 * 2], atol=1e-6)


def test_half_precision_pools_in_float32() -> None:
    haf = network()
    image = an_image(48, 64)
    half = HalfHAF(haf, torch.bfloat16)
    maps = half.maps(half.taps(image), (48, 64))
    assert all(each.responses.dtype == torch.float32 for each in maps.values())
    assert 0.98 < float((haf(image) @ half(image).T).item()) < 1 - 1e-7


def test_without_the_package_onnx_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"pip install hafloc\[onnx\]"):
        write_graph(network())
