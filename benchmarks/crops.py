"""Is the place of a part of a photo found? Crops of 1/2, 1/3 and 1/5 of the side, asked anew.

    python benchmarks/crops.py DATA INDEXES --features crops.npz

DATA holds `sf_west` and `cambridge/val`, INDEXES an index of each, `sf_west.gpkg` and
`cambridge_val.gpkg`, built with regions. A query is a photo with a place in its index: every one
with a partner in sf_west, every third in Cambridge. `half` is the middle, `… off` lie anywhere but
in the lowest seventh of the room there is; each is enlarged to the size of the whole photo, as a
screenshot of a larger photo would be. What the network says of them is kept in `--features`, an
hour's work on two cores.

Each is asked twice: "before" by the whole photos' vectors and at its own size alone, "now" by
regions and at two sizes, as the product does. A photo at the query's own position never answers.
The answers are judged by the shipped rule and calibration; an answer is right where its strongest
candidate shows the same (a verified partner; in Cambridge within 25 m and looking the same way).
`sure and wrong` are those that are found and not right. Ends with one JSON line.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from rich.console import Console
from rich.table import Table

from hafloc.calibrate import calibration_error, interval
from hafloc.cli.progress import bar
from hafloc.describe import Describer
from hafloc.description import ImageFeatures, LocalFeatures
from hafloc.files import write_whole
from hafloc.index import GeoIndex, Record, open_index
from hafloc.locate import RERANK, THRESHOLD, Calibration, agree, shipped_calibrations
from hafloc.locate.candidates import CandidateFinder
from hafloc.locate.scales import at_scales, search_scales
from hafloc.photos import read
from hafloc.progress import Progress
from real_photos import Folder

SETS = {"sf_west": ("sf_west", 1), "cambridge_val": ("cambridge/val", 3)}
# Share of the sides, and whether it is the middle.
CROPS = {
    "whole": (1.0, True),
    "half": (1 / 2, True),
    "half off": (1 / 2, False),
    "third off": (1 / 3, False),
    "fifth off": (1 / 5, False),
}
CUTS = (1, 5, 10)

Image = NDArray[np.uint8]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Place:
    """A set's folder with its index: `number` of a record's id, and who is right for whom."""

    folder: Folder
    index: GeoIndex
    records: list[Record]
    right: Flags
    excluded: Flags


def cut(image: Image, share: float, random: np.random.Generator, *, middle: bool) -> Image:
    """A part of the image, enlarged to its longer side, at most 480 px."""
    height, width = image.shape[:2]
    high, wide = round(height * share), round(width * share)
    if middle:
        top, left = (height - high) // 2, (width - wide) // 2
    else:
        left = int(random.integers(0, width - wide + 1))
        top = int(random.integers(0, round((height - high) * 6 / 7) + 1))
    part = Pillow.fromarray(image[top : top + high, left : left + wide])
    scale = min(480, max(height, width)) / max(high, wide)
    size = round(wide * scale), round(high * scale)
    return np.array(part.resize(size, Pillow.Resampling.BICUBIC))


def crops_of(path: Path) -> Iterator[tuple[str, Image]]:
    image = read(path).image
    random = np.random.default_rng(sum(path.name.encode()) * 7919)
    for name, (share, middle) in CROPS.items():
        yield name, image if share == 1 else cut(image, share, random, middle=middle)


def describe_all(data: Path, file: Path, progress: Progress) -> dict[str, list[ImageFeatures]]:
    """What the network says of every crop, by set/photo/crop: as it is and at half its size."""
    describer = Describer.open("haf")
    made: dict[str, list[ImageFeatures]] = {}
    for name, (folder, step) in SETS.items():
        chosen = _queries(Folder(data / folder), step)
        progress.start(f"describing {name}", len(chosen))
        for done, path in enumerate(chosen, 1):
            for crop, image in crops_of(path):
                made[f"{name}/{path.name}/{crop}"] = at_scales(
                    describer, image, local=True, regions=True
                )
            progress.advance(done)
    arrays: dict[str, NDArray[Any]] = {}
    for key, scales in made.items():
        for number, seen in enumerate(scales):
            assert seen.local is not None
            assert seen.regions is not None
            arrays[f"{key}/{number}/vectors"] = np.vstack([seen.vector, seen.regions])
            arrays[f"{key}/{number}/xy"] = seen.local.xy
            arrays[f"{key}/{number}/descriptors"] = seen.local.descriptors
            arrays[f"{key}/{number}/size"] = np.array(seen.local.size)
    np.savez(file, **arrays)
    return made


def load_all(file: Path) -> dict[str, list[ImageFeatures]]:
    found: dict[str, list[ImageFeatures]] = {}
    with np.load(file) as arrays:
        for name in sorted(arrays.files):
            key, number, part = name.rsplit("/", 2)
            if part != "vectors":
                continue
            start = f"{key}/{number}"
            width, height = arrays[f"{start}/size"].tolist()
            local = LocalFeatures(
                arrays[f"{start}/xy"], arrays[f"{start}/descriptors"], (width, height)
            )
            vectors = arrays[name].astype(np.float32)
            found.setdefault(key, []).append(ImageFeatures(vectors[0], local, vectors[1:]))
    return found


def _queries(folder: Folder, step: int) -> list[Path]:
    right, _ = folder.kinds()
    chosen = [path for path, row in zip(folder.paths, right, strict=True) if row.any()]
    return chosen[::step]


@dataclass(frozen=True, slots=True)
class Asked:
    """One query's answer: rank of the first right candidate by similarity (or a large number),
    whether the strongest verified one is right, and the confidence."""

    rank: int
    right: bool
    confidence: float


def ask(
    place: Place,
    finder: CandidateFinder,
    calibration: Calibration,
    query: int,
    features: list[ImageFeatures],
) -> Asked:
    found = search_scales(place.index, features, len(place.records))
    allowed = [item for item in found if not place.excluded[query, item.id]]
    right = np.flatnonzero([place.right[query, item.id] for item in allowed])
    first = allowed[:RERANK]
    by_id = {item.id: place.records[item.id] for item in first}
    evidence = finder.weigh(by_id, first, features, RERANK)
    consensus = agree([by_id[item.id].position for item in evidence], evidence)
    return Asked(
        int(right[0]) if len(right) else 1_000_000,
        bool(place.right[query, evidence[0].id]),
        calibration.confidence(consensus),
    )


def figures(answers: list[Asked], places: list[str]) -> dict[str, Any]:
    ranks = np.array([answer.rank for answer in answers])
    right = np.array([answer.right for answer in answers])
    confidence = np.array([answer.confidence for answer in answers])
    _, member = np.unique(places, return_inverse=True)

    def between(flags: Flags) -> list[float]:
        return [round(bound, 3) for bound in interval(flags, member)]

    return {
        "queries": len(answers),
        **{f"recall@{cut}": round(float((ranks < cut).mean()), 3) for cut in CUTS},
        "recall@1 between": between(ranks < 1),
        "verified": round(float(right.mean()), 3),
        "verified between": between(right),
        "found": round(float((confidence >= THRESHOLD).mean()), 3),
        "sure and wrong": round(float(((confidence >= THRESHOLD) & ~right).mean()), 3),
        "calibration error": round(calibration_error(confidence, right), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("indexes", type=Path)
    parser.add_argument("--features", type=Path, required=True, help="read, or made here")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    with bar() as progress:
        if arguments.features.exists():
            seen = load_all(arguments.features)
        else:
            seen = describe_all(arguments.data, arguments.features, progress)
        for name in arguments.sets:
            folder = Folder(arguments.data / SETS[name][0])
            with open_index(arguments.indexes / f"{name}.gpkg") as index:
                results[name] = _of_set(name, folder, index, seen, progress)
    _show(results)
    line = json.dumps(results)
    print(line)
    if arguments.out:
        write_whole(arguments.out, f"{json.dumps(results, indent=1)}\n".encode())


def _of_set(
    name: str,
    folder: Folder,
    index: GeoIndex,
    seen: Mapping[str, list[ImageFeatures]],
    progress: Progress,
) -> dict[str, Any]:
    number = {photo: i for i, photo in enumerate(folder.names)}
    records = {number[Path(record.path).name]: record for record in index.iterate()}
    # By id, so that tables can be asked by what a search gives.
    size = 1 + max(record.id or 0 for record in records.values())
    ids = np.array([records[i].id or 0 for i in range(len(folder.names))])
    right, excluded = np.zeros((size, size), bool), np.zeros((size, size), bool)
    right[np.ix_(ids, ids)] = folder.kinds()[0]
    excluded[np.ix_(ids, ids)] = folder.excluded
    by_id: list[Any] = [None] * size
    for record in records.values():
        by_id[record.id or 0] = record
    place = Place(folder, index, by_id, right, excluded)
    finder = CandidateFinder(index, None)  # type: ignore[arg-type]  # key points are stored
    (calibration,) = [c for c in shipped_calibrations(index.model.hash) if c.verified]
    out: dict[str, Any] = {}
    keys = [key for key in seen if key.startswith(f"{name}/")]
    progress.start(f"asking {name}", len(keys))
    answers: dict[tuple[str, str], list[Asked]] = {}
    places: dict[tuple[str, str], list[str]] = {}
    for done, key in enumerate(keys, 1):
        _, photo, crop = key.split("/")
        query = int(ids[number[photo]])
        if not right[query].any():
            continue
        for way in ("before", "now"):
            features = seen[key]
            if way == "before":
                features = [replace(features[0], regions=None)]
            answers.setdefault((crop, way), []).append(
                ask(place, finder, calibration, query, features)
            )
            position = by_id[query].position
            places.setdefault((crop, way), []).append(f"{position.lat:.4f} {position.lon:.4f}")
        progress.advance(done)
    for crop in CROPS:
        for way in ("before", "now"):
            if (crop, way) in answers:
                out[f"{crop}, {way}"] = figures(answers[crop, way], places[crop, way])
    return out


def _show(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    for name, rows in results.items():
        columns = list(next(iter(rows.values())))
        table = Table("", *columns, title=name)
        for label, row in rows.items():
            table.add_row(label, *(str(row[column]) for column in columns))
        Console(width=190).print(table)


if __name__ == "__main__":
    main()
