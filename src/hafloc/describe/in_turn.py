"""Decoded photos described in their turn: in this process, in several, or on a cluster."""

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from hafloc.describe.shards import Looked
from hafloc.description import ImageFeatures
from hafloc.errors import HaflocError, PhotoError
from hafloc.photos import Photo, PhotoFile
from hafloc.processes import Died, Processes

if TYPE_CHECKING:
    from hafloc.describe.describer import Describer

Image = NDArray[np.uint8]
# A file, and its photo or why there is none.
Decoded = tuple[PhotoFile, Photo | HaflocError]


@dataclass(frozen=True, slots=True)
class Described:
    """A photo that was read, and what it is found and verified by."""

    photo: Photo
    features: ImageFeatures


def in_this_process(
    describer: "Describer", decoded: Iterable[Decoded], *, local: bool, regions: bool
) -> Iterator[tuple[PhotoFile, Described | HaflocError]]:
    """Photos described here, neighbours of one size together; in their order."""
    most = describer.at_once
    waiting: list[tuple[PhotoFile, Photo, Image]] = []
    for path, photo in decoded:
        if isinstance(photo, HaflocError):
            yield from _together(describer, waiting, local=local, regions=regions)
            waiting = []
            yield path, photo
            continue
        image = describer.fit(photo.image)
        if waiting and waiting[0][2].shape != image.shape:
            yield from _together(describer, waiting, local=local, regions=regions)
            waiting = []
        waiting.append((path, photo, image))
        if len(waiting) >= most:
            yield from _together(describer, waiting, local=local, regions=regions)
            waiting = []
    yield from _together(describer, waiting, local=local, regions=regions)


def in_processes(
    describer: "Describer", decoded: Iterable[Decoded], workers: int, *, local: bool, regions: bool
) -> Iterator[tuple[PhotoFile, Described | HaflocError]]:
    """Photos described by so many processes, in their order."""

    def pieces() -> Iterator[tuple[Decoded, Image | None]]:
        for path, photo in decoded:
            image = None if isinstance(photo, HaflocError) else describer.fit(photo.image)
            yield (path, photo), image

    opened = partial(_FeaturesOf, pickle.dumps(describer), local, regions)
    for (path, photo), found in Processes(workers, opened).map(pieces()):
        if isinstance(photo, HaflocError):
            yield path, photo
        elif isinstance(found, Died):
            yield (
                path,
                PhotoError(
                    f"cannot describe {path}: it ended the process that did; give it more "
                    "memory, or fewer workers"
                ),
            )
        elif isinstance(found, PhotoError):
            yield path, PhotoError(f"cannot describe {path}: {found}")
        else:
            yield path, Described(photo, found)


def _together(
    describer: "Describer",
    waiting: Sequence[tuple[PhotoFile, Photo, Image]],
    *,
    local: bool,
    regions: bool,
) -> Iterator[tuple[PhotoFile, Described | HaflocError]]:
    """Photos of one size with their fitted images, described together."""
    if not waiting:
        return
    images = [image for _, _, image in waiting]
    try:
        found = describer.features_of(images, local=local, regions=regions)
    except PhotoError as error:
        for path, _, _ in waiting:
            yield path, PhotoError(f"cannot describe {path}: {error}")
        return
    for (path, photo, _), features in zip(waiting, found, strict=True):
        yield path, Described(photo, features)


class _FeaturesOf:
    """What a process does for another: features of fitted images, or why there are none."""

    def __init__(self, describer: bytes, local: bool, regions: bool, threads: int) -> None:
        # First: a thread that has begun to work, and a session of a runtime, keep their number.
        torch.set_num_threads(threads)
        self._describer: Describer = pickle.loads(describer)
        self._wanted = {"local": local, "regions": regions}

    def __call__(self, image: Image) -> ImageFeatures | PhotoError:
        try:
            return self._describer.features_of([image], **self._wanted)[0]
        except PhotoError as error:
            return error


def checked(
    path: PhotoFile, looked: Looked | HaflocError, check: Callable[[PhotoFile, Photo], None]
) -> Described | HaflocError:
    """What a cluster made of a file, where `check` has nothing against it."""
    if isinstance(looked, HaflocError):
        return looked
    try:
        check(path, looked.photo)
    except HaflocError as error:
        return error
    if looked.features is None:
        return PhotoError(f"cannot describe {path}: it has no position")
    return Described(looked.photo, looked.features)


def each(
    read: Iterable[tuple[PhotoFile, list[Photo] | HaflocError]],
) -> Iterator[Decoded]:
    """Each photo of the files that were read, with its file."""
    for path, photos in read:
        if isinstance(photos, HaflocError):
            yield path, photos
        else:
            yield from ((path, photo) for photo in photos)
