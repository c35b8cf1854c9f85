"""A street of made-up places, and a describer that reads a place's number from the colour."""

from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hafloc.description import ImageFeatures
from hafloc.geo import LocalFrame, Position
from hafloc.index import ModelInfo, Record, create_index
from hafloc.photos import read

MODEL = ModelInfo(name="numbers", hash="fedcba9876543210", options="{}", dimension=32)
START = LocalFrame(Position(52.2, 0.1))
BETWEEN = 150.0  # metres from place to place
WITHIN = 10.0  # metres from photo to photo of one place


class ByNumber:
    """Red is the place, green the photo: vectors of one place are alike, others are not.

    Blue, where it is not 0, is one more than another place that the photo looks like as well.
    """

    longer_side = 64

    def vector(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        place, photo, other = (int(value) for value in image[0, 0])
        own = np.random.default_rng(place).standard_normal(32)
        if other:
            own += 0.6 * np.random.default_rng(other - 1).standard_normal(32)
        noise = np.random.default_rng([place, photo]).standard_normal(32)
        vector = own + 0.4 * noise
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)

    def features(
        self, image: NDArray[np.uint8], *, local: bool = True, regions: bool = True
    ) -> ImageFeatures:
        return ImageFeatures(self.vector(image))


def where(place: int, photo: int) -> Position:
    return START.to_position(BETWEEN * place, WITHIN * photo)


def draw(
    folder: Path, place: int, photo: int, other: int | None = None, time: datetime | None = None
) -> Path:
    path = folder / f"{place:03}_{photo}.png"
    exif = Image.Exif()
    if time is not None:
        offset = time.isoformat()[19:]
        exif[0x8769] = {0x9003: time.strftime("%Y:%m:%d %H:%M:%S")} | (
            {0x9011: offset} if offset else {}
        )
    colour = (place, photo, 0 if other is None else other + 1)
    Image.new("RGB", (40, 40), colour).save(path, exif=exif)
    return path


def build(folder: Path, places: int, photos: int = 2) -> Path:
    """`street.gpkg` in `folder`, with `photos` of each place beside it."""
    path = folder / "street.gpkg"
    records, vectors = [], []
    for place in range(places):
        for number in range(photos):
            file = draw(folder, place, number)
            photo = read(file)
            records.append(Record(file.name, photo.content, where(place, number), 40, 40, "csv"))
            vectors.append(ByNumber().vector(photo.image))
    with create_index(path, MODEL, "float32") as index:
        index.add(records, np.stack(vectors))
    return path
