"""The paper's tables and figures from our own runs, its numbers beside ours.

Paper: Hierarchical Attention Fusion for Geo-Localization, ICASSP 2021, arXiv 2102.09186.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any, Protocol

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hafloc.description import Description
from hafloc.errors import EvaluationError
from hafloc.evaluate.benchmark import Benchmark
from hafloc.evaluate.data_sets.catalogue import data_set, load
from hafloc.evaluate.describe_pictures import Network, describe_pictures
from hafloc.evaluate.engine import Result, cache_folder, evaluate
from hafloc.evaluate.per_weight import best_trained_weights
from hafloc.evaluate.protocol import sum_scores
from hafloc.evaluate.report import draw_recall, make_folder, write_figure
from hafloc.evaluate.whitening import fit_whitening
from hafloc.files import write_whole
from hafloc.measure import recall, search
from hafloc.photos import Image, read
from hafloc.progress import Progress, Silent
from hafloc.show import overlay

NOT_AVAILABLE = "not available"
METHODS = ("NetVLAD", "CRN", "SuperPoint", "HAF")

# Table 1 of the paper: mAP in percent of 256-D vectors, by column in the order of METHODS.
TABLE_1: Mapping[tuple[str, str, str], tuple[float, ...]] = {
    ("oxford5k", "query", "full"): (63.09, 63.95, 63.14, 67.81),
    ("oxford5k", "query", "crop"): (65.33, 65.52, 65.50, 69.52),
    ("paris6k", "query", "full"): (72.53, 72.88, 72.83, 75.10),
    ("paris6k", "query", "crop"): (75.67, 75.85, 75.10, 78.29),
    ("holidays", "turn", "orig"): (82.67, 83.19, 82.92, 84.82),
    ("holidays", "turn", "rot"): (86.83, 87.30, 86.90, 88.41),
}
# Its best level weights (low, mid, high).
TABLE_2: Mapping[str, tuple[float, float, float]] = {
    "pitts250k": (0.1, 0.4, 0.5),
    "tokyotm": (0.3, 0.3, 0.4),
    "tokyo247": (0.2, 0.3, 0.5),
    "sf0": (0.1, 0.1, 0.8),
}
_STEPS = 10  # of the grid of level weights: 66 points
_TITLE = 30  # characters a line above a panel
_PANEL = 360  # pixels of a heat map's longer side


class Describing(Network, Protocol):
    """A network that also says where it looks."""

    def describe(self, image: Image) -> Description: ...

    def fit(self, image: Image) -> Image: ...


@dataclass(frozen=True, slots=True)
class Setup:
    """What a reproduction works with: `data` holds one folder a benchmark, named like it; the
    networks' names start with their method's; `photos` are for the heat maps. Vectors are whitened
    by the photos below the folders `whiten_on`, if any, and cut to `dimension`. `per_weight` opens
    networks that were trained with level weights of their own each, for table2."""

    data: Path
    networks: Sequence[Describing]
    photos: Sequence[Path] = ()
    cache: Path | None = None
    whiten_on: Sequence[Path] = ()
    dimension: int | None = None
    per_weight: Sequence[Callable[[], Describing]] = ()


@dataclass(frozen=True, slots=True)
class _Table:
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def reproduce(
    part: str, out: Path, setup: Setup, progress: Progress | None = None
) -> tuple[Path, ...]:
    """Write table1, table2, fig1 or fig3 into the folder `out`; returns the files.

    Tables as Markdown, LaTeX and CSV, figures as PNG and SVG. A data set that is absent gives
    "not available", never a number. Raises EvaluationError for an unknown part, a broken data
    set, or nothing to show.
    """
    if part not in PARTS:
        raise EvaluationError(f"there is no {part} to reproduce; choose one of: {', '.join(PARTS)}")
    make_folder(out)
    return tuple(PARTS[part](out / part, setup, progress or Silent()))


def _present(name: str, setup: Setup, **options: str) -> Benchmark | None:
    root = setup.data / name
    return load(name, root, options) if root.is_dir() else None


def _measure(benchmark: Benchmark, network: Network, setup: Setup, progress: Progress) -> Result:
    whitening = None
    if setup.whiten_on:
        whitening = fit_whitening(
            network,
            setup.whiten_on,
            setup.cache or cache_folder(),
            progress,
            dimension=setup.dimension,
            evaluated=(*benchmark.database, *benchmark.queries),
        )
    return evaluate(
        benchmark,
        network,
        cache=setup.cache,
        whitening=whitening,
        dimension=setup.dimension,
        progress=progress,
    )


def _of_method(method: str, setup: Setup) -> Describing | None:
    named = [net for net in setup.networks if net.name.lower().startswith(method.lower())]
    return named[0] if named else None


def _table_1(path: Path, setup: Setup, progress: Progress) -> list[Path]:
    rows = []
    for (name, option, value), printed in TABLE_1.items():
        benchmark = _present(name, setup, **{option: value})
        cells = []
        for method, number in zip(METHODS, printed, strict=True):
            network = _of_method(method, setup)
            ours = NOT_AVAILABLE
            if benchmark is not None and network is not None:
                result = _measure(benchmark, network, setup, progress)
                ours = f"{100 * result.scores['mAP']:.2f} ({result.model['dimension']:,}-D)"
            cells += [f"{number:.2f}", ours]
        rows.append((f"{data_set(name).title}, {value}", *cells))
    head = (
        "mAP in %",
        *(f"{method}, {whose}" for method in METHODS for whose in ("paper", "ours")),
    )
    return _write(_Table("mAP; the paper's vectors have 256 dimensions", head, tuple(rows)), path)


def _table_2(path: Path, setup: Setup, progress: Progress) -> list[Path]:
    network = _of_method("HAF", setup)
    rows = []
    for name, printed in TABLE_2.items():
        benchmark = _present(name, setup)
        cells = [NOT_AVAILABLE] * 5
        if benchmark is not None and network is not None:
            weights, best = best_level_weights(benchmark, network, setup.cache, progress)
            own = evaluate(benchmark, network, cache=setup.cache, progress=progress)
            cells[:2] = _weights(weights), f"{100 * best:.2f}"
            cells[4] = f"{100 * own.scores['recall@1']:.2f}"
        if benchmark is not None and setup.per_weight:
            weights, best = best_trained_weights(benchmark, setup.per_weight, setup.cache, progress)
            cells[2:4] = _weights(weights), f"{100 * best:.2f}"
        rows.append((data_set(name).title, _weights(printed), *cells))
    head = (
        "data set",
        "best λ (low, mid, high), paper",
        "ours, one model weighed anew",
        "recall@1 with it, %",
        f"ours, one model for each λ{_of_grid(setup)}",
        "recall@1 with it, %",
        "recall@1 with the checkpoint's own, %",
    )
    title = "Level weights that are best on the test set itself, so biased upwards"
    return _write(_Table(title, head, tuple(rows)), path)


def _of_grid(setup: Setup) -> str:
    """How much of the grid was trained, where that is not all of it."""
    whole = (_STEPS + 1) * (_STEPS + 2) // 2
    count = len(setup.per_weight)
    return f" ({count:,} of {whole:,})" if 0 < count < whole else ""


def _weights(weights: Sequence[float]) -> str:
    return "({})".format(", ".join(f"{weight:.1f}" for weight in weights))


def best_level_weights(
    benchmark: Benchmark, network: Network, cache: Path | None, progress: Progress
) -> tuple[tuple[float, float, float], float]:
    """Of 66 level weights those with the best recall@1, and that recall.

    Works on HAF's full vectors, whose parts are the levels. Raises EvaluationError for others.
    """
    sizes = _level_sizes(network)
    folder = cache or cache_folder()
    queries, _ = describe_pictures(network, benchmark.queries, folder, progress, "queries")
    database, _ = describe_pictures(network, benchmark.database, folder, progress, "database")
    parts = [_unit_parts(vectors, sizes) for vectors in (database, queries)]
    grid = [
        (low / _STEPS, mid / _STEPS, (_STEPS - low - mid) / _STEPS)
        for low in range(_STEPS + 1)
        for mid in range(_STEPS + 1 - low)
    ]
    progress.start("trying level weights", len(grid))
    best, best_recall = grid[0], -1.0
    for done, weights in enumerate(grid, 1):
        scale = np.repeat(np.sqrt(np.asarray(weights, dtype=np.float32)), sizes)
        summed = sum_scores(parts[1] * scale, benchmark.crops)
        found, _ = search(parts[0] * scale, summed, benchmark.reach)
        hits = recall.find_hits(benchmark.arrange(found), benchmark.truths[""].positives)
        first = float(recall.recall_curve(hits, 1)[0])
        if first > best_recall:
            best, best_recall = weights, first
        progress.advance(done)
    return best, best_recall


def _level_sizes(network: Network) -> tuple[int, ...]:
    try:
        options = json.loads(network.options)
        which = "level_sizes" if options["level_whitening"] == "pca" else "channels"
        sizes = tuple(options[which])
    except (KeyError, TypeError, ValueError) as error:
        raise EvaluationError(f"{network.name} has no levels to weigh; use a HAF model") from error
    if sum(sizes) != network.dimension:
        raise EvaluationError(
            f"{network.name} gives compact vectors, whose levels are mixed; use its full ones"
        )
    return sizes


def _unit_parts(vectors: NDArray[np.float32], sizes: Sequence[int]) -> NDArray[np.float32]:
    parts = np.split(vectors, np.cumsum(sizes)[:-1], axis=1)
    tiny = np.finfo(np.float32).tiny
    return np.concatenate(
        [part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), tiny) for part in parts],
        axis=1,
    )


def _figure_1(path: Path, setup: Setup, progress: Progress) -> list[Path]:
    if not setup.photos or not setup.networks:
        raise EvaluationError("fig1 shows heat maps on photos; name some with --photo")
    figure = Figure(
        figsize=(2.6 * (1 + len(setup.networks)), 2.1 * len(setup.photos)), layout="constrained"
    )
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(setup.photos), 1 + len(setup.networks), squeeze=False)
    progress.start("drawing", len(setup.photos))
    for done, (row, photo) in enumerate(zip(grid, setup.photos, strict=True), 1):
        image = read(photo).image
        ratio = _PANEL / max(image.shape[:2])
        size = max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio))
        row[0].imshow(image)
        for axes, network in zip(row[1:], setup.networks, strict=True):
            description = network.describe(image)
            axes.imshow(overlay(network.fit(image), description.attention, description, size))
        progress.advance(done)
    for axes, title in zip(grid[0], ["photo", *(net.name for net in setup.networks)], strict=True):
        axes.set_title(title)
    for axes in grid.flat:
        axes.set_axis_off()
    return write_figure(figure, path)


def _figure_3(path: Path, setup: Setup, progress: Progress) -> list[Path]:
    names = list(TABLE_2)
    figure = Figure(figsize=(3.6 * len(names), 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, len(names))
    rows = []
    for column, name in enumerate(names):
        benchmark = _present(name, setup)
        upper, lower = grid[0][column], grid[1][column]
        upper.set(title=fill(data_set(name).title, _TITLE), xlabel="N", ylabel="recall@N (%)")
        lower.set(xlabel="recall (%)", ylabel="precision (%)")
        if benchmark is None:
            for axes in (upper, lower):
                axes.text(0.5, 0.5, NOT_AVAILABLE, ha="center", transform=axes.transAxes)
                axes.set(xticks=[], yticks=[])
            rows.append((data_set(name).title, "", *[NOT_AVAILABLE] * 4))
            continue
        for network in setup.networks:
            result = _measure(benchmark, network, setup, progress)
            _add_curves(upper, lower, result)
            shown = (f"{100 * result.scores[f'recall@{n}']:.2f}" for n in (1, 5, 10, 20))
            rows.append((data_set(name).title, result.name, *shown))
    head = ("data set", "network", *(f"recall@{n}, %" for n in (1, 5, 10, 20)))
    written = _write(_Table("The numbers behind the curves", head, tuple(rows)), path)
    return [*write_figure(figure, path), *written]


def _add_curves(upper: Any, lower: Any, result: Result) -> None:
    draw_recall(upper, result, result.name)
    curve = result.threshold
    if curve is not None:
        lower.plot(100 * curve.recall, 100 * curve.precision, label=result.name)
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
        axes.legend()


def _write(table: _Table, path: Path) -> list[Path]:
    contents = {".md": _markdown(table), ".tex": _latex(table), ".csv": _csv(table)}
    written = []
    for suffix, text in contents.items():
        write_whole(path.with_suffix(suffix), text.encode())
        written.append(path.with_suffix(suffix))
    return written


def _markdown(table: _Table) -> str:
    lines = [f"{table.title}.", "", f"| {' | '.join(table.head)} |", "|---" * len(table.head) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in table.rows)]) + "\n"


def _latex(table: _Table) -> str:
    def line(cells: Sequence[str]) -> str:
        escaped = (cell.replace("%", r"\%").replace("λ", r"$\lambda$") for cell in cells)
        return " & ".join(escaped) + r" \\"

    rows = "\n".join(line(row) for row in table.rows)
    columns = "l" + "r" * (len(table.head) - 1)
    return (
        f"% {table.title}\n\\begin{{tabular}}{{{columns}}}\n\\hline\n{line(table.head)}\n\\hline\n"
        f"{rows}\n\\hline\n\\end{{tabular}}\n"
    )


def _csv(table: _Table) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table.head)
    writer.writerows(table.rows)
    return buffer.getvalue()


PARTS: Mapping[str, Callable[[Path, Setup, Progress], list[Path]]] = {
    "table1": _table_1,
    "table2": _table_2,
    "fig1": _figure_1,
    "fig3": _figure_3,
}
