"""What does one machine need for 10,000, 100,000 and 1,000,000 photos? Exact search beside FAISS.

    python benchmarks/scale.py [--sizes 10000,100000,1000000] [--folder DIR]

Photos are made up: along the streets of a city, neighbours alike, vectors of the product's own size
in int8. Rows: building from given vectors (seconds, memory, bytes on disk), the first search of a
fresh process (which makes the files beside the database) and of the next (which maps them), adding
1,000, searches one by one and 32 at once beside FAISS's 8-bit flat index (`pip install faiss-cpu`)
in turns in one process, searches within 500 m, and approximate searches (`--search`; hnsw up to
100,000, making it takes long): made, opened, beside the exact one in turns, and the share of its
first 50 that they find. Medians of 5 and more. Writes benchmarks/results/scale.json and scale.png;
the last line is JSON of the largest size.
"""

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hafloc.files import write_whole
from hafloc.geo import Position
from hafloc.index import ModelInfo, Near, Record, create_index, make_search, open_index

RESULTS = Path(__file__).parent / "results"
DIMENSION = 1_152
MODEL = ModelInfo(name="made up", hash="0" * 32, options="{}", dimension=DIMENSION)
BATCH = 2_000
STREET = 500  # photos of a street, 8 m apart
ADDED = 1_000
RUNS = 7
RADIUS = 500.0  # metres
MOST_IN_GRAPH = 100_000
Floats = NDArray[np.float32]


def streets(start: int, count: int) -> tuple[list[Record], Floats]:
    """Photos `start` to `start + count` of an endless city, whatever the batch they come in."""
    records, rows = [], []
    for number in range(start // STREET, -(-(start + count) // STREET)):
        random = np.random.default_rng(number)
        # As dense as a city at any size: 1 million photos cover some 30 by 30 km.
        lat, lon = 48.0 + random.uniform(0, 0.27), 16.0 + random.uniform(0, 0.4)
        bearing = random.uniform(0, 2 * np.pi)
        along = np.arange(STREET) * 8 / 111_000
        lats, lons = lat + along * np.cos(bearing), lon + 1.5 * along * np.sin(bearing)
        own = random.standard_normal(DIMENSION, dtype=np.float32)
        steps = random.standard_normal((STREET, DIMENSION), dtype=np.float32)
        vectors = 0.4 * own + steps
        vectors[1:] += 0.8 * steps[:-1]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        first = number * STREET
        part = slice(max(start - first, 0), min(start + count - first, STREET))
        rows.append(vectors[part])
        records += [
            Record(f"{n:08}.jpg", f"{n:032x}", Position(lats[n - first], lons[n - first]),
                   640, 480, "csv")
            for n in range(first + part.start, first + part.stop)
        ]  # fmt: skip
    return records, np.concatenate(rows)


def queries(count: int, size: int) -> tuple[list[Record], Floats]:
    """Photos of the database seen again, a little changed."""
    random = np.random.default_rng(7)
    records, rows = [], []
    for n in random.integers(0, size, count).tolist():
        (record,), vector = streets(n, 1)
        records.append(record)
        rows.append(vector[0] + 0.02 * random.standard_normal(DIMENSION, dtype=np.float32))
    made = np.stack(rows)
    return records, made / np.linalg.norm(made, axis=1, keepdims=True)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_gb() -> float:
    """The most that was resident (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (value,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(value) / 2**20


def build(path: Path, size: int) -> dict[str, float]:
    making = 0.0
    start = time.perf_counter()
    with create_index(path, MODEL) as index:
        for first in range(0, size, BATCH):
            made = time.perf_counter()
            records, vectors = streets(first, min(BATCH, size - first))
            making += time.perf_counter() - made
            index.add(records, vectors)
    return {
        "build_s": round(time.perf_counter() - start - making, 2),
        "build_resident_gb": round(peak_gb(), 2),
        "file_gb": round(path.stat().st_size / 1e9, 3),
    }


def first_search(path: Path, size: int) -> dict[str, float]:
    """Opening and one search of a fresh process, apart."""
    _, vectors = queries(1, size)
    start = time.perf_counter()
    with open_index(path) as index:
        index._matrix.current()  # type: ignore[attr-defined]
        opened = time.perf_counter()
        hits = index.search(vectors, 50)
        index.get(hits.ids[0].tolist())
        return {
            "open_s": round(opened - start, 3),
            "first_search_s": round(time.perf_counter() - opened, 3),
        }


def adding(path: Path, size: int) -> dict[str, float]:
    """What 1,000 more photos cost an open index: storing them, and the next matrix."""
    storing, following = [], []
    with open_index(path) as reader:
        reader._matrix.current()  # type: ignore[attr-defined]
        for run in range(3):
            records, vectors = streets(size + run * ADDED, ADDED)
            with open_index(path, write=True) as index:
                storing.append(seconds(lambda: index.add(records, vectors)))  # noqa: B023
            following.append(seconds(reader._matrix.current))  # type: ignore[attr-defined]
    return {
        "add_1000_s": round(statistics.median(storing), 3),
        "follow_1000_s": round(statistics.median(following), 3),
    }


def searching(path: Path, size: int) -> dict[str, float]:
    records, vectors = queries(32 + RUNS, size)
    with open_index(path) as index:
        one = [
            seconds(lambda: index.search(vectors[[i]], 100))  # noqa: B023
            for i in range(RUNS)
        ]
        near = [
            seconds(lambda: index.search(vectors[[i]], 100, Near(records[i].position, RADIUS)))  # noqa: B023
            for i in range(1 + RUNS)
        ][1:]
        seconds(lambda: index.search(vectors[:32], 100))
        return {
            "resident_gb": round(peak_gb(), 2),
            "search_ms": round(1000 * statistics.median(one), 1),
            "near_ms": round(1000 * statistics.median(near), 2),
        }


def beside_faiss(path: Path, size: int) -> dict[str, float]:
    """One query, and 32 at once, in turns with FAISS; and whether both find the same."""
    import faiss

    _, vectors = queries(32 + RUNS, size)
    flat = faiss.IndexScalarQuantizer(
        DIMENSION, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    times: dict[str, list[float]] = {"one": [], "32": []}
    with open_index(path) as index:
        whole = index._matrix.current()  # type: ignore[attr-defined]
        for first in range(0, len(whole._ids), 50_000):
            unit = whole.vectors(whole._ids[first : first + 50_000].tolist())
            if not first:
                flat.train(unit)
            flat.add(unit)
        index.search(vectors[:1], 100)
        for run in range(RUNS):
            for name, some in (("one", vectors[[run]]), ("32", vectors[run : run + 32])):
                ours = seconds(lambda: index.search(some, 100))  # noqa: B023
                theirs = seconds(lambda: flat.search(some, 100))  # noqa: B023
                times[name].append(ours / theirs)
        found = index.search(vectors[:RUNS], 10).ids
        same = [
            len(set(ours.tolist()) & {whole._ids[row] for row in theirs}) / len(ours)
            for ours, theirs in zip(found, flat.search(vectors[:RUNS], 10)[1], strict=True)
        ]
    return {
        "search_over_faiss": round(statistics.median(times["one"]), 2),
        "search_32_over_faiss": round(statistics.median(times["32"]), 2),
        "same_10_as_faiss": round(float(np.mean(same)), 3),
    }


def approximate(kind: str, path: Path, size: int) -> dict[str, float]:
    """One query by an approximate search, in turns with the exact one; then it is exact again."""
    start = time.perf_counter()
    made = make_search(path, kind)
    results = {f"{kind}_make_s": round(time.perf_counter() - start, 2)}
    if made is None:  # a small database is searched exactly
        return {}
    _, vectors = queries(RUNS, size)
    with open_index(path) as index:
        opening = seconds(index._matrix.current)  # type: ignore[attr-defined]
        _, whole = index._matrix._mapped  # type: ignore[attr-defined]
        index.search(vectors[:1], 100)
        times, shares = [], []
        for i in range(RUNS):
            ours = seconds(lambda: index.search(vectors[[i]], 100))  # noqa: B023
            exact = seconds(lambda: whole.search(vectors[[i]], 100))  # noqa: B023
            times.append((ours, ours / exact))
            found = index.search(vectors[[i]], 50).ids[0].tolist()
            shares.append(len({*found} & {*whole.search(vectors[[i]], 50).ids[0].tolist()}) / 50)
    make_search(path, "exact")
    return results | {
        f"{kind}_gb": round(made.size / 1e9, 3),
        f"{kind}_open_s": round(opening, 3),
        f"{kind}_search_ms": round(1000 * statistics.median(one for one, _ in times), 1),
        f"{kind}_over_exact": round(statistics.median(over for _, over in times), 3),
        f"{kind}_recall_own": made.recall,
        f"{kind}_recall": round(float(np.mean(shares)), 3),
    }


def by_lists(path: Path, size: int) -> dict[str, float]:
    return approximate("ivf", path, size)


def by_graph(path: Path, size: int) -> dict[str, float]:
    return approximate("hnsw", path, size) if size <= MOST_IN_GRAPH else {}


STEPS: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "build": build,
    "make": first_search,
    "open": first_search,
    "search": searching,
    "faiss": beside_faiss,
    "add": adding,
    "ivf": by_lists,
    "hnsw": by_graph,
}


def measure(size: int, folder: Path) -> Iterator[tuple[str, float]]:
    """Each step in a process of its own."""
    path = folder / f"{size}.gpkg"
    for name in STEPS:
        command = [sys.executable, __file__, "--step", name, str(path), "--sizes", str(size)]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
        if outcome.returncode:
            print(f"{size:,} {name}: {outcome.stderr.strip().splitlines()[-1]}", flush=True)
            continue
        for key, value in json.loads(outcome.stdout.splitlines()[-1]).items():
            yield (f"{name}_{key}" if name == "make" else key), value
            print(f"{size:,} {name} {key}: {value}", flush=True)
    companion = sum(file.stat().st_size for file in Path(f"{path}-search").glob("*"))
    yield "companion_gb", round(companion / 1e9, 3)


def draw(results: dict[int, dict[str, float]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 5))
    keys = ("build_s", "make_open_s", "open_s", "search_ms", "near_ms", "follow_1000_s", "file_gb")
    for key in keys:
        sizes = [size for size in results if key in results[size]]
        axes.loglog(sizes, [results[size][key] for size in sizes], "o-", label=key)
    axes.set_xlabel("photos")
    axes.set_ylabel("seconds, milliseconds, gigabytes, as named")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(RESULTS / "scale.png", dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--folder", type=Path, help="where the databases are made, 4 GB free")
    parser.add_argument("--step", nargs=2, metavar=("NAME", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    sizes = [int(size) for size in given.sizes.split(",")]
    if given.step:
        print(json.dumps(STEPS[given.step[0]](Path(given.step[1]), sizes[0])))
        return
    results: dict[int, dict[str, float]] = {}
    for size in sizes:
        scratch = Path(tempfile.mkdtemp(dir=given.folder))
        try:
            results[size] = dict(measure(size, scratch))
        finally:
            shutil.rmtree(scratch)
    machine: dict[str, Any] = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    content = json.dumps({"on": machine, "dimension": DIMENSION, "photos": results}, indent=1)
    write_whole(RESULTS / "scale.json", f"{content}\n".encode())
    draw(results)
    print(json.dumps(results[sizes[-1]]))


if __name__ == "__main__":
    main()
