"""What comparing parts of photos is worth before geometry, on all sets at once.

    python benchmarks/regions.py DATA INDEXES --out benchmarks/results/regions.json

INDEXES holds `sf_west.gpkg`, `cambridge_val.gpkg` and `campus_night_val.gpkg`, built with regions
from the folders of the same names in DATA. recall@N with 95 % intervals by place (bootstrap over
positions rounded to some 10 m), and each way's difference to the whole photos' vectors, place by
place. A photo finds no other of its own position (campus: not itself).

- sf_west: verified partners. cambridge/val: within 25 m and the same heading. campus_night/val: a
  day photo within 10 m, for those taken after dark and for those by day.
- `whole`: vectors of whole photos. `regions`: as the index does, of a shortlist of 200; `regions,
  shortlist N` of another; `regions, all` of every photo.
- `mixed M`: the database's own covariance takes part M in a further whitening of all vectors.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from hafloc.calibrate import interval
from hafloc.files import write_whole
from hafloc.geo import distances
from hafloc.index import Record, open_index
from hafloc.index.regions import similarity
from real_photos import Folder

CUTS = (1, 5, 10)
SHORTLISTS = (20, 50, 200)
MIXED = (0.1, 0.3)
DARK_FROM = 16  # o'clock, in December

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Asked:
    """A set: vectors of parts `[N, 1 + R, D]`, which photos are right for and allowed to which."""

    name: str
    parts: Floats
    right: Flags
    allowed: Flags
    places: NDArray[np.int64]

    @property
    def queries(self) -> NDArray[np.int64]:
        return np.flatnonzero((self.right & self.allowed).any(1))


def read_sets(data: Path, indexes: Path) -> Iterator[Asked]:
    for name in ("sf_west", "cambridge_val", "campus_night_val"):
        with open_index(indexes / f"{name}.gpkg") as index:
            records = sorted(index.iterate(), key=lambda record: Path(record.path).name)
            ids = [record.id or 0 for record in records]
            parts = np.concatenate(
                [index.vectors(ids)[:, np.newaxis], index.region_vectors(ids)], axis=1
            )
        lats = np.array([record.position.lat for record in records])
        lons = np.array([record.position.lon for record in records])
        metres = np.stack([distances(record.position, lats, lons) for record in records])
        _, places = np.unique(np.round([lats, lons], 4), axis=1, return_inverse=True)
        for label, right, allowed in _truths(name, data, records, metres):
            yield Asked(label, parts, right, allowed, places)


def _truths(
    name: str, data: Path, records: list[Record], metres: NDArray[np.float64]
) -> Iterator[tuple[str, Flags, Flags]]:
    if name != "campus_night_val":
        folder = Folder(data / name.replace("_val", "/val"))
        yield name.replace("_val", "/val"), folder.kinds()[0], ~folder.excluded
    else:
        dark = np.array([record.time is not None and record.time.hour >= DARK_FROM
                         for record in records])  # fmt: skip
        others = ~np.eye(len(records), dtype=bool)
        yield "campus, night to day", metres <= 10, dark[:, None] & ~dark
        yield "campus, day to day", metres <= 10, ~dark[:, None] & ~dark & others


def whole(queries: Floats, photos: Floats) -> Floats:
    return np.asarray(queries[:, 0] @ photos[:, 0].T)


def by_parts(queries: Floats, photos: Floats) -> Floats:
    return np.stack([similarity(query, photos) for query in queries])


def shortened(first: Floats, scores: Floats, allowed: Flags, count: int) -> Floats:
    """The scores of the `count` photos that come first, below them the others in their order."""
    first = np.where(allowed, first, -9)
    least = -np.partition(-first, min(count, first.shape[1]) - 1, axis=1)[:, [count - 1]]
    return np.where(first >= least, scores, first - 5)


def mixed(parts: Floats, database: Flags, share: float) -> Floats:
    """Unit vectors after a whitening by (1 - share) of what is there and `share` of the
    covariance of the database's whole photos."""
    known = parts[database, 0]
    covariance = np.cov(known.T)
    even = np.eye(len(covariance)) * np.trace(covariance) / len(covariance)
    values, turns = np.linalg.eigh((1 - share) * even + share * covariance)
    turned = (parts - share * known.mean(0)) @ ((turns * values**-0.5) @ turns.T)
    turned /= np.linalg.norm(turned, axis=-1, keepdims=True)
    return np.asarray(turned, dtype=np.float32)


def hits(asked: Asked, scores: Floats) -> Flags:
    """Whether each query is right at each of CUTS, `[Q, len(CUTS)]`."""
    queries = asked.queries
    allowed = asked.allowed[queries]
    order = np.argsort(-np.where(allowed, scores, -99), axis=1, kind="stable")
    right = np.take_along_axis((asked.right[queries] & allowed), order, axis=1)
    return np.stack([right[:, :cut].any(1) for cut in CUTS], axis=1)


def ways(asked: Asked) -> Iterator[tuple[str, Flags]]:
    queries = asked.queries
    ask, parts, allowed = asked.parts[queries], asked.parts, asked.allowed[queries]
    first, scores = whole(ask, parts), by_parts(ask, parts)
    yield "whole", hits(asked, first)
    for count in SHORTLISTS:
        label = "regions" if count == SHORTLISTS[-1] else f"regions, shortlist {count}"
        yield label, hits(asked, shortened(first, scores, allowed, count))
    yield "regions, all", hits(asked, scores)
    database = allowed.any(0)
    for share in MIXED:
        turned = mixed(parts, database, share)
        yield f"whole, mixed {share:g}", hits(asked, whole(turned[queries], turned))
        yield f"regions, mixed {share:g}", hits(asked, by_parts(turned[queries], turned))


def figures(asked: Asked, found: Flags, start: Flags) -> dict[str, Any]:
    _, member = np.unique(asked.places[asked.queries], return_inverse=True)

    def between(each: NDArray[Any]) -> list[float]:
        return [round(bound, 3) for bound in interval(each, member)]

    better = found[:, 0].astype(int) - start[:, 0]
    return {
        **{f"@{cut}": round(float(found[:, i].mean()), 3) for i, cut in enumerate(CUTS)},
        "@1 between": between(found[:, 0]),
        "@1 ahead of whole": round(float(better.mean()), 3),
        "ahead between": between(better),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("indexes", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    for asked in read_sets(arguments.data, arguments.indexes):
        made = dict(ways(asked))
        results[asked.name] = {
            "queries": len(asked.queries),
            "places": len(np.unique(asked.places[asked.queries])),
        } | {label: figures(asked, found, made["whole"]) for label, found in made.items()}
        table = Table("", "@1", "@5", "@10", "@1 between", "ahead", "between", title=asked.name)
        for label in made:
            table.add_row(label, *(str(value) for value in results[asked.name][label].values()))
        Console(width=120).print(table)
    if arguments.out:
        write_whole(arguments.out, f"{json.dumps(results, indent=1)}\n".encode())
    print(json.dumps(results))


if __name__ == "__main__":
    main()
