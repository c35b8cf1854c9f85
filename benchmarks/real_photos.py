"""How often does hafloc find the place of a real photo? Leave-one-out over one folder.

    python benchmarks/real_photos.py data/sf_west
    python benchmarks/real_photos.py data/cambridge/val

The folder holds `images/`, `positions.csv` (image, lat, lon and perhaps heading) and, where there
is one, `verified_pairs.csv` (image_a, image_b). A query never finds its own file, nor a file of the
very same position. With pairs a query counts at N when a verified partner is among its first N;
without, when a photo within 25 m is (and, given headings, one within 25 m of the same heading).

Beside hafloc stand the trunk's single levels in the same run: conv3_2, conv4_3 and conv5_3, mean
and GeM (p = 3), raw and whitened on the same unrelated images as hafloc. Ends with one JSON line.

    python benchmarks/real_photos.py data/sf_west --rerank 50

re-ranks the K most similar photos by their key points as well, by a rule fitted on other queries
of the folder (five folds), and by RootSIFT, ratio test and the same geometry, ranked by inliers.
`--rule` takes another rule instead, such as the one that ships with hafloc.
"""

import argparse
import csv
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from safetensors.numpy import load_file

from hafloc.describe import Describer
from hafloc.description import LocalFeatures
from hafloc.geo import distances
from hafloc.index import GeoIndex, Record, create_index, model_info
from hafloc.nn import HAF, LEVELS, load_checkpoint
from hafloc.nn.haf import local_responses
from hafloc.nn.images import to_batch
from hafloc.nn.local_features import to_int8
from hafloc.nn.vgg import TAPS, Taps
from hafloc.photos import content, read, read_positions_csv
from hafloc.verify import read_rule
from verification import (
    Compared,
    Numbers,
    Sift,
    Stopwatch,
    compare_stored,
    cross_validated,
    order_by,
)

TOLERANCE = 25.0  # metres, the field's usual bound
CUTS = (1, 5, 10)
GEM_POWER = 3
# Sizes of the list that is re-ranked, shown beside the one asked for.
LISTS = (20, 50, 100)
SIFT_SIDE = 640
BASELINES = Path(__file__).parent / "trunk_whitening.safetensors"

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


def trunk_levels(taps: Taps) -> dict[str, Floats]:
    """Each tap pooled at its own resolution: mean and power mean, unit length."""
    pooled = {}
    for level, tap in zip(LEVELS, taps, strict=True):
        responses = tap[0].flatten(1)
        power = responses.clamp(min=1e-6).pow(GEM_POWER).mean(1).pow(1 / GEM_POWER)
        for name, vector in (("mean", responses.mean(1)), ("gem", power)):
            pooled[f"{TAPS[level]}_{name}"] = F.normalize(vector, dim=0).numpy().copy()
    return pooled


def whiten(vectors: Floats, mean: Floats, projection: Floats) -> Floats:
    whitened = (vectors - mean) @ projection.T
    return whitened / np.linalg.norm(whitened, axis=1, keepdims=True)


class Folder:
    """The photos of one folder with their positions, and which of them are right for which."""

    def __init__(self, root: Path, *, same_position_counts: bool = False) -> None:
        metadata = read_positions_csv(root / "positions.csv")
        self.names = sorted(metadata)
        self.paths = [root / "images" / name for name in self.names]
        self.metadata = [metadata[name] for name in self.names]
        self.positions = [item.position for item in self.metadata if item.position]
        lats = np.array([p.lat for p in self.positions])
        lons = np.array([p.lon for p in self.positions])
        self.metres = np.stack([distances(p, lats, lons) for p in self.positions])
        self.excluded = (lats[:, None] == lats) & (lons[:, None] == lons)
        if same_position_counts:
            self.excluded = np.eye(len(self.names), dtype=bool)
        pairs = root / "verified_pairs.csv"
        self.criteria = self._by_pairs(pairs) if pairs.exists() else self._by_distance()

    def _by_pairs(self, path: Path) -> dict[str, Flags]:
        right = np.zeros(self.excluded.shape, bool)
        number = {name: i for i, name in enumerate(self.names)}
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                a, b = number[row["image_a"]], number[row["image_b"]]
                right[a, b] = right[b, a] = True
        return {"": right & ~self.excluded}

    def _by_distance(self) -> dict[str, Flags]:
        near = (self.metres <= TOLERANCE) & ~self.excluded
        headings = [item.heading for item in self.metadata]
        if None in headings:
            return {"": near}
        degrees = np.array(headings, float)
        return {"": near, "same_heading_": near & (degrees[:, None] == degrees)}

    def recalls(self, ranking: NDArray[np.int64]) -> dict[str, float]:
        """recall@N by each criterion, over the queries that have something right to find.

        `ranking` `[Q, all]` lists photo numbers, best first.
        """
        result = {}
        for prefix, right in self.criteria.items():
            for cut in CUTS:
                hits = [
                    right[q, self.allowed(q, ranking[q])[:cut]].any()
                    for q in np.flatnonzero(right.any(1))
                ]
                result[f"{prefix}recall@{cut}"] = round(float(np.mean(hits)), 4)
        return result

    def kinds(self) -> tuple[Flags, Flags]:
        """Which photos surely show a query's place, and which are near it: `[Q, all]` each."""
        criteria = list(self.criteria.values())
        return criteria[-1], criteria[0]

    def allowed(self, query: int, ranking: NDArray[np.int64]) -> NDArray[np.int64]:
        return ranking[~self.excluded[query, ranking]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a folder's photos, in its order: vectors by name, and key points."""

    vectors: dict[str, Floats]
    local: list[LocalFeatures] = field(default_factory=list)
    sift: list[tuple[LocalFeatures, Floats]] = field(default_factory=list)


@torch.inference_mode()
def describe(folder: Folder, network: HAF, describer: Describer, *, rerank: bool) -> Seen:
    """Every photo's vectors, hafloc's and the trunk levels', from one pass of the trunk."""
    rows: dict[str, list[Floats]] = {}
    seen = Seen({})
    sift = Sift()
    for path in track(folder.paths, "describing", console=Console(stderr=True)):
        image = describer.fit(read(path, longer_side=describer.longer_side).image)
        batch = to_batch(image, network.device)
        taps = network.taps(batch)
        full = network.fuse_full(network.pool(taps, (image.shape[0], image.shape[1])))
        vectors = {"hafloc": full[0].numpy().copy()}
        if network.compact is not None:
            vectors["hafloc_256"] = network.compact(full)[0].numpy().copy()
        for name, vector in (vectors | trunk_levels(taps)).items():
            rows.setdefault(name, []).append(vector)
        if rerank and network.local is not None:
            xy, responses = local_responses(batch, taps, network.options.local_features)
            size = (image.shape[1], image.shape[0])
            descriptors = to_int8(network.local(responses))
            seen.local.append(LocalFeatures(xy.numpy().copy(), descriptors, size))
            seen.sift.append(sift.features(read(path, longer_side=SIFT_SIDE).image))
    seen.vectors.update({name: np.stack(vectors) for name, vectors in rows.items()})
    return seen


def whitened_baselines(vectors: dict[str, Floats]) -> Iterator[tuple[str, Floats]]:
    fitted = load_file(BASELINES)
    for name, raw in vectors.items():
        if name.startswith("hafloc"):
            continue
        yield name, raw
        mean, projection = (
            fitted[f"{name}.{part}"].astype(np.float32) for part in ("mean", "projection")
        )
        yield f"{name}_whitened", whiten(raw, mean, projection)
        yield f"{name}_whitened_256", whiten(raw, mean, projection[:256])


@contextmanager
def stored(
    folder: Folder, describer: Describer, seen: Seen, kept: Path | None
) -> Iterator[GeoIndex]:
    """The photos in a GeoPackage as the product keeps them; photo n of the folder has id n + 1.

    It stays at `kept` where that is given.
    """
    records = [
        Record(name, content(path), position, 0, 0, "csv")
        for name, path, position in zip(folder.names, folder.paths, folder.positions, strict=True)
    ]
    with tempfile.TemporaryDirectory() as scratch:
        path = kept or Path(scratch) / "photos.gpkg"
        index = create_index(path, model_info(describer))
        with index:
            ids = index.add(records, seen.vectors["hafloc"], seen.local or None)
            assert ids == list(range(1, len(ids) + 1))
            yield index


def rank_by_index(index: GeoIndex, vectors: Floats) -> Numbers:
    """Photo numbers `[Q, all]` as the product's search ranks them."""
    return index.search(vectors, len(vectors)).ids - 1


class Verification:
    """The first photos of each query's ranking, compared by key points."""

    def __init__(
        self, folder: Folder, index: GeoIndex, ranking: Numbers, seen: Seen, k: int
    ) -> None:
        self._folder, self._index, self._ranking, self._seen = folder, index, ranking, seen
        self.clear, self.near = folder.kinds()
        self.queries = np.flatnonzero(self.near.any(1))
        self.firsts = {int(q): folder.allowed(q, ranking[q])[:k] for q in self.queries}
        self.watch = Stopwatch()

    def compared(self, k: int) -> list[Compared]:
        self.watch = Stopwatch()
        return [
            self._compare(q, self.firsts[q][:k])
            for q in track(self.firsts, f"comparing {k}", console=Console(stderr=True))
        ]

    def _compare(self, query: int, first: Numbers) -> Compared:
        ids = (first + 1).tolist()
        with self.watch.running():
            verified = compare_stored(self._index, self._seen.local[query], ids)
        vectors = self._seen.vectors["hafloc"]
        right = self.clear[query, first]
        unclear = self.near[query, first] & ~right
        similarities = (vectors[first] @ vectors[query]).astype(np.float64)
        return Compared(similarities, verified, right, unclear)

    def by_sift(self, k: int) -> list[Numbers]:
        """Orders of each query's first k by SIFT inliers, equals by similarity."""
        sift = Sift()
        self.watch, orders = Stopwatch(), []
        for query, first in track(self.firsts.items(), "SIFT", console=Console(stderr=True)):
            candidates = [self._seen.sift[number] for number in first[:k]]
            with self.watch.running():
                inliers = sift.inliers(self._seen.sift[query], candidates)
            orders.append(np.argsort(-np.array(inliers), kind="stable"))
        return orders

    def results(self, orders: Sequence[Numbers]) -> dict[str, float]:
        """Recalls of rankings whose first photos take each query's new order."""
        ranking = self._ranking.copy()
        for (query, first), order in zip(self.firsts.items(), orders, strict=True):
            new = first[: len(order)][order]
            rest = ranking[query][~np.isin(ranking[query], new)]
            ranking[query] = np.concatenate([new, rest])
        return self._folder.recalls(ranking) | self.watch.results()


def verify(verification: Verification, k: int, rule: Path | None) -> dict[str, dict[str, float]]:
    """Recalls after re-ranking: the k asked for first, then other sizes of the list, then SIFT."""
    compared = verification.compared(k)
    results = {"hafloc+verification": verification.results(orders_of(compared, rule))}
    whole = compared if k >= max(LISTS) else verification.compared(max(LISTS))
    # These share one comparison of the longest list, so their time is not theirs.
    verification.watch = Stopwatch()
    for size in LISTS:
        orders = orders_of([query.first(size) for query in whole], rule)
        results[f"hafloc+verification, first {size}"] = verification.results(orders)
    results["hafloc+SIFT"] = verification.results(verification.by_sift(k))
    return results


def orders_of(queries: Sequence[Compared], rule: Path | None) -> list[Numbers]:
    if rule is None:
        return cross_validated(queries)
    fitted = read_rule(rule.read_text(encoding="utf-8"))
    return [order_by(fitted, query) for query in queries]


def rank(vectors: Floats) -> NDArray[np.int64]:
    return np.argsort(-(vectors @ vectors.T), axis=1, kind="stable")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="haf", help="checkpoint: shipped name or file")
    parser.add_argument(
        "--same-position",
        action="store_true",
        help="let a query find other files of its very position; only its own file is left out",
    )
    parser.add_argument("--rerank", type=int, default=0, help="verify this many of the nearest")
    parser.add_argument("--rule", type=Path, help="a rule.json instead of rules of other folds")
    parser.add_argument("--index", type=Path, help="keep the index here, for answers.py")
    arguments = parser.parse_args()
    folder = Folder(arguments.folder, same_position_counts=arguments.same_position)
    describer = Describer.open(arguments.model)
    network = load_checkpoint(arguments.model).network
    if not isinstance(network, HAF):
        parser.error(f"{arguments.model} is no HAF; hafloc evaluate compares any networks")
    k = arguments.rerank
    if k and network.local is None:
        parser.error(f"{arguments.model} has no key points; see benchmarks/fit_local.py")
    seen = describe(folder, network, describer, rerank=k > 0)
    vectors = seen.vectors
    with stored(folder, describer, seen, arguments.index) as index:
        ranking = rank_by_index(index, vectors["hafloc"])
        results = {"hafloc": folder.recalls(ranking)}
        if k:
            verification = Verification(folder, index, ranking, seen, max(k, *LISTS))
            results |= verify(verification, k, arguments.rule)
    if "hafloc_256" in vectors:
        results["hafloc_256"] = folder.recalls(rank(vectors["hafloc_256"]))
    for name, baseline in whitened_baselines(vectors):
        results[name] = folder.recalls(rank(baseline))
    show(folder, results, arguments.folder)
    print(json.dumps(results))


def show(folder: Folder, results: dict[str, dict[str, float]], root: Path) -> None:
    queries = {prefix or "": int(right.any(1).sum()) for prefix, right in folder.criteria.items()}
    counts = ", ".join(
        f"{n:,} queries {prefix.rstrip('_')}".strip() for prefix, n in queries.items()
    )
    columns = list(dict.fromkeys(name for values in results.values() for name in values))
    table = Table(
        "vector",
        *columns,
        title=f"{root}: {len(folder.names):,} photos, {counts}",
    )
    for name, recalls in results.items():
        cells = (f"{recalls[column]:.3f}" if column in recalls else "" for column in columns)
        table.add_row(name, *cells)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
