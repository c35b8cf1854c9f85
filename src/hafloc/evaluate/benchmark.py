"""What a benchmark is: pictures to describe, what counts as right, and the protocol in words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from hafloc.errors import EvaluationError
from hafloc.evaluate.protocol import BoxCrop, Ints, Resize, SquareCrop
from hafloc.photos import Image, read_flat

Search = Callable[[NDArray[np.float32], int], tuple[Ints, NDArray[np.float32]]]
# Metres between a query and a database row.
Metres = Callable[[int, int], float]
_TURNS = {
    90: Pillow.Transpose.ROTATE_270,
    180: Pillow.Transpose.ROTATE_180,
    270: Pillow.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A file and what is done to its pixels, in this order: `turn` clockwise degrees, `crop`,
    `resize` (by the whole image's size where `resize_by_whole`).

    Lists mean pixels as they are stored; `upright` turns them by their EXIF first.
    """

    path: Path
    turn: int = 0
    crop: BoxCrop | SquareCrop | None = None
    resize: Resize | None = None
    resize_by_whole: bool = False
    upright: bool = False

    @property
    def recipe(self) -> str:
        """The steps as text; with the file's content it identifies the pixels."""
        steps = (self.turn, self.crop, self.resize, self.resize_by_whole, self.upright)
        return repr(steps)

    def pixels(self) -> Image:
        """The picture's pixels `H×W×3`. Raises EvaluationError naming the file."""
        try:
            if self.upright:
                return self._prepare(Pillow.fromarray(read_flat(self.path).image))
            with Pillow.open(self.path) as stored:
                return self._prepare(stored.convert("RGB"))
        # A damaged file makes the decoders behind Pillow raise anything at all.
        except Exception as error:
            raise EvaluationError(
                f"cannot read {self.path}: {error}; copy the image again"
            ) from error

    def _prepare(self, image: Pillow.Image) -> Image:
        if self.turn:
            image = image.transpose(_TURNS[self.turn])
        whole = image.size
        if self.crop is not None:
            image = image.crop(self.crop.box(*whole))
        if self.resize is not None:
            size = self.resize.size(*image.size)
            if self.resize_by_whole:
                ratio = self.resize.size(*whole)[0] / whole[0]
                size = max(1, round(image.width * ratio)), max(1, round(image.height * ratio))
            if size != image.size:
                image = image.resize(size, Pillow.Resampling.LANCZOS)
        return np.array(image)


@dataclass(frozen=True, slots=True)
class Truth:
    """Database rows a query that are right, and those that are ignored."""

    positives: tuple[Ints, ...]
    junk: tuple[Ints, ...] | None = None


def as_ranked(ranking: Ints) -> Ints:
    """The ranking as it was found."""
    return ranking


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A data set under one protocol, ready to be described and scored.

    `queries` holds `crops` pictures a query, one query after the other. `truths` by name ("" where
    there is one). `measure`: "recall" at N within the first `depth`, or "ap" over whole lists.
    `reach` places are searched (None: all) and go through `arrange` before scoring. `search`
    takes the place of describing the `database`: unit vectors to rows and similarities, best
    first, for vectors of the checkpoint `model_hash`. `metres` tells how far apart a query and a
    database row are, None where nothing has a position. `protocol` says all choices in words.
    """

    name: str
    database: tuple[Picture, ...]
    queries: tuple[Picture, ...]
    truths: Mapping[str, Truth]
    measure: Literal["recall", "ap"]
    protocol: Mapping[str, str]
    crops: int = 1
    depth: int = 100
    reach: int | None = 100
    arrange: Callable[[Ints], Ints] = as_ranked
    search: Search | None = None
    model_hash: str | None = None
    metres: Metres | None = None

    def __post_init__(self) -> None:
        if not any(len(rows) for truth in self.truths.values() for rows in truth.positives):
            raise EvaluationError(
                f"{self.name}: no query has a positive in the database; check that queries and "
                "database belong together, and the tolerance"
            )

    @property
    def query_count(self) -> int:
        return len(self.queries) // self.crops


def check_images(pictures: Sequence[Picture], what: str) -> None:
    """Raises EvaluationError naming the first of the images that are listed but not there."""
    missing = [path for path in {picture.path: None for picture in pictures} if not path.is_file()]
    if missing:
        raise EvaluationError(
            f"{len(missing):,} of {len(pictures):,} {what} that are listed are not there, "
            f"the first is {missing[0]}; complete the data set, or use the list of its version"
        )


def find_file(root: Path, names: Sequence[str], what: str) -> Path:
    """The first of `names` that exists below `root`. Raises EvaluationError naming them."""
    if not root.is_dir():
        raise EvaluationError(f"{root} is not a folder; give the folder of the data set")
    for name in names:
        if (root / name).exists():
            return root / name
    raise EvaluationError(
        f"{root} holds no {what}: none of {', '.join(names)} is there; "
        "`hafloc datasets list` says what belongs there"
    )
