"""Cells on disk: one file for each photo and each drawn change of it, made once, then read."""

import json
import shutil
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from hafloc.errors import OutputError, TrainingError
from hafloc.files import write_whole
from hafloc.nn import HAF, LEVELS
from hafloc.nn.images import to_batch
from hafloc.photos import Image, content
from hafloc.prefetch import prefetch
from hafloc.progress import Progress
from hafloc.train import parallel
from hafloc.train.augment import augment
from hafloc.train.cells import (
    Directions,
    bytes_of_cells,
    find_directions,
    make_cells,
    pack,
    unpack,
)
from hafloc.train.data import decode, image_size
from hafloc.train.features import SPARE_BYTES
from hafloc.train.recipe import Recipe
from hafloc.train.trainee import Inputs

FORMAT = 1
HEAD = "cells.json"
DIRECTIONS = "directions.safetensors"
# Photos that show which directions of the responses are strong.
DIRECTION_PHOTOS = 100


class CellFolder:
    """Cells of photos by number; `copies` of each with a drawn change stand beside it."""

    def __init__(self, home: Path, contents: Sequence[str], copies: int) -> None:
        self._home = home
        self._contents = contents
        self._copies = copies

    def part(self, rows: slice) -> "CellFolder":
        """The photos of these rows alone."""
        return CellFolder(self._home, self._contents[rows], self._copies)

    def load(self, number: int, seed: tuple[int, ...] | None = None) -> Inputs:
        """The photo as it is."""
        return _read(_file(self._home, self._contents[number], 0))

    def load_pair(self, first: int, second: int, seed: tuple[int, ...]) -> list[Inputs]:
        """Two photos, each as it is or with a change; a photo never twice with the same one."""
        random = np.random.default_rng(seed)
        one, other = random.integers(self._copies + 1, size=2).tolist()
        if first == second:
            other = (one + 1 + other % max(self._copies, 1)) % (self._copies + 1)
        rows = ((first, one), (second, other))
        return [_read(_file(self._home, self._contents[row], copy)) for row, copy in rows]


def cache_cells(
    network: HAF, recipe: Recipe, paths: Sequence[Path], changed: int, progress: Progress
) -> tuple[CellFolder, Directions]:
    """Make the cells that the recipe's folder lacks, and open it.

    The first `changed` photos get the recipe's copies too. What is there already stays, so that a
    stopped run goes on where it was. Raises TrainingError for a folder with cells of another
    checkpoint or recipe, OutputError where the disk has too little room, both before any work.
    """
    home, copies = Path(recipe.data.cells), recipe.cells.copies
    _check_head(home, key_of(network, recipe))
    contents = [content(path) for path in paths]
    wanted = {
        (name, copy): path
        for number, (name, path) in enumerate(zip(contents, paths, strict=True))
        for copy in range(copies + 1 if number < changed else 1)
    }
    missing = {key: path for key, path in wanted.items() if not _file(home, *key).is_file()}
    _check_room(home, network, list(missing.values()), recipe)
    if parallel.is_first():
        head = json.dumps(key_of(network, recipe), indent=1) + "\n"
        write_whole(home / HEAD, head.encode())
    directions = _directions(network, recipe, home, paths[:changed], progress)
    work = parallel.share(list(missing.items()))
    progress.start("caching cells", len(work))

    def load(item: tuple[tuple[str, int], Path]) -> Image:
        (name, copy), path = item
        image = decode(path, recipe.data.longer_side)
        if not copy:
            return image
        return augment(image, recipe.augmentation, (recipe.run.seed, int(name[:12], 16), copy))

    for done, ((key, _), image) in enumerate(prefetch(work, load), 1):
        made = make_cells(network, to_batch(image, network.device), directions)
        _write(_file(home, *key), made)
        progress.advance(done)
    parallel.wait_for_all()
    return CellFolder(home, contents, copies), directions


def key_of(network: HAF, recipe: Recipe) -> dict[str, Any]:
    """Everything that cells depend on beside the photos, by the names that a person knows.

    Masks and whitenings are not among it: they learn from cells.
    """
    digest = blake2b(digest_size=8)
    for name, value in network.state_dict().items():
        if name.startswith("trunk.") or any(
            part in name for part in (".head.", ".fusion.", ".power")
        ):
            digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return {
        "format": FORMAT,
        "network.start": digest.hexdigest(),
        "data.longer_side": recipe.data.longer_side,
        "cells.directions": recipe.cells.directions,
        "augmentation": recipe.augmentation.model_dump() if recipe.cells.copies else None,
        "run.seed": recipe.run.seed,
    }


def _check_head(home: Path, wanted: dict[str, Any]) -> None:
    if not (home / HEAD).exists():
        home.mkdir(parents=True, exist_ok=True)
        return
    try:
        found = json.loads((home / HEAD).read_text())
        different = [key for key, value in wanted.items() if found.get(key) != value]
    except (OSError, ValueError, AttributeError) as error:
        raise TrainingError(
            f"cannot read {home / HEAD}: {error}; remove the folder {home} or choose another"
        ) from error
    if not wanted["augmentation"] and "augmentation" in different:
        different.remove("augmentation")  # copies that are not asked for do not matter
        wanted["augmentation"] = found["augmentation"]
    if different:
        key = different[0]
        raise TrainingError(
            f"{home} holds cells of {key} = {found.get(key)!r}, the recipe now says "
            f"{wanted[key]!r}; choose another data.cells or remove the folder"
        )


def _directions(
    network: HAF, recipe: Recipe, home: Path, paths: Sequence[Path], progress: Progress
) -> Directions:
    path, count = home / DIRECTIONS, recipe.cells.directions
    if not count:
        return {}
    if not path.exists() and parallel.is_first():
        few = paths[:: max(1, len(paths) // DIRECTION_PHOTOS)]
        progress.start("finding what masks read", len(few))
        images = (
            to_batch(image, network.device)
            for _, image in prefetch(few, lambda p: decode(p, recipe.data.longer_side))
        )
        found = find_directions(network, images, count)
        write_whole(path, save({key: x.cpu() for key, x in found.items()}))
    parallel.wait_for_all()
    return load_file(path)


def _file(home: Path, name: str, copy: int) -> Path:
    return home / f"{name}_{copy}.safetensors"


def _write(path: Path, cells: Inputs) -> None:
    tensors: dict[str, Tensor] = {}
    for key, value in cells.tensors.items():
        if key.endswith(".codes"):
            tensors |= {f"{key}.{part}": x for part, x in pack(value.cpu()).items()}
        else:
            tensors[key] = value.cpu().contiguous()
    write_whole(path, save(tensors, metadata={"size": json.dumps(cells.size)}))


def _read(path: Path) -> Inputs:
    try:
        with safe_open(path, framework="pt") as file:
            height, width = json.loads(file.metadata()["size"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            for name in LEVELS:
                key = f"{name}.codes"
                tensors[key] = unpack(tensors.pop(f"{key}.upper"), tensors.pop(f"{key}.lower"))
    # The library has an error of its own, which is none of these.
    except Exception as error:
        raise TrainingError(
            f"cannot read cells {path}: {error}; remove the file and start again"
        ) from error
    return Inputs(tensors, (height, width))


def _check_room(home: Path, network: HAF, paths: Sequence[Path], recipe: Recipe) -> None:
    sizes = [image_size(path, recipe.data.longer_side) for path in paths]
    need = sum(bytes_of_cells(size, network, recipe.cells.directions) for size in sizes)
    free = shutil.disk_usage(home).free
    if need + SPARE_BYTES > free:
        raise OutputError(
            f"the cells of {len(paths):,} photos need {need:,} bytes in {home}, where {free:,} are "
            "free; free space, or choose a smaller data.longer_side or cells.copies"
        )
