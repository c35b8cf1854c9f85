"""Does an index in Milvus answer as the GeoPackage does, and what does it take?

    python benchmarks/milvus.py milvus://HOST:PORT/NEW_COLLECTION [--photos 100000] [--folder DIR]

The made-up city of `scale.py`, its vectors given, stored in both; then the same queries of both in
turns, everywhere and within 500 m, and the parts of a search nearby. The collection is new and
dropped at the end. Needs `pip install hafloc[milvus]` and a server (docs/milvus.md). The last line
is JSON; --out writes it.
"""

import argparse
import json
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from hafloc.files import write_whole
from hafloc.index import GeoIndex, Near, create_index, index_exists, open_index
from hafloc.index.milvus.table import in_boxes
from hafloc.index.spatial import around
from scale import BATCH, MODEL, RADIUS, queries, seconds, streets

RUNS = 5
MANY = 32


def build(location: str, size: int) -> float:
    """Seconds that storing takes, without those that making the vectors does."""
    making = 0.0
    start = time.perf_counter()
    there = index_exists(location)
    index = (
        open_index(location, write=True, model=MODEL) if there else create_index(location, MODEL)
    )
    with index:
        # A stopped run goes on.
        for first in range(index.count() // BATCH * BATCH, size, BATCH):
            made = time.perf_counter()
            records, vectors = streets(first, min(BATCH, size - first))
            making += time.perf_counter() - made
            index.add(records, vectors)
    return time.perf_counter() - start - making


def answers(index: GeoIndex, vectors: np.ndarray, near: Near | None) -> list[list[str]]:
    """The paths of each query's ten best."""
    hits = index.search(vectors, 10, near)
    named = {id_: record.path for ids in hits.ids for id_, record in
             zip(ids.tolist(), index.get(ids.tolist()), strict=True)}  # fmt: skip
    return [[named[id_] for id_ in ids] for ids in hits.ids.tolist()]


def parts(location: str, vectors: np.ndarray, near: list[Near]) -> dict[str, float]:
    """Milliseconds of one request, with the wait for the engine's clock and without, everywhere
    and by the cells of a place."""
    from pymilvus import MilvusClient

    server, collection = location.removeprefix("milvus://").partition("?")[0].split("/")
    client = MilvusClient(f"http://{server}")
    found: dict[str, list[float]] = {}
    for run in range(RUNS):
        for level in ("Strong", "Eventually"):
            for name, filter_ in (("all", ""), ("cells", in_boxes(around(near[run])))):
                ask = partial(
                    client.search,
                    collection,
                    vectors[run : run + 1],
                    filter=filter_,
                    limit=82,
                    search_params={"metric_type": "IP", "params": {}},
                    consistency_level=level,
                )
                found.setdefault(f"request_{name}_{level.lower()}_ms", []).append(
                    1000 * seconds(ask)
                )
    return {name: round(statistics.median(each), 1) for name, each in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("location")
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where the GeoPackage is kept")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    facts: dict[str, object] = {"photos": given.photos}
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        places = {"file": str(folder / "city.gpkg"), "milvus": given.location}
        for name, location in places.items():
            facts[f"{name}_build_s"] = round(build(location, given.photos), 1)
            print(json.dumps(facts), flush=True)
        records, vectors = queries(MANY, given.photos)
        near = [Near(record.position, RADIUS) for record in records]
        indexes = {name: open_index(location) for name, location in places.items()}
        times: dict[str, list[float]] = {}
        for run in range(RUNS):
            for name, index in indexes.items():
                for what, work in {
                    "one": lambda: index.search(vectors[run : run + 1], 50),  # noqa: B023
                    "near": lambda: index.search(vectors[run : run + 1], 50, near[run]),  # noqa: B023
                    "32": lambda: index.search(vectors, 50),  # noqa: B023
                }.items():
                    times.setdefault(f"{name}_{what}_ms", []).append(1000 * seconds(work))
        facts |= {name: round(statistics.median(each), 1) for name, each in times.items()}
        facts |= parts(given.location, vectors, near)
        file, engine = indexes.values()
        pairs = [(answers(file, vectors, None), answers(engine, vectors, None))]
        pairs += [
            (answers(file, vector[None], place), answers(engine, vector[None], place))
            for vector, place in zip(vectors[:8], near[:8], strict=True)
        ]
        same = [set(a) == set(b) for one, other in pairs for a, b in zip(one, other, strict=True)]
        ordered = [a == b for one, other in pairs for a, b in zip(one, other, strict=True)]
        recall = [
            len(set(a) & set(b)) / len(a)
            for one, other in pairs for a, b in zip(one, other, strict=True)
        ]  # fmt: skip
        facts |= {
            "recall_10_of_the_file": round(statistics.mean(recall), 4),
            "same_10": f"{sum(same)} of {len(same)}",
            "same_order": f"{sum(ordered)} of {len(ordered)}",
        }
        for index in indexes.values():
            index.close()
        open_index(given.location, write=True).drop()
    line = json.dumps(facts)
    if given.out is not None:
        write_whole(given.out, (line + "\n").encode())
    print(line)


if __name__ == "__main__":
    main()
