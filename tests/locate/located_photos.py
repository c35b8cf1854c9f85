"""A small database whose photos are plain colours, and a describer that sees only colour."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hafloc.description import ImageFeatures
from hafloc.geo import Position
from hafloc.index import ModelInfo, Record, create_index
from hafloc.photos import read

MODEL = ModelInfo(name="colours", hash="0123456789abcdef", options="{}", dimension=3)
COLOURS = {
    "red.png": (250, 10, 10),
    "green.png": (10, 250, 10),
    "blue.png": (10, 10, 250),
    "orange.png": (250, 120, 10),
}
PLACES = {
    "red.png": Position(52.2000, 0.1000),
    "green.png": Position(52.2010, 0.1000),
    "blue.png": Position(52.3000, 0.1000),
    "orange.png": Position(52.2000, 0.1010),
}


class MeanColour:
    longer_side = 64

    def vector(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        mean = image.reshape(-1, 3).mean(axis=0) + 1  # black has a direction too
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)

    def features(
        self, image: NDArray[np.uint8], *, local: bool = True, regions: bool = True
    ) -> ImageFeatures:
        return ImageFeatures(self.vector(image))


def paint(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (80, 60)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def build(folder: Path) -> Path:
    """`colours.gpkg` in `folder`, its photos beside it."""
    path = folder / "colours.gpkg"
    with create_index(path, MODEL, "float32") as index:
        for name, colour in COLOURS.items():
            photo = read(paint(folder / name, colour))
            record = Record(
                path=name,
                content=photo.content,
                position=PLACES[name],
                width=photo.width,
                height=photo.height,
                source="csv",
                heading=90.0 if name == "red.png" else None,
            )
            index.add([record], MeanColour().vector(photo.image)[np.newaxis])
    return path
