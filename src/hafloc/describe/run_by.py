"""A checkpoint's network with its convolutions done by a runtime, checked against torch's own."""

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hafloc.describe.graph_store import graph_of, kind_of
from hafloc.describe.projection import ProjectedNetwork
from hafloc.describe.runtime import Runtime, choices, has_units, proofs_of
from hafloc.describe.sessions import Session, is_installed
from hafloc.errors import CheckpointError, HaflocError, MissingExtraError, OptionError
from hafloc.nn import HAF, Checkpoint, GraphHAF, HalfHAF, Responses, to_batch, write_graph
from hafloc.photos import read

log = logging.getLogger(__name__)

# Least cosine of a vector to torch's float32; beyond it something is wrong, not merely rounded.
BOUNDS = {"float32": 1 - 1e-5, "float16": 0.999, "bf16": 0.99, "int8": 0.98}
# Not whole in any level's steps: runtimes have differed in what pooling does at the edges.
_PROBE = (90, 122)
# Rendered photos that show the responses of a checkpoint of one's own.
_SHOWN = 8


def run_by(
    checkpoint: Checkpoint, runtime: str, precision: str, device: str
) -> tuple[Checkpoint, Runtime]:
    """The checkpoint as that runtime runs it, and which that is where "auto" was asked for.

    Raises OptionError for names that are none and for a network without a graph, MissingExtraError
    where a package is missing, CheckpointError where a runtime fails or disagrees with torch.
    """
    haf, hash_ = _haf_of(checkpoint)
    if haf is None:
        if runtime in ("openvino", "onnx") or precision not in ("auto", "float32"):
            asked = f"--runtime {runtime}" if runtime != "auto" else f"--precision {precision}"
            raise OptionError(f"{asked} is for HAF alone, not for {checkpoint.name}; leave it out")
        return checkpoint, Runtime()
    trouble: HaflocError | None = None
    for choice in choices(runtime, precision, hash_, device):
        try:
            possible = _possible(choice, device, named=runtime != "auto")
            return _as(checkpoint, haf, hash_, possible, device)
        except HaflocError as error:
            if runtime != "auto":
                raise
            log.warning("%s is passed over: %s", choice, error)
            trouble = error
    if trouble is not None and precision != "auto":
        raise trouble
    return checkpoint, Runtime()


def _possible(choice: Runtime, device: str, *, named: bool) -> Runtime:
    """The choice, or float32 in its place where this processor would only imitate it.

    That is of the same runtime if it was `named`, else torch's. Raises MissingExtraError.
    """
    if choice.name != "torch" and not is_installed(choice.name):
        raise MissingExtraError(
            f"--runtime {choice.name} needs packages that are not installed; "
            f"pip install hafloc[{choice.name}]"
        )
    if has_units(choice, device):
        return choice
    instead = replace(choice, precision="float32", proven=True) if named else Runtime()
    _say_once(
        f"this processor has no units for {choice.precision}; {instead.name} goes on in float32"
    )
    return instead


@cache
def _say_once(text: str) -> None:
    log.warning("%s", text)


def _as(
    checkpoint: Checkpoint, haf: HAF, hash_: str, runtime: Runtime, device: str
) -> tuple[Checkpoint, Runtime]:
    if runtime == Runtime():
        return checkpoint, runtime
    made = _network(haf, hash_, runtime, device)
    _check(haf, made, runtime, device)
    network = checkpoint.network
    if isinstance(network, ProjectedNetwork):
        network.inner = made
    else:
        network = made
    return replace(checkpoint, network=network), runtime


def _network(haf: HAF, hash_: str, runtime: Runtime, device: str) -> HAF:
    if runtime.name == "torch":
        half = torch.bfloat16 if runtime.precision == "bf16" else torch.float16
        return HalfHAF(haf, half)
    known = proofs_of(hash_).responses
    kind = kind_of(runtime.precision, known)

    def make() -> bytes:
        if runtime.precision != "int8":
            return write_graph(haf)
        responses = known and Responses.from_json(known)
        return write_graph(haf, responses or Responses.of(haf, shown()))

    def content() -> bytes:
        return graph_of(hash_, kind, make)

    return GraphHAF(haf, Session(runtime.name, runtime.precision, content))


def _check(haf: HAF, made: HAF, runtime: Runtime, device: str) -> None:
    """Raises CheckpointError where the runtime's vector of one image is not torch's."""
    image = torch.from_numpy(probe_image()).permute(2, 0, 1)[None].to(device)
    with torch.inference_mode():
        ours, theirs = haf.to(device)(image)[0], made.to(device)(image)[0]
    cosine = float(ours.float() @ theirs.float())
    if not cosine >= BOUNDS[runtime.precision]:
        raise CheckpointError(
            f"{runtime.name} in {runtime.precision} disagrees with torch: the cosine of their "
            f"vectors is {cosine:.5f}, and {BOUNDS[runtime.precision]:g} is the least allowed; use "
            "--runtime torch, or another version of that package"
        )


def probe_image() -> NDArray[np.uint8]:
    """An image that has structure of every size, as photos have, `H×W×3`."""
    random = np.random.default_rng(0)
    height, width = _PROBE
    image = np.zeros((height, width, 3))
    for side in (2, 4, 8, 16, 32):
        blocks = random.uniform(-1, 1, (height // side + 1, width // side + 1, 3))
        image += side**0.7 * np.kron(blocks, np.ones((side, side, 1)))[:height, :width]
    image -= image.min()
    return np.asarray(image / image.max() * 255, np.uint8)


def shown() -> Iterator[torch.Tensor]:
    """Rendered photos: unrelated to any test, and the same wherever they are made."""
    from hafloc.demo import render_city  # only here: it takes a tenth of a second to load

    with tempfile.TemporaryDirectory() as folder:
        render_city(Path(folder), database=_SHOWN, queries=0, size=(320, 240))
        for path in sorted(Path(folder).glob("database/*.jpg")):
            yield to_batch(read(path).image, torch.device("cpu"))


def _haf_of(checkpoint: Checkpoint) -> tuple[HAF | None, str]:
    """The HAF in a checkpoint with the hash that it is known by, or None where there is none."""
    network, hash_ = checkpoint.network, checkpoint.hash
    if isinstance(network, ProjectedNetwork):
        hash_ = network.of
        network = network.inner
    return (network if isinstance(network, HAF) else None), hash_
