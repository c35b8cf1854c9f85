"""How networks of others want their images, and what their answers must be."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

LARGEST_SIDE = 8192
KEYS = ("size", "longer_side", "multiple_of", "mean", "std", "channels")
# Of ImageNet's photos, which nearly all networks were first trained on.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LONGER_SIDE = 640


@dataclass(frozen=True, slots=True)
class InputOptions:
    """`size` (height, width) is None for networks that take any size; larger photos are reduced to
    `longer_side`, sides scaled to multiples of `multiple_of`; `mean` and `std` are of values from 0
    to 1; `channels` is "RGB" or "BGR"."""

    size: tuple[int, int] | None
    longer_side: int
    multiple_of: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    channels: str

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in which an image goes into the network."""
        if self.size is not None:
            return self.size
        step = self.multiple_of
        return max(step, round(height / step) * step), max(step, round(width / step) * step)

    def values(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The normalised image `3×H×W`, in the network's size, of an RGB image `H×W×3`."""
        height, width = self.input_size(*image.shape[:2])
        if image.shape[:2] != (height, width):
            resized = Pillow.fromarray(image).resize((width, height), Pillow.Resampling.BICUBIC)
            image = np.asarray(resized)
        if self.channels == "BGR":
            image = image[:, :, ::-1]
        values = (image.astype(np.float32) / 255 - self.mean) / self.std
        return np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32)


def read_options(given: Mapping[str, Any], *, stated: bool = True) -> InputOptions:
    """Options from plain values; raises ValueError saying which key is wrong.

    Unless they must be `stated`, mean and std are ImageNet's where they are not given.
    """
    if unknown := sorted(set(given) - set(KEYS)):
        raise ValueError(f"unknown key {unknown[0]}; known: {sorted(KEYS)}")
    size = _numbers(given, "size", 2) if "size" in given else None
    whole = tuple(int(side) for side in size) if size else None
    channels = given.get("channels", "RGB")
    if channels not in ("RGB", "BGR"):
        raise ValueError(f'channels is {channels!r}, not "RGB" or "BGR"')
    known = given if stated else {"mean": list(MEAN), "std": list(STD), **given}
    mean, std = (_numbers(known, key, 3) for key in ("mean", "std"))
    if min(std) <= 0:
        raise ValueError(f"std {list(std)} must be above 0")
    return InputOptions(
        size=(whole[0], whole[1]) if whole else None,
        longer_side=_side(given, "longer_side", 2 * max(whole) if whole else _LONGER_SIDE),
        multiple_of=_side(given, "multiple_of", 1),
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        channels=channels,
    )


def what_is_wrong(vectors: NDArray[np.float32], photos: int) -> str | None:
    """Why an answer of this shape is not one vector for each of N photos, None where it is.

    Values are looked at by `is_sound`.
    """
    shape = "×".join(str(side) for side in vectors.shape) or "no sides"
    if vectors.ndim > 2:
        return f"answers with maps of {shape}, not with one vector a photo"
    if vectors.ndim != 2 or len(vectors) != photos:
        return f"answers with {shape} numbers for {photos:,} photos, not with one vector a photo"
    if vectors.shape[1] < 2:
        return f"answers with {vectors.shape[1]} number a photo, which is no vector"
    return None


def is_sound(vectors: NDArray[np.float32]) -> bool:
    """Whether all of `[N, D]` are finite and none is zero, so that each has a direction."""
    return bool(np.isfinite(vectors).all() and vectors.any(axis=1).all())


def _numbers(given: Mapping[str, Any], key: str, count: int) -> tuple[float, ...]:
    value = given.get(key)
    right = isinstance(value, list) and len(value) == count
    if not right or not all(
        type(part) in (int, float) and math.isfinite(part) for part in value or ()
    ):
        raise ValueError(f"{key} is {value!r}, not a list of {count} numbers")
    assert value is not None
    if key == "size" and not all(type(n) is int and 1 <= n <= LARGEST_SIDE for n in value):
        raise ValueError(f"size {value} is not in whole pixels up to {LARGEST_SIDE:,}")
    return tuple(float(part) for part in value)


def _side(given: Mapping[str, Any], key: str, default: int) -> int:
    value = given.get(key, default)
    if type(value) is not int or not 1 <= value <= LARGEST_SIDE:
        raise ValueError(f"{key} is {value!r}, not whole pixels from 1 to {LARGEST_SIDE:,}")
    return value
