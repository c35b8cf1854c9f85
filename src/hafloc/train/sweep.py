"""The level weights λ over the 66 points of the simplex in steps of 0.1."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hafloc.errors import TrainingError
from hafloc.files import make_folder, write_whole
from hafloc.nn import HAF, LEVELS, load_checkpoint
from hafloc.prefetch import prefetch
from hafloc.progress import Progress, Silent
from hafloc.train import parallel
from hafloc.train.data import PhotoSet, read_photo_set
from hafloc.train.features import Pixels
from hafloc.train.loop import train
from hafloc.train.recipe import Recipe
from hafloc.train.ternary import draw_ternary
from hafloc.train.validate import CUTS, choose_queries, recall

STEPS = 10
Weights = tuple[float, float, float]
Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Recall at 1, 5, 10 for each of the points λ = (low, mid, high), `recalls` `[66, 3]`."""

    points: tuple[Weights, ...]
    recalls: NDArray[np.float64]

    @property
    def best(self) -> int:
        """The number of the best point: by recall@1, then @5, then @10, then the first."""
        keys = [tuple(row) for row in self.recalls]
        return max(range(len(keys)), key=lambda i: (keys[i], -i))


def simplex(steps: int = STEPS) -> tuple[Weights, ...]:
    """All λ ≥ 0 with sum 1 in steps of 1 / `steps`: 66 points for 10."""
    return tuple(
        (low / steps, mid / steps, (steps - low - mid) / steps)
        for low in range(steps + 1)
        for mid in range(steps + 1 - low)
    )


def sweep_fusion(
    model: str | Path,
    folder: Path,
    out: Path,
    *,
    queries: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Sweep:
    """Evaluate all points on the photos of `folder`, described once, and write tables to `out`.

    `queries` at most are drawn; 0 takes all. The vector is the full one: a compact projection,
    which is fitted for one λ, is left out. Raises CheckpointError, TrainingError for a network
    without levels, PhotoError, PositionError, OutputError.
    """
    network = load_checkpoint(model).network
    if not isinstance(network, HAF):
        raise TrainingError(f"{model} holds a {network.name}, which has no levels; name a haf")
    photos = read_photo_set([folder])
    network.to(parallel.device(device))
    levels = _level_vectors(network, photos, progress or Silent())
    found = fuse_and_score(levels, photos, choose_queries(photos, queries, 0))
    write_sweep(found, out, f"{Path(model).name} on {folder.name}")
    return found


def _level_vectors(net: HAF, photos: PhotoSet, progress: Progress) -> list[Rows]:
    """Whitened vectors of each level, `[N, d]`."""
    source = Pixels(photos.paths, net.options.longer_side)
    widths = [net.level(name).head.out_channels for name in LEVELS]
    pooled = {
        n: np.empty((len(photos), w), np.float32) for n, w in zip(LEVELS, widths, strict=True)
    }
    progress.start("describing", len(photos))
    with torch.inference_mode():
        for done, (number, inputs) in enumerate(prefetch(range(len(photos)), source.load), 1):
            image = inputs.tensors["image"].to(net.device)
            for name, vector in net.level_vectors(image).items():
                pooled[name][number] = vector[0].float().cpu().numpy()
            progress.advance(done)
        return [
            net.level(name).whiten(torch.from_numpy(pooled[name]).to(net.device)).cpu().numpy()
            for name in LEVELS
        ]


def fuse_and_score(levels: Sequence[Rows], photos: PhotoSet, queries: NDArray[np.int32]) -> Sweep:
    """Recall of every point from the levels' unit vectors `[N, d_l]`."""
    points = simplex()
    recalls = []
    for point in points:
        # With √λ on both sides a product of fused vectors is Σ λ times the levels' own.
        fused = np.concatenate(
            [np.float32(w**0.5) * rows for w, rows in zip(point, levels, strict=True)], axis=1
        )
        recalls.append(recall(fused, photos, queries).by_position)
    return Sweep(points, np.array(recalls))


def sweep_training(
    recipe: Recipe,
    out: Path,
    *,
    progress: Progress | None = None,
    run: Callable[..., object] = train,
) -> Sweep:
    """Train the recipe once for each point, as the paper did; validation recall of its best epoch.

    Each point has its own folder below `out`; run again, finished points are read and a stopped
    one goes on. Raises what `train` does, and TrainingError where `out` holds another recipe's.
    """
    if recipe.network.name != HAF.name:
        raise TrainingError(f"a sweep needs levels, which {recipe.network.name} has not; train haf")
    _keep_recipe(recipe, out)
    recalls = []
    for point in simplex():
        folder = out / "_".join(f"{weight:.1f}" for weight in point)
        done = folder / "recall.json"
        if not done.exists():
            run(_with_weights(recipe, point), folder, resume=True, progress=progress)
            write_whole(done, json.dumps(_best_recall(folder)).encode())
        recalls.append(json.loads(done.read_text("utf-8")))
    found = Sweep(simplex(), np.array(recalls))
    write_sweep(found, out, f"{recipe.network.name}, trained for each point")
    return found


def _keep_recipe(recipe: Recipe, out: Path) -> None:
    """Write the recipe that all points share beside them. Raises TrainingError for another one."""
    path = out / "recipe.json"
    # Where it runs is no part of what is trained.
    run = recipe.run.model_dump(include={"seed", "precision"})
    now = json.dumps(recipe.plain() | {"run": run}, sort_keys=True)
    if not path.exists():
        make_folder(out, "choose another folder")
        write_whole(path, now.encode())
    elif path.read_text("utf-8") != now:
        raise TrainingError(
            f"{out} holds models of another recipe or of other photos; choose another --out"
        )


def _with_weights(recipe: Recipe, point: Weights) -> Recipe:
    options = {**recipe.network.options, "level_weights": list(point)}
    network = recipe.network.model_copy(update={"options": options})
    return recipe.model_copy(update={"network": network})


def _best_recall(folder: Path) -> list[float]:
    with (folder / "epochs.csv").open(encoding="utf-8", newline="") as file:
        rows: list[Mapping[str, str]] = list(csv.DictReader(file))
    best = max(rows, key=lambda row: float(row["recall_5"]))
    return [float(best[f"recall_{cut}"]) for cut in CUTS]


def write_sweep(found: Sweep, out: Path, title: str) -> None:
    """Write sweep.csv, and the map of recall@1 as sweep.png and sweep.svg. Raises OutputError."""
    out.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["low", "mid", "high", *(f"recall_{cut}" for cut in CUTS), "best"])
    for number, (point, row) in enumerate(zip(found.points, found.recalls, strict=True)):
        mark = "best" if number == found.best else ""
        table.writerow([*point, *(f"{value:.4f}" for value in row), mark])
    write_whole(out / "sweep.csv", text.getvalue().encode())
    for kind in ("png", "svg"):
        picture = draw_ternary(found.points, found.recalls[:, 0], found.best, title, kind)
        write_whole(out / f"sweep.{kind}", picture)
