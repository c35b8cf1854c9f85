"""What every network can do, and which networks there are."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Protocol, Self, get_args, get_origin, get_type_hints

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hafloc.description import Description
from hafloc.nn.crn import CRN
from hafloc.nn.haf import HAF
from hafloc.nn.haf_level import HAFOptions
from hafloc.nn.haf_public_code import HAFPublicCode, HAFPublicCodeOptions
from hafloc.nn.netvlad import NetVLAD, NetVLADOptions
from hafloc.nn.superpoint import SuperPoint, SuperPointOptions

# The name of the ImageNet weights that the shipped checkpoint's trunk holds.
VGG16_START = "vgg16"


class Options(Protocol):
    """A network's choices: a frozen dataclass of plain values."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def longer_side(self) -> int: ...


class Network(Protocol):
    """Images to vectors and descriptions; all of these are torch modules too.

    Calling it on a batch `N×3×H×W` (RGB 0..255, sides ≥ 32 px) gives unit vectors
    `[N, dimension]`.
    """

    @property
    def name(self) -> str: ...

    @property
    def options(self) -> Options: ...

    @property
    def dimension(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def __call__(self, images: Tensor) -> Tensor: ...

    def describe(self, images: Tensor | Sequence[NDArray[np.uint8]]) -> list[Description]: ...

    def to(self, device: str | torch.device) -> Self: ...

    def train(self, mode: bool = True) -> Self: ...

    def eval(self) -> Self: ...

    def requires_grad_(self, requires_grad: bool = True) -> Self: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def modules(self) -> Iterator[nn.Module]: ...

    def get_submodule(self, target: str) -> nn.Module: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a network by its name.

    build       the network, from its options
    options     its options' class
    start       what training starts from unless told: VGG16_START, or "" for nothing
    checkpoint  the file in nn/checkpoints/ that comes with hafloc, "" for none
    """

    build: Callable[[Any], Network]
    options: Callable[..., Options]
    start: str = VGG16_START
    checkpoint: str = ""


# A new network is one entry here, and one in train/registry.py where it can be trained.
NETWORKS: dict[str, Entry] = {
    HAF.name: Entry(HAF, HAFOptions, checkpoint="haf.safetensors"),
    NetVLAD.name: Entry(NetVLAD, NetVLADOptions),
    CRN.name: Entry(CRN, NetVLADOptions),
    SuperPoint.name: Entry(SuperPoint, SuperPointOptions, start=""),
    HAFPublicCode.name: Entry(HAFPublicCode, HAFPublicCodeOptions),
}


# Of any size, count or side: a checkpoint of strangers says by them how much memory it takes.
_LARGEST = 65_536


def make_options(name: str, options: Mapping[str, Any]) -> Options:
    """A network's options from plain values (lists stand for tuples), as files hold them.

    Raises ValueError saying which option is wrong, or that there is no such network.
    """
    if name not in NETWORKS:
        raise ValueError(f"there is no network {name!r}; there are {', '.join(NETWORKS)}")
    make = NETWORKS[name].options
    defaults = make()
    known = {field.name: getattr(defaults, field.name) for field in fields(defaults)}
    kinds = get_type_hints(type(defaults))
    values = {}
    for key, value in options.items():
        if key not in known:
            raise ValueError(f"{name} has no option {key!r}; it has {', '.join(known)}")
        plain = tuple(value) if isinstance(value, list) else value
        if not _alike(plain, known[key]):
            raise ValueError(f"option {key!r} of {name} is {value!r}; write it like {known[key]!r}")
        if not _is_sensible(plain):
            raise ValueError(
                f"option {key!r} of {name} is {value!r}; numbers are finite, and whole ones from 0 "
                f"to {_LARGEST:,}"
            )
        if get_origin(kinds[key]) is Literal and plain not in get_args(kinds[key]):
            choices = ", ".join(map(repr, get_args(kinds[key])))
            raise ValueError(f"option {key!r} of {name} is {value!r}; it can be {choices}")
        values[key] = plain
    return make(**values)


def build_network(name: str, options: Mapping[str, Any]) -> Network:
    """A network with its options as plain values; raises ValueError as `make_options` does."""
    made = make_options(name, options)
    return NETWORKS[name].build(made)


def _is_sensible(value: Any) -> bool:
    """Whether no number in it asks for memory without end, or is none."""
    if isinstance(value, tuple):
        return all(map(_is_sensible, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or 0 <= value <= _LARGEST


def _alike(value: Any, default: Any) -> bool:
    """Whether a value has the default's type; whole numbers do for fractions."""
    if isinstance(default, tuple):
        return (
            isinstance(value, tuple)
            and len(value) == len(default)
            and all(_alike(v, d) for v, d in zip(value, default, strict=True))
        )
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)
