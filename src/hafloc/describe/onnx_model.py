"""Networks of others as ONNX files: image in, vector out, with their habits in a TOML beside them.

`model.toml` beside `model.onnx`:

    size = [322, 322]             # height, width that the network wants; or, for any size:
    longer_side = 640             # larger photos are reduced to it
    multiple_of = 14              # sides are scaled to multiples of it (optional)
    mean = [0.485, 0.456, 0.406]  # of values from 0 to 1
    std = [0.229, 0.224, 0.225]
    channels = "RGB"              # or "BGR" (optional)
"""

import hashlib
import os
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor, nn

from hafloc.description import Description, KeyPoints
from hafloc.errors import CheckpointError, MissingExtraError
from hafloc.nn import Checkpoint

PREFIX = "onnx:"
_LARGEST_SIDE = 8192
_KEYS = {"size", "longer_side", "multiple_of", "mean", "std", "channels"}


@dataclass(frozen=True, slots=True)
class OnnxOptions:
    """What the TOML says: `size` (height, width) is None for networks that take any size."""

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


class OnnxNetwork(nn.Module):
    """An ONNX session behind the door that all networks have; `N×3×H×W`, RGB 0..255."""

    name = "onnx"

    def __init__(self, session: Any, options: OnnxOptions, path: Path) -> None:
        super().__init__()
        self.options = options
        self.path = path
        self._session = session
        self._input = session.get_inputs()[0].name
        probe = np.zeros((*options.input_size(224, 224), 3), dtype=np.uint8)
        self.dimension = len(self._run(probe))

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def forward(self, images: Tensor) -> Tensor:
        """Unit vectors `[N, dimension]`. Raises CheckpointError where the network fails."""
        arrays = images.permute(0, 2, 3, 1).numpy()
        vectors = torch.from_numpy(np.stack([self._run(image) for image in arrays]))
        return F.normalize(vectors, dim=-1)

    def describe(self, images: Tensor | Sequence[NDArray[np.uint8]]) -> list[Description]:
        """Vectors alone: such a network has no levels, no key points, and even heat."""
        if isinstance(images, Tensor):
            images = list(images.permute(0, 2, 3, 1).numpy())
        return [self._describe(image) for image in images]

    def _describe(self, image: NDArray[np.uint8]) -> Description:
        height, width = image.shape[:2]
        vector = self._run(image)
        none = np.zeros((0, 2), dtype=np.float32)
        return Description(
            vector=vector / max(float(np.linalg.norm(vector)), float(np.finfo(np.float32).tiny)),
            size=(width, height),
            levels={},
            fused_score=np.ones((-(-height // 2), -(-width // 2)), dtype=np.float32),
            key_points=KeyPoints(none, none[:, 0], np.zeros((0, 1), dtype=np.float32)),
        )

    def _run(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        height, width = self.options.input_size(*image.shape[:2])
        if image.shape[:2] != (height, width):
            resized = Pillow.fromarray(image).resize((width, height), Pillow.Resampling.BICUBIC)
            image = np.asarray(resized)
        if self.options.channels == "BGR":
            image = image[:, :, ::-1]
        values = (image.astype(np.float32) / 255 - self.options.mean) / self.options.std
        batch = np.ascontiguousarray(values.transpose(2, 0, 1)[None], dtype=np.float32)
        try:
            output = np.asarray(self._session.run(None, {self._input: batch})[0])
        # The runtime's own errors share no base but Exception.
        except Exception as error:
            raise CheckpointError(
                f"{self.path} cannot describe an image of {width}×{height} pixels: "
                f"{_one_line(error)}; correct size or multiple_of in its TOML"
            ) from error
        if output.ndim != 2 or len(output) != 1:
            raise CheckpointError(
                f"{self.path} answers with the shape {output.shape}, not with one vector; export "
                "the part that gives the image vector"
            )
        return np.array(output[0], dtype=np.float32)


def load_onnx(model: str) -> Checkpoint:
    """Open `onnx:FILE`; its name is `onnx:` and the file's, which gives nothing of the disk away.

    Raises CheckpointError naming the file and the key, MissingExtraError without onnxruntime.
    """
    path = Path(model.removeprefix(PREFIX)).absolute()
    try:
        runtime = import_module("onnxruntime")
    except ImportError as error:
        raise MissingExtraError(f"{model} needs onnxruntime; pip install hafloc[onnx]") from error
    content = _content(path)
    options = _options(path.with_suffix(".toml"))
    settings = runtime.SessionOptions()
    # Threads that spin while they wait take the cores from the decoders of the next photos.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = runtime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CheckpointError(
            f"{path} is not an ONNX model that can be run: {_one_line(error)}; export it again"
        ) from error
    if len(session.get_inputs()) != 1:
        raise CheckpointError(f"{path} has {len(session.get_inputs())} inputs; it must take images")
    chosen = asdict(options)
    digest = hashlib.blake2b(content + repr(sorted(chosen.items())).encode(), digest_size=16)
    network = OnnxNetwork(session, options, path)
    return Checkpoint(network, f"{PREFIX}{path.name}", digest.hexdigest(), chosen, {})


def name_from(path: Path, folder: Path) -> str:
    """The name by which `find_from` finds the model again when both have been moved together.

    It holds the way from `folder`, or the file's name alone where that way leads over the root of
    the disk.
    """
    try:
        shared = Path(os.path.commonpath([path, folder.absolute()]))
    except ValueError:  # another drive
        return f"{PREFIX}{path.name}"
    if shared == Path(shared.anchor):
        return f"{PREFIX}{path.name}"
    return PREFIX + Path(os.path.relpath(path, folder.absolute())).as_posix()


def find_from(name: str, folder: Path) -> str:
    """`onnx:FILE` of a name that `name_from` gave: the file there, beside `folder`'s files, or in
    the current folder. Raises CheckpointError."""
    way = Path(name.removeprefix(PREFIX))
    for path in (folder / way, folder / way.name, Path(way.name)):
        if path.is_file():
            return f"{PREFIX}{os.path.normpath(path)}"
    raise CheckpointError(f"there is no {way.name} at {folder / way}, in {folder}, or here")


def _content(path: Path) -> bytes:
    """The model with the weights that large ones keep beside it."""
    try:
        content = path.read_bytes()
        beside = path.with_name(f"{path.name}.data")
        return content + (beside.read_bytes() if beside.is_file() else b"")
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}; check the path") from error


def _options(path: Path) -> OnnxOptions:
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} is missing; write size (or longer_side), mean and std of the network into it"
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {_one_line(error)}; correct it") from error
    if unknown := sorted(set(given) - _KEYS):
        raise CheckpointError(f"{path} has an unknown key {unknown[0]}; known: {sorted(_KEYS)}")
    size = _numbers(given, "size", 2, path) if "size" in given else None
    whole = tuple(int(side) for side in size) if size else None
    longest = 2 * max(whole) if whole else 640
    channels = given.get("channels", "RGB")
    if channels not in ("RGB", "BGR"):
        raise CheckpointError(f'{path}: channels is {channels!r}, not "RGB" or "BGR"')
    mean, std = (_numbers(given, key, 3, path) for key in ("mean", "std"))
    if min(std) <= 0:
        raise CheckpointError(f"{path}: std {list(std)} must be above 0")
    return OnnxOptions(
        size=(whole[0], whole[1]) if whole else None,
        longer_side=_side(given, "longer_side", longest, path),
        multiple_of=_side(given, "multiple_of", 1, path),
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        channels=channels,
    )


def _numbers(given: dict[str, Any], key: str, count: int, path: Path) -> tuple[float, ...]:
    value = given.get(key)
    right = isinstance(value, list) and len(value) == count
    if not right or not all(type(part) in (int, float) for part in value or ()):
        raise CheckpointError(f"{path}: {key} is {value!r}, not a list of {count} numbers")
    assert value is not None
    if key == "size" and not all(type(n) is int and 1 <= n <= _LARGEST_SIDE for n in value):
        raise CheckpointError(
            f"{path}: size {value} is not in whole pixels up to {_LARGEST_SIDE:,}"
        )
    return tuple(float(part) for part in value)


def _side(given: dict[str, Any], key: str, default: int, path: Path) -> int:
    value = given.get(key, default)
    if type(value) is not int or not 1 <= value <= _LARGEST_SIDE:
        raise CheckpointError(
            f"{path}: {key} is {value!r}, not whole pixels from 1 to {_LARGEST_SIDE:,}"
        )
    return value


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
