"""Writes a network as an ONNX file for other programs, once it does as torch does."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hafloc.errors import CheckpointError, MissingExtraError, OptionError, OutputError, reason_of
from hafloc.files import write_whole
from hafloc.nn import LEVELS, NETWORKS, Checkpoint, parts_of, write_vector_graph

VECTOR, TRUNK = "vector", "trunk"
SMALLEST = 32
# Of unit vectors, and of maps in parts of their largest response: float32 summed in another order.
TOLERANCE = 1e-4
# Photos, height, width: odd sides, several at once, and as small as it gets.
_TRIED = ((1, 97, 131), (2, 64, 96), (1, 32, 32))
_LICENCE = (
    "hafloc: MIT; weights: as their maker says; a VGG16 trunk from ImageNet: Visual Geometry "
    "Group, University of Oxford, CC BY 4.0"
)

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: `largest_difference` from torch, of what a vector or map can be at most 1.

    `options` is the TOML that `--model onnx:FILE` reads, None for the trunk, whose maps are no
    vector; `dimension` is 0 there.
    """

    file: Path
    options: Path | None
    bytes: int
    dimension: int
    largest_difference: float


def export_onnx(checkpoint: Checkpoint, file: Path, part: str = VECTOR) -> Exported:
    """Write a network of hafloc, or a part of it, and how it wants its images beside it.

    `part` is "vector", a level's name, or "trunk" (see `nn.write_vector_graph`). Nothing is written
    before the graph has run in ONNX Runtime at several sizes and given what torch gives. Raises
    OptionError for a part that the network has not and a name that does not end in .onnx,
    MissingExtraError, CheckpointError where the two differ, OutputError.
    """
    network = checkpoint.network
    if file.suffix.lower() != ".onnx":
        raise OptionError(f"{file} does not end in .onnx, by which others know it; call it so")
    if network.name not in NETWORKS:
        raise OptionError(
            f"{checkpoint.name} is a network of others; export it where it comes from"
        )
    if part not in parts_of(network):
        raise OptionError(
            f"{network.name} has no part {part}; it has {', '.join(parts_of(network))}"
        )
    beside = file.with_suffix(".toml")
    if beside.exists() and not file.exists():
        raise OutputError(f"cannot write {beside}: it exists already; choose another name")
    content = write_vector_graph(network, part, facts_of(checkpoint, part))
    difference, dimension = _compare(network, part, content)
    if difference > TOLERANCE:
        raise CheckpointError(
            f"{checkpoint.name} in ONNX Runtime is {difference:.1e} off what torch gives, where "
            f"{TOLERANCE:.0e} is allowed; nothing was written: upgrade onnxruntime"
        )
    write_whole(file, content)
    if part == TRUNK:
        return Exported(file, None, len(content), 0, difference)
    write_whole(beside, input_options(network.options.longer_side).encode())
    return Exported(file, beside, len(content), dimension, difference)


def facts_of(checkpoint: Checkpoint, part: str) -> dict[str, str]:
    """What the file says of itself, in the model's metadata."""
    longer = checkpoint.network.options.longer_side
    return {
        "network": checkpoint.network.name,
        "part": part,
        "checkpoint": checkpoint.name,
        "checkpoint_hash": checkpoint.hash,
        "options": json.dumps(checkpoint.options, sort_keys=True),
        "input": "image: float32, photos × 3 (red, green, blue) × height × width, values 0 to 255",
        "size": f"any sides from {SMALLEST} px; reduce larger photos to a longer side of {longer} "
        "px",
        "output": "maps at strides 4, 8 and 16" if part == TRUNK else "vector: of length 1",
        "licence": _LICENCE,
    }


def input_options(longer_side: int) -> str:
    """The TOML beside the file: values 0 to 255 are what 1/255 makes of 0 to 1."""
    return (
        f"# How the network beside it wants its images; `--model onnx:FILE` reads this.\n"
        f"longer_side = {longer_side}\n"
        "mean = [0.0, 0.0, 0.0]\n"
        f"std = [{', '.join([repr(1 / 255)] * 3)}]\n"
        'channels = "RGB"\n'
    )


def _compare(network: Any, part: str, content: bytes) -> tuple[float, int]:
    """The largest difference between the two at several sizes, and the vector's length."""
    session = _session(content)
    largest, dimension = 0.0, 0
    for photos, height, width in _TRIED:
        images = _drawn(photos, height, width)
        found = session.run(None, {"image": images})
        wanted = _by_torch(network, part, torch.from_numpy(images))
        for theirs, ours in zip(found, wanted, strict=True):
            if theirs.shape != ours.shape or not np.isfinite(theirs).all():
                return float("inf"), 0
            size = max(1.0, float(np.abs(ours).max()))
            largest = max(largest, float(np.abs(theirs - ours).max()) / size)
        dimension = wanted[0].shape[1]
    return largest, dimension


def _by_torch(network: Any, part: str, images: torch.Tensor) -> Sequence[Floats]:
    assert isinstance(network, nn.Module)
    with torch.inference_mode():
        if part == TRUNK:
            trunk: Any = network.get_submodule(TRUNK)
            return [tap.numpy() for tap in trunk(images)]
        if part in LEVELS:
            level: Any = network.get_submodule(f"levels.{part}")
            vectors: Mapping[str, torch.Tensor] = network.level_vectors(images)  # type: ignore[operator]
            return [level.whiten(vectors[part]).numpy()]
        return [network(images).numpy()]


def _drawn(photos: int, height: int, width: int) -> Floats:
    """Images with edges and textures."""
    random = np.random.default_rng(height)
    blocks = random.integers(0, 200, (photos, 3, -(-height // 12), -(-width // 12)))
    large = blocks.repeat(12, 2).repeat(12, 3)[:, :, :height, :width]
    return (large + random.integers(0, 56, large.shape)).astype(np.float32)


def _session(content: bytes) -> Any:
    try:
        runtime = import_module("onnxruntime")
    except ImportError as error:
        raise MissingExtraError(
            "checking the file against torch needs onnxruntime; pip install hafloc[onnx]"
        ) from error
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.log_severity_level = 3
    try:
        return runtime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CheckpointError(
            f"ONNX Runtime cannot open the graph: {reason_of(error)[:300]}; upgrade onnxruntime"
        ) from error
