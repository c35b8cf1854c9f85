"""A checkpoint: a trained network in one safetensors file, with all that it takes to use it."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hafloc.errors import CheckpointError, reason_of
from hafloc.files import write_whole
from hafloc.nn.network import NETWORKS, Network, build_network

FORMAT = 1
# What the header holds, and as what.
HEAD: dict[str, type] = {
    "format": int,
    "network": str,
    "name": str,
    "options": dict,
    "provenance": dict,
    "hash": str,
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A network and where it comes from.

    `hash` identifies weights and options together; `provenance` is what the maker recorded
    (start weights, data, recipe, numbers).
    """

    network: Network
    name: str
    hash: str
    options: dict[str, Any]
    provenance: dict[str, Any]


def save_checkpoint(
    path: Path,
    network: Network,
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
    write_whole(path, content)
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
    network = _build(path, head, tensors)
    network.eval().requires_grad_(False)
    return Checkpoint(network, head["name"], head["hash"], head["options"], head["provenance"])


def find(model: str | Path) -> Path:
    """The file of a shipped name or a path. Raises CheckpointError where there is none."""
    name = str(model)
    shipped = {name: entry.checkpoint for name, entry in NETWORKS.items() if entry.checkpoint}
    if name in shipped:
        return Path(str(files("hafloc.nn") / "checkpoints" / shipped[name]))
    path = Path(model)
    if path.is_file():
        return path
    if name in NETWORKS:
        raise CheckpointError(
            f"no checkpoint of {name} comes with hafloc; train one with "
            f"`hafloc train configs/{name}.toml` and name its .safetensors file"
        )
    raise CheckpointError(
        f"there is no checkpoint {model}; name a .safetensors file or one of: {', '.join(shipped)}"
    )


def _parse_head(path: Path, text: str | None) -> dict[str, Any]:
    try:
        head = json.loads(text or "")
    except ValueError:
        head = None
    if not isinstance(head, dict) or not isinstance(head.get("format"), int):
        raise CheckpointError(
            f"{path} is not a hafloc checkpoint, it has no such header; name one that hafloc wrote"
        )
    if head["format"] > FORMAT:
        raise CheckpointError(
            f"checkpoint {path} has format {head['format']}, this hafloc reads up to "
            f"{FORMAT}; upgrade hafloc"
        )
    for key, kind in HEAD.items():
        if not isinstance(head.get(key), kind):
            raise CheckpointError(
                f"checkpoint {path} has no valid {key!r} in its header; it is damaged: copy it "
                "again"
            )
    return head


class _TooManyError(Exception):
    """A network of these options has far more weights than there are."""


class _Undrawn(TorchFunctionMode):
    """Leaves weights as they are found in memory, since those of a file replace them at once.

    To draw 16 million of them takes longer than to read the file. Nor does it let a file of
    strangers ask, by its options, for many more weights than it holds: raises _TooManyError.
    """

    def __init__(self, held: int) -> None:
        super().__init__()
        self._left = 2 * held + _SPARE_WEIGHTS

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if func in _DRAWN:
            return args[0] if args else named["tensor"]
        if func in _MADE:
            self._left -= _size(func, args, named)
            if self._left < 0:
                raise _TooManyError
        return func(*args, **named)


def _size(func: Any, args: Sequence[Any], named: Mapping[str, Any]) -> int:
    """How many numbers a tensor will hold that is made with these arguments."""
    given = args or (named.get("size", ()),)
    sides = given[0] if isinstance(given[0], list | tuple) else given
    whole = [side for side in sides if isinstance(side, int)]
    return whole[0] * whole[-1] if func is torch.eye and whole else math.prod(whole)


# What a network makes beside its weights is far less.
_SPARE_WEIGHTS = 4_000_000
_MADE = (torch.empty, torch.zeros, torch.ones, torch.eye)
_DRAWN = (
    Tensor.uniform_,
    Tensor.normal_,
    nn.init.kaiming_uniform_,
    nn.init.uniform_,
    nn.init.normal_,
)


def _build(path: Path, head: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Network:
    try:
        with _Undrawn(sum(tensor.numel() for tensor in tensors.values())):
            network = build_network(head["network"], head["options"])
    except _TooManyError as error:
        raise CheckpointError(
            f"checkpoint {path} does not hold the weights of {head['network']} with its options: "
            "they ask for more than it holds; train it anew"
        ) from error
    except ValueError as error:
        raise CheckpointError(
            f"cannot use checkpoint {path}: {error}; upgrade hafloc if a newer one made it"
        ) from error
    except (RuntimeError, TypeError, ArithmeticError, MemoryError) as error:
        # Of sizes that no network has, alone or together.
        raise CheckpointError(
            f"cannot use checkpoint {path}: {reason_of(error)[:200]}; it is damaged: copy it again"
        ) from error
    try:
        network.load_state_dict(tensors)  # made float32 on the way
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"checkpoint {path} does not hold the weights of {head['network']} with its options: "
            f"{reason[:200]}; train it anew"
        ) from error
    return network


def _hash(tensors: Mapping[str, Tensor], network: str, options: Mapping[str, Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([network, options], sort_keys=True).encode())
    for key in sorted(tensors):
        value = tensors[key]
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
