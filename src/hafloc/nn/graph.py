"""What HAF's convolutions say of a photo as one ONNX graph, in float32 or with int8 products.

The graph ends at the taps' own resolution: what heads, fusions and masks give there, and the two
taps that key points read. Upsampling, power means, whitening and key points follow in float32, for
their small differences are what tells places apart. int8 is written as pairs of QuantizeLinear and
DequantizeLinear, which every runtime reads: weights by output channel, responses by layer.

Rounded weights are what int8 costs most, and two things make that small, at no cost when it runs.
Neighbouring places of a map are alike, so the nine weights of a kernel are rounded such that their
sum stays. And responses are never below 0, so what rounding adds to an output on the average is
known, and the bias takes it away (Nagel et al., Data-Free Quantization, ICCV 2019, section 4.2).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hafloc.errors import MissingExtraError
from hafloc.nn.haf import HAF, LOCAL_LEVELS
from hafloc.nn.haf_level import LEVELS, Level, Reads
from hafloc.nn.vgg import LAYERS, MEAN, TAPS, VGG16, pool

# Grows when the same checkpoint gives another graph.
GRAPH_VERSION = 2
INPUT = "image"
_OPSET = 17
_ONNX_FORMAT = 8
_RESPONSES, _BLEND, _MASK = "responses", "blend", "mask"
# The three colours say too little for int8: their layer is a hundredth of the work.
_FIRST = "conv1_1"

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Responses:
    """What int8 needs to know of a network's responses to photos.

    `largest` is the largest response of each layer of the trunk, `means` the mean input of each
    channel, `[C]`, by what reads it: a layer of the trunk but the first, or the head of a level.
    """

    largest: Mapping[str, float]
    means: Mapping[str, Floats]

    @classmethod
    def of(cls, haf: HAF, images: Iterable[Tensor]) -> Self:
        """A network's responses to images `1×3×H×W`."""
        largest = dict.fromkeys(LAYERS, 0.0)
        means: dict[str, list[Tensor]] = {}
        layers = list(LAYERS)
        with torch.inference_mode():
            for image in images:
                found = haf.trunk.responses(layers, haf.trunk.centre(image))
                for name, responses in found.items():
                    largest[name] = max(largest[name], float(responses.max()))
                for level, tap in TAPS.items():
                    means.setdefault(level, []).append(found[tap].mean((0, 2, 3)))
                for before, name in pairwise(layers):
                    read = pool(found[before]) if name.endswith("_1") else found[before]
                    means.setdefault(name, []).append(read.mean((0, 2, 3)))
        return cls(
            largest, {name: torch.stack(rows).mean(0).numpy() for name, rows in means.items()}
        )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        means = {name: np.array(row, np.float32) for name, row in content["means"].items()}
        return cls(content["largest"], means)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, of four digits."""
        means = {name: [float(f"{x:.4g}") for x in row] for name, row in self.means.items()}
        return {"largest": {n: round(x, 2) for n, x in self.largest.items()}, "means": means}


def write_graph(haf: HAF, responses: Responses | None = None) -> bytes:
    """The ONNX model of a network; with its `responses` to photos its products are int8.

    Takes `image` `1×3×H×W`, RGB 0..255 as float32; gives what `read_outputs` reads. Raises
    MissingExtraError without the package onnx, ValueError where `responses` lack a layer.
    """
    if responses is not None and not _is_whole(responses):
        raise ValueError("responses must hold a number above 0 for each layer, and all means")
    graph = Graph(responses)
    found = add_trunk(graph, haf.trunk)
    taps = {level: found[tap] for level, tap in TAPS.items()}
    outputs = [graph.give(f"{name}_tap", taps[name]) for name in LOCAL_LEVELS]
    for name in LEVELS:
        outputs += _add_level(graph, name, haf.level(name), taps[name])
    return graph.model(outputs)


def _is_whole(responses: Responses) -> bool:
    readers = {*LAYERS, *LEVELS} - {_FIRST}
    return readers <= set(responses.means) and all(
        responses.largest.get(name, 0) > 0 for name in LAYERS
    )


def output_names(haf: HAF) -> list[str]:
    """The graph's outputs in their order."""
    names = [f"{name}_tap" for name in LOCAL_LEVELS]
    for name in LEVELS:
        level = haf.level(name)
        has = {_RESPONSES: True, _BLEND: level.fusion, _MASK: level.mask}
        names += [f"{name}_{part}" for part, there in has.items() if there]
    return names


def read_outputs(
    haf: HAF, arrays: Iterable[NDArray[np.float32]]
) -> tuple[dict[str, Tensor], dict[str, Reads]]:
    """The taps of LOCAL_LEVELS, and what each level reads, from the graph's outputs in order."""
    found = {
        name: torch.from_numpy(array) for name, array in zip(output_names(haf), arrays, strict=True)
    }
    reads = {
        name: Reads(
            found[f"{name}_{_RESPONSES}"].permute(0, 3, 1, 2),
            found.get(f"{name}_{_BLEND}"),
            found.get(f"{name}_{_MASK}"),
        )
        for name in LEVELS
    }
    return {name: found[f"{name}_tap"] for name in LOCAL_LEVELS}, reads


def onnx_package() -> Any:
    """The package onnx. Raises MissingExtraError."""
    try:
        return import_module("onnx")
    except ImportError as error:
        raise MissingExtraError(
            "making the graph of a network needs the package onnx; pip install hafloc[onnx]"
        ) from error


class Graph:
    """Nodes and weights of a graph in the making; values are known by their names.

    Raises MissingExtraError without the package onnx.
    """

    def __init__(self, responses: Responses | None = None) -> None:
        self._onnx = onnx_package()
        self._responses = responses
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def add(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        made = f"{kind.lower()}_{len(self._nodes)}"
        node = self._onnx.helper.make_node(kind, inputs, [made], name=made, **attributes)
        self._nodes.append(node)
        return made

    def keep(self, array: NDArray[Any]) -> str:
        name = f"weights_{len(self._weights)}"
        self._weights.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def give(self, name: str, value: str) -> str:
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name], name=name))
        return name

    def convolve(self, layer: nn.Module, value: str, name: str = "") -> str:
        """A convolution; one of a `name` by which its mean inputs are known may be rounded."""
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None
        weight = layer.weight.detach().float().numpy()
        bias = layer.bias.detach().float().numpy()
        if name and self._responses is not None:
            kernel, bias = self._rounded(weight, bias, self._responses.means[name])
        else:
            kernel = self.keep(weight)
        margin = int(layer.padding[0])
        return self.add("Conv", [value, kernel, self.keep(bias)], pads=[margin] * 4)

    def respond(self, head: nn.Module, tap: str, name: str = "") -> str:
        """A level's responses R: its head's convolution and ReLU6."""
        bounds = [self.keep(np.array(bound, np.float32)) for bound in (0, 6)]
        return self.add("Clip", [self.convolve(head, tap, name), *bounds])

    def pool(self, value: str) -> str:
        """The largest of each 2×2 places; an odd last row and column stay."""
        return self.add("MaxPool", [value], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)

    def _rounded(self, weight: Floats, bias: Floats, means: Floats) -> tuple[str, Floats]:
        """Weights as int8, each output channel's largest ±127, and the bias that goes with them."""
        scale = np.abs(weight).max((1, 2, 3)).clip(min=1e-12) / 127
        steps = weight / scale[:, None, None, None]
        rows = _with_their_sums(steps)
        missing = ((steps - rows).sum((2, 3)) @ means) * scale
        zero = np.zeros(len(rows), np.int8)
        inputs = [self.keep(rows), self.keep(scale.astype(np.float32)), self.keep(zero)]
        kernel = self.add("DequantizeLinear", inputs, axis=0)
        return kernel, (bias + missing).astype(np.float32)

    def round_responses(self, layer: str, value: str) -> str:
        """Responses of a layer, all at least 0, in 256 steps; as they are in float."""
        if self._responses is None:
            return value
        scale = self.keep(np.array(self._responses.largest[layer] / 255, np.float32))
        zero = self.keep(np.array(0, np.uint8))
        return self.add(
            "DequantizeLinear", [self.add("QuantizeLinear", [value, scale, zero]), scale, zero]
        )

    def model(
        self,
        outputs: list[str],
        *,
        name: str = "haf",
        sides: int = 4,
        batch: int | str = 1,
        facts: Mapping[str, str] | None = None,
    ) -> bytes:
        """The model in bytes; outputs have so many `sides`, `facts` are stored beside it."""
        helper, kind = self._onnx.helper, self._onnx.TensorProto.FLOAT
        rest = [None] * (sides - 1)
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(INPUT, kind, [batch, 3, "height", "width"])],
            [helper.make_tensor_value_info(each, kind, [batch, *rest]) for each in outputs],
            self._weights,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_ONNX_FORMAT,
            producer_name="hafloc",
        )
        if facts:
            helper.set_model_props(model, dict(facts))
        return bytes(model.SerializeToString())


def _with_their_sums(steps: Floats) -> NDArray[np.int8]:
    """Kernels `O×I×h×w` rounded to whole numbers of at most 127, each sum to the nearest one.

    Rounded up are the weights of a kernel that are closest to their next number.
    """
    down = np.floor(steps)
    rest = (steps - down).reshape(*steps.shape[:2], -1)
    count = np.rint(rest.sum(2, keepdims=True))
    order = np.argsort(np.argsort(-rest, axis=2, kind="stable"), axis=2)
    up = (order < count).reshape(steps.shape)
    rounded: NDArray[np.int8] = (down + up).clip(-127, 127).astype(np.int8)
    return rounded


def add_trunk(graph: Graph, trunk: VGG16, last: str = "conv5_3") -> dict[str, str]:
    """The VGG16 up to a layer: responses after their ReLU, by layer."""
    value = graph.add("Sub", [INPUT, graph.keep(np.array(MEAN, np.float32).reshape(1, 3, 1, 1))])
    found, before = {}, ""
    for name in LAYERS:
        if before and name.endswith("_1"):
            value = graph.pool(value)
            # Pooling keeps the steps; runtimes see that only where they are written again.
            value = graph.round_responses(before, value)
        layer = trunk.get_submodule(name)
        value = graph.convolve(layer, value, "" if name == _FIRST else name)
        value = graph.round_responses(name, graph.add("Relu", [value]))
        found[name] = value
        before = name
        if name == last:
            break
    return found


def _add_level(graph: Graph, name: str, level: Level, tap: str) -> list[str]:
    """A level's head, fusion and mask, all but the head's product in float32; their names."""
    responses = graph.respond(level.head, tap, name)
    # Channels last is how they are pooled.
    turned = graph.add("Transpose", [responses], perm=[0, 2, 3, 1])
    outputs = [graph.give(f"{name}_{_RESPONSES}", turned)]
    if blend := add_blend(graph, level, responses):
        outputs.append(graph.give(f"{name}_{_BLEND}", blend))
    if mask := add_mask(graph, level, responses):
        outputs.append(graph.give(f"{name}_{_MASK}", mask))
    return outputs


def add_blend(graph: Graph, level: Level, responses: str) -> str:
    """The weights of a level's spatial fusion at its tap's resolution; "" where it has none."""
    if level.fusion is None:
        return ""
    value = graph.add("Relu", [graph.convolve(level.fusion.reduce, responses)])
    return graph.add("Sigmoid", [graph.convolve(level.fusion.weigh, value)])


def add_mask(graph: Graph, level: Level, responses: str) -> str:
    """A level's attention mask on its own grid; "" where it has none."""
    if level.mask is None:
        return ""
    ratio = level.mask_stride // level.stride
    if ratio > 1:
        window = [ratio, ratio]
        responses = graph.add(
            "AveragePool", [responses], kernel_shape=window, strides=window, ceil_mode=1
        )
    readers = level.mask.readers.values()
    read = [graph.convolve(reader, responses) for reader in readers]
    value = graph.add("Relu", [graph.add("Concat", read, axis=1)])
    return graph.add("Sigmoid", [graph.convolve(level.mask.accumulate, value)])
