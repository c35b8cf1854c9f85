"""Ground truth of Oxford, Paris, their revisited versions and Holidays, and of San Francisco."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import EvaluationError
from hafloc.evaluate.data_sets.matlab import numbers, read_mat, texts
from hafloc.evaluate.data_sets.plain_arrays import read_pickle

Ints = NDArray[np.int64]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class LandmarkList:
    """Image names, query names, the queries' boxes (left, top, right, bottom in pixels, or None),
    and database rows a query by group: ok and junk, or easy, hard and junk."""

    images: tuple[str, ...]
    queries: tuple[str, ...]
    boxes: tuple[Box | None, ...]
    groups: Mapping[str, tuple[Ints, ...]]


def read_landmarks(path: Path) -> LandmarkList:
    """A `gnd_*.mat`, a `gnd_*.pkl` of revisitop, or the folder of Oxford's or Paris's own text
    files. Raises EvaluationError naming the file."""
    if path.is_dir():
        return _from_texts(path)
    if path.suffix == ".pkl":
        return _from_pickle(path)
    return _from_mat(path)


def _from_mat(path: Path) -> LandmarkList:
    variables: Mapping[str, Any] = read_mat(path)
    images = texts(variables, "imlist" if "imlist" in variables else "feature_name", path)
    entries = variables.get("gnd")
    entries = [entries] if isinstance(entries, dict) else entries
    if not isinstance(entries, list) or not all(isinstance(item, dict) for item in _flat(entries)):
        raise EvaluationError(f"{path} holds no ground truth gnd; it is another kind of list")
    entries = _flat(entries)
    if "qimlist" in variables:
        queries = texts(variables, "qimlist", path)
    elif "qidx" in variables:
        queries = [images[row] for row in _rows(variables["qidx"], len(images), path, start=1)]
    else:
        queries = [str(name) for name in variables.get("query_list", [])[: len(entries)]]
    return _landmarks(images, queries, entries, path, start=1)


def _flat(values: Iterable[Any]) -> list[Any]:
    """Structures stand in a cell each, or in one array."""
    return [inner for value in values for inner in (value if isinstance(value, list) else [value])]


def _from_pickle(path: Path) -> LandmarkList:
    content = read_pickle(path)
    try:
        images, queries, entries = content["imlist"], content["qimlist"], content["gnd"]
    except (KeyError, TypeError, IndexError) as error:
        raise EvaluationError(
            f"{path} is no ground truth of revisitop: it lacks imlist, qimlist or gnd"
        ) from error
    return _landmarks(images, queries, entries, path, start=0)


def _landmarks(
    images: Sequence[str],
    queries: Sequence[str],
    entries: Sequence[Mapping[str, Any]],
    path: Path,
    *,
    start: int,
) -> LandmarkList:
    if len(queries) != len(entries) or not entries:
        raise EvaluationError(
            f"{path}: {len(queries):,} queries but {len(entries):,} ground truths; get it again"
        )
    names = [name for name in ("ok", "easy", "hard", "junk") if name in entries[0]]
    groups = {
        name: tuple(_rows(entry.get(name, ()), len(images), path, start=start) for entry in entries)
        for name in names
    }
    boxes = tuple(_box(entry.get("bbx"), path) for entry in entries)
    return LandmarkList(tuple(images), tuple(queries), boxes, groups)


def _rows(value: Any, count: int, path: Path, *, start: int) -> Ints:
    rows = np.asarray(value if not isinstance(value, list) else np.array(value, dtype=np.int64))
    rows = rows.ravel().astype(np.int64) - start
    if len(rows) and (rows.min() < 0 or rows.max() >= count):
        raise EvaluationError(
            f"{path} points at image {int(rows.max()) + start:,} of {count:,}; the list is of "
            "another version, get it again"
        )
    return rows


def _box(value: Any, path: Path) -> Box | None:
    if value is None or not np.size(value):
        return None
    if np.size(value) != 4:
        raise EvaluationError(f"{path}: a query's box has {np.size(value)} numbers, not 4")
    left, top, right, bottom = (float(part) for part in np.ravel(value))
    return left, top, right, bottom


def _from_texts(folder: Path) -> LandmarkList:
    heads = sorted(folder.glob("*_query.txt"))
    if not heads:
        raise EvaluationError(
            f"{folder} holds no *_query.txt; unpack the ground-truth files of the data set there"
        )
    stems = [head.name.removesuffix("_query.txt") for head in heads]
    listed = {
        (stem, kind): _lines(folder / f"{stem}_{kind}.txt")
        for stem in stems
        for kind in ("good", "ok", "junk")
    }
    queries, boxes = zip(*(_query(head) for head in heads), strict=True)
    images = sorted({name for names in listed.values() for name in names} | set(queries))
    rows = {name: row for row, name in enumerate(images)}
    ok = tuple(_named(rows, listed[s, "good"] + listed[s, "ok"]) for s in stems)
    junk = tuple(_named(rows, listed[s, "junk"]) for s in stems)
    return LandmarkList(tuple(images), queries, boxes, {"ok": ok, "junk": junk})


def _named(rows: Mapping[str, int], names: Iterable[str]) -> Ints:
    return np.array([rows[name] for name in names], dtype=np.int64)


def _query(path: Path) -> tuple[str, Box]:
    words = " ".join(_lines(path)).split()
    try:
        name, left, top, right, bottom = words
        return name.removeprefix("oxc1_"), (float(left), float(top), float(right), float(bottom))
    except ValueError as error:
        raise EvaluationError(
            f"{path} is not one line of a name and four numbers; get it again"
        ) from error


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"cannot read {path}: {error}; get the ground truth again") from error


def read_rotations(path: Path) -> dict[str, int]:
    """Clockwise turns in degrees by image name, as multigrain's holidays-rotate.yaml writes them.

    Raises EvaluationError naming file and line.
    """
    turns = {}
    for number, line in enumerate(_lines(path), 1):
        text = line.strip().rstrip(",")
        if not text or text in "{}" or text.startswith("#"):
            continue
        name, _, degrees = text.rpartition(":")
        if degrees.strip() not in ("0", "90", "180", "270") or not name:
            raise EvaluationError(f'{path}, line {number:,}: "{line}" is not a name and a turn')
        turns[name.strip().strip("\"'")] = int(degrees)
    return turns


def read_query_buildings(path: Path) -> dict[str, Ints]:
    """San Francisco's building ids by query number, from a cartoid_groundTruth text.

    Raises EvaluationError naming file and line.
    """
    buildings = {}
    for number, line in enumerate(_lines(path), 1):
        words = line.split()
        if not words:
            continue
        try:
            # The 2011 file has ids struck out with x.
            known = [int(word) for word in words[1:] if word.strip("x")]
            buildings[words[0]] = np.array(known, dtype=np.int64)
        except ValueError as error:
            raise EvaluationError(
                f'{path}, line {number:,}: "{line}" is not a query and its building ids'
            ) from error
    if not buildings:
        raise EvaluationError(f"{path} is empty; get the ground truth again")
    return buildings


def read_image_buildings(path: Path) -> Ints:
    """The building id of each database image `[N]`, from sv_cartoid.mat. Raises EvaluationError."""
    variables: Mapping[str, Any] = read_mat(path)
    found = variables.get("sv_cartoid")
    if isinstance(found, np.ndarray):
        return numbers(variables, "sv_cartoid", path).ravel().astype(np.int64)
    try:
        return np.array(texts(variables, "sv_cartoid", path), dtype=np.int64)
    except ValueError as error:
        raise EvaluationError(f"{path}: a building id is not a number; get it again") from error


def buildings_to_positives(
    image_buildings: Ints, query_buildings: Sequence[Ints]
) -> tuple[Ints, ...]:
    """Database rows that carry one of each query's building ids; perhaps none."""
    order = np.argsort(image_buildings, kind="stable")
    sorted_ids = image_buildings[order]
    found = []
    for ids in query_buildings:
        low = np.searchsorted(sorted_ids, ids, side="left")
        high = np.searchsorted(sorted_ids, ids, side="right")
        parts = [order[start:end] for start, end in zip(low, high, strict=True)]
        found.append(np.sort(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64))
    return tuple(found)
