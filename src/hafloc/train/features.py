"""What the network reads of each photo: its pixels, or frozen features kept on disk."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from hafloc.errors import OutputError, TrainingError
from hafloc.files import write_whole
from hafloc.nn.images import SMALLEST_SIDE, to_batch
from hafloc.nn.vgg import LAYERS, VGG16
from hafloc.photos import content
from hafloc.prefetch import prefetch
from hafloc.progress import Progress
from hafloc.train import parallel
from hafloc.train.augment import augment
from hafloc.train.data import decode, image_size
from hafloc.train.recipe import Augmentation
from hafloc.train.trainee import IMAGE, Inputs, Trainee
from hafloc.train.trunk import run_frozen

CPU = torch.device("cpu")
BYTES = 2  # a cached response: float16
# Left free on the disk beyond what the cache takes.
SPARE_BYTES = 1_000_000_000


class Source(Protocol):
    """Loads a photo's inputs by number; with a `seed` perhaps changed by augmentation."""

    def load(self, number: int, seed: tuple[int, ...] | None = None) -> Inputs: ...


class Pixels:
    """Photos decoded each time."""

    def __init__(
        self, paths: Sequence[Path], longer_side: int, changes: Augmentation | None = None
    ) -> None:
        self._paths = paths
        self._longer_side = longer_side
        self._changes = changes

    def load(self, number: int, seed: tuple[int, ...] | None = None) -> Inputs:
        image = decode(self._paths[number], self._longer_side)
        if self._changes and seed is not None:
            image = augment(image, self._changes, seed)
        return Inputs({IMAGE: to_batch(image, CPU)}, (image.shape[0], image.shape[1]))


class CachedFeatures:
    """Responses of the frozen layers from a folder on disk, one memory-mapped file a photo."""

    def __init__(self, folder: Path, contents: Sequence[str]) -> None:
        self._files = [folder / f"{name}.safetensors" for name in contents]

    def part(self, rows: slice) -> "CachedFeatures":
        """The photos of these rows alone."""
        part = copy(self)
        part._files = self._files[rows]
        return part

    def load(self, number: int, seed: tuple[int, ...] | None = None) -> Inputs:
        path = self._files[number]
        try:
            with safe_open(path, framework="pt") as file:
                head = json.loads(file.metadata()["size"])
                tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise TrainingError(
                f"cannot read cached features {path}: {error}; remove the file and start again"
            ) from error
        return Inputs(tensors, (head[0], head[1]))


def cache_features(
    trainee: Trainee,
    paths: Sequence[Path],
    folder: Path,
    *,
    longer_side: int,
    progress: Progress,
) -> CachedFeatures:
    """Compute the frozen layers' responses of all photos that `folder` lacks, and open them.

    What is there already stays, so that a stopped run goes on where it was. Raises OutputError
    where the disk has too little room, before any work.
    """
    home = folder / _cache_name(trainee, longer_side)
    home.mkdir(parents=True, exist_ok=True)
    contents = [content(path) for path in paths]
    missing = {
        name: path
        for name, path in zip(contents, paths, strict=True)
        if not (home / f"{name}.safetensors").is_file()
    }
    _check_room(home, trainee, list(missing.values()), longer_side)
    work = parallel.share(list(missing.items()))
    device = next(trainee.network.parameters()).device
    trunk = trunk_of(trainee)
    progress.start("caching frozen features", len(work))
    for done, ((name, _), image) in enumerate(
        prefetch(work, lambda item: decode(item[1], longer_side)), 1
    ):
        found = run_frozen(trunk, to_batch(image, device), trainee.kept)
        _write(home / f"{name}.safetensors", found, (image.shape[0], image.shape[1]))
        progress.advance(done)
    parallel.wait_for_all()
    return CachedFeatures(home, contents)


def _write(path: Path, responses: dict[str, Tensor], size: tuple[int, int]) -> None:
    halves = {key: x.to(CPU, torch.float16).contiguous() for key, x in responses.items()}
    write_whole(path, save(halves, metadata={"size": json.dumps(size)}))


def _cache_name(trainee: Trainee, longer_side: int) -> str:
    """Names everything that the cached numbers depend on, so that no stale file is ever read."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(f"{longer_side} {trainee.kept}".encode())
    trunk = trunk_of(trainee)
    names = list(LAYERS)
    for name in names[: 1 + names.index(trainee.kept[-1])]:
        digest.update(_bytes(trunk.get_submodule(name)))
    return digest.hexdigest()


def _bytes(layer: nn.Module) -> bytes:
    return b"".join(p.detach().cpu().numpy().tobytes() for p in layer.parameters())


def _check_room(folder: Path, trainee: Trainee, paths: Sequence[Path], longer_side: int) -> None:
    need = sum(_bytes_of(image_size(path, longer_side), trainee.kept) for path in paths)
    free = shutil.disk_usage(folder).free
    if need + SPARE_BYTES > free:
        raise OutputError(
            f"the feature cache of {len(paths):,} photos needs {need:,} bytes in {folder}, "
            f"where {free:,} are free; free space, choose a smaller data.longer_side, or set "
            'data.cache = ""'
        )


def _bytes_of(size: tuple[int, int], kept: Sequence[str]) -> int:
    height, width = size
    total = 0
    for name in kept:
        stride = 2 ** (int(name[4]) - 1)
        total += LAYERS[name][1] * -(-height // stride) * -(-width // stride) * BYTES
    return total


def check_photos(paths: Sequence[Path], longer_side: int) -> None:
    """Raises PhotoError or TrainingError for a photo that training would stumble over."""
    for path in paths:
        if min(image_size(path, longer_side)) < SMALLEST_SIDE:
            raise TrainingError(
                f"{path} is smaller than {SMALLEST_SIDE} pixels a side; remove it from the set"
            )


def trunk_of(trainee: Trainee) -> VGG16:
    trunk = trainee.network.get_submodule("trunk")
    assert isinstance(trunk, VGG16)
    return trunk
