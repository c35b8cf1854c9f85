"""A made-up database with photos on disk and answers about it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from hafloc.geo import Position, distance
from hafloc.index import Record
from hafloc.locate import Answer


def noise(path: Path, seed: int, size: tuple[int, int] = (96, 64)) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).resize(size).save(path, "JPEG")
    return path


def database(folder: Path, n: int = 4) -> list[Record]:
    """n records with files `0.jpg` … in `folder`."""
    records = []
    for i in range(n):
        noise(folder / f"{i}.jpg", i)
        place = Position(37.79 + i / 1000, -122.41)
        records.append(Record(f"{i}.jpg", f"{i:032x}", place, 96, 64, "csv", 45.0 * i, id=i + 1))
    return records


def answer(folder: Path, records: list[Record], name: str = "query.jpg", seed: int = 99) -> Answer:
    """All records as candidates of a query whose photo lies in `folder`."""
    similarities = [0.9 - i / 10 for i in range(len(records))]
    file = noise(folder / name, seed)
    return Answer.from_hits(name, records, similarities, file=file)


class Held:
    """What a map asks of an index, by the slowest way: records at hand, files in `folder`."""

    def __init__(self, records: list[Record], folder: Path) -> None:
        self.records = records
        self.location = str(folder / "held.gpkg")
        self.streamed = False

    def count(self) -> int:
        return len(self.records)

    def iterate(self, bbox: object = None) -> Iterator[Record]:
        self.streamed = True
        return iter(self.records)

    def nearest(self, position: Position, k: int) -> list[Record]:
        return sorted(self.records, key=lambda r: (distance(r.position, position), r.id))[:k]

    def sample(self, n: int, seed: int) -> list[Record]:
        chosen = np.random.default_rng(seed).choice(len(self.records), n, replace=False)
        return [self.records[i] for i in sorted(chosen)]
