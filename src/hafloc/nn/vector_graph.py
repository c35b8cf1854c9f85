"""Whole networks as ONNX graphs for other programs: a batch of images in, unit vectors out.

Sizes stay open, batch included. What the networks do band by band to save memory is written out
here, so a graph takes more: 1.2 GB for a photo of 640×480 in HAF.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hafloc.nn.crn import CRN, ReweightingMask
from hafloc.nn.graph import INPUT, Graph, add_blend, add_mask, add_trunk
from hafloc.nn.haf import HAF
from hafloc.nn.haf_level import LEVELS, Level
from hafloc.nn.haf_public_code import POOLED, HAFPublicCode
from hafloc.nn.netvlad import VLAD, NetVLAD
from hafloc.nn.network import Network
from hafloc.nn.superpoint import CELL, ENCODER, LUMA, SuperPoint
from hafloc.nn.superpoint import POOLED as SUPERPOINT_POOLED
from hafloc.nn.vgg import TAPS, VGG16
from hafloc.nn.whitening import Whitening

VECTOR = "vector"
TRUNK = "trunk"
_ROWS, _COLUMNS = 2, 3  # axes of N×C×H×W
_PLACES = [_ROWS, _COLUMNS]
# torch's bicubic interpolation, by Keys' coefficient.
_CUBIC = -0.75
_SMALL = 1e-12
_SMALLER = 1e-30


def parts_of(network: Network) -> tuple[str, ...]:
    """What of a network can be a graph: its vector, a level's alone, the trunk's three taps."""
    levels = LEVELS if isinstance(network, HAF) else ()
    trunk = (TRUNK,) if isinstance(getattr(network, "trunk", None), VGG16) else ()
    return (VECTOR, *levels, *trunk)


def write_vector_graph(
    network: Network, part: str = VECTOR, facts: Mapping[str, str] | None = None
) -> bytes:
    """The ONNX model of a network of this package, or of a part of it, in float32.

    Takes `image` `N×3×H×W`, RGB 0..255, sides from 32 px. Gives `vector` `[N, D]` of unit length;
    of the part "trunk" `low`, `mid` and `high`, `N×C×⌈H/s⌉×⌈W/s⌉` at strides 4, 8, 16. `facts`
    go into the model's metadata. Raises MissingExtraError without the package onnx, ValueError for
    a part that the network has not.
    """
    if part not in parts_of(network):
        raise ValueError(f"{network.name} has no part {part!r}; it has {parts_of(network)}")
    graph = _Steps()
    name = network.name if part == VECTOR else f"{network.name}_{part}"
    if part == TRUNK:
        found = add_trunk(graph, _trunk(network))
        outputs = [graph.give(level, found[tap]) for level, tap in TAPS.items()]
        return graph.model(outputs, name=name, batch="batch", facts=facts)
    vector = _of_level(graph, network, part) if part != VECTOR else _of_network(graph, network)
    return graph.model([graph.give(VECTOR, vector)], name=name, sides=2, batch="batch", facts=facts)


def _of_network(graph: "_Steps", network: Any) -> str:
    if isinstance(network, HAF):
        return _fused(graph, network)
    if isinstance(network, NetVLAD):
        return _vlad_vector(graph, network)
    assert isinstance(network, SuperPoint), "a network without a graph of its own"
    return _superpoint(graph, network)


def _trunk(network: Any) -> VGG16:
    trunk = network.trunk
    assert isinstance(trunk, VGG16)
    return trunk


class _Steps(Graph):
    """A graph in the making, with the steps that the networks share."""

    def number(self, value: float) -> str:
        return self.keep(np.array(value, np.float32))

    def whole(self, *values: int) -> str:
        return self.keep(np.array(values, np.int64))

    def over(self, kind: str, value: str, axes: Sequence[int]) -> str:
        """A reduction that keeps its axes."""
        if kind == "ReduceSum":  # the only one whose axes are an input in this opset
            return self.add(kind, [value, self.whole(*axes)], keepdims=1)
        return self.add(kind, [value], axes=list(axes), keepdims=1)

    def unit(self, value: str, axis: int = 1) -> str:
        """torch's F.normalize."""
        length = self.add("Max", [self.over("ReduceL2", value, [axis]), self.number(_SMALL)])
        return self.add("Div", [value, length])

    def whiten(self, whitening: Whitening, value: str) -> str:
        projection = whitening.projection.detach().double()
        if whitening.change is not None:
            projection = projection + whitening.change.detach().double() @ projection
        mean = whitening.mean.detach().float().numpy()
        centred = self.add("Sub", [value, self.keep(mean)])
        turned = projection.float().T.contiguous().numpy()
        return self.unit(self.add("MatMul", [centred, self.keep(turned)]))

    def sides(self, value: str = INPUT) -> str:
        """Height and width, `[2]`."""
        size = self.add("Shape", [value])
        return self.add("Slice", [size, self.whole(2), self.whole(4), self.whole(0)])

    def half(self) -> str:
        """Sides ⌈H/2⌉ and ⌈W/2⌉ of the image's half-resolution grid."""
        more = self.add("Add", [self.sides(), self.whole(1)])
        return self.add("Div", [more, self.whole(2)])

    def crop(self, value: str, sides: str) -> str:
        """The upper left of maps, of these sides."""
        return self.add("Slice", [value, self.whole(0, 0), sides, self.whole(*_PLACES)])

    def enlarge(self, value: str, scale: int, sides: str, mode: str = "linear") -> str:
        """Maps times a whole number, cropped to sides."""
        if scale > 1:
            scales = self.keep(np.array([1, 1, scale, scale], np.float32))
            how: dict[str, Any] = {"coordinate_transformation_mode": "half_pixel"}
            if mode == "nearest":
                how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            elif mode == "cubic":
                how["cubic_coeff_a"] = _CUBIC
            value = self.add("Resize", [value, "", scales], mode=mode, **how)
        return self.crop(value, sides)

    def shares(self, strength: str) -> str:
        """Strengths N×1×h×w divided by their sum; all alike where that is 0."""
        total = self.over("ReduceSum", strength, _PLACES)
        share = self.add("Div", [strength, self.add("Max", [total, self.number(_SMALLER)])])
        ones = self.add("Add", [self.add("Mul", [strength, self.number(0)]), self.number(1)])
        alike = self.add("Div", [ones, self.over("ReduceSum", ones, _PLACES)])
        fires = self.add("Greater", [total, self.number(0)])
        return self.add("Where", [fires, share, alike])

    def flat(self, value: str) -> str:
        return self.add("Flatten", [value], axis=1)


# HAF


def _fused(graph: _Steps, haf: HAF) -> str:
    found = add_trunk(graph, haf.trunk)
    parts = []
    for name, weight in zip(LEVELS, haf.options.level_weights, strict=True):
        vector = _level_vector(graph, haf, name, found[TAPS[name]])
        parts.append(graph.add("Mul", [vector, graph.number(weight**0.5)]))
    vector = graph.unit(graph.add("Concat", parts, axis=1))
    if haf.options.use_compact:
        assert haf.compact is not None
        vector = graph.whiten(haf.compact, vector)
    return vector


def _of_level(graph: _Steps, network: Network, name: str) -> str:
    assert isinstance(network, HAF)
    found = add_trunk(graph, network.trunk, TAPS[name])
    return _level_vector(graph, network, name, found[TAPS[name]])


def _level_vector(graph: _Steps, haf: HAF, name: str, tap: str) -> str:
    """w_l, whitened where the network whitens, of unit length."""
    level = haf.level(name)
    responses = graph.respond(level.head, tap)
    sides = graph.half()
    maps = _blended(graph, level, responses, sides)
    mask = _mask(graph, level, responses, sides)
    masked = maps if mask is None else graph.add("Mul", [maps, mask])
    if level.power is not None:
        pooled = graph.unit(_power_mean(graph, masked, float(level.power)))
    else:
        scores = graph.shares(_STRENGTHS[haf.options.detection](graph, maps, masked, mask))
        weighted = graph.add("Mul", [graph.unit(maps), scores])
        pooled = graph.flat(graph.over("ReduceSum", weighted, _PLACES))
    return graph.unit(pooled) if level.whitening is None else graph.whiten(level.whitening, pooled)


def _blended(graph: _Steps, level: Level, responses: str, sides: str) -> str:
    """F on the half-resolution grid, without its mask."""
    scale = level.stride // 2
    smooth = graph.enlarge(responses, scale, sides)
    blend = add_blend(graph, level, responses)
    if not blend:
        return smooth
    sharp = graph.enlarge(responses, scale, sides, "nearest")
    blend = graph.enlarge(blend, scale, sides)
    near, between = (
        graph.add("Slice", [blend, graph.whole(i), graph.whole(i + 1), graph.whole(1)])
        for i in range(2)
    )
    weighted = [graph.add("Mul", [sharp, near]), graph.add("Mul", [smooth, between])]
    return graph.add("Add", weighted)


def _mask(graph: _Steps, level: Level, responses: str, sides: str) -> str | None:
    mask = add_mask(graph, level, responses)
    if not mask:
        return None
    mode = "linear" if level.mask_upsampling == "bilinear" else "nearest"
    return graph.enlarge(mask, level.mask_stride // 2, sides, mode)


def _power_mean(graph: _Steps, maps: str, power: float) -> str:
    raised = graph.add("Pow", [maps, graph.number(power)])
    mean = graph.flat(graph.over("ReduceMean", raised, _PLACES))
    bounded = graph.add("Max", [mean, graph.number(1e-6**power)])
    return graph.add("Pow", [bounded, graph.number(1 / power)])


def _strongest(graph: _Steps, maps: str, masked: str, mask: str | None) -> str:
    return graph.over("ReduceMax", masked, [1])


def _uniform(graph: _Steps, maps: str, masked: str, mask: str | None) -> str:
    none = graph.add("Mul", [graph.over("ReduceMax", maps, [1]), graph.number(0)])
    return graph.add("Add", [none, graph.number(1)])


def _soft(graph: _Steps, maps: str, masked: str, mask: str | None) -> str:
    """D2-Net's γ, as `half_resolution._soft` has it."""
    peaks = graph.over("ReduceMax", maps, [1])
    strongest = graph.over("ReduceMax", graph.over("ReduceMax", masked, [1]), _PLACES)
    bounded = graph.add("Max", [strongest, graph.number(_SMALLER)])
    raised = graph.add("Exp", [graph.add("Div", [masked, bounded])])
    around = graph.add(
        "AveragePool",
        [raised],
        kernel_shape=[3, 3],
        strides=[1, 1],
        pads=[1] * 4,
        count_include_pad=1,
    )
    alpha = graph.add("Div", [raised, graph.add("Mul", [around, graph.number(9)])])
    gamma = graph.over("ReduceMax", graph.add("Mul", [alpha, maps]), [1])
    found = graph.add("Div", [gamma, graph.add("Max", [peaks, graph.number(_SMALLER)])])
    fires = graph.add("Greater", [peaks, graph.number(0)])
    return graph.add("Where", [fires, found, graph.number(0)])


_STRENGTHS: Mapping[str, Callable[[_Steps, str, str, str | None], str]] = {
    "max": _strongest,
    "soft": _soft,
    "none": _uniform,
}


# NetVLAD and what is made of it


def _vlad_vector(graph: _Steps, network: NetVLAD) -> str:
    if isinstance(network, HAFPublicCode):
        features = _gathered(graph, network)
    else:
        found = add_trunk(graph, network.trunk, "conv5_2")
        features = graph.convolve(network.trunk.get_submodule("conv5_3"), found["conv5_2"])
    mask = _reweighting(graph, network.mask, features) if isinstance(network, CRN) else None
    vector = _vlad(graph, network.vlad, features, mask)
    return vector if network.whitening is None else graph.whiten(network.whitening, vector)


def _vlad(graph: _Steps, vlad: VLAD, features: str, mask: str | None) -> str:
    places = graph.whole(0, 0, -1)
    x = graph.unit(graph.add("Reshape", [features, places]))
    assignment, centres = (
        graph.keep(each.detach().float().numpy()) for each in (vlad.assignment, vlad.centres)
    )
    assigned = graph.add("Softmax", [graph.add("MatMul", [assignment, x])], axis=1)
    if mask is not None:
        assigned = graph.add("Mul", [assigned, graph.add("Reshape", [mask, places])])
    sums = graph.add("MatMul", [assigned, graph.add("Transpose", [x], perm=[0, 2, 1])])
    taken = graph.add("Mul", [graph.over("ReduceSum", assigned, [2]), centres])
    residuals = graph.unit(graph.add("Sub", [sums, taken]), axis=2)
    return graph.unit(graph.flat(residuals))


def _reweighting(graph: _Steps, mask: ReweightingMask, features: str) -> str:
    """CRN's mask, N×1×h×w."""
    pooled = graph.add("AveragePool", [features], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    read = [graph.convolve(each, pooled) for each in (mask.near, mask.middle, mask.far)]
    context = graph.add("Relu", [graph.add("Concat", read, axis=1)])
    total = graph.over("ReduceSum", context, [1])
    small = graph.add("Relu", [graph.add("Add", [total, graph.number(float(mask.bias))])])
    large = graph.enlarge(small, 2, graph.sides(features))
    fires = graph.add("Greater", [graph.over("ReduceMax", large, _PLACES), graph.number(0)])
    return graph.add("Where", [fires, large, graph.number(1)])


def _gathered(graph: _Steps, network: HAFPublicCode) -> str:
    """Places of three levels on the first one's grid."""
    found = add_trunk(graph, network.trunk)
    parts: list[str] = []
    for number, (level, layer) in enumerate(POOLED.items()):
        head = graph.convolve(network.heads[level], graph.pool(found[layer]))
        if parts:
            head = graph.enlarge(head, 2**number, graph.sides(parts[0]), "nearest")
        parts.append(head)
    return graph.add("Concat", parts, axis=1)


# SuperPoint


def _superpoint(graph: _Steps, network: SuperPoint) -> str:
    luma = graph.keep(np.array(LUMA, np.float32).reshape(1, 3, 1, 1))
    grey = graph.over("ReduceSum", graph.add("Mul", [INPUT, luma]), [1])
    x = graph.add("Div", [grey, graph.number(255)])
    for name in ENCODER:
        if name in SUPERPOINT_POOLED:
            x = graph.pool(x)
        x = graph.add("Relu", [graph.convolve(network.encoder[name], x)])
    chances = graph.add("Softmax", [_read(graph, network.detector, x)], axis=1)
    # The last channel is the dustbin.
    kept = graph.add("Slice", [chances, graph.whole(0), graph.whole(CELL * CELL), graph.whole(1)])
    wide = graph.add("DepthToSpace", [kept], blocksize=CELL, mode="CRD")
    scores = graph.crop(wide, graph.sides())
    scores = graph.add("Div", [scores, graph.over("ReduceSum", scores, _PLACES)])
    dense = graph.enlarge(_read(graph, network.descriptor, x), CELL, graph.sides(), "cubic")
    weighted = graph.add("Mul", [graph.unit(dense), scores])
    vector = graph.unit(graph.flat(graph.over("ReduceSum", weighted, _PLACES)))
    return vector if network.whitening is None else graph.whiten(network.whitening, vector)


def _read(graph: _Steps, head: Any, value: str) -> str:
    first, _, last = head
    return graph.convolve(last, graph.add("Relu", [graph.convolve(first, value)]))
