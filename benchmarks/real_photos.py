"""How often does hafloc find the place of a real photo? Leave-one-out over one folder.

    python benchmarks/real_photos.py ../shared/data/sf_west
    python benchmarks/real_photos.py ../shared/data/cambridge/val

The folder holds `images/`, `positions.csv` (image, lat, lon and perhaps heading) and, where there
is one, `verified_pairs.csv` (image_a, image_b). A query never finds its own file, nor a file of the
very same position. With pairs a query counts at N when a verified partner is among its first N;
without, when a photo within 25 m is (and, given headings, one within 25 m of the same heading).

Beside hafloc stand the trunk's single levels in the same run: conv3_2, conv4_3 and conv5_3, mean
and GeM (p = 3), raw and whitened on the same unrelated images as hafloc. Ends with one JSON line.
"""

import argparse
import csv
import json
import tempfile
from collections.abc import Iterator
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
from hafloc.geo import distances
from hafloc.index import GeoPackageIndex, Record, model_info
from hafloc.nn import HAF, LEVELS, load_checkpoint
from hafloc.nn.images import to_batch
from hafloc.nn.vgg import TAPS, Taps
from hafloc.photos import content, read, read_positions_csv

TOLERANCE = 25.0  # metres, the field's usual bound
CUTS = (1, 5, 10)
GEM_POWER = 3
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
                    right[q, self._allowed(q, ranking[q])[:cut]].any()
                    for q in np.flatnonzero(right.any(1))
                ]
                result[f"{prefix}recall@{cut}"] = round(float(np.mean(hits)), 4)
        return result

    def _allowed(self, query: int, ranking: NDArray[np.int64]) -> NDArray[np.int64]:
        return ranking[~self.excluded[query, ranking]]


@torch.inference_mode()
def describe(folder: Folder, network: HAF, describer: Describer) -> dict[str, Floats]:
    """Vectors of every photo: hafloc's and the trunk levels', from one pass of the trunk."""
    rows: dict[str, list[Floats]] = {}
    for path in track(folder.paths, "describing", console=Console(stderr=True)):
        image = describer.fit(read(path, longer_side=describer.longer_side).image)
        taps = network.taps(to_batch(image, network.device))
        full = network.fuse_full(network.pool(taps, (image.shape[0], image.shape[1])))
        vectors = {"hafloc": full[0].numpy().copy()}
        if network.compact is not None:
            vectors["hafloc_256"] = network.compact(full)[0].numpy().copy()
        for name, vector in (vectors | trunk_levels(taps)).items():
            rows.setdefault(name, []).append(vector)
    return {name: np.stack(vectors) for name, vectors in rows.items()}


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


def rank_by_index(folder: Folder, describer: Describer, vectors: Floats) -> NDArray[np.int64]:
    """The ranking as the product gives it: stored in a GeoPackage, searched there."""
    records = [
        Record(name, content(path), position, 0, 0, "csv")
        for name, path, position in zip(folder.names, folder.paths, folder.positions, strict=True)
    ]
    with tempfile.TemporaryDirectory() as scratch:
        index = GeoPackageIndex.create(Path(scratch) / "photos.gpkg", model_info(describer))
        with index:
            ids = index.add(records, vectors)
            found = index.search(vectors, len(records)).ids
    number = {id_: i for i, id_ in enumerate(ids)}
    return np.array([[number[int(id_)] for id_ in row] for row in found])


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
    arguments = parser.parse_args()
    folder = Folder(arguments.folder, same_position_counts=arguments.same_position)
    describer = Describer.open(arguments.model)
    network = load_checkpoint(arguments.model).network
    if not isinstance(network, HAF):
        parser.error(f"{arguments.model} is no HAF; hafloc evaluate compares any networks")
    vectors = describe(folder, network, describer)
    results = {"hafloc": folder.recalls(rank_by_index(folder, describer, vectors["hafloc"]))}
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
    table = Table(
        "vector",
        *next(iter(results.values())),
        title=f"{root}: {len(folder.names):,} photos, {counts}",
    )
    for name, recalls in results.items():
        table.add_row(name, *(f"{value:.3f}" for value in recalls.values()))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
