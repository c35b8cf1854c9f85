"""A network that needs no weights: a photo's mean colour is its vector."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from hafloc.description import ImageFeatures
from hafloc.errors import HaflocError
from hafloc.photos import CUTTING, Cutting, Photo, read_photos


class Colours:
    """Stands in for a Describer: a photo's mean colour is its vector; counts what it describes."""

    name, hash, options, dimension = "colours", "0" * 32, "{}", 3
    regions = 0

    def __init__(self) -> None:
        self.described: list[str] = []

    def describe_files(
        self,
        paths: Iterable[Path],
        check: Callable[[Path, Photo], None],
        *,
        local: bool = False,
        regions: bool = False,
        workers: int = 1,
        cutting: Cutting = CUTTING,
    ) -> Iterator[tuple[Path, object]]:
        for path in paths:
            self.described.append(path.name)
            try:
                photos = read_photos(path, longer_side=64, cutting=cutting)
                check(path, photos[0])
            except HaflocError as error:
                yield path, error
                continue
            for photo in photos:
                vector = photo.image.mean(axis=(0, 1)).astype(np.float32) + 1
                yield path, Coloured(photo, vector / np.linalg.norm(vector))

    def name_from(self, folder: Path) -> str:
        return self.name


class Coloured:
    def __init__(self, photo: Photo, vector: np.ndarray) -> None:
        self.photo, self.features = photo, ImageFeatures(vector)
