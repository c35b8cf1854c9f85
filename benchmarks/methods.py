"""How well do all methods do on places they have never seen? One table, from photos.

    python benchmarks/methods.py data haf=haf netvlad=runs/netvlad/model.safetensors …

DATA holds cambridge/val, cambridge/train and sf_west. Each `name=checkpoint` gives one row at
full size and one at 256-D; the trunk's single levels (mean and GeM, raw and whitened) come along.
Columns are recall@1/5/10 on cambridge/val within 25 m (by position, and of the same heading), on
sf_west (verified pairs), and on val once more (same heading) with queries changed as in training:
seen closer and askew, and at night. The last two are drawn, not photographed.

256-D: HAF's own compact vector; all others whitened on 329 photos of cambridge/train.
Every recall with the 95 % interval over queries; a method "x" beside an "x start" also with the
difference, query by query. Writes benchmarks/results/methods.json and prints
the table of methods.md.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor

from hafloc.measure.recall import bootstrap_interval
from hafloc.nn import CRN, HAF, NetVLAD, SuperPoint, load_checkpoint, pca_whitening
from hafloc.nn.images import to_batch
from hafloc.nn.vgg import LAYERS, VGG16, Taps
from hafloc.photos import Image, read
from hafloc.train.augment import augment
from hafloc.train.recipe import Augmentation
from hafloc.train.trunk import run_frozen
from real_photos import CUTS, Folder, trunk_levels, whitened_baselines

RESULTS = Path(__file__).parent / "results" / "methods.json"
SIDE = 480
SMALL = 256
EVERY = 2  # of val's photos, one is changed
CHANGES = {
    "closer": Augmentation(zoom=1.0, perspective=1.0, colour=0.5, compression=0.5),
    "night": Augmentation(night=1.0),
}
KEPT = ("conv3_2", "conv4_3")
Floats = NDArray[Any]
Numbers = NDArray[np.int64]


class Method:
    """One network, fed with the responses of layers that it shares with the others."""

    def __init__(self, name: str, checkpoint: str, shared: VGG16) -> None:
        found = load_checkpoint(checkpoint)
        assert isinstance(found.network, HAF | NetVLAD | CRN | SuperPoint)
        self.name, self.hash, self.network = name, found.hash, found.network
        self._shares = not isinstance(self.network, SuperPoint) and same_below(
            self.network.trunk, shared
        )

    @torch.inference_mode()
    def vectors(self, batch: Tensor, responses: Mapping[str, Tensor]) -> dict[str, Floats]:
        """Vectors of a photo by name: full, and what 256-D is made of."""
        network, size = self.network, (batch.shape[2], batch.shape[3])
        if isinstance(network, SuperPoint):
            return {self.name: row(network.pool(*network.dense(batch)))}
        if not self._shares:
            responses = run_frozen(network.trunk, batch, KEPT)
        last = responses["conv4_3"]
        if isinstance(network, HAF):
            below = {"low": responses["conv3_2"], "mid": last}
            taps: Taps = network.trunk.from_layer("conv5_1", last, below)
            full = network.fuse_full(network.pool(taps, size))
            assert network.compact is not None, f"{self.name} has no compact vector"
            return {self.name: row(full), f"{self.name}, 256-D": row(network.compact(full))}
        features = network.trunk.before_last_relu("conv5_1", last)
        return {self.name: row(network.pool(features))}


def same_below(trunk: VGG16, other: VGG16) -> bool:
    """Whether two trunks agree up to conv4_3."""
    layers = [name for name in LAYERS if name < "conv5"]
    ours, theirs = trunk.state_dict(), other.state_dict()
    return all(torch.equal(ours[f"{x}.weight"], theirs[f"{x}.weight"]) for x in layers)


def row(vector: Tensor) -> Floats:
    return vector[0].float().numpy().copy()


def photos(paths: Sequence[Path], change: str, what: str) -> Iterator[Image]:
    for number, path in enumerate(track(paths, what, console=Console(stderr=True))):
        image = read(path, longer_side=SIDE).image
        yield augment(image, CHANGES[change], (number,)) if change else image


@torch.inference_mode()
def describe(
    images: Iterator[Image], methods: Sequence[Method], shared: VGG16
) -> dict[str, Floats]:
    """Every photo's vectors by method, and the trunk levels'."""
    rows: dict[str, list[Floats]] = {}
    for image in images:
        batch = to_batch(image, torch.device("cpu"))
        responses = run_frozen(shared, batch, KEPT)
        below = {"low": responses["conv3_2"], "mid": responses["conv4_3"]}
        found = trunk_levels(shared.from_layer("conv5_1", responses["conv4_3"], below))
        for method in methods:
            found |= method.vectors(batch, responses)
        for name, vector in found.items():
            rows.setdefault(name, []).append(vector)
    return {name: np.stack(vectors) for name, vectors in rows.items()}


def small(vectors: Floats) -> Callable[[Floats], Floats]:
    """A whitening to 256-D fitted on vectors of unrelated photos."""
    mean, projection = (part.numpy() for part in pca_whitening(torch.from_numpy(vectors), SMALL))

    def whiten(others: Floats) -> Floats:
        whitened = (others - mean) @ projection.T
        return np.asarray(whitened / np.linalg.norm(whitened, axis=1, keepdims=True))

    return whiten


def hits(folder: Folder, vectors: Floats, database: Floats, queries: Numbers) -> dict[str, Floats]:
    """For each criterion, whether a right photo is among a query's first 1, 5, 10: `[Q, 3]`.

    `vectors` are those of the photos `queries`.
    """
    ranking = np.argsort(-(vectors @ database.T), axis=1, kind="stable")
    found = {}
    for name, right in folder.criteria.items():
        answered = [
            [right[q, folder.allowed(q, ranked)[:cut]].any() for cut in CUTS]
            for q, ranked in zip(queries, ranking, strict=True)
            if right[q].any()
        ]
        found[name] = np.array(answered, np.float64)
    return found


def scores(hit: Floats) -> list[list[float]]:
    """recall@1/5/10 with lower and upper bounds."""
    low, high = bootstrap_interval(hit)
    return [[round(float(x), 4) for x in row] for row in np.stack([hit.mean(0), low, high], 1)]


def measure(data: Path, methods: Sequence[Method], shared: VGG16) -> dict[str, dict[str, Floats]]:
    """Hits by column and method."""
    train = Folder(data / "cambridge" / "train").paths
    # One of a place's four headings, in turns; every other place.
    some = [path for n, path in enumerate(train) if n % 8 == n // 8 % 4]
    seen = describe(photos(some, "", "for whitening"), methods, shared)
    whiten = {m.name: small(seen[m.name]) for m in methods if not isinstance(m.network, HAF)}

    def complete(found: dict[str, Floats]) -> dict[str, Floats]:
        levels = {x: v for x, v in found.items() if x.startswith("conv")}
        own = {x: v for x, v in found.items() if not x.startswith("conv")}
        reduced = {f"{name}, 256-D": to_small(found[name]) for name, to_small in whiten.items()}
        return dict(whitened_baselines(levels)) | own | reduced

    table: dict[str, dict[str, Floats]] = {}
    val, west = Folder(data / "cambridge" / "val"), Folder(data / "sf_west")
    plain = complete(describe(photos(val.paths, "", "val"), methods, shared))
    every = np.arange(len(val.paths))
    for name, vectors in plain.items():
        by = hits(val, vectors, vectors, every)
        for criterion, column in (("", "val"), ("same_heading_", "val, same heading")):
            table.setdefault(column, {})[name] = by[criterion]
    found = complete(describe(photos(west.paths, "", "sf_west"), methods, shared))
    table["sf_west"] = {
        name: hits(west, vectors, vectors, np.arange(len(west.paths)))[""]
        for name, vectors in found.items()
    }
    some_queries = every[::EVERY]
    for change in CHANGES:
        changed = photos([val.paths[q] for q in some_queries], change, f"val, {change}")
        table[f"val, {change}"] = {
            name: hits(val, vectors, plain[name], some_queries)["same_heading_"]
            for name, vectors in complete(describe(changed, methods, shared)).items()
        }
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("methods", nargs="+", help="name=checkpoint")
    arguments = parser.parse_args()
    start = load_checkpoint(arguments.methods[0].partition("=")[2]).network
    assert isinstance(start, HAF), "the first method is a HAF; the others share its lower layers"
    named = [text.partition("=") for text in arguments.methods]
    methods = [Method(name, checkpoint, start.trunk) for name, _, checkpoint in named]
    table = measure(arguments.data, methods, start.trunk)
    names = list(table["val"])
    results: dict[str, Any] = {
        "checkpoints": {method.name: method.hash for method in methods},
        "recall": {name: {c: scores(by[name]) for c, by in table.items()} for name in names},
        "better than its start": {
            name: {c: scores(by[name] - by[f"{name} start"])[0] for c, by in table.items()}
            for name in names
            if f"{name} start" in names
        },
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print("| vector | " + " | ".join(table) + " |")
    print("|---" * (len(table) + 1) + "|")
    for name, columns in results["recall"].items():
        print(f"| {name} | " + " | ".join(map(words, columns.values())) + " |")
    for name, columns in results["better than its start"].items():
        said = "; ".join(
            f"{c} {d:+.3f} ({low:+.3f} to {high:+.3f})" for c, (d, low, high) in columns.items()
        )
        print(f"{name} is better than its start at recall@1 by: {said}")


def words(recalls: Sequence[Sequence[float]]) -> str:
    """recall@1 with its interval, then @5 and @10."""
    (first, low, high), *others = recalls
    return f"{first:.3f} ({low:.2f}–{high:.2f}) " + " ".join(f"{r[0]:.3f}" for r in others)


if __name__ == "__main__":
    main()
