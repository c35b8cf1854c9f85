"""Networks with every parameter away from its special start, and images to show them."""

from dataclasses import dataclass
from typing import TypeVar

import torch

from hafloc.nn import (
    CRN,
    NETWORKS,
    HAFOptions,
    HAFPublicCodeOptions,
    NetVLADOptions,
    Network,
    SuperPointOptions,
)

Module = TypeVar("Module", bound=torch.nn.Module)

HAF_OPTIONS = HAFOptions(channels=(24, 32, 16), level_sizes=(12, 16, 8))
VLAD_OPTIONS = NetVLADOptions(clusters=5, size=7)
POINT_OPTIONS = SuperPointOptions(size=9)
PUBLIC_OPTIONS = HAFPublicCodeOptions(clusters=5, size=7, channels=(6, 8, 10))
SMALL = {
    HAFOptions: HAF_OPTIONS,
    NetVLADOptions: VLAD_OPTIONS,
    SuperPointOptions: POINT_OPTIONS,
    HAFPublicCodeOptions: PUBLIC_OPTIONS,
}


def image(height: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 8 + 1, width // 8 + 1, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    noise = torch.rand(1, 3, height, width, generator=generator)
    return ((0.7 * smooth + 0.3 * noise) * 255)[0].to(torch.uint8)


def close(actual: object, expected: torch.Tensor, tolerance: float = 1e-4) -> None:
    actual = torch.as_tensor(actual).double()
    assert actual.shape == expected.shape
    assert (actual - expected).norm() <= tolerance * expected.norm()


def shaken(net: Module, seed: int = 0) -> Module:
    """The network with random weights of a scale at which every part of it counts."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in net.state_dict().items():
        if name.endswith("power"):
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        tensor.copy_(noise * _scale(name, tensor))
    if isinstance(net, CRN):
        # Low enough for the mask to be 0 at some places and not at others.
        net.mask.bias.data.fill_(-2.3)
    return net.eval().requires_grad_(False)


def _scale(name: str, tensor: torch.Tensor) -> float:
    if name.startswith(("trunk", "encoder", "detector", "descriptor")) and name.endswith("weight"):
        return float((2 / tensor[0].numel()) ** 0.5)
    if "head" in name and name.endswith("weight"):
        return float(0.03 / tensor.shape[1] ** 0.5)
    if name.startswith("mask") and name.endswith("weight"):
        return float(1e-3 / tensor[0].numel() ** 0.5)
    if name == "vlad.assignment":
        return 3.0
    return 1.0 if "projection" in name else 0.05


@dataclass(frozen=True)
class Case:
    """A small network of one kind and its name, for tests that hold for all kinds."""

    name: str

    def fresh(self) -> Network:
        entry = NETWORKS[self.name]
        return entry.build(SMALL[entry.options])


CASES = [Case(name) for name in NETWORKS]
