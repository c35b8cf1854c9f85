"""Seconds that verifying 50 candidates takes a query, beside SIFT and RANSAC by OpenCV.

    python benchmarks/verification_costs.py sf_west.gpkg campus_night_val.gpkg --queries 40 --peer 3

Queries are photos of the index, each among the others, by the key points that the index stores.
Measured in turn on each query: `verify.weigh`; the same with one whole product of key points a
candidate, which BLAS gives threads of its own; the same with a long search for every fundamental
matrix; and, for `--peer` of them, the OpenCV way for the same pairs: SIFT of at most 1,000 points,
brute-force matching, Lowe's ratio, RANSAC for a fundamental matrix. Detecting SIFT is told apart
and left out. Photos that lie where the index says are needed for that alone. Writes
benchmarks/results/verification_costs.json: medians, each way's time over ours as the median of
single queries' ratios, and of how many queries all the evidence is the same.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hafloc.description import LocalFeatures
from hafloc.files import write_whole
from hafloc.index import open_index, paths_of
from hafloc.photos import read
from hafloc.prefetch import share_out
from hafloc.verify import Evidence, geometry, matching, weigh

RESULT = Path(__file__).parent / "results" / "verification_costs.json"
CANDIDATES = 50
SIDE = 480
POINTS = 1_000
RATIO = 0.8
PIXELS = 4.0  # as `verify.geometry` allows of 480
CONFIDENCE, ITERATIONS = 0.999, 1_000

DETECTING = "SIFT, detecting one photo"

Found = tuple[tuple[cv2.KeyPoint, ...], NDArray[np.float32] | None]


class Clock:
    """Wall and processor seconds of several ways, a list each."""

    def __init__(self) -> None:
        self.wall: dict[str, list[float]] = {}
        self.processor: dict[str, list[float]] = {}

    def time(self, name: str, work: Callable[..., Any], *given: Any) -> Any:
        wall, processor = time.perf_counter(), time.process_time()
        result = work(*given)
        self.wall.setdefault(name, []).append(time.perf_counter() - wall)
        self.processor.setdefault(name, []).append(time.process_time() - processor)
        return result

    def results(self, ours: str) -> dict[str, Any]:
        rows = {}
        for name, wall in self.wall.items():
            count = len(wall)
            over = np.array(wall) / np.array(self.wall[ours][:count])
            processor = np.array(self.processor[name]) / np.array(self.processor[ours][:count])
            rows[name] = {
                "queries": count,
                "seconds": round(float(np.median(wall)), 4),
                "processor_seconds": round(float(np.median(self.processor[name])), 4),
                "over_ours": round(float(np.median(over)), 2),
                "processor_over_ours": round(float(np.median(processor)), 2),
            }
        return rows


def with_changed(module: Any, name: str, value: Any, work: Callable[..., Any], *given: Any) -> Any:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        return work(*given)
    finally:
        setattr(module, name, before)


def always(*_: Any) -> bool:
    return True


WAYS: dict[str, Callable[..., Any]] = {
    "hafloc": lambda work, *given: work(*given),
    "whole products": partial(with_changed, matching, "_TERMS", 0),
    "long searches": partial(with_changed, geometry, "_may_explain_more", always),
}


def same(a: Sequence[Evidence], b: Sequence[Evidence]) -> bool:
    def facts(item: Evidence) -> tuple[object, ...]:
        return item.id, item.matches, item.inliers, item.geometry, item.pairs.tobytes()

    return [facts(item) for item in a] == [facts(item) for item in b] and bool(
        np.allclose([item.strength for item in a], [item.strength for item in b], atol=1e-9)
    )


def look(file: Path) -> Found:
    grey = cv2.cvtColor(read(file, longer_side=SIDE).image, cv2.COLOR_RGB2GRAY)
    points, rows = cv2.SIFT.create(nfeatures=POINTS).detectAndCompute(grey, None)
    return tuple(points), None if rows is None else np.asarray(rows, np.float32)


def by_opencv(query: Found, candidate: Found) -> int:
    """The inliers of one pair."""
    if query[1] is None or candidate[1] is None or len(candidate[0]) < 2:
        return 0
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(query[1], candidate[1], 2)
    good = [first for first, second in pairs if first.distance < RATIO * second.distance]
    if len(good) < 8:
        return 0
    here = np.array([query[0][match.queryIdx].pt for match in good])
    there = np.array([candidate[0][match.trainIdx].pt for match in good])
    _, mask = cv2.findFundamentalMat(here, there, cv2.FM_RANSAC, PIXELS, CONFIDENCE, ITERATIONS)
    return 0 if mask is None else int(mask.sum())


@dataclass(frozen=True, slots=True)
class Database:
    """The photos of an index, and how alike each is to each, `[N, N]`."""

    ids: list[int]
    features: list[LocalFeatures | None]
    files: list[Path]
    table: NDArray[np.float32]

    @classmethod
    def read(cls, path: Path) -> "Database":
        with open_index(path) as index:
            records = list(index.iterate())
            ids = [record.id or 0 for record in records]
            vectors = np.asarray(index.vectors(ids), np.float32)
            features = index.local_features(ids)
        table = vectors @ vectors.T
        np.fill_diagonal(table, -np.inf)
        files = [paths_of(path).file_of(record.path) for record in records]
        return cls(ids, features, files, table)

    def first(self, query: int) -> list[int]:
        return [int(n) for n in np.argsort(-self.table[query], kind="stable")[:CANDIDATES]]

    def weigh(self, query: int, first: Sequence[int]) -> list[Evidence]:
        return weigh(
            [self.ids[other] for other in first],
            [float(self.table[query, other]) for other in first],
            [[self.features[query]] for _ in first],
            [self.features[other] for other in first],
        )


def ask_opencv(database: Database, query: int, first: Sequence[int], clock: Clock) -> None:
    files = [database.files[number] for number in (query, *first)]
    if all(file.is_file() for file in files):
        here, *found = [clock.time(DETECTING, look, file) for file in files]
        clock.time("SIFT and RANSAC", share_out, partial(by_opencv, here), found)


def measure(path: Path, queries: int, peer: int) -> dict[str, Any]:
    database, clock = Database.read(path), Clock()
    equal = dict.fromkeys(list(WAYS)[1:], 0)
    asked = np.unique(np.linspace(0, len(database.ids) - 1, queries).astype(int)).tolist()
    for number, query in enumerate(asked):
        first = database.first(query)
        found = {
            name: clock.time(name, WAYS[name], database.weigh, query, first)
            for name in list(WAYS)[:: 1 if number % 2 else -1]
        }
        for name in equal:
            equal[name] += same(found["hafloc"], found[name])
        if number < peer:
            ask_opencv(database, query, first, clock)
    detecting = clock.wall.pop(DETECTING, [])
    return {
        "queries": len(asked),
        "candidates": CANDIDATES,
        "evidence the same": equal,
        "ways": clock.results("hafloc"),
        DETECTING: round(float(np.median(detecting)), 4) if detecting else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("indexes", type=Path, nargs="+")
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--peer", type=int, default=3, help="how many of them by SIFT too")
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    results: dict[str, Any] = {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "machine": platform.machine(),
        "opencv": cv2.__version__,
        "numpy": np.__version__,
    }
    for path in given.indexes:
        results[path.stem] = measure(path, given.queries, given.peer)
        print(json.dumps({path.stem: results[path.stem]}))
        # A run that is stopped leaves the indexes so far.
        write_whole(given.out, (json.dumps(results, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
