"""Time and memory of the search behind an evaluation as large as Pitts250k.

    python benchmarks/search_scale.py [--database 84000 --queries 8280 --dimension 256 --k 100]

Searches synthetic unit vectors with our exact search and with FAISS's flat index, each in a
process of its own, and compares. Needs faiss-cpu: pip install faiss-cpu.
"""

import argparse
import json
import multiprocessing
import resource
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RESULT = Path(__file__).parent / "results" / "search_scale.json"


def unit(n: int, d: int, seed: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def measure(which: str, args: argparse.Namespace, pipe: Connection) -> None:
    """Send seconds, peak memory beyond the vectors' own in MB, and the rows found."""
    database = unit(args.database, args.dimension, 0)
    queries = unit(args.queries, args.dimension, 1)
    if which == "hafloc":
        from hafloc.measure.exact_search import search

        search(database[:1000], queries[:10], args.k)
        before = _peak()
        start = time.perf_counter()
        rows, _ = search(database, queries, args.k)
    else:
        import faiss

        faiss.omp_set_num_threads(args.threads)
        warm = faiss.IndexFlatIP(args.dimension)
        warm.add(database[:1000])
        warm.search(queries[:10], 10)
        before = _peak()
        start = time.perf_counter()
        index = faiss.IndexFlatIP(args.dimension)
        index.add(database)
        _, rows = index.search(queries, args.k)
    pipe.send((time.perf_counter() - start, _peak() - before, rows))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (
        ("database", 84_000),
        ("queries", 8_280),
        ("dimension", 256),
        ("k", 100),
        ("threads", 2),
        ("rounds", 3),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    seconds: dict[str, list[float]] = {"hafloc": [], "faiss": []}
    memory: dict[str, float] = {}
    found: dict[str, NDArray[np.int64]] = {}
    # In turns, so that other load on the machine falls on both.
    for _ in range(args.rounds):
        for which in seconds:
            ours, theirs = context.Pipe()
            process = context.Process(target=measure, args=(which, args, theirs))
            process.start()
            elapsed, memory[which], found[which] = ours.recv()
            process.join()
            seconds[which].append(elapsed)
    best = {which: min(times) for which, times in seconds.items()}
    same = float((found["hafloc"] == found["faiss"]).mean())
    result = {
        **vars(args),
        "seconds": {which: [round(t, 2) for t in times] for which, times in seconds.items()},
        "peak memory beyond the vectors, MB": {w: round(m) for w, m in memory.items()},
        "hafloc / faiss": round(best["hafloc"] / best["faiss"], 3),
        "same rows": round(same, 6),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
