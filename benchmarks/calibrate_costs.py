"""What one trial of a calibration costs in a large database, beside its search and key points.

    python benchmarks/calibrate_costs.py --photos 100000

Photos 10 m apart on a grid, with short random vectors, so that the search itself is cheap. `before`
is how trials were made at first: all records in memory, and the distance to each of them computed
for every query; `now` asks the index for those within 100 m. Prints seconds, and the most memory
that Python took for it, as one JSON line.
"""

import argparse
import json
import math
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from hafloc.calibrate import Trials, own_photos
from hafloc.calibrate.fit import ELSEWHERE
from hafloc.calibrate.keep import stored_features
from hafloc.geo import LocalFrame, Position, distances
from hafloc.index import GeoIndex, ModelInfo, Record, create_index, open_index
from hafloc.progress import Silent

MODEL = ModelInfo("random", "0" * 32, "{}", 16)
APART = 10.0  # metres
BATCH = 10_000


def make(path: Path, photos: int) -> None:
    side = math.ceil(math.sqrt(photos))
    frame = LocalFrame(Position(52.2, 0.1))
    random = np.random.default_rng(0)
    with create_index(path, MODEL, "float16") as index:
        for start in range(0, photos, BATCH):
            numbers = range(start, min(start + BATCH, photos))
            records = [
                Record(
                    f"{n}.jpg",
                    f"{n:032x}",
                    frame.to_position(APART * (n % side), APART * (n // side)),
                    640,
                    480,
                    "exif",
                )
                for n in numbers
            ]
            vectors = random.standard_normal((len(records), MODEL.dimension)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            index.add(records, vectors)


def before(index: GeoIndex, queries: int) -> None:
    photos = list(index.iterate())
    lats = np.array([record.position.lat for record in photos])
    lons = np.array([record.position.lon for record in photos])
    for known in own_photos(index, stored_features(index), queries, Silent()):
        own = known.own
        assert own is not None
        metres = distances(known.position, lats, lons)
        same = np.array([r.position == own.position or r.content == own.content for r in photos])
        left_out = same | (metres <= ELSEWHERE)
        {photos[i].id for i in np.flatnonzero(left_out)}


def now(index: GeoIndex, queries: int) -> None:
    trials = Trials(index, stored_features(index))
    for known in own_photos(index, stored_features(index), queries, Silent()):
        trials.add(known)


def measure(work: Callable[[GeoIndex, int], None], path: Path, queries: int) -> dict[str, float]:
    with open_index(path) as index:
        # The matrix of the search is made once, however many queries come.
        index.search(np.eye(1, MODEL.dimension, dtype=np.float32), 1)
        start = perf_counter()
        work(index, queries)
        seconds = perf_counter() - start
        tracemalloc.start()
        work(index, 1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return {"seconds_a_trial": seconds / queries, "peak_mb": peak / 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grid.gpkg"
        make(path, options.photos)
        results = {work.__name__: measure(work, path, options.queries) for work in (before, now)}
    print(json.dumps({"photos": options.photos} | results))


if __name__ == "__main__":
    main()
