"""Photos described by the workers of a cluster: what is sent there, and what comes back."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hafloc.cluster import Cluster
from hafloc.description import ImageFeatures
from hafloc.errors import CheckpointError, HaflocError, OptionError, PhotoError
from hafloc.photos import Photo, PhotoFile, PhotoUrl, file_bytes, read_bytes, shown
from hafloc.prefetch import AHEAD, prefetch
from hafloc.processes import Died

if TYPE_CHECKING:
    from hafloc.describe.describer import Describer

# A shard is what a lost worker costs: so many photos, or bytes of them.
_PHOTOS = 16
_BYTES = 64 * 2**20
# By name: the house's front door stands above this floor.
VERSION: str = import_module("hafloc").__version__


@dataclass(frozen=True, slots=True)
class Piece:
    """A photo on its way: its file's bytes, or the URL that its worker reads, or why neither.

    Without `is_placed` it is only described if its file has a position.
    """

    file: PhotoFile
    source: bytes | PhotoUrl | HaflocError
    is_placed: bool


@dataclass(frozen=True, slots=True)
class Looked:
    """A photo without its pixels, and what it is found by; None where it was not described."""

    photo: Photo
    features: ImageFeatures | None


@dataclass(frozen=True, slots=True)
class OpenDescriber:
    """Opens the describer of that checkpoint on a node, by what `Describer.open` was given here.

    Raises there what `Describer.open` does, OptionError for another version of hafloc, and
    CheckpointError for another checkpoint under the same name.
    """

    model: str
    beside: Path | None
    runtime: str
    precision: str
    hash: str
    local: bool
    regions: bool
    version: str = VERSION

    def __call__(self, threads: int, device: str) -> Callable[[Piece], Looked | HaflocError]:
        import torch

        from hafloc.describe.describer import Describer

        if self.version != VERSION:
            raise OptionError(
                f"a node has hafloc {VERSION}, and here is {self.version}; install the same on all"
            )
        torch.set_num_threads(threads)
        # What may run here may run there.
        describer = Describer.open(
            self.model,
            device=device,
            beside=self.beside,
            trust=True,
            runtime=self.runtime,
            precision=self.precision,
        )
        if describer.hash != self.hash:
            raise CheckpointError(
                f"a node has another checkpoint as {self.model}; copy the one from here to it"
            )
        return partial(_look, describer, self.local, self.regions)


def _look(describer: "Describer", local: bool, regions: bool, piece: Piece) -> Looked | HaflocError:
    name, side = shown(piece.file), describer.longer_side
    try:
        if isinstance(piece.source, HaflocError):
            raise piece.source
        data = piece.source if isinstance(piece.source, bytes) else file_bytes(piece.source)
        photo = read_bytes(data, name, piece.file, longer_side=side)
        if photo.sphere is not None:
            raise PhotoError(
                f"cannot describe {name}: workers of a cluster do not cut panoramas; index it "
                "without --ray"
            )
    except HaflocError as error:
        return error
    features = None
    if piece.is_placed or photo.metadata.position is not None:
        try:
            features = describer.features(photo.image, local=local, regions=regions)
        except PhotoError as error:
            return PhotoError(f"cannot describe {piece.file}: {error}")
    # The pixels have done their work.
    return Looked(replace(photo, image=np.empty((0, 0, 3), np.uint8)), features)


def shards(
    files: Iterable[PhotoFile], is_placed: Callable[[PhotoFile], bool], readers: int
) -> Iterator[list[tuple[PhotoFile, Piece]]]:
    """The files in shards; those on a disk are read here, for a node may not see it."""

    def piece(file: PhotoFile) -> Piece:
        try:
            source = file if isinstance(file, PhotoUrl) else file_bytes(file)
        except PhotoError as error:
            return Piece(file, error, False)
        return Piece(file, source, is_placed(file))

    shard: list[tuple[PhotoFile, Piece]] = []
    size = 0
    for file, made in prefetch(files, piece, AHEAD, readers):
        shard.append((file, made))
        size += len(made.source) if isinstance(made.source, bytes) else 0
        if len(shard) >= _PHOTOS or size >= _BYTES:
            yield shard
            shard, size = [], 0
    if shard:
        yield shard


def look_on_cluster(
    cluster: Cluster,
    files: Iterable[PhotoFile],
    is_placed: Callable[[PhotoFile], bool] = lambda file: True,
    readers: int = 2,
) -> Iterator[tuple[PhotoFile, Looked | HaflocError]]:
    """What the cluster's workers make of each file, as they come."""
    for file, found in cluster.map(shards(files, is_placed, readers)):
        if isinstance(found, Died):
            yield (
                file,
                PhotoError(
                    f"cannot describe {file}: it ended each worker that did; give workers more "
                    "memory, or remove it"
                ),
            )
        else:
            yield file, found
