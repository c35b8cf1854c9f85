"""One network as torch module and as exported graph: the same vectors, at sizes networks want."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image as Pillow

from hafloc.describe import Describer

DIMENSION = 16
HUBCONF = """
import torch
from torch import nn

def patches():
    torch.manual_seed(0)
    # A patch of 14 or 16 pixels becomes a token, as in a vision transformer.
    return nn.Sequential(
        nn.Conv2d(3, 24, {patch}, {patch}), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 16),
    )
"""


def export(module: torch.nn.Sequential, file: Path, height: int, width: int) -> None:
    """The module as the graph that an exporter writes for one image of that size."""
    weights = {key.replace(".", "_"): value.numpy() for key, value in module.state_dict().items()}
    patch = module[0].kernel_size[0]
    nodes = [
        helper.make_node("Conv", ["image", "0_weight", "0_bias"], ["tokens"], strides=[patch] * 2),
        helper.make_node("Relu", ["tokens"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["row"]),
        helper.make_node("Gemm", ["row", "4_weight", "4_bias"], ["vector"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "patches",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, height, width])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, DIMENSION])],
        [numpy_helper.from_array(value, key) for key, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, file)


def scene(seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    small = np.random.default_rng(seed).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    return np.array(Pillow.fromarray(small).resize(size, Pillow.Resampling.BICUBIC))


@pytest.mark.parametrize(
    ("patch", "height", "width"), [(16, 224, 224), (14, 322, 322), (16, 512, 512), (14, 224, 322)]
)
def test_module_and_graph_give_the_same_vectors(
    tmp_path: Path, patch: int, height: int, width: int
) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "hubconf.py").write_text(HUBCONF.format(patch=patch))
    module = torch.hub.load(str(tmp_path / "net"), "patches", source="local").eval()
    export(module, tmp_path / "net.onnx", height, width)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    (tmp_path / "net.toml").write_text(f"size = [{height}, {width}]\nmean = {mean}\nstd = {std}\n")
    hub = Describer.open(f"hub:{tmp_path / 'net'}?size={height}x{width}", trust=True)
    graph = Describer.open(f"onnx:{tmp_path / 'net.onnx'}")
    assert hub.dimension == graph.dimension == DIMENSION
    for seed, size in enumerate([(640, 480), (480, 640), (90, 70), (width, height)]):
        image = scene(seed, size)
        here, there = hub.vector(image), graph.vector(image)
        assert float(here @ there) == pytest.approx(1, abs=1e-4)
        # By hand: resized as both do, normalised, and straight into the module.
        fitted = Pillow.fromarray(hub.fit(image)).resize((width, height), Pillow.Resampling.BICUBIC)
        values = (np.asarray(fitted, dtype=float) / 255 - mean) / std
        with torch.no_grad():
            row = module(torch.from_numpy(values.transpose(2, 0, 1)[None]).float())[0].numpy()
        assert float(here @ row) / float(np.linalg.norm(row)) == pytest.approx(1, abs=1e-4)
