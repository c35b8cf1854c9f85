"""How long does it take to find positives and negatives by position, and how much memory?

    python benchmarks/mining.py

84,000 database photos and 8,000 queries as in Pitts250k: panoramas of 24 views, about 8 m apart on
the streets of a grid, queries beside them. The bounds are 5 seconds and 500 MB. Ends with one JSON
line.
"""

import json
import resource
import time
from pathlib import Path

import numpy as np

from hafloc.train.data import PhotoSet, number_places
from hafloc.train.mining import Mining, find_neighbours

VIEWS = 24
STREET = 100.0  # metres between two streets of the grid
STEP = 8.0  # metres between two panoramas
SECONDS = 5.0
MEGABYTES = 500.0


def street_grid(photos: int, seed: int) -> PhotoSet:
    """Panoramas along the streets of a square town, each with `VIEWS` photos."""
    random = np.random.default_rng(seed)
    count = photos // VIEWS
    side = (count * STEP * STREET / 2) ** 0.5
    along, street = (
        random.uniform(0, side, count),
        random.integers(0, side / STREET, count) * STREET,
    )
    turned = random.integers(0, 2, count).astype(bool)
    xy = np.where(turned[:, None], np.c_[street, along], np.c_[along, street])
    xyz = np.c_[xy, np.zeros(count)].repeat(VIEWS, 0)
    headings = np.tile(np.arange(VIEWS) % 12 * 30.0, count)
    names = tuple(f"{number}.jpg" for number in range(len(xyz)))
    return PhotoSet(names, tuple(map(Path, names)), xyz, number_places(xyz), headings)


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    database, queries = street_grid(84_000, 0), street_grid(8_000, 1)
    before, start = peak_megabytes(), time.perf_counter()
    found = find_neighbours(queries, database, Mining())
    seconds, grown = time.perf_counter() - start, peak_megabytes() - before
    result = {
        "database": len(database),
        "queries": len(queries),
        "usable": len(found.usable),
        "near": len(found.near.values),
        "seconds": round(seconds, 2),
        "processor_seconds": round(time.process_time(), 2),
        "megabytes": round(grown),
    }
    print(json.dumps(result))
    assert seconds < SECONDS, f"{seconds:.1f} s are more than {SECONDS:g}"
    assert grown < MEGABYTES, f"{grown:,.0f} MB are more than {MEGABYTES:g}"


if __name__ == "__main__":
    main()
