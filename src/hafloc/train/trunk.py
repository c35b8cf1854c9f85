"""The frozen lower layers of the trunk: run once, without gradient, and perhaps kept on disk."""

import torch
from torch import Tensor

from hafloc.nn.vgg import LAYERS, VGG16

NOTHING = "heads"  # train_from of a recipe in which no layer of the trunk learns


def frozen_layers(train_from: str) -> list[str]:
    """The layers below `train_from`, lowest first."""
    names = list(LAYERS)
    return names if train_from == NOTHING else names[: names.index(train_from)]


def kept_layers(train_from: str, taps: tuple[str, ...]) -> tuple[str, ...]:
    """The frozen layers that the learning ones read: taps below, and the last one."""
    frozen = frozen_layers(train_from)
    last = frozen[-1:] if train_from != NOTHING else []
    return tuple(name for name in frozen if name in taps or name in last)


@torch.no_grad()
def run_frozen(trunk: VGG16, images: Tensor, kept: tuple[str, ...]) -> dict[str, Tensor]:
    """Responses after ReLU of the layers `kept`, of images `N×3×H×W`, RGB 0..255."""
    return trunk.responses(kept, trunk.centre(images))
