"""Searches of many threads on one index while another process adds photos to it.

    python benchmarks/threads.py [--photos 20000 --dimension 1024 --threads 16 --searches 200]

Each search must find its photo, and what was found must be readable. Compared with the same
searches by one thread, with and without the other process.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hafloc.geo import Position
from hafloc.index import GeoIndex, ModelInfo, Record, create_index, open_index

RESULT = Path(__file__).parent / "results" / "threads.json"
PAUSE = 2.0  # seconds between batches of 32, as describing photos on two cores leaves


def photos(start: int, n: int, dimension: int) -> tuple[list[Record], NDArray[np.float32]]:
    random = np.random.default_rng(start)
    vectors = random.standard_normal((n, dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    places = random.uniform((50, 10), (51, 11), (n, 2))
    records = [
        Record(f"{start + i}.jpg", f"{start + i:032x}", Position(lat, lon), 4000, 3000, "exif")
        for i, (lat, lon) in enumerate(places.tolist())
    ]
    return records, vectors


def add_until(path: Path, stop: Path, dimension: int) -> None:
    with open_index(path, write=True) as index:
        while not stop.exists():
            index.add(*photos(index.count(), 32, dimension))
            time.sleep(PAUSE)


def search(index: GeoIndex, vectors: NDArray[np.float32], threads: int, searches: int) -> float:
    """Seconds; raises where an answer is wrong."""

    def one(thread: int) -> None:
        for turn in range(searches):
            wanted = (thread * searches + turn) % len(vectors)
            (best, *others) = index.search(vectors[[wanted]], 10).ids[0].tolist()
            records = index.get([best, *others])
            if records[0].path != f"{wanted}.jpg":
                raise AssertionError(f"{records[0].path} found, not {wanted}.jpg")

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for task in [pool.submit(one, thread) for thread in range(threads)]:
            task.result(timeout=3_600)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (
        ("photos", 20_000),
        ("dimension", 1_024),
        ("threads", 16),
        ("searches", 200),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--add", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.add:
        return add_until(Path(args.add[0]), Path(args.add[1]), args.dimension)
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        path, stop = Path(folder) / "city.gpkg", Path(folder) / "stop"
        _, vectors = photos(0, args.photos, args.dimension)
        with create_index(path, ModelInfo("made up", "0" * 32, "{}", args.dimension)) as index:
            index.add(photos(0, args.photos, args.dimension)[0], vectors)
        total = args.threads * args.searches
        with open_index(path) as index:
            index.search(vectors[:1], 1)
            seconds["one thread"] = search(index, vectors, 1, total)
            seconds["threads"] = search(index, vectors, args.threads, args.searches)
        command = [sys.executable, __file__, "--add", path, stop, "--dimension", args.dimension]
        with (
            subprocess.Popen(list(map(str, command))) as writer,
            open_index(path) as index,
        ):
            while index.count() == args.photos and writer.poll() is None:
                time.sleep(0.1)
            try:
                seconds["one thread, another process adds"] = search(index, vectors, 1, total)
                seconds["threads, another process adds"] = search(
                    index, vectors, args.threads, args.searches
                )
            finally:
                stop.touch()
        with open_index(path) as index:
            added, problems = index.count() - args.photos, index.verify()
    result: dict[str, Any] = {
        **{name: value for name, value in vars(args).items() if name != "add"},
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "milliseconds a search": {n: round(v / total * 1e3, 2) for n, v in seconds.items()},
        "wrong answers": 0,
        "photos added meanwhile": added,
        "problems afterwards": problems,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
