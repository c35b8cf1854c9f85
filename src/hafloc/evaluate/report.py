"""Results as JSON, as a table, and as curves."""

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hafloc import files
from hafloc.evaluate.engine import Result, difference

CURVE_AT = (1, 2, 3, 4, 5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100)
_INCHES, _DPI = (10.0, 4.2), 150


def as_json(result: Result) -> dict[str, Any]:
    """All that is worth keeping of a result: each score under its own name, their 95 % intervals,
    the curves, the protocol in words, the model and the provenance."""
    content: dict[str, Any] = {
        "benchmark": result.benchmark.name,
        "model": dict(result.model),
        **{name: round(value, 6) for name, value in result.scores.items()},
        "intervals": {
            name: [round(bound, 6) for bound in bounds] for name, bounds in result.intervals.items()
        },
        "queries": result.benchmark.query_count,
        "database": len(result.benchmark.database),
        "protocol": dict(result.protocol),
        "provenance": dict(result.provenance),
    }
    if len(result.curve):
        content["recall curve"] = [round(float(value), 6) for value in result.curve]
    if result.threshold is not None:
        content["threshold curve"] = {
            name: [round(float(value), 6) for value in getattr(result.threshold, name)]
            for name in ("thresholds", "recall", "precision")
        }
    return content


def write_json(path: Path, results: Sequence[Result]) -> Path:
    """Write one result as an object, several as a list; returns `path`. Raises OutputError."""
    contents = [as_json(result) for result in results]
    text = json.dumps(contents[0] if len(contents) == 1 else contents, indent=2, ensure_ascii=False)
    files.write_whole(path, f"{text}\n".encode())
    return path


def labels(results: Sequence[Result]) -> list[str]:
    """The networks' names; where several networks have one name, with the start of their hash."""
    hashes: dict[str, set[str]] = {}
    for result in results:
        hashes.setdefault(result.name, set()).add(str(result.model["hash"]))
    return [
        f"{result.name} {str(result.model['hash'])[:6]}"
        if len(hashes[result.name]) > 1
        else result.name
        for result in results
    ]


def table(results: Sequence[Result]) -> str:
    """One Markdown table of a benchmark's results, one network a row, scores in percent with their
    95 % intervals."""
    names = list(results[0].scores)
    head = [f"{results[0].benchmark.name}, %", "dimensions", *names]
    rows = [
        [label, f"{result.model['dimension']:,}", *(_score(result, name) for name in names)]
        for label, result in zip(labels(results), results, strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "".join(
        "| {} |\n".format(
            " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        )
        for line in lines
    )


def _score(result: Result, name: str) -> str:
    text = f"{100 * result.scores[name]:.2f}"
    if name in result.intervals:
        low, high = result.intervals[name]
        text += f" [{100 * low:.1f}, {100 * high:.1f}]"
    return text


def difference_lines(results: Sequence[Result]) -> list[str]:
    """How much better or worse each network is than the first, by the first score: points and
    their 95 % interval over the same queries."""
    score, names = next(iter(results[0].scores)), labels(results)
    lines = []
    for name, result in zip(names[1:], results[1:], strict=True):
        points, low, high = (100 * part for part in difference(result, results[0], score))
        lines.append(
            f"{name} - {names[0]}, {score}, same queries: {points:+.2f} [{low:+.1f}, {high:+.1f}] "
            "points"
        )
    return lines


def protocol_lines(result: Result) -> list[str]:
    """The protocol in words, one choice a line."""
    return [f"{what}: {how}" for what, how in result.protocol.items()]


def draw(results: Sequence[Result]) -> Figure:
    """recall@N and precision over recall of each network; for mAP, bars."""
    figure = Figure(figsize=_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    if not len(results[0].curve):
        _draw_bars(figure, results)
        return figure
    recall, precision = figure.subplots(1, 2)
    for name, result in zip(labels(results), results, strict=True):
        draw_recall(recall, result, name)
        if result.threshold is not None:
            precision.plot(
                100 * result.threshold.recall, 100 * result.threshold.precision, label=name
            )
    recall.set(xlabel="N", ylabel="recall@N (%)", title=results[0].benchmark.name)
    precision.set(xlabel="recall (%)", ylabel="precision (%)", title="threshold on similarity")
    for axes in (recall, precision):
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def draw_recall(axes: Any, result: Result, label: str) -> None:
    """A recall curve at the N of the literature on matplotlib `axes`."""
    ns = np.array([n for n in CURVE_AT if n <= len(result.curve)])
    axes.plot(ns, 100 * result.curve[ns - 1], marker=".", label=label)


def _draw_bars(figure: Figure, results: Sequence[Result]) -> None:
    axes = figure.subplots()
    names = [name for name in results[0].scores if name.startswith("mAP")]
    width = 0.8 / len(results)
    for i, (label, result) in enumerate(zip(labels(results), results, strict=True)):
        values = np.array([100 * result.scores[name] for name in names])
        bounds = 100 * np.array([result.intervals[name] for name in names]).T
        errors = np.abs(bounds - values)
        places = np.arange(len(names)) + i * width
        axes.bar(places, values, width, yerr=errors, capsize=3, label=label)
    axes.set_xticks(np.arange(len(names)) + 0.4 - width / 2, names)
    axes.set(ylabel="%", title=results[0].benchmark.name)
    axes.legend()


def make_folder(folder: Path) -> None:
    """Make a folder for results with those above it. Raises OutputError."""
    files.make_folder(folder, "name another place", "cannot make the folder")


def write_figure(figure: Figure, path: Path) -> list[Path]:
    """Write `path` as PNG and SVG, side by side; returns both. Raises OutputError."""
    written = []
    for kind in ("png", "svg"):
        buffer = BytesIO()
        figure.savefig(buffer, format=kind, dpi=_DPI)
        target = path.with_suffix(f".{kind}")
        files.write_whole(target, buffer.getvalue())
        written.append(target)
    return written
