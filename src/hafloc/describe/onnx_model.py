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
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hafloc.describe.model_input import InputOptions, read_options
from hafloc.describe.vector_network import VectorNetwork
from hafloc.errors import CheckpointError, MissingExtraError
from hafloc.nn import Checkpoint

Floats = NDArray[np.float32]

PREFIX = "onnx:"


class OnnxNetwork(VectorNetwork):
    """An ONNX session, on the processor, one image at a time: many are exported for one."""

    name = "onnx"

    def __init__(self, session: Any, options: InputOptions, path: Path) -> None:
        super().__init__(
            options,
            str(path),
            "correct size or multiple_of in its TOML, or export the part that gives one vector",
        )
        self.path = path
        self._session = session
        self._input = session.get_inputs()[0].name
        self.probe(1)

    def answer(self, values: Floats) -> Floats:
        rows = [np.asarray(self._session.run(None, {self._input: one[None]})[0]) for one in values]
        for row in rows:
            if row.ndim != 2 or len(row) != 1:
                return np.asarray(row, dtype=np.float32)  # no vector, which will be told
        return np.concatenate(rows).astype(np.float32)

    def name_from(self, folder: Path) -> str:
        return name_from(self.path, folder)


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


def name_from(path: Path, folder: Path, prefix: str = PREFIX) -> str:
    """The name by which `find_from` finds the model again when both have been moved together.

    It holds the way from `folder`, or the file's name alone where that way leads over the root of
    the disk.
    """
    try:
        shared = Path(os.path.commonpath([path, folder.absolute()]))
    except ValueError:  # another drive
        return f"{prefix}{path.name}"
    if shared == Path(shared.anchor):
        return f"{prefix}{path.name}"
    return prefix + Path(os.path.relpath(path, folder.absolute())).as_posix()


def find_from(name: str, folder: Path, prefix: str = PREFIX) -> str:
    """`onnx:FILE` of a name that `name_from` gave: the file there, beside `folder`'s files, or in
    the current folder. Raises CheckpointError."""
    way = Path(name.removeprefix(prefix))
    for path in (folder / way, folder / way.name, Path(way.name)):
        if path.is_file():
            return f"{prefix}{os.path.normpath(path)}"
    raise CheckpointError(f"there is no {way.name} at {folder / way}, in {folder}, or here")


def _content(path: Path) -> bytes:
    """The model with the weights that large ones keep beside it."""
    try:
        content = path.read_bytes()
        beside = path.with_name(f"{path.name}.data")
        return content + (beside.read_bytes() if beside.is_file() else b"")
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}; check the path") from error


def _options(path: Path) -> InputOptions:
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} is missing; write size (or longer_side), mean and std of the network into it"
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {_one_line(error)}; correct it") from error
    try:
        return read_options(given)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
