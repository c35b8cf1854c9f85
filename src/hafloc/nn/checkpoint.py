"""A checkpoint: a trained network in one safetensors file, with all that it takes to use it."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hafloc.errors import CheckpointError, OutputError
from hafloc.nn.haf import HAF, HAFOptions

FORMAT = 1
SHIPPED = {"haf": "haf.safetensors"}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A network and where it comes from.

    `hash` identifies weights and options together; `provenance` is what the maker recorded
    (start weights, data, recipe, numbers).
    """

    network: HAF
    name: str
    hash: str
    options: dict[str, Any]
    provenance: dict[str, Any]


def save_checkpoint(
    path: Path,
    network: HAF,
    *,
    name: str,
    provenance: Mapping[str, Any],
    dtype: torch.dtype = torch.float16,
) -> str:
    """Write a checkpoint, whole or not at all; returns its hash. Raises OutputError."""
    tensors = {
        key: value.detach().to("cpu", dtype).contiguous()
        for key, value in network.state_dict().items()
    }
    options = asdict(network.options)
    head = {
        "format": FORMAT,
        "network": network.name,
        "name": name,
        "options": options,
        "provenance": dict(provenance),
        "hash": _hash(tensors, network.name, options),
    }
    # One metadata entry only: safetensors orders several at random, and the file's bytes differ.
    content = save(tensors, metadata={"hafloc": json.dumps(head, sort_keys=True)})
    _write_whole(path, content)
    return str(head["hash"])


def load_checkpoint(model: str | Path) -> Checkpoint:
    """Read a checkpoint by shipped name ("haf") or path, in float32, ready to describe.

    Raises CheckpointError where it is missing, damaged, or made for something else.
    """
    path = find(model)
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("hafloc")
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"cannot read checkpoint {path}: {error}; copy it again or train it anew"
        ) from error
    head = _parse_head(path, text)
    if _hash(tensors, head["network"], head["options"]) != head["hash"]:
        raise CheckpointError(
            f"checkpoint {path} does not match its own hash; it is damaged: copy it again"
        )
    network = _build(path, head)
    network.load_state_dict({key: value.float() for key, value in tensors.items()})
    network.eval().requires_grad_(False)
    return Checkpoint(network, head["name"], head["hash"], head["options"], head["provenance"])


def find(model: str | Path) -> Path:
    """The file of a shipped name or a path. Raises CheckpointError where there is none."""
    if str(model) in SHIPPED:
        return Path(str(files("hafloc.nn") / "checkpoints" / SHIPPED[str(model)]))
    path = Path(model)
    if not path.is_file():
        names = ", ".join(SHIPPED)
        raise CheckpointError(
            f"there is no checkpoint {model}; name a .safetensors file or one of: {names}"
        )
    return path


def _parse_head(path: Path, text: str | None) -> dict[str, Any]:
    try:
        head: dict[str, Any] = json.loads(text or "")
        if head["format"] > FORMAT:
            raise CheckpointError(
                f"checkpoint {path} has format {head['format']}, this hafloc reads up to "
                f"{FORMAT}; upgrade hafloc"
            )
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is not a hafloc checkpoint; it has no such header"
        ) from error
    return head


def _build(path: Path, head: dict[str, Any]) -> HAF:
    if head["network"] != HAF.name:
        raise CheckpointError(
            f"checkpoint {path} holds a network {head['network']!r}, which this hafloc does not "
            "have; upgrade hafloc"
        )
    options: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in head["options"].items()
    }
    try:
        return HAF(HAFOptions(**options))
    except TypeError as error:
        raise CheckpointError(f"checkpoint {path} has unknown options: {error}") from error


def _hash(tensors: Mapping[str, Tensor], network: str, options: Mapping[str, Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([network, options], sort_keys=True).encode())
    for key in sorted(tensors):
        value = tensors[key]
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _write_whole(path: Path, content: bytes) -> None:
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
            temporary = Path(file.name)
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                file.close()
                temporary.chmod(0o644)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}; free space or name another place"
        ) from error
