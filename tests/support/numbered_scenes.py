"""A street whose places have key points: those of one place move together from photo to photo."""

from pathlib import Path

import numpy as np
from numbered_places import MODEL, ByNumber, draw, where
from numpy.typing import NDArray
from scenes import directions, features, spread

from hafloc.description import Description, ImageFeatures, KeyPoints, LocalFeatures
from hafloc.index import Record, create_index
from hafloc.photos import read

POINTS = 60
STEP = 9  # pixels to the right from photo to photo
NONE = np.zeros((0, 2), np.float32)


class BySight(ByNumber):
    """As ByNumber, with key points in pixels of SIZE; a photo of place 255 has none of them."""

    def features(
        self, image: NDArray[np.uint8], *, local: bool = True, regions: bool = True
    ) -> ImageFeatures:
        place, photo, _ = (int(value) for value in image[0, 0])
        random = np.random.default_rng(place)
        rows, xy = directions(random, POINTS), spread(random, POINTS)
        xy[:, 0] += STEP * photo
        if place == 255:
            none = LocalFeatures(NONE, np.zeros((0, 64), np.int8), (480, 360))
            return ImageFeatures(self.vector(image), none)
        return ImageFeatures(self.vector(image), features(xy, rows))

    def describe(self, image: NDArray[np.uint8]) -> Description:
        height, width = image.shape[:2]
        flat = np.full(((height + 1) // 2, (width + 1) // 2), 1.0, np.float32)
        points = KeyPoints(NONE, np.zeros(0, np.float32), np.zeros((0, 4), np.float32))
        return Description(self.vector(image), (width, height), {}, flat, points)


def build_seen(folder: Path, places: int, *, local: bool = True) -> Path:
    """`seen.gpkg` in `folder`, with two photos of each place beside it."""
    path = folder / "seen.gpkg"
    describer = BySight()
    with create_index(path, MODEL, "float32") as index:
        for place in range(places):
            for number in range(2):
                file = draw(folder, place, number)
                photo = read(file)
                record = Record(file.name, photo.content, where(place, number), 40, 40, "csv")
                seen = describer.features(photo.image)
                local_features = [seen.local] if local else None
                index.add([record], seen.vector[np.newaxis], local_features)
    return path
