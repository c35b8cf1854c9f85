"""What key points may shrink to: bytes a photo, and recall after re-ranking by what is left.

    python benchmarks/key_points.py DATA INDEXES [--queries 100]

INDEXES holds `sf_west.gpkg`, `cambridge_val.gpkg` and `campus_night_val.gpkg` with all key points
and regions. Each query of `kinds.py` is compared with the 50 photos most alike to it, whose key
points are shrunk as an index keeps them (`index.local_features.shrink`); its own are whole, as a
new photo's are. recall@1 of all sizes on the same queries, how many each gains and loses against
all key points in 8 bits, and the time that comparing takes against theirs. Photos of the query's
own visit are left out. Writes benchmarks/results/key_points.json and .md.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hafloc.calibrate.keep import stored_features
from hafloc.calibrate.visits import taken_together
from hafloc.description import LocalFeatures
from hafloc.files import write_whole
from hafloc.geo import distances
from hafloc.index import GeoIndex, stored_features_of
from hafloc.index.local_features import ALL, LocalSize, encode, shrink
from hafloc.locate import RERANK
from hafloc.locate.scales import search_scales
from hafloc.verify import weigh
from kinds import Kind, read_kinds

RESULTS = Path(__file__).parent / "results"
SIZES = (
    ALL,
    LocalSize(340),
    LocalSize(170),
    LocalSize(bits=4),
    LocalSize(340, 4),
    LocalSize(170, 4),
)


@dataclass(slots=True)
class Outcome:
    """Of one size: bytes of photos, which queries are right first, seconds of comparing."""

    taken: list[int] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def ask(kind: Kind, index: GeoIndex, count: int) -> dict[LocalSize, Outcome]:
    """`count` of the kind's queries for which some photo is right, by each size."""
    outcomes = {size: Outcome() for size in SIZES}
    local = stored_features(index)(kind.records)
    for query in np.random.default_rng(0).permutation(kind.queries).tolist():
        if len(outcomes[ALL].right) == count:
            break
        for size, outcome in _asked(kind, index, query, local):
            outcomes[size].right.append(outcome[0])
            outcomes[size].seconds.append(outcome[1])
    for size, outcome in outcomes.items():
        outcome.taken = [len(encode(shrink(item, size))) for item in local if item is not None]
    return outcomes


def _asked(
    kind: Kind, index: GeoIndex, query: int, local: list[LocalFeatures | None]
) -> Iterator[tuple[LocalSize, tuple[bool, float]]]:
    """Whether each size ranks a right photo first, and the seconds; none where none is right."""
    number = {record.id: i for i, record in enumerate(kind.records)}
    own = kind.records[query]
    lats = np.array([record.position.lat for record in kind.records])
    lons = np.array([record.position.lon for record in kind.records])
    together = {number[id_] for id_ in taken_together(own, kind.records)} | {query}
    seen = stored_features_of(index, own.id or 0, local[query])
    found = {number[item.id]: item for item in search_scales(index, [seen], len(kind.records))}
    order = [i for i in found if kind.database[i] and i not in together]
    right = kind.truth(query, distances(own.position, lats, lons), order)[0]
    if not right[order].any():
        return
    order = order[:RERANK]
    likeness = [found[i].similarity for i in order]
    for size in SIZES:
        candidates = [None if (item := local[i]) is None else shrink(item, size) for i in order]
        start = time.perf_counter()
        ranked = weigh(order, likeness, [[local[query]]] * len(order), candidates)
        yield size, (bool(right[ranked[0].id]), time.perf_counter() - start)


def row(outcome: Outcome, whole: Outcome) -> dict[str, Any]:
    pairs = list(zip(outcome.right, whole.right, strict=True))
    over = [a / b for a, b in zip(outcome.seconds, whole.seconds, strict=True)]
    return {
        "bytes": round(float(np.mean(outcome.taken))),
        "queries": len(pairs),
        "recall@1": round(float(np.mean(outcome.right)), 3),
        "gained": sum(here and not before for here, before in pairs),
        "lost": sum(before and not here for here, before in pairs),
        "time_over_all": round(statistics.median(over), 2),
    }


def said(size: LocalSize) -> str:
    return f"{'all' if size.points is None else size.points}, {size.bits} bits"


def page(results: dict[str, dict[str, dict[str, Any]]]) -> str:
    head = "| key points | bytes | " + " | ".join(results) + " | gained | lost | time |\n"
    lines = [head, "|---" * (len(results) + 5) + "|\n"]
    for size in map(said, SIZES):
        rows = [by_size[size] for by_size in results.values()]
        recalls = " | ".join(f"{item['recall@1']:.3f}" for item in rows)
        gained, lost = (sum(item[key] for item in rows) for key in ("gained", "lost"))
        taken = round(float(np.mean([item["bytes"] for item in rows])))
        clock = statistics.median(item["time_over_all"] for item in rows)
        lines.append(f"| {size} | {taken:,} | {recalls} | {gained} | {lost} | {clock:.2f} |\n")
    asked = ", ".join(f"{name} {by[said(ALL)]['queries']:,}" for name, by in results.items())
    return f"""# Smaller key points

recall@1 after re-ranking 50 candidates whose key points were shrunk, as `index build
--local-points --local-bits` keep them. Queries: {asked}.
Bytes: of a photo. Gained and lost: queries, against all key points in 8 bits. Time: comparing,
against the same. Made by `benchmarks/key_points.py`.

{"".join(lines)}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("indexes", type=Path)
    parser.add_argument("--queries", type=int, default=100, help="of each kind, at most")
    given = parser.parse_args()
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, index in read_kinds(given.data, given.indexes, {}):
        outcomes = ask(kind, index, given.queries)
        results[kind.name] = {said(size): row(outcomes[size], outcomes[ALL]) for size in SIZES}
        print(kind.name, json.dumps(results[kind.name]), flush=True)
    write_whole(RESULTS / "key_points.json", f"{json.dumps(results, indent=1)}\n".encode())
    write_whole(RESULTS / "key_points.md", page(results).encode())
    print(json.dumps(results))


if __name__ == "__main__":
    main()
