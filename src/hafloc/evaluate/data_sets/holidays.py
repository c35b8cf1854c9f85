"""INRIA Holidays: 500 groups of photos, original or turned upright; mAP."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from hafloc.errors import EvaluationError
from hafloc.evaluate.benchmark import Benchmark, Picture, Truth, check_images, find_file
from hafloc.evaluate.data_sets.landmark_lists import read_rotations
from hafloc.evaluate.data_sets.place_lists import read_names
from hafloc.evaluate.protocol import Resize
from hafloc.measure import drop_rows

PIXELS = 1024 * 768
GROUP = 100  # a file's number divided by it is its group; the query's is divisible


def load_holidays(root: Path, options: Mapping[str, str]) -> Benchmark:
    """Holidays: `jpg/100000.jpg`…, perhaps `holidays_images.dat`; for turn=rot also
    `holidays-rotate.yaml`. Raises EvaluationError."""
    folder = find_file(root, ["jpg"], "images")
    listing = root / "holidays_images.dat"
    names = read_names(listing) if listing.is_file() else sorted(p.name for p in folder.iterdir())
    names = [name for name in names if name.endswith(".jpg")]
    numbers = _numbers(names, folder)
    turned = options.get("turn", "orig") == "rot"
    turns: Mapping[str, int] = {}
    if turned:
        turns = read_rotations(find_file(root, ["holidays-rotate.yaml"], "list of rotations"))
    resize = Resize("pixels", PIXELS)
    database = tuple(
        Picture(folder / name, turn=turns.get(name, 0), resize=resize) for name in names
    )
    check_images(database, "images")
    own = np.flatnonzero(numbers % GROUP == 0)
    groups = numbers // GROUP
    positives = tuple(
        np.setdiff1d(np.flatnonzero(groups == groups[row]), [row]).astype(np.int64) for row in own
    )
    return Benchmark(
        name="holidays",
        database=database,
        queries=tuple(database[row] for row in own),
        truths={"": Truth(positives)},
        measure="ap",
        protocol={
            "list": f"{len(names):,} images, {len(own):,} queries, "
            f"{sum(map(len, positives)):,} positives",
            "positives": "the other photos of the query's group",
            "images": f"{resize}; "
            + (f"turned by the list of {len(turns):,} rotations" if turned else "not turned"),
            "ranking": "the query is dropped from its own list",
            "search": "exact over the whole database, largest dot product of unit vectors",
            "score": "mAP by the trapezoid rule of the Oxford Buildings data set",
        },
        reach=None,
        arrange=partial(
            drop_rows, unwanted=[np.array([row]) for row in own], depth=max(len(names) - 1, 1)
        ),
    )


def _numbers(names: list[str], folder: Path) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    for name in names:
        if not name.removesuffix(".jpg").isdecimal():
            raise EvaluationError(
                f"{folder / name} is no image of Holidays, whose names are numbers; remove it"
            )
    return np.array([int(name.removesuffix(".jpg")) for name in names], dtype=np.int64)
