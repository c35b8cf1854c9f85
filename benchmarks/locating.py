"""Locating with many threads, in a large database, and what describing gains from batches.

    python benchmarks/locating.py threads      16 threads × 200 queries while another process adds
    python benchmarks/locating.py costs        what answers, walks and pages ask of 100,000 photos
    python benchmarks/locating.py describing   batches and threads at one network, 480×360

Each writes its part of benchmarks/results/locating.json. In `threads` a made-up describer with key
points stands for the network, so that the time is that of search, look-ups and verification; each
answer must be the right place.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hafloc.description import ImageFeatures, LocalFeatures
from hafloc.geo import Position, distance
from hafloc.index import ModelInfo, Record, create_index, open_index
from hafloc.locate import Answer, Localizer
from hafloc.locate.comparison import _rank
from hafloc.show import write_map

RESULT = Path(__file__).parent / "results" / "locating.json"
DIMENSION = 128
POINTS = 60
RERANK = 1
PLACES = 1_000  # with two photos each
LARGE = 100_000
PAUSE = 0.5  # seconds between batches of 32 photos that the other process adds


def vector(number: int, photo: int) -> NDArray[np.float32]:
    own = np.random.default_rng(number).standard_normal(DIMENSION)
    own += 0.3 * np.random.default_rng([number, photo]).standard_normal(DIMENSION)
    return np.asarray(own / np.linalg.norm(own), np.float32)


def key_points(number: int, photo: int) -> LocalFeatures:
    """Those of a place, moved to the right from photo to photo."""
    random = np.random.default_rng(number)
    rows = random.integers(-127, 128, (POINTS, 32), dtype=np.int8)
    xy = random.uniform((20, 20), (400, 300), (POINTS, 2))
    xy[:, 0] += 5 * photo
    return LocalFeatures(xy.astype(np.float32), rows, (480, 360))


class ByNumber:
    """Reads the number of a place from the first pixel, and that of the photo."""

    longer_side = 64

    def features(
        self, image: NDArray[np.uint8], *, local: bool = True, regions: bool = True
    ) -> ImageFeatures:
        high, low, photo = (int(value) for value in image[0, 0])
        place = 256 * high + low
        return ImageFeatures(vector(place, photo), key_points(place, photo))


def made_up(start: int, n: int) -> tuple[list[Record], NDArray[np.float32]]:
    random = np.random.default_rng(start)
    places = random.uniform((50, 10), (51, 11), (n, 2)).tolist()
    records = [
        Record(f"{start + i}.jpg", f"{start + i:032x}", Position(lat, lon), 4000, 3000, "exif")
        for i, (lat, lon) in enumerate(places)
    ]
    vectors = random.standard_normal((n, DIMENSION), dtype=np.float32)
    return records, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def add_until(path: Path, stop: Path) -> None:
    with open_index(path, write=True) as index:
        while not stop.exists():
            records, vectors = made_up(index.count(), 32)
            index.add(records, vectors)
            time.sleep(PAUSE)


def place(number: int) -> Position:
    return Position(40 + number / 1000, 10)


def build(path: Path) -> None:
    with create_index(path, ModelInfo("numbers", "0" * 32, "{}", DIMENSION)) as index:
        for number in range(PLACES):
            records = [
                Record(f"{number}-{i}.jpg", f"{number}-{i}", place(number), 480, 360, "csv")
                for i in range(2)
            ]
            vectors = np.stack([vector(number, i) for i in range(2)])
            index.add(records, vectors, [key_points(number, i) for i in range(2)])


def ask(city: Localizer, threads: int, queries: int) -> float:
    """Seconds; raises where an answer is wrong."""

    def one(thread: int) -> None:
        for turn in range(queries):
            number = (thread * queries + turn) % PLACES
            image = np.full((40, 40, 3), (number // 256, number % 256, 2), np.uint8)
            answer = city.locate(image, top=5, rerank=RERANK)
            off = distance(answer.position, place(number))
            if off > 1 or not answer.candidates[0].inliers:
                raise AssertionError(f"place {number}: {answer}")

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for task in [pool.submit(one, thread) for thread in range(threads)]:
            task.result(timeout=3_600)
    return time.perf_counter() - start


def measure_threads(threads: int, queries: int) -> dict[str, Any]:
    total = threads * queries
    with tempfile.TemporaryDirectory() as folder:
        path, stop = Path(folder) / "city.gpkg", Path(folder) / "stop"
        build(path)
        command = [sys.executable, __file__, "add", str(path), str(stop)]
        with Localizer(open_index(path), ByNumber()) as city:
            seconds = {"one thread": ask(city, 1, total), "threads": ask(city, threads, queries)}
            with subprocess.Popen(command) as adding:
                while city.index.count() == 2 * PLACES and adding.poll() is None:
                    time.sleep(0.05)
                try:
                    seconds["threads, another process adds"] = ask(city, threads, queries)
                finally:
                    stop.touch()
            added, problems = city.index.count() - 2 * PLACES, city.index.verify()
    return {
        "threads": threads,
        "queries each": queries,
        "verified candidates a query": RERANK,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "milliseconds a query": {n: round(v / total * 1e3, 2) for n, v in seconds.items()},
        "wrong answers": 0,
        "photos added meanwhile": added,
        "problems afterwards": problems,
    }


def cost(work: Callable[[], Any]) -> dict[str, float]:
    """Processor seconds, which other programs do not change, then MB of Python's memory at most."""
    start = time.process_time()
    work()
    seconds = time.process_time() - start
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"seconds": round(seconds, 4), "MB": round(peak / 1e6, 2)}


def measure_costs() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "city.gpkg"
        with create_index(path, ModelInfo("made up", "0" * 32, "{}", DIMENSION)) as index:
            records, vectors = made_up(0, LARGE)
            index.add(records, vectors)
        with open_index(path) as index:
            index.search(vectors[:1], 1)
            ids = index.search(vectors[:1], LARGE).ids[0]
            said = Answer.from_hits("q.jpg", index.get(ids[:5].tolist()), [0.9] * 5)
            page = Path(folder) / "page.html"
            found = {
                "all records (before: walk, page, matches, nothing near)": cost(
                    lambda: list(index.iterate())
                ),
                "is it empty": cost(index.count),
                "twin by content": cost(lambda: index.find_content(["none"])),
                "a photo by name": cost(lambda: index.find_paths(["5.jpg"])),
                "nearest to nowhere": cost(lambda: index.nearest(Position(0, 0), 1)),
                "walk: sample of 4,000": cost(lambda: index.sample(4_000, 0)),
                "rank of the 900th (before: of any)": cost(
                    lambda: _rank(index, [ImageFeatures(vectors[0])], int(ids[900]))
                ),
                "rank of the 50,000th": cost(
                    lambda: _rank(index, [ImageFeatures(vectors[0])], int(ids[50_000]))
                ),
                "search of all": cost(lambda: index.search(vectors[:1], LARGE)),
                "map page": cost(lambda: write_map(page, [said], index)),
            }
            return {"photos": LARGE, "page KB": page.stat().st_size // 1000, "costs": found}


def measure_describing(images: int = 4) -> dict[str, Any]:
    import torch

    from hafloc.describe import Describer
    from hafloc.nn.images import to_batch

    random = np.random.default_rng(0)
    photos = [random.integers(0, 256, (360, 480, 3), np.uint8) for _ in range(images)]
    describer = Describer.open(device="cpu")
    network = describer._network

    @torch.inference_mode()
    def batch(rows: list[NDArray[np.uint8]]) -> None:
        network(torch.cat([to_batch(row, network.device) for row in rows]))

    def in_threads(work: Callable[[Any], Any]) -> None:
        with ThreadPoolExecutor(images) as pool:
            list(pool.map(work, photos))

    kinds: dict[str, Callable[[], Any]] = {
        "one by one": lambda: [batch([photo]) for photo in photos],
        f"batches of {images}": lambda: batch(photos),
        "threads, one at a time": lambda: in_threads(describer.vector),
        "threads, all at once": lambda: in_threads(lambda photo: batch([photo])),
    }
    batch(photos[:1])
    found: dict[str, Any] = {}
    for name, work in kinds.items():
        wall, start = time.perf_counter(), time.process_time()
        work()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        found[name] = {
            "processor seconds a photo": round((time.process_time() - start) / images, 2),
            "seconds a photo": round((time.perf_counter() - wall) / images, 2),
            "MiB resident at most so far": peak,
        }
    return {"size": [480, 360], "torch": torch.__version__, "kinds": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["threads", "costs", "describing", "add"])
    parser.add_argument("paths", nargs="*", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--queries", type=int, default=200)
    args = parser.parse_args()
    if args.part == "add":
        return add_until(*args.paths)
    found = {
        "threads": lambda: measure_threads(args.threads, args.queries),
        "costs": measure_costs,
        "describing": measure_describing,
    }[args.part]()
    found["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
    found["load when it ended"] = round(os.getloadavg()[0], 1)
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.write_text(json.dumps(known | {args.part: found}, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
