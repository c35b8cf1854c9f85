"""Draws the figures of the documentation into docs/figures/, from rendered photos and results.

`python docs/site/figures.py`, half a minute. Photos are of the demo city, the network is the
shipped one, numbers are those that `benchmarks/results/answers.json` recorded.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
import torch
from matplotlib import pyplot
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hafloc.demo import render_city
from hafloc.nn import HAF, LEVELS, load_checkpoint, to_batch
from hafloc.photos import read

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "docs" / "figures"
HEAT = "inferno"
DOTS = 110  # an inch
Array = NDArray[Any]


def photos() -> tuple[Array, Array]:
    """A photo of the rendered city, and a query of a place nearby in other light."""
    with tempfile.TemporaryDirectory() as name:
        city = render_city(Path(name) / "city", database=24, queries=3, size=(480, 360))
        return read(city.database[4].path).image, read(city.queries[0].path).image


def levels(haf: HAF, image: Array) -> None:
    """For each level: the photo, responses R, mask m, and each place's share in the vector."""
    batch = to_batch(image, torch.device("cpu"))
    with torch.inference_mode():
        taps = haf.taps(batch)
        description = haf.describe([image])[0]
        for name, tap in zip(LEVELS, taps, strict=True):
            reads = haf.level(name).read(tap)
            assert reads.mask is not None
            strength = reads.responses[0].norm(dim=0).numpy()
            mask = reads.mask[0, 0].numpy()
            part = description.levels[name].contribution
            columns = [
                ("the photo", image, None),
                (f"responses R, {len(reads.responses[0])} channels, length", strength, "viridis"),
                ("attention mask m (1)", mask, "cividis"),
                ("share in the level's vector", clipped(part), HEAT),
            ]
            save(strip(columns), f"haf-{name}.jpg")


def fused(haf: HAF, image: Array) -> None:
    """The levels' shares, their weights, and all of them fused."""
    description = haf.describe([image])[0]
    weights = haf.options.level_weights
    columns: list[tuple[str, Array, str | None]] = [
        (f"{name} × λ = {weight:g}", clipped(description.levels[name].contribution), HEAT)
        for name, weight in zip(LEVELS, weights, strict=True)
    ]
    assert description.fused_contribution is not None
    columns.append(("fused", clipped(description.fused_contribution), HEAT))
    save(strip(columns), "haf-fused.jpg")


def clipped(heat: Array) -> Array:
    """Without the one place that would darken all others."""
    return np.clip(heat, *np.percentile(heat, (50, 99.5)))


def strip(columns: list[tuple[str, Array, str | None]]) -> Figure:
    height, width = columns[0][1].shape[:2]
    each = 2.35
    figure, axes = pyplot.subplots(
        1, len(columns), figsize=(each * len(columns), each * height / width + 0.3)
    )
    for axis, (title, picture, colours) in zip(axes, columns, strict=True):
        axis.imshow(picture, cmap=colours, aspect="auto", interpolation="nearest")
        axis.set_title(title, fontsize=8)
        axis.set_axis_off()
    figure.subplots_adjust(0.005, 0.01, 0.995, 0.9, 0.02)
    return figure


def similarity(haf: HAF, image: Array, query: Array) -> None:
    """How alike two photos of one place are to each level and to all, and to a stranger."""
    with torch.inference_mode():
        found = [haf.describe([each])[0] for each in (image, query)]
    print("similarity of the two:", float(found[0].vector @ found[1].vector), file=sys.stderr)


def reliability() -> None:
    """What a 90 % radius and a found answer kept of their promise, by kind of photo."""
    results = json.loads((ROOT / "benchmarks/results/answers.json").read_text("utf-8"))
    kinds = results["held_out_by_neighbourhoods"]
    rows = {kind: kinds[kind]["verified"] for kind in results["neighbourhoods"]}
    figure, axes = pyplot.subplots(1, 3, figsize=(9, 2.5), sharey=True)
    places = np.arange(len(rows))[::-1]
    radius, precision, removed = axes
    for place, result in zip(places, rows.values(), strict=True):
        plain = result["radius"]["plain"]
        dot(radius, place, (plain["coverage"], *(plain["interval"] or [])))
        radius.plot([plain["worst"]], [place], "|", color="tab:red", markersize=12)
        dot(precision, place, result["found"]["precision"])
        dot(removed, place, result["found"]["removed"])
    titles = (
        "true place within the radius\n(red: worst neighbourhood)",
        '"found" and right',
        'place taken away,\nstill "found"',
    )
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize=9)
        axis.grid(axis="x", alpha=0.3)
        axis.tick_params(labelsize=8)
        axis.set_ylim(-0.6, len(rows) - 0.4)
    radius.axvline(0.9, color="grey", linestyle="--", linewidth=1)
    radius.set_xlim(0.5, 1.03)
    precision.set_xlim(0.5, 1.03)
    removed.set_xlim(-0.02, 0.3)
    radius.set_yticks(places, list(rows), fontsize=9)
    figure.tight_layout()
    save(figure, "reliability.png")


def dot(axis: Any, place: int, value: Any) -> None:
    """A share, with its 95 % interval where there is one."""
    numbers = value if isinstance(value, list | tuple) else [value]
    share, *interval = numbers
    if interval:
        axis.plot(interval, [place, place], color="tab:blue", linewidth=2, alpha=0.5)
    axis.plot([share], [place], "o", color="tab:blue")


def save(figure: Figure, name: str) -> None:
    FIGURES.mkdir(exist_ok=True)
    how: dict[str, Any] = {"pil_kwargs": {"quality": 82, "optimize": True}}
    if name.endswith(".png"):
        how = {"metadata": {"Software": None}}
    figure.savefig(FIGURES / name, dpi=DOTS, **how)
    pyplot.close(figure)


def main() -> None:
    network = load_checkpoint("haf").network
    assert isinstance(network, HAF)
    image, query = photos()
    levels(network, image)
    fused(network, image)
    similarity(network, image, query)
    reliability()


if __name__ == "__main__":
    main()
