"""Oxford 5k and Paris 6k, original and revisited: mAP over whole ranked lists."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from hafloc.errors import EvaluationError
from hafloc.evaluate.benchmark import Benchmark, Picture, Truth, check_images, find_file
from hafloc.evaluate.data_sets.landmark_lists import Box, LandmarkList, read_landmarks
from hafloc.evaluate.protocol import BoxCrop, Ints, Resize

# Half the receptive field of conv5_3.
CROP_MARGIN = 98
LONGER_SIDE = 1024

_QUERY_WORDS = {
    "full": "the query is its whole image",
    "crop": f"the query's box, enlarged by {CROP_MARGIN} px on each side and clipped",
    "tight": "the query's box",
    "cirtorch": "the query's box, at most 1024 × (its long side / the image's long side) px",
}


def load_landmarks(name: str, root: Path, options: Mapping[str, str]) -> Benchmark:
    """oxford5k or paris6k: ground truth and images below `root`. Raises EvaluationError."""
    truth = find_file(
        root,
        [f"gnd_{name}.mat", f"gnd_{name}.pkl", "gt_files", "gt"],
        f"ground truth of {name}",
    )
    listed = read_landmarks(truth)
    files = _images(root)
    if truth.is_dir():
        listed = _over_all_images(listed, sorted(files))
    if "ok" not in listed.groups:
        raise EvaluationError(f"{truth} is of a revisited data set; use --benchmark r{name}")
    return _benchmark(
        name,
        listed,
        files,
        options,
        {"": Truth(listed.groups["ok"], listed.groups["junk"])},
        "good and ok; junk is deleted from the list first; the query's own image is a positive",
        truth.name,
    )


def load_revisited(name: str, root: Path, options: Mapping[str, str]) -> Benchmark:
    """roxford5k or rparis6k: easy, medium and hard. Raises EvaluationError."""
    truth = find_file(root, [f"gnd_{name}.pkl", f"gnd_{name}.mat"], f"ground truth of {name}")
    listed = read_landmarks(truth)
    if "easy" not in listed.groups or "hard" not in listed.groups:
        raise EvaluationError(f"{truth} is not of a revisited data set; it has no easy and hard")
    easy, hard, junk = (listed.groups[group] for group in ("easy", "hard", "junk"))
    truths = {
        "easy": Truth(easy, _joined(junk, hard)),
        "medium": Truth(_joined(easy, hard), junk),
        "hard": Truth(hard, _joined(junk, easy)),
    }
    return _benchmark(
        name,
        listed,
        _images(root),
        {"query": "tight", **options},
        truths,
        "easy: easy (hard is junk); medium: easy and hard; hard: hard (easy is junk); "
        "queries without any are left out",
        truth.name,
    )


def _benchmark(
    name: str,
    listed: LandmarkList,
    files: Mapping[str, Path],
    options: Mapping[str, str],
    truths: Mapping[str, Truth],
    positives: str,
    source: str,
) -> Benchmark:
    kind = options.get("query", "full")
    resize = Resize("longer", LONGER_SIDE) if options.get("size") == "1024" else None
    database = tuple(Picture(_file(files, image), resize=resize) for image in listed.images)
    queries = tuple(
        _query(_file(files, query), box, kind, resize)
        for query, box in zip(listed.queries, listed.boxes, strict=True)
    )
    check_images(database, "images")
    check_images(queries, "queries")
    return Benchmark(
        name=name,
        database=database,
        queries=queries,
        truths=truths,
        measure="ap",
        protocol={
            "list": f"{source}: {len(database):,} images, {len(queries):,} queries",
            "positives": positives,
            "queries": _QUERY_WORDS[kind],
            "images": str(resize) if resize else "as they are",
            "copies": "which copies of the images (before or after faces were blurred in 2022) is "
            "the owner's to say",
            "search": "exact over the whole database, largest dot product of unit vectors",
            "score": "mAP by the trapezoid rule of the Oxford Buildings data set",
        },
        reach=None,
    )


def _query(path: Path, box: Box | None, kind: str, resize: Resize | None) -> Picture:
    if kind == "full":
        return Picture(path, resize=resize)
    if box is None:
        raise EvaluationError(f"the ground truth has no box for {path.name}; use query=full")
    if kind == "cirtorch":
        resize = Resize("longer", LONGER_SIDE)
        return Picture(path, crop=BoxCrop(*box), resize=resize, resize_by_whole=True)
    margin = CROP_MARGIN if kind == "crop" else 0
    return Picture(path, crop=BoxCrop(*box, margin=margin), resize=resize)


def _joined(first: tuple[Ints, ...], second: tuple[Ints, ...]) -> tuple[Ints, ...]:
    return tuple(np.concatenate(pair) for pair in zip(first, second, strict=True))


def _images(root: Path) -> dict[str, Path]:
    """Files by name without suffix, wherever they were unpacked below `root`."""
    return {path.stem: path for path in sorted(root.rglob("*.jpg"))}


def _file(files: Mapping[str, Path], name: str) -> Path:
    return files.get(name, Path(f"{name}.jpg"))


def _over_all_images(listed: LandmarkList, names: list[str]) -> LandmarkList:
    """Text files name positives and junk only; all other images are there to distract."""
    rows = {name: row for row, name in enumerate(names)}
    absent = [name for name in listed.images if name not in rows]
    if absent:
        raise EvaluationError(
            f"{len(absent):,} images of the ground truth are not there, the first is "
            f"{absent[0]}.jpg; complete the data set"
        )
    own = np.array([rows[name] for name in listed.images], dtype=np.int64)
    groups = {group: tuple(own[found] for found in each) for group, each in listed.groups.items()}
    return replace(listed, images=tuple(names), groups=groups)
