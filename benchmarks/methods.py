"""How well do all methods do on places they have never seen? One table, from photos.

    python benchmarks/methods.py DATA --indexes SETS --store FOLDER \\
        HAF=haf NetVLAD=runs/netvlad/model.safetensors CRN=runs/crn/model.safetensors

DATA holds cambridge/train, cambridge/val, sf_west and campus_night/val. Each `name=checkpoint` is
one method; the first is a HAF, whose lower trunk the others share. The trunk's levels come along:
each alone, and all three joined place by place, pooled by VLAD. FOLDER keeps what was described,
so that a stopped run goes on and a method added later costs its own time alone; what HAF says of
the three sets is read from SETS/sf_west.gpkg and so on, made with that very checkpoint.

HAF brings whitenings of its own. All others are whitened to 256-D on the same photos of
cambridge/train, beside their plain vector.

Columns are recall@1/5/10 of vectors alone: cambridge/val within 25 m (by position, and of the same
heading), sf_west (verified pairs), campus_night/val within 10 m (night to day, day to day), and
val seen closer (changed as in training: drawn, not photographed). Intervals (95 %) draw places.
Writes benchmarks/results/methods.json and prints the table of methods.md.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor

from hafloc.calibrate import interval
from hafloc.files import write_whole
from hafloc.index import open_index
from hafloc.nn import CRN, HAF, NetVLAD, SuperPoint, Whitening, load_checkpoint, pca_whitening
from hafloc.nn.images import to_batch
from hafloc.nn.netvlad import VLAD
from hafloc.nn.vgg import LAYERS, VGG16, Taps
from hafloc.photos import read
from hafloc.train.augment import augment
from hafloc.train.recipe import Augmentation
from hafloc.train.trunk import run_frozen
from real_photos import CUTS, Folder, trunk_levels, whitened_baselines

RESULTS = Path(__file__).parent / "results" / "methods.json"
SIDE = 480
SMALL = 256  # dimensions that the others are whitened to
FITTING = 330  # photos of cambridge/train that whitenings are fitted on
CLOSER = Augmentation(zoom=1.0, perspective=1.0, colour=0.5, compression=0.5)
EVERY = 4  # of val's photos, one is seen closer
NEAR_ON_CAMPUS = 10.0  # metres
DARK_FROM = 16  # o'clock, in December
KEPT = ("conv3_2", "conv4_3")
# Joined levels: photos and places that clusters are fitted on, dimensions of a place, clusters.
JOINED = "joined levels, VLAD"
PHOTOS, PLACES, JOINED_SIZE, CLUSTERS = 150, 200, 128, 64
# Folders by name.
SETS = {"val": "cambridge/val", "sf_west": "sf_west", "campus": "campus_night/val"}
Floats = NDArray[Any]
Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shot:
    """A photo to describe, `changed` perhaps, and the file that keeps its conv4_3."""

    path: Path
    kept: Path
    changed: int | None = None

    def batch(self) -> Tensor:
        image = read(self.path, longer_side=SIDE).image
        if self.changed is not None:
            image = augment(image, CLOSER, (self.changed,))
        return to_batch(image, torch.device("cpu"))


class Checkpoint:
    """One network, fed with the responses of layers that it shares with the others."""

    def __init__(self, name: str, checkpoint: str, shared: VGG16) -> None:
        found = load_checkpoint(checkpoint)
        assert isinstance(found.network, HAF | NetVLAD | CRN | SuperPoint)
        self.name, self.key, self.network = name, found.hash[:12], found.network
        self.whitens = isinstance(self.network, HAF)
        self.needs = "image"
        if not isinstance(self.network, SuperPoint) and same_below(self.network.trunk, shared):
            self.needs = "taps" if isinstance(self.network, HAF) else "conv4_3"

    def vectors(self, batch: Tensor, found: Mapping[str, Tensor]) -> dict[str, Floats]:
        """Vectors of a photo by name."""
        network, size = self.network, (batch.shape[2], batch.shape[3])
        if isinstance(network, SuperPoint):
            return {"": row(network.pool(*network.dense(batch)))}
        if self.needs == "image":
            found = run_frozen(network.trunk, batch, KEPT)
        if isinstance(network, HAF):
            full = network.fuse_full(network.pool(taps_of(network.trunk, found), size))
            assert network.compact is not None, f"{self.name} has no compact vector"
            return {"": row(full), ", 256-D": row(network.compact(full))}
        return {"": row(network.pool(network.trunk.before_last_relu("conv5_1", found["conv4_3"])))}


class Levels:
    """The trunk's levels: each pooled alone, and all joined place by place under VLAD."""

    name, key, whitens, needs = "levels", "levels", False, "taps"

    def __init__(self, trunk: VGG16, shots: Sequence[Shot], store: Path) -> None:
        self._trunk = trunk
        self._parts = [Whitening(size, JOINED_SIZE) for size in (256, 512, 512)]
        self._vlad = VLAD(CLUSTERS, 3 * JOINED_SIZE)
        fitted = store / "joined.pt"
        parts = torch.nn.ModuleList([*self._parts, self._vlad])
        if fitted.exists():
            parts.load_state_dict(torch.load(fitted))
        else:
            self._fit(shots[:PHOTOS])
            torch.save(parts.state_dict(), fitted)

    def _fit(self, shots: Sequence[Shot]) -> None:
        draws = torch.Generator().manual_seed(0)
        samples: list[list[Tensor]] = [[], [], []]
        for shot in track(shots, "places to join", console=Console(stderr=True)):
            found = run_frozen(self._trunk, shot.batch(), KEPT)
            grids = self._grids(taps_of(self._trunk, found))
            some = torch.randint(grids[0].shape[1], (PLACES,), generator=draws)
            for kept, grid in zip(samples, grids, strict=True):
                kept.append(grid[:, some].T.clone())
        rows = [torch.cat(kept) for kept in samples]
        for part, sample in zip(self._parts, rows, strict=True):
            part.fit(sample)
        joined = [part(sample) for part, sample in zip(self._parts, rows, strict=True)]
        self._vlad.initialise(F.normalize(torch.cat(joined, 1), dim=1), draws)

    @staticmethod
    def _grids(taps: Taps) -> list[Tensor]:
        """Each level's responses on the middle one's grid, `[C, places]`."""
        rows, columns = taps.mid.shape[2:]
        grids = [F.adaptive_avg_pool2d(taps.low, (rows, columns)), taps.mid]
        grids.append(F.interpolate(taps.high, size=(rows, columns), mode="bilinear"))
        return [grid[0].flatten(1) for grid in grids]

    def vectors(self, batch: Tensor, found: Mapping[str, Tensor]) -> dict[str, Floats]:
        taps = taps_of(self._trunk, found)
        joined = [part(grid.T) for part, grid in zip(self._parts, self._grids(taps), strict=True)]
        return trunk_levels(taps) | {JOINED: row(self._vlad(torch.cat(joined, 1).T[None, :, None]))}


Method = Checkpoint | Levels


def taps_of(trunk: VGG16, found: Mapping[str, Tensor]) -> Taps:
    below = {"low": found["conv3_2"], "mid": found["conv4_3"]}
    return trunk.from_layer("conv5_1", found["conv4_3"], below)


def same_below(trunk: VGG16, other: VGG16) -> bool:
    """Whether two trunks agree up to conv4_3."""
    layers = [name for name in LAYERS if name < "conv5"]
    ours, theirs = trunk.state_dict(), other.state_dict()
    return all(torch.equal(ours[f"{x}.weight"], theirs[f"{x}.weight"]) for x in layers)


def row(vector: Tensor) -> Floats:
    return vector[0].float().numpy().copy()


@torch.inference_mode()
def describe(
    what: str, shots: Sequence[Shot], methods: Sequence[Method], shared: VGG16, store: Path
) -> dict[str, Floats]:
    """Every photo's vectors by name; only methods that the store lacks are run."""
    files = {method.name: store / f"{what}_{method.key}.npz" for method in methods}
    left = [method for method in methods if not files[method.name].exists()]
    rows: dict[str, dict[str, list[Floats]]] = {method.name: {} for method in left}
    for shot in track(shots if left else (), what, console=Console(stderr=True)):
        batch = shot.batch()
        responses = responses_of(shot, batch, left, shared)
        for method in left:
            for name, vector in method.vectors(batch, responses).items():
                rows[method.name].setdefault(name, []).append(vector)
    for name, vectors in rows.items():
        stacked: dict[str, Any] = {key or "_": np.stack(x) for key, x in vectors.items()}
        np.savez(files[name], **stacked)
    found: dict[str, Floats] = {}
    for method in methods:
        own = "" if isinstance(method, Levels) else method.name
        with np.load(files[method.name]) as kept:
            found |= {own + key.removeprefix("_"): kept[key] for key in kept.files}
    return found


def take_over(indexes: Path, haf: Checkpoint, store: Path) -> None:
    """Keep HAF's vectors of the sets that have an index of this very checkpoint."""
    network = haf.network
    assert isinstance(network, HAF)
    assert network.compact is not None
    for name, where in SETS.items():
        file = store / f"{name}_{haf.key}.npz"
        with open_index(indexes / f"{where.replace('/', '_')}.gpkg") as index:
            assert index.model.hash.startswith(haf.key), f"{index.location} is of another network"
            records = sorted(index.iterate(), key=lambda record: Path(record.path).name)
            vectors = index.vectors([record.id or 0 for record in records])
        with torch.inference_mode():
            compact = network.compact(torch.from_numpy(vectors)).numpy()
        np.savez(file, **{"_": vectors, f", {SMALL}-D": compact})


def responses_of(
    shot: Shot, batch: Tensor, methods: Sequence[Method], shared: VGG16
) -> dict[str, Tensor]:
    needs = {method.needs for method in methods}
    if "taps" in needs:
        found = run_frozen(shared, batch, KEPT)
        np.save(shot.kept, found["conv4_3"].numpy().astype(np.float16))
        return found
    if "conv4_3" in needs:
        if shot.kept.exists():
            return {"conv4_3": torch.from_numpy(np.load(shot.kept).astype(np.float32))}
        return run_frozen(shared, batch, KEPT)
    return {}


def small(vectors: Floats) -> Callable[[Floats], Floats]:
    """A whitening fitted on vectors of unrelated photos."""
    mean, projection = (part.numpy() for part in pca_whitening(torch.from_numpy(vectors), SMALL))

    def whiten(others: Floats) -> Floats:
        whitened = (others - mean) @ projection.T
        return np.asarray(whitened / np.linalg.norm(whitened, axis=1, keepdims=True))

    return whiten


@dataclass(frozen=True, slots=True)
class Column:
    """Queries among a set's photos: which are right for and allowed to which, `[N, N]`."""

    name: str
    photos: str
    right: Flags
    allowed: Flags
    places: Numbers


def columns(name: str, folder: Folder) -> Iterator[Column]:
    where = np.array([[position.lat, position.lon] for position in folder.positions])
    places = np.unique(np.round(where, 4), axis=0, return_inverse=True)[1].reshape(-1)
    if name == "campus":
        times = [item.time for item in folder.metadata]
        dark = np.array([time is not None and time.hour >= DARK_FROM for time in times])
        near, others = folder.metres <= NEAR_ON_CAMPUS, ~np.eye(len(dark), dtype=bool)
        yield Column("night to day", name, near, dark[:, None] & ~dark, places)
        yield Column("day to day", name, near, ~dark[:, None] & ~dark & others, places)
    else:
        for prefix, right in folder.criteria.items():
            label = f"{name}, same heading" if prefix else name
            yield Column(label, name, right, ~folder.excluded, places)


def hits(column: Column, queries: Floats, database: Floats, numbers: Numbers) -> Floats:
    """Whether a right photo is among the first 1, 5, 10: `[Q, 3]`, with NaN where none exists.

    `queries` are vectors of the photos `numbers`.
    """
    allowed, right = column.allowed[numbers], column.right[numbers]
    scores = np.where(allowed, queries @ database.T, -9.0)
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(right & allowed, order, axis=1)
    found = np.stack([ranked[:, :cut].any(1) for cut in CUTS], axis=1).astype(float)
    found[~(right & allowed).any(1)] = np.nan
    return found


def measure(data: Path, methods: Sequence[Method], shared: VGG16, store: Path) -> dict[str, Any]:
    """Hits by column and vector, with each query's place."""
    others = [method for method in methods if not method.whitens]
    seen = describe("fitting", fitting(data, store), others, shared, store)
    whiten = {name: small(x) for name, x in seen.items() if not name.startswith("conv")}

    def complete(found: dict[str, Floats]) -> dict[str, Floats]:
        levels = {x: v for x, v in found.items() if x.startswith("conv")}
        own = {x: v for x, v in found.items() if not x.startswith("conv")}
        reduced = {f"{name}, {SMALL}-D": to_small(found[name]) for name, to_small in whiten.items()}
        return dict(whitened_baselines(levels)) | own | reduced

    table: dict[str, Any] = {}
    for name, where in SETS.items():
        folder = Folder(data / where, same_position_counts=name == "campus")
        shots = [Shot(x, store / f"{name}_{n}.npy") for n, x in enumerate(folder.paths)]
        plain = complete(describe(name, shots, methods, shared, store))
        every = np.arange(len(shots))
        for column in columns(name, folder):
            found = {x: hits(column, v, v, every) for x, v in plain.items()}
            table[column.name] = found, column.places
        if name == "val":
            some = every[::EVERY] + (every[::EVERY] // EVERY) % EVERY  # headings in turns
            nearer = [Shot(folder.paths[q], store / f"closer_{q}.npy", int(q)) for q in some]
            changed = complete(describe("closer", nearer, methods, shared, store))
            found = {x: hits(column, v, plain[x], some) for x, v in changed.items()}
            closer = found, column.places[some]
    return table | {"val, closer": closer}


def fitting(data: Path, store: Path) -> list[Shot]:
    """One of a place's four headings, in turns, then the next."""
    paths = Folder(data / "cambridge" / "train").paths
    turns = sorted(range(len(paths)), key=lambda n: ((n - n // 4) % 4, n))
    return [Shot(paths[n], store / f"fitting_{n}.npy") for n in sorted(turns[:FITTING])]


def scores(hit: Floats, places: Numbers) -> list[list[float]]:
    """recall@1/5/10 with lower and upper bounds, or of differences."""
    answered = ~np.isnan(hit[:, 0])
    _, member = np.unique(places[answered], return_inverse=True)
    known = hit[answered]
    return [
        [round(float(x), 4) for x in (known[:, cut].mean(), *interval(known[:, cut], member))]
        for cut in range(len(CUTS))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("methods", nargs="+", help="name=checkpoint")
    parser.add_argument("--indexes", type=Path, help="folder of the sets' indexes, made by HAF")
    parser.add_argument("--store", type=Path, required=True, help="folder that keeps vectors")
    arguments = parser.parse_args()
    named = [text.rpartition("=") for text in arguments.methods]
    start = load_checkpoint(named[0][2]).network
    assert isinstance(start, HAF), "the first method is a HAF; the others share its lower layers"
    store = arguments.store
    store.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode():
        levels = Levels(start.trunk, fitting(arguments.data, store), store)
    networks = [Checkpoint(name, checkpoint, start.trunk) for name, _, checkpoint in named]
    if arguments.indexes:
        take_over(arguments.indexes, networks[0], store)
    table = measure(arguments.data, [levels, *networks], start.trunk, store)
    names = list(table["val"][0])
    first = networks[0].name
    results: dict[str, Any] = {
        "checkpoints": {network.name: network.key for network in networks},
        "queries": {
            c: int((~np.isnan(found[first][:, 0])).sum()) for c, (found, _) in table.items()
        },
        "recall": {x: {c: scores(f[x], p) for c, (f, p) in table.items()} for x in names},
        f"ahead at recall@1: {first}": {
            x: {c: scores(f[first] - f[x], p)[0] for c, (f, p) in table.items()} for x in names
        },
    }
    write_whole(RESULTS, f"{json.dumps(results, indent=1)}\n".encode())
    print("| vector | " + " | ".join(table) + " |")
    print("|---" * (len(table) + 1) + "|")
    for name, found in results["recall"].items():
        print(f"| {name} | " + " | ".join(map(words, found.values())) + " |")


def words(recalls: Sequence[Sequence[float]]) -> str:
    """recall@1 with its interval, then @5 and @10."""
    (first, low, high), *others = recalls
    return f"{first:.3f} ({low:.2f}–{high:.2f}) " + " ".join(f"{r[0]:.3f}" for r in others)


if __name__ == "__main__":
    main()
