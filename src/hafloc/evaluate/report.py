"""Results as JSON, as a table, and as curves."""

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hafloc.errors import OutputError
from hafloc.evaluate.engine import Result
from hafloc.files import write_whole

CURVE_AT = (1, 2, 3, 4, 5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100)
_INCHES, _DPI = (10.0, 4.2), 150


def as_json(result: Result) -> dict[str, Any]:
    """All that is worth keeping of a result: each score under its own name, the curves, the
    protocol in words, the model and the provenance."""
    content: dict[str, Any] = {
        "benchmark": result.benchmark.name,
        "model": dict(result.model),
        **{name: round(value, 6) for name, value in result.scores.items()},
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


def write_json(path: Path, results: Sequence[Result]) -> None:
    """Write one result as an object, several as a list. Raises OutputError."""
    contents = [as_json(result) for result in results]
    text = json.dumps(contents[0] if len(contents) == 1 else contents, indent=2, ensure_ascii=False)
    write_whole(path, f"{text}\n".encode())


def table(results: Sequence[Result]) -> str:
    """One Markdown table of a benchmark's results, one network a row, scores in percent."""
    names = list(results[0].scores)
    lines = [
        f"| {results[0].benchmark.name} | D | {' | '.join(names)} |",
        "|---" * (len(names) + 2) + "|",
    ]
    for result in results:
        values = " | ".join(f"{100 * result.scores[name]:.2f}" for name in names)
        lines.append(f"| {result.name} | {result.model['dimension']:,} | {values} |")
    return "\n".join(lines) + "\n"


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
    for result in results:
        draw_recall(recall, result, result.name)
        if result.threshold is not None:
            precision.plot(
                100 * result.threshold.recall, 100 * result.threshold.precision, label=result.name
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
    for i, result in enumerate(results):
        values = [100 * result.scores[name] for name in names]
        axes.bar(np.arange(len(names)) + i * width, values, width, label=result.name)
    axes.set_xticks(np.arange(len(names)) + 0.4 - width / 2, names)
    axes.set(ylabel="%", title=results[0].benchmark.name)
    axes.legend()


def make_folder(folder: Path) -> None:
    """Make a folder for results with those above it. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder {folder}: {error.strerror}; name another place"
        ) from error


def write_figure(figure: Figure, path: Path) -> list[Path]:
    """Write `path` as PNG and SVG, side by side; returns both. Raises OutputError."""
    written = []
    for kind in ("png", "svg"):
        buffer = BytesIO()
        figure.savefig(buffer, format=kind, dpi=_DPI)
        target = path.with_suffix(f".{kind}")
        write_whole(target, buffer.getvalue())
        written.append(target)
    return written
