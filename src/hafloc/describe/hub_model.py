"""Networks of torch.hub: code of others, run after consent, held to one vector a photo."""

import ast
import hashlib
import importlib.util
import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hafloc.consent import check_consent
from hafloc.describe import hub_source, known_networks
from hafloc.describe.hub_source import PREFIX, HubName
from hafloc.describe.model_input import InputOptions, read_options
from hafloc.describe.onnx_model import name_from
from hafloc.describe.vector_network import VectorNetwork
from hafloc.errors import CheckpointError, MissingExtraError, reason_of
from hafloc.nn import Checkpoint
from hafloc.torch_import import load_the_rest

Floats = NDArray[np.float32]

_HUBCONF = "hubconf.py"
# Folders whose modules have been imported: two repositories often call theirs alike.
_imported: set[Path] = set()


@dataclass(frozen=True, slots=True)
class HubModel:
    """A network found but not yet run: its `name`, taken apart, and the `folder` of its code.

    `label` is what messages call it, `name` what an index records: with the full commit.
    """

    label: str
    name: str
    parts: HubName
    folder: Path
    entry: str
    arguments: dict[str, Any]
    options: InputOptions
    code: str


class HubNetwork(VectorNetwork):
    """A module of torch.hub behind the door that all networks have."""

    name = "hub"

    def __init__(self, module: nn.Module, model: HubModel) -> None:
        super().__init__(
            model.options,
            model.label,
            "give it what it wants by ?size=HxW or ?multiple_of=N, or name another entry",
        )
        self.module = module
        self.model = model

    @property
    def device(self) -> torch.device:
        held = next(chain(self.module.parameters(), self.module.buffers(), [torch.empty(0)]))
        return held.device

    def answer(self, values: Floats) -> Floats:
        found = self.module(torch.from_numpy(values).to(self.device))
        if not isinstance(found, torch.Tensor):
            kind = type(found).__name__
            count = f" of {len(found)} parts" if isinstance(found, tuple | list | dict) else ""
            raise TypeError(f"it answers with a {kind}{count}, not with one vector a photo")
        if not found.is_floating_point():
            raise TypeError(f"it answers with {found.dtype} numbers, not with a vector")
        return np.array(found.detach().float().cpu().numpy())

    def name_from(self, folder: Path) -> str:
        """The name by which `find` finds the network for a file in `folder`."""
        parts = self.model.parts
        if parts.folder is None:
            return self.model.name
        way = name_from(self.model.folder, folder, PREFIX).removeprefix(PREFIX)
        return f"{PREFIX}{_dotted(way)}:{self.model.entry}{parts.query()}"


def find(model: str, beside: Path | None = None) -> HubModel:
    """The code of a `hub:` name, fetched if need be and allowed to run.

    With `beside`, a folder is looked for from there, as `HubNetwork.name_from` named it. Raises
    CheckpointError where it cannot be had, MissingExtraError where it needs packages that are not
    installed, and OptionError where it may not run.
    """
    parts = hub_source.parse(model)
    if parts.folder is not None:
        folder = _local(parts.folder, beside)
        version = code = _digest(folder)
        label = f"{PREFIX}{folder}"
    else:
        version = hub_source.find_commit(parts)
        label = f"{PREFIX}{parts.repo}@{version}"
        check_consent(label, version)
        folder = hub_source.fetch(parts, version)
        code = _digest(folder)
    hubconf = _hubconf(folder, label)
    if missing := [name for name in _dependencies(hubconf) if not _is_installed(name)]:
        raise MissingExtraError(
            f"{label} needs {', '.join(missing)}; pip install {' '.join(missing)}"
        )
    known = known_networks.of_repo(parts.repo)
    entry = parts.entry or (known.entry if known else "") or _only_entry(hubconf, label)
    same = known is not None and entry == known.entry
    arguments = {**(known.arguments if known and same else {}), **parts.arguments}
    given = {**(known.input if known and same else {}), **parts.options}
    try:
        options = read_options(given, stated=False)
    except ValueError as error:
        raise CheckpointError(f"{model}: {error}") from error
    if parts.folder is not None:
        check_consent(label, version)
        name = f"{PREFIX}{folder.name}:{entry}{parts.query()}"
    else:
        name = f"{PREFIX}{parts.repo}:{entry}@{version}{parts.query()}"
    return HubModel(label, name, parts, folder, entry, arguments, options, code)


def load_hub(model: HubModel) -> Checkpoint:
    """Run the code of a network that `find` found.

    Its hash is of the code, the weights, what the entry was called with and the input's options.
    Raises CheckpointError where it fails or its answer is no vector, MissingExtraError where a
    package is missing.
    """
    load_the_rest()
    module = _module(model)
    module.eval().requires_grad_(False)
    network = HubNetwork(module, model)
    with torch.inference_mode():
        network.probe(2)
        network.probe(1)
    chosen = asdict(model.options)
    found = hashlib.blake2b(digest_size=16)
    found.update(repr((model.code, model.entry, sorted(model.arguments.items()))).encode())
    found.update(repr(sorted(chosen.items())).encode())
    for key, value in sorted(module.state_dict().items()):
        if isinstance(value, torch.Tensor):
            found.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
            flat = value.detach().cpu().reshape(-1).contiguous()
            found.update(flat.view(torch.uint8).numpy().tobytes())
    options = {**chosen, "entry": model.entry, "arguments": model.arguments}
    return Checkpoint(network, model.name, found.hexdigest(), options, {"code": model.code})


def _module(model: HubModel) -> nn.Module:
    label = model.label
    _forget_others(model.folder)
    try:
        with _undisturbed():
            load: Any = torch.hub.load  # torch has it untyped
            made = load(
                str(model.folder), model.entry, source="local", trust_repo=True, **model.arguments
            )
    except ImportError as error:
        raise MissingExtraError(f"{label} needs {error.name or error}; install it") from error
    except EOFError as error:
        raise CheckpointError(
            f"cannot open {label}: it asks a question while it is opened, which nobody can answer "
            "here; open it once by torch.hub.load"
        ) from error
    # Others' code may raise anything, and a file that is missing may be one of weights.
    except Exception as error:
        reason = reason_of(error)
        entries = ", ".join(_entries(_hubconf(model.folder, label)))
        raise CheckpointError(
            f"cannot open {label} by {model.entry}: {reason[:300]}; its entries are {entries}"
        ) from error
    if not isinstance(made, nn.Module):
        raise CheckpointError(
            f"{label}: {model.entry} gives a {type(made).__name__}, not a network; name another of "
            + ", ".join(_entries(_hubconf(model.folder, label)))
        )
    return made


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Others' code within prints nothing where answers are printed, and waits for no key."""
    before, sys.stdin = sys.stdin, io.StringIO()
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stdin = before


def _forget_others(folder: Path) -> None:
    """Take other repositories' modules out of what is imported: many are called `models`."""
    others = _imported - {folder}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and any(other in Path(file).parents for other in others):
            del sys.modules[name]
    _imported.clear()
    _imported.add(folder)


def _local(way: Path, beside: Path | None) -> Path:
    """The folder of that path, or of its name beside the index's files or in this folder."""
    places = [way] if beside is None else [beside / way, beside / way.name, Path(way.name)]
    for place in places:
        if place.is_dir():
            return place.resolve()
    raise CheckpointError(
        f"there is no folder {places[0]} with a {_HUBCONF}; check the path"
        + ("" if beside is None else f", or put {way.name} beside the index")
    )


def _digest(folder: Path) -> str:
    try:
        return hub_source.digest(folder)
    except OSError as error:
        raise CheckpointError(
            f"cannot read {error.filename or folder}: {error.strerror}; check who may read it"
        ) from error


def _hubconf(folder: Path, label: str) -> ast.Module:
    try:
        return ast.parse((folder / _HUBCONF).read_bytes())
    except OSError as error:
        raise CheckpointError(
            f"{label} has no {_HUBCONF} that can be read, so it is no network of torch.hub; name "
            "another"
        ) from error
    except (SyntaxError, ValueError) as error:
        raise CheckpointError(f"cannot read {_HUBCONF} of {label}: {error}; correct it") from error


def _dependencies(hubconf: ast.Module) -> list[str]:
    """The packages that a hubconf says it needs; nothing is run to read them."""
    for node in hubconf.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "dependencies" for target in node.targets
        ):
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                return []
            return [str(name) for name in value] if isinstance(value, list | tuple) else []
    return []


def _entries(hubconf: ast.Module) -> list[str]:
    """What a hubconf can be asked for, as far as that is written there."""
    return [
        node.name
        for node in hubconf.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]


def _only_entry(hubconf: ast.Module, label: str) -> str:
    entries = _entries(hubconf)
    if len(entries) != 1:
        raise CheckpointError(
            f"{label} has {len(entries):,} entries; name one, as in {PREFIX}OWNER/REPO:ENTRY"
            + (f": {', '.join(entries)}" if entries else "")
        )
    return entries[0]


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _dotted(way: str) -> str:
    """A path that is told from OWNER/REPO."""
    return way if way.startswith((".", "/", "~")) or ":" in way else f"./{way}"
