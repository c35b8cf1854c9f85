"""Graphs of checkpoints, made once and kept in the user's cache."""

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

import torch

from hafloc.errors import OutputError
from hafloc.files import make_folder, write_whole
from hafloc.nn import GRAPH_VERSION

log = logging.getLogger(__name__)

_DIGEST_BYTES = 32


def graph_of(checkpoint: str, kind: str, make: Callable[[], bytes]) -> bytes:
    """The graph of that kind of the checkpoint with that hash: kept, or made and then kept.

    Both runtimes read the same graph, so the name holds none of them. A damaged file, or one of
    an earlier version, is made anew; processes that make one at once leave a whole one. Where
    the folder cannot be written, it is made each time, and said.
    """
    file = folder() / f"{checkpoint}-{kind}-{GRAPH_VERSION}.graph"
    kept = _read(file)
    if kept is not None:
        return kept
    content = make()
    try:
        make_folder(file.parent, "set TORCH_HOME to a folder that can be written")
        write_whole(file, _digest(content, file.name) + content)
    except OutputError as error:
        log.warning("the network's graph is not kept, and made each time: %s", error)
    return content


def folder() -> Path:
    """Where graphs are kept: beside what torch itself keeps."""
    return Path(torch.hub.get_dir()) / "hafloc" / "graphs"


def kind_of(precision: str, responses: object) -> str:
    """The name of a kind of graph: "float", or "int8" with what it knows of responses."""
    if precision != "int8":
        return "float"
    if responses is None:
        return "int8-own"
    text = json.dumps(responses, sort_keys=True).encode()
    return f"int8-{hashlib.blake2b(text, digest_size=4).hexdigest()}"


def _read(file: Path) -> bytes | None:
    """The graph in a file; None where there is none, or it is not what was written."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    graph = content[_DIGEST_BYTES:]
    return graph if content[:_DIGEST_BYTES] == _digest(graph, file.name) else None


def _digest(graph: bytes, name: str) -> bytes:
    # With the name, so that a file that was renamed to another checkpoint's is not taken for its.
    return hashlib.blake2b(graph, digest_size=_DIGEST_BYTES, key=name.encode()[:64]).digest()
