"""Long vectors made short: the principal directions of a person's own photos, kept in a file.

`pca:FILE` stands for the network that the file names, with its vectors turned into their first N
principal directions and given unit length again. Directions are not centred, so that similarities
stay as near as they can to what they were.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from hafloc.describe.onnx_model import name_from
from hafloc.description import Description
from hafloc.errors import CheckpointError, OptionError
from hafloc.files import write_whole
from hafloc.nn import Checkpoint, Network

Floats = NDArray[np.float32]

PREFIX = "pca:"
_FORMAT = 1
_HEAD = "hafloc_projection"
_SMALLEST = 2
QUERIES = 200  # photos whose neighbours are compared before and after
_NEIGHBOURS = 10


@dataclass(frozen=True, slots=True)
class Loss:
    """What shorter vectors change: of `queries` photos, the share whose most similar photo stays
    the first (`first`), or among the first ten (`ten`); `length` is the share of the vectors'
    squared length that is kept."""

    dimension: int
    full: int
    queries: int
    first: float
    ten: float
    length: float

    def in_words(self) -> str:
        return (
            f"vectors of {self.dimension:,} in place of {self.full:,} numbers keep the most "
            f"similar photo first for {self.first:.3f} and among the first ten for {self.ten:.3f} "
            f"of {self.queries:,} photos"
        )


@dataclass(frozen=True, slots=True)
class Projection:
    """`directions` `[N, D]`, orthonormal rows, of the network `model` with that `hash`; `model` is
    how it is found from the folder of `path`."""

    path: Path
    model: str
    hash: str
    directions: Tensor


class ProjectedNetwork(nn.Module):
    """A network whose vectors are shortened, and which is otherwise as it was."""

    name = "pca"

    def __init__(self, inner: Network, projection: Projection) -> None:
        super().__init__()
        self.inner = inner
        self.path = projection.path
        self.of = projection.hash
        self.options = inner.options
        self.register_buffer("directions", projection.directions.float())
        self.dimension = len(projection.directions)

    @property
    def device(self) -> torch.device:
        return self.inner.device

    def reduce(self, vectors: Tensor) -> Tensor:
        """Unit vectors `[N, dimension]` of the inner network's `[N, D]`."""
        directions = self.get_buffer("directions")
        return F.normalize(vectors.to(directions.device) @ directions.T, dim=-1)

    def forward(self, images: Tensor) -> Tensor:
        return self.reduce(self.inner(images))

    def describe(self, images: Tensor | Sequence[NDArray[np.uint8]]) -> list[Description]:
        return [
            replace(seen, vector=self.reduce(torch.from_numpy(seen.vector)[None])[0].cpu().numpy())
            for seen in self.inner.describe(images)
        ]

    def name_from(self, folder: Path) -> str:
        """The name by which the file is found again for a file in `folder`."""
        return name_from(self.path, folder, PREFIX)


def principal_directions(vectors: Floats, dimension: int) -> Floats:
    """The `dimension` orthonormal directions `[N, D]` that keep most of unit vectors `[M, D]`.

    Raises OptionError where there are too few photos, or numbers, for so many.
    """
    photos, full = vectors.shape
    if not _SMALLEST <= dimension < full:
        raise OptionError(
            f"--dimension {dimension:,}: vectors have {full:,} numbers; give from {_SMALLEST} to "
            f"{full - 1:,}, or leave it out"
        )
    if dimension > photos:
        raise OptionError(
            f"--dimension {dimension:,}: {photos:,} photos show only so many directions; give at "
            f"most {photos:,}, or leave it out"
        )
    # The smaller of the two products has the same directions, through the vectors.
    rows = vectors.astype(np.float64)
    if photos < full:
        values, turns = np.linalg.eigh(rows @ rows.T)
        kept = turns[:, ::-1][:, :dimension].T @ rows
        kept /= np.sqrt(np.maximum(values[::-1][:dimension], 1e-12))[:, None]
    else:
        kept = np.linalg.eigh(rows.T @ rows)[1][:, ::-1][:, :dimension].T
    if not np.allclose(kept @ kept.T, np.eye(dimension), atol=1e-4):
        raise OptionError(
            f"--dimension {dimension:,}: these photos show fewer directions, for many look alike; "
            "give fewer"
        )
    return kept.astype(np.float32)


def loss_of(vectors: Floats, dimension: int, seed: int = 0) -> Loss:
    """What shorter vectors change for photos that the directions were not fitted to.

    Of unit vectors `[M, D]` a part are queries; the others are the database and give the
    directions. Raises OptionError as `principal_directions` does.
    """
    photos, full = vectors.shape
    order = np.random.default_rng(seed).permutation(photos)
    count = min(QUERIES, photos // 4)
    queries, database = vectors[order[:count]], vectors[order[count:]]
    directions = principal_directions(database, min(dimension, len(database)))
    short, shorter = queries @ directions.T, database @ directions.T
    length = float((short**2).sum() / max((queries**2).sum(), 1e-12))
    short /= np.linalg.norm(short, axis=1, keepdims=True).clip(min=1e-12)
    shorter /= np.linalg.norm(shorter, axis=1, keepdims=True).clip(min=1e-12)
    nearest = (queries @ database.T).argmax(1)
    ranked = np.argsort(-(short @ shorter.T), axis=1, kind="stable")[:, :_NEIGHBOURS]
    found = ranked == nearest[:, None]
    return Loss(
        dimension,
        full,
        count,
        float(found[:, 0].mean()) if count else 1.0,
        float(found.any(1).mean()) if count else 1.0,
        length,
    )


def save_projection(path: Path, directions: Floats, model: str, hash_: str) -> None:
    """Write a projection, whole or not at all. Raises OutputError."""
    head = {"format": _FORMAT, "model": model, "hash": hash_}
    tensors = {"directions": torch.from_numpy(directions.astype(np.float16))}
    write_whole(path, save(tensors, metadata={_HEAD: json.dumps(head, sort_keys=True)}))


def read_projection(path: Path) -> Projection:
    """What `save_projection` wrote. Raises CheckpointError where it is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            head = json.loads((file.metadata() or {}).get(_HEAD, "null"))
            directions = file.get_tensor("directions")
    except (OSError, SafetensorError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"cannot read {path}: {reason}; copy it again, or build the index anew"
        ) from error
    good = isinstance(head, dict) and head.get("format") == _FORMAT and directions.ndim == 2
    if not good or not all(isinstance(head.get(key), str) for key in ("model", "hash")):
        raise CheckpointError(f"{path} holds no directions of this hafloc; build the index anew")
    return Projection(path, head["model"], head["hash"], directions)


def projected(inner: Checkpoint, projection: Projection) -> Checkpoint:
    """The network with shorter vectors.

    Raises CheckpointError where the directions belong to another network.
    """
    directions = projection.directions
    if inner.hash != projection.hash or directions.shape[1] != inner.network.dimension:
        raise CheckpointError(
            f"{projection.path} was fitted to another network than {inner.name}, hash "
            f"{projection.hash}; build the index anew"
        )
    digest = hashlib.blake2b(inner.hash.encode(), digest_size=16)
    digest.update(directions.contiguous().numpy().tobytes())
    options: dict[str, Any] = {**inner.options, "dimension": len(directions), "of": inner.name}
    network = ProjectedNetwork(inner.network, projection)
    name = f"{PREFIX}{projection.path.name}"
    return Checkpoint(network, name, digest.hexdigest(), options, dict(inner.provenance))
