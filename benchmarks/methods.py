"""How well do all methods do on places they have never seen? One table, from photos.

    python benchmarks/methods.py ../shared/data haf=haf netvlad=runs/netvlad/model.safetensors …

DATA holds cambridge/val, cambridge/train and sf_west. Each `name=checkpoint` gives one row at
full size and one at 256-D; the trunk's single levels (mean and GeM, raw and whitened) come along.
Columns are recall@1/5/10 on cambridge/val within 25 m (by position, and of the same heading), on
sf_west (verified pairs), and on val once more (same heading) with queries changed as in training:
seen closer and askew, and at night. The last two are drawn, not photographed.

256-D: HAF's own compact vector; all others whitened on one photo of each place of cambridge/train.
Every recall with the 95 % interval over queries. Writes benchmarks/results/methods.json and prints
the table of methods.md.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from hafloc.evaluate.metrics import bootstrap_interval
from hafloc.nn import CRN, HAF, NetVLAD, SuperPoint, load_checkpoint, pca_whitening
from hafloc.nn.images import to_batch
from hafloc.nn.vgg import LAYERS, VGG16, Taps
from hafloc.photos import Image, read
from hafloc.train.augment import augment
from hafloc.train.recipe import Augmentation
from hafloc.train.trunk import run_frozen
from real_photos import CUTS, Floats, Folder, trunk_levels, whitened_baselines

RESULTS = Path(__file__).parent / "results" / "methods.json"
SIDE = 480
SMALL = 256
PLACES = 4  # views of each place of cambridge/train; one of them whitens
CHANGES = {
    "": Augmentation(),
    "closer": Augmentation(zoom=1.0, perspective=1.0, colour=0.5, compression=0.5),
    "night": Augmentation(night=1.0),
}
KEPT = ("conv3_2", "conv4_3")
Network = HAF | NetVLAD | CRN | SuperPoint


class Method:
    """One network, fed with the responses of layers that it shares with the others."""

    def __init__(self, name: str, checkpoint: str, shared: VGG16) -> None:
        found = load_checkpoint(checkpoint)
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
    pairs = [(trunk.get_submodule(x).weight, other.get_submodule(x).weight) for x in layers]
    return all(torch.equal(a, b) for a, b in pairs)


def row(vector: Tensor) -> Floats:
    return vector[0].float().numpy().copy()


def photos(paths: Sequence[Path], changes: Augmentation, what: str) -> Iterator[Image]:
    for number, path in enumerate(track(paths, what, console=Console(stderr=True))):
        yield augment(read(path, longer_side=SIDE).image, changes, (number,))


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


def hits(folder: Folder, queries: Floats, database: Floats) -> dict[str, Floats]:
    """For each criterion, whether a right photo is among a query's first 1, 5, 10: `[Q, 3]`."""
    ranking = np.argsort(-(queries @ database.T), axis=1, kind="stable")
    found = {}
    for name, right in folder.criteria.items():
        answered = [
            [right[q, folder.allowed(q, ranking[q])[:cut]].any() for cut in CUTS]
            for q in np.flatnonzero(right.any(1))
        ]
        found[name] = np.array(answered, np.float64)
    return found


def scores(hit: Floats) -> list[list[float]]:
    """recall@1/5/10 with lower and upper bounds."""
    low, high = bootstrap_interval(hit)
    return np.stack([hit.mean(0), low, high], 1).round(4).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("methods", nargs="+", help="name=checkpoint")
    arguments = parser.parse_args()
    data = arguments.data
    shared_network = load_checkpoint("haf").network
    assert isinstance(shared_network, HAF)
    shared = shared_network.trunk
    methods = [Method(*text.partition("=")[::2], shared) for text in arguments.methods]
    train = Folder(data / "cambridge" / "train").paths
    fitted_on = [path for n, path in enumerate(train) if n % PLACES == n // PLACES % PLACES]
    seen = describe(photos(fitted_on, CHANGES[""], "for whitening"), methods, shared)
    whiten = {m.name: small(seen[m.name]) for m in methods if not isinstance(m.network, HAF)}

    def complete(found: dict[str, Floats]) -> dict[str, Floats]:
        reduced = {f"{name}, 256-D": to_small(found[name]) for name, to_small in whiten.items()}
        levels = {x: v for x, v in found.items() if x.startswith("conv")}
        own = {x: v for x, v in found.items() if not x.startswith("conv")}
        return dict(whitened_baselines(levels)) | own | reduced

    table: dict[str, dict[str, list[list[float]]]] = {}
    val, west = Folder(data / "cambridge" / "val"), Folder(data / "sf_west")
    plain = complete(describe(photos(val.paths, CHANGES[""], "val"), methods, shared))
    for name, vectors in plain.items():
        by = hits(val, vectors, vectors)
        table[name] = {"val": scores(by[""]), "val, same heading": scores(by["same_heading_"])}
    for change in ("closer", "night"):
        changed = photos(val.paths, CHANGES[change], f"val, {change}")
        for name, vectors in complete(describe(changed, methods, shared)).items():
            by = hits(val, vectors, plain[name])
            table[name][f"val, {change}"] = scores(by["same_heading_"])
    found = complete(describe(photos(west.paths, CHANGES[""], "sf_west"), methods, shared))
    for name, vectors in found.items():
        table[name]["sf_west"] = scores(hits(west, vectors, vectors)[""])
    hashes = {method.name: method.hash for method in methods}
    RESULTS.write_text(json.dumps({"checkpoints": hashes, "recall": table}, indent=1) + "\n")
    columns = ["val", "val, same heading", "sf_west", "val, closer", "val, night"]
    print("| vector | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, recalls in table.items():
        print(f"| {name} | " + " | ".join(words(recalls[column]) for column in columns) + " |")


def words(recalls: Sequence[Sequence[float]]) -> str:
    """recall@1 with its interval, then @5 and @10."""
    (first, low, high), *others = recalls
    return f"{first:.3f} ({low:.2f}–{high:.2f}) " + " ".join(f"{r[0]:.3f}" for r in others)


if __name__ == "__main__":
    main()
