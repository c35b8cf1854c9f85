"""Matchers by name as verifiers: recall@1 and seconds a query, all in one run.

    hafloc index build sf_west.gpkg data/sf_west/images --positions data/sf_west/positions.csv
    python benchmarks/matchers.py data/sf_west sf_west.gpkg --out matchers.json
    python benchmarks/matchers.py data/campus_night/val campus.gpkg --night --out matchers.json

The index brings vectors and hafloc's own key points; the other matchers read the photos. Each ranks
the same first photos of each query. `--night`: queries after dark among photos by day, right within
10 m. Results are added to the JSON under the name of the index's file.
"""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from hafloc.description import LocalFeatures
from hafloc.files import write_whole
from hafloc.index import GeoIndex, open_index
from hafloc.photos import read
from hafloc.verify import (
    LONGER_SIDE,
    Look,
    Matcher,
    Verified,
    compare_looks,
    open_matcher,
    shipped_rule,
    strengths_of,
)
from real_photos import Folder
from verification import Stopwatch, compare_stored

NIGHT_METRES = 10.0
DARK, LIGHT = 17, 6  # hours between which it is dark in the sets' December
MATCHERS = ("sift", "xfeat")
CUTS = (1, 5, 10)

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Task:
    """Queries `[Q]` by photo number, their first photos `[Q, K]` with similarities, and which of
    these are right."""

    queries: Numbers
    firsts: list[Numbers]
    similarities: list[NDArray[np.float64]]
    right: list[Flags]


def task_of(
    folder: Folder, vectors: NDArray[np.float32], k: int, *, night: bool, every: int
) -> Task:
    if night:
        hours = np.array([item.time.hour if item.time else 12 for item in folder.metadata])
        dark = (hours >= DARK) | (hours < LIGHT)
        right = (folder.metres <= NIGHT_METRES) & dark[:, None] & ~dark
        barred = np.broadcast_to(dark, right.shape)
    else:
        right, barred = folder.criteria[""], folder.excluded
    queries = np.flatnonzero(right.any(1))[::every]
    table = vectors[queries] @ vectors.T
    table[barred[queries]] = -np.inf
    firsts = list(np.argsort(-table, axis=1, kind="stable")[:, :k])
    similarities = [row[first].astype(float) for row, first in zip(table, firsts, strict=True)]
    found = [right[query][first] for query, first in zip(queries, firsts, strict=True)]
    return Task(queries, firsts, similarities, found)


def ids_of(folder: Folder, index: GeoIndex) -> list[int]:
    """The index's id of each of the folder's photos."""
    ids = {Path(name).name: id_ for id_, name in index.names()}
    return [ids[name] for name in folder.names]


def ours(
    task: Task, ids: Sequence[int], index: GeoIndex
) -> tuple[list[tuple[Verified, ...]], Stopwatch]:
    locals_ = index.local_features(list(ids))
    watch, found = Stopwatch(), []
    for query, first in zip(task.queries, task.firsts, strict=True):
        features = locals_[query]
        assert isinstance(features, LocalFeatures), "the index holds no key points"
        with watch.running():
            found.append(compare_stored(index, features, [ids[n] for n in first]))
    return found, watch


def by_matcher(
    task: Task, folder: Folder, matcher: Matcher
) -> tuple[list[tuple[Verified, ...]], Stopwatch, Stopwatch, int]:
    looks, looking, watch, failed = {}, Stopwatch(), Stopwatch(), 0
    wanted = sorted({int(n) for first in task.firsts for n in first} | set(task.queries.tolist()))
    for number in track(wanted, f"{matcher.name}: photos", console=Console(stderr=True)):
        image = read(folder.paths[number], longer_side=LONGER_SIDE).image
        with looking.running():
            looks[number] = Look(matcher.look(image), (image.shape[1], image.shape[0]))
    found = []
    for query, first in track(
        list(zip(task.queries, task.firsts, strict=True)),
        f"{matcher.name}: pairs",
        console=Console(stderr=True),
    ):
        with watch.running():
            compared = compare_looks(matcher, looks[int(query)], [looks[int(n)] for n in first])
        failed += len(compared.failures)
        found.append(tuple(item for item in compared.verified if item is not None))
    return found, watch, looking, failed


def recalls(task: Task, strengths: Sequence[NDArray[np.float64]]) -> dict[str, float]:
    hits = [
        right[np.argsort(-strength, kind="stable")]
        for right, strength in zip(task.right, strengths, strict=True)
    ]
    return {f"recall@{n}": round(float(np.mean([hit[:n].any() for hit in hits])), 4) for n in CUTS}


def rankings(task: Task, found: Sequence[tuple[Verified, ...]]) -> dict[str, dict[str, float]]:
    """Recalls by what orders candidates without a fitted rule."""
    pairs = list(zip(task.similarities, found, strict=True))
    return {
        "inliers": recalls(
            task, [np.array([v.inliers for v in one], dtype=float) for _, one in pairs]
        ),
        "significance": recalls(
            task, [np.array([v.significance for v in one]) for _, one in pairs]
        ),
        "significance and similarity": recalls(
            task, [strengths_of(similarity.tolist(), one) for similarity, one in pairs]
        ),
    }


def save(path: Path, task: Task, found: Sequence[tuple[Verified, ...]]) -> None:
    """What choices between rankings need, without the matches themselves."""
    rows = [
        (number, similarity, v.matches, v.inliers, v.significance, v.spread, right)
        for number, (similarities, one, rights) in enumerate(
            zip(task.similarities, found, task.right, strict=True)
        )
        for similarity, v, right in zip(similarities, one, rights, strict=True)
    ]
    np.savez_compressed(path, rows=rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("index", type=Path)
    parser.add_argument("--night", action="store_true")
    parser.add_argument("--rerank", type=int, default=50)
    parser.add_argument("--every", type=int, default=1, help="each n-th query only")
    parser.add_argument("--matcher", action="append", help=f"default: {', '.join(MATCHERS)}")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--save", type=Path, help="folder for numbers of each pair")
    given = parser.parse_args()
    folder = Folder(given.folder)
    with open_index(given.index) as index:
        ids = ids_of(folder, index)
        task = task_of(
            folder, index.vectors(ids), given.rerank, night=given.night, every=given.every
        )
        alone = recalls(task, task.similarities)
        results: dict[str, object] = {
            "queries": len(task.queries),
            "every": given.every,
            "rerank": given.rerank,
            "checkpoint": index.model.hash,
            "cores": os.cpu_count(),
            "machine": platform.machine(),
            "opencv": cv2.__version__,
            "torch": torch.__version__,
            "similarity alone": alone,
        }
        found, watch = ours(task, ids, index)
        rule = [
            shipped_rule().strengths(similarity.tolist(), one)
            for similarity, one in zip(task.similarities, found, strict=True)
        ]
        matchers: dict[str, object] = {}
        results["matchers"] = matchers
        matchers["hafloc"] = {
            "by the shipped rule": recalls(task, rule),
            **rankings(task, found),
            **watch.results(),
        }
        print(json.dumps(results), flush=True)
        for name in given.matcher or MATCHERS:
            matcher = open_matcher(name)
            found, watch, looking, failed = by_matcher(task, folder, matcher)
            said = {**rankings(task, found), **watch.results(), "failed": failed}
            looked = looking.results().items()
            matchers[name] = said | {
                "look_" + key.replace("query", "photo"): value for key, value in looked
            }
            print(json.dumps({name: matchers[name]}), flush=True)
            if given.save is not None:
                save(given.save / f"{given.index.stem}_{name}.npz", task, found)
            before = json.loads(given.out.read_text()) if given.out.exists() else {}
            content = json.dumps(before | {given.index.stem: results}, indent=1)
            write_whole(given.out, f"{content}\n".encode())


if __name__ == "__main__":
    main()
