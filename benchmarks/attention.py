"""Where does the image vector come from? Shares of attention by what pixels show, in the demo city.

    python benchmarks/attention.py haf trained.safetensors
    python benchmarks/attention.py haf trained.safetensors --pictures DIR --photos FOLDER [FOLDER]

The demo city knows what each pixel shows. For each class stands its share of attention divided by
its share of the area (1: neither sought nor avoided), over queries of a city that no recipe trains
on: all weathers, dusk, night, snow; photos that show hardly a façade are left out. Attention is one
of:

- mask: m of equation (1) alone, divided by its sum over the image;
- vector: what a place adds to the pooled vector, its share of Σ (m F)^p over places and channels.

Both for each level, and fused by λ. Beside each checkpoint's own masks stand three others on its
own responses: uniform ones; its own, shuffled among their 16-pixel cells; and a plain prior, 1
everywhere but on sky and road (it is told the classes). HAF with pooling "gem" only. Writes
attention.json and attention.md into --out (by default benchmarks/results) from one run.

`--pictures` draws 12 real photos, of the folders' images/, beside the heat of the first and of the
last checkpoint.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hafloc.demo import PixelClass, render_city, render_classes
from hafloc.describe import Describer
from hafloc.description import Description
from hafloc.nn import HAF, LEVELS, load_checkpoint
from hafloc.photos import read
from hafloc.show import overlay

CITY_SEED = 9_107
CELL = 8  # places of the half-resolution grid in a cell in which a mask is read
LEAST_FACADE = 0.1  # of a photo's area
SHOWN = 12
PANEL = 300
RESULTS = Path(__file__).parent / "results"
MASKS = ("own", "uniform", "shuffled", "no sky, no road")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scene:
    """A photo `H×W×3` and, on its half-resolution grid, the part of each class: `[8, h, w]`."""

    image: NDArray[np.uint8]
    parts: Floats


def scenes(count: int) -> Iterator[Scene]:
    with tempfile.TemporaryDirectory() as folder:
        town = render_city(Path(folder), seed=CITY_SEED, database=count, queries=count)
        for photo in town.queries:
            classes = render_classes(town.city, photo.camera, photo.conditions)
            height, width = classes.shape
            whole = np.stack([classes == kind for kind in PixelClass]).astype(float)
            parts = whole.reshape(len(whole), height // 2, 2, width // 2, 2).mean((2, 4))
            # A view out of the city leaves so little else that a single person would be all of it.
            if parts[PixelClass.FACADE].mean() > LEAST_FACADE:
                yield Scene(read(photo.path).image, parts)


def shuffled(mask: Floats, random: np.random.Generator) -> Floats:
    """The mask with its cells in another order; each cell's mean, edges cut to whole cells."""
    height, width = (side // CELL for side in mask.shape)
    cells = mask[: height * CELL, : width * CELL].reshape(height, CELL, width, CELL).mean((1, 3))
    mixed = random.permutation(cells.ravel()).reshape(cells.shape).repeat(CELL, 0).repeat(CELL, 1)
    rest = [(0, side - kept) for side, kept in zip(mask.shape, mixed.shape, strict=True)]
    return np.asarray(np.pad(mixed, rest, "edge"))


def attention(
    scene: Scene,
    described: Description,
    powers: Sequence[float],
    weights: Sequence[float],
    random: np.random.Generator,
) -> dict[tuple[str, str, str], Floats]:
    """Maps that sum to 1 by masks, measure ("mask", "vector") and level or "fused"."""
    maps: dict[tuple[str, str, str], Floats] = {}
    scenery = 1 - scene.parts[PixelClass.SKY] - scene.parts[PixelClass.ROAD]
    for name, power in zip(LEVELS, powers, strict=True):
        level = described.levels[name]
        own = level.mask.astype(float)
        bare = level.contribution / own**power
        chosen = (own, np.ones_like(own), shuffled(own, random), scenery)
        for label, mask in zip(MASKS, chosen, strict=True):
            for measure, heat in (("mask", mask), ("vector", bare * mask**power)):
                maps[label, measure, name] = heat / heat.sum()
    for label in MASKS:
        for measure in ("mask", "vector"):
            levels = zip(weights, LEVELS, strict=True)
            maps[label, measure, "fused"] = np.sum(
                [weight * maps[label, measure, name] for weight, name in levels], axis=0
            )
    return maps


def measure(checkpoint: str, seen: Sequence[Scene]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Attention over area by masks, measure and level, classes in PixelClass's order."""
    network = load_checkpoint(checkpoint).network
    if not isinstance(network, HAF) or network.options.pooling != "gem":
        raise SystemExit(f"cannot measure {checkpoint}: it is no HAF that pools by gem")
    powers = [float(network.level(name).power) for name in LEVELS]  # type: ignore[arg-type]
    network.eval()
    random = np.random.default_rng(0)
    shares: dict[tuple[str, str, str], list[Floats]] = {}
    for scene in seen:
        described = network.describe([scene.image])[0]
        found = attention(scene, described, powers, network.options.level_weights, random)
        for key, heat in found.items():
            shares.setdefault(key, []).append((scene.parts * heat).sum((1, 2)))
    area = np.mean([scene.parts.mean((1, 2)) for scene in seen], axis=0)
    table: dict[str, dict[str, dict[str, list[float]]]] = {}
    for (label, kind, level), values in shares.items():
        ratio = np.mean(values, axis=0) / np.maximum(area, 1e-12)
        table.setdefault(label, {}).setdefault(kind, {})[level] = ratio.round(3).tolist()
    return table


def in_markdown(result: dict[str, object]) -> str:
    classes, area = [kind.name.lower() for kind in PixelClass], result["area"]
    tables = result["attention"]
    assert isinstance(area, list)
    assert isinstance(tables, dict)
    lines = [
        "# Attention by what pixels show",
        "",
        f"Written by `benchmarks/attention.py`: {result['photos']} photos of the demo city, seed "
        f"{CITY_SEED}. Share of attention over share of the area; its head defines the measures.",
        "",
        f"| checkpoint | masks | measure | level | {' | '.join(classes)} |",
        "|---" * (4 + len(classes)) + "|",
        f"| | | share of the area | | {' | '.join(f'{100 * a:.1f} %' for a in area)} |",
    ]
    for checkpoint, by_mask in tables.items():
        for label, by_measure in by_mask.items():
            for kind, by_level in by_measure.items():
                for level, row in by_level.items():
                    # Other masks are there to compare with: fused is enough.
                    if label == "own" or level == "fused":
                        numbers = " | ".join(f"{value:.2f}" for value in row)
                        lines.append(f"| {checkpoint} | {label} | {kind} | {level} | {numbers} |")
    return "\n".join(lines) + "\n"


def draw(checkpoints: Sequence[str], folders: Sequence[Path], out: Path) -> Path:
    """One sheet: each photo, and its heat by the first and the last checkpoint."""
    found = [sorted((folder / "images").glob("*")) for folder in folders]
    if not all(found):
        raise SystemExit("a folder of --photos has no images/ with photos in it")
    each = -(-SHOWN // len(found))
    paths = [p for some in found for p in some[:: max(1, len(some) // each)][:each]][:SHOWN]
    models = [Describer.open(name) for name in (checkpoints[0], checkpoints[-1])]
    sheet = Image.new("RGB", (6 * PANEL, (len(paths) + 1) // 2 * PANEL), "white")
    for k, path in enumerate(paths):
        left, top = k % 2 * 3 * PANEL, k // 2 * PANEL
        image = models[0].fit(read(path, longer_side=models[0].longer_side).image)
        scale = (PANEL - 6) / max(image.shape[:2])
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        sheet.paste(Image.fromarray(image).resize(size), (left, top))
        for i, model in enumerate(models, 1):
            described = model.describe(image)
            heat = overlay(image, described.attention, described, size)
            sheet.paste(heat, (left + i * PANEL, top))
    out.mkdir(parents=True, exist_ok=True)
    sheet.save(out / "attention.png")
    return out / "attention.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoints", nargs="+", help="the start first, the trained one last")
    parser.add_argument("--count", type=int, default=24, help="photos of the demo city")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--pictures", type=Path, help="draw heat maps into this folder")
    parser.add_argument("--photos", type=Path, nargs="+", help="folders of real photos for that")
    options = parser.parse_args()
    if options.pictures:
        if not options.photos:
            parser.error("--pictures needs --photos")
        print(draw(options.checkpoints, options.photos, options.pictures))
        return
    seen = list(scenes(options.count))
    area = np.mean([scene.parts.mean((1, 2)) for scene in seen], axis=0)
    result: dict[str, object] = {
        "photos": len(seen),
        "city_seed": CITY_SEED,
        "classes": [kind.name.lower() for kind in PixelClass],
        "area": area.round(4).tolist(),
        "attention": {Path(name).stem: measure(name, seen) for name in options.checkpoints},
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "attention.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    table = in_markdown(result)
    (options.out / "attention.md").write_text(table, "utf-8")
    print(table)


if __name__ == "__main__":
    main()
