"""Where training starts: the trunk's ImageNet weights, shipped or from a file.

The shipped checkpoint holds the very trunk, the original weights of Simonyan & Zisserman, in
float16. Files come in two layouts: the original one, `conv1_1.weight` … `conv5_3.bias` for BGR
images, and torchvision's, `features.0.weight` … `features.28.bias`, with or without "features.".
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from hafloc.errors import CheckpointError
from hafloc.nn.checkpoint import find
from hafloc.nn.network import VGG16_START
from hafloc.nn.vgg import LAYERS, MEAN, VGG16

_SHIPPED = "haf"
_TRUNK = "trunk."
_FIRST = "conv1_1.weight"
# Where torchvision's list of layers has the convolutions; ReLUs and poolings lie between.
_TORCHVISION = dict(zip(LAYERS, (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), strict=True))
# What torchvision's own VGG16 was trained on: RGB from 0 to 1, less this mean, by this deviation.
_TORCHVISION_MEAN, _TORCHVISION_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Cosine between first layers from which on two are copies of each other, rounded or not.
_SAME = 0.99


def start_file(start: str) -> Path:
    """The file that a recipe's `network.start` means: that of "vgg16", a shipped name or a path.

    Raises CheckpointError where there is none.
    """
    return find(_SHIPPED) if start == VGG16_START else find(start)


def load_start_weights(trunk: VGG16, path: Path | None = None) -> str:
    """Fill `trunk` with the shipped start weights, or those of a file; says which they are.

    A file holds the original weights or a hafloc checkpoint's as safetensors, or torchvision's
    VGG16 as safetensors or as what torch.save wrote. The input convention of torchvision's own
    weights is folded into the first layer. Raises CheckpointError where the file is missing or
    holds something else.
    """
    if path is None:
        trunk.load_state_dict(_shipped())
        return "VGG16, ImageNet (Visual Geometry Group, University of Oxford; CC BY 4.0)"
    try:
        trunk.load_state_dict(_in_our_layout(_read(path)))
    # A damaged file makes torch's unpickler raise anything at all.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"cannot read start weights from {path}: {reason}; it must hold the 13 convolutions of "
            "VGG16, as of docs/sources.md or torchvision"
        ) from error
    return f"VGG16 of {path.name}"


def _shipped() -> dict[str, Tensor]:
    with safe_open(find(_SHIPPED), framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(_TRUNK)]  # noqa: SIM118
        return {name.removeprefix(_TRUNK): file.get_tensor(name).float() for name in names}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return load_file(path)
    except SafetensorError:
        if path.suffix == ".safetensors":
            raise
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def _in_our_layout(found: Mapping[str, Any]) -> dict[str, Tensor]:
    """The trunk's tensors for RGB images less MEAN. Raises KeyError for one that is missing."""
    if _FIRST in found:
        state = {name: array.float() for name, array in found.items()}
        state[_FIRST] = state[_FIRST].flip(1)
        return state
    if _TRUNK + _FIRST in found:
        return {
            f"{name}.{part}": found[f"{_TRUNK}{name}.{part}"].float() for name, part in _parts()
        }
    prefix = "features." if "features.0.weight" in found else ""
    state = {
        f"{name}.{part}": found[f"{prefix}{_TORCHVISION[name]}.{part}"].float()
        for name, part in _parts()
    }
    return _with_our_input(state)


def _parts() -> list[tuple[str, str]]:
    return [(name, part) for name in LAYERS for part in ("weight", "bias")]


def _with_our_input(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """First layer for RGB less MEAN: as it is or turned where it is the original's, else folded."""
    first, original = state[_FIRST], _shipped()[_FIRST]
    if first.shape != original.shape or _alike(first, original):
        return state
    if _alike(first.flip(1), original):
        return {**state, _FIRST: first.flip(1)}
    mean, deviation = torch.tensor(_TORCHVISION_MEAN), torch.tensor(_TORCHVISION_DEVIATION)
    # (x / 255 − m) / d = (x − MEAN) / 255 d + (MEAN / 255 − m) / d
    offset = first.sum((2, 3)) @ ((torch.tensor(MEAN) / 255 - mean) / deviation)
    folded = first / (255 * deviation).view(1, 3, 1, 1)
    return {**state, _FIRST: folded, "conv1_1.bias": state["conv1_1.bias"] + offset}


def _alike(a: Tensor, b: Tensor) -> bool:
    return float(F.cosine_similarity(a.flatten(), b.flatten(), dim=0)) > _SAME
