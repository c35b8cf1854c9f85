"""A value over the simplex of three level weights, as a triangular heat map."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 3**0.5 / 2]])  # low, mid, high
NAMES = ("low", "mid", "high")


def place(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (low, mid, high) `[N, 3]` to x, y in the triangle: `[N, 2]`."""
    xy: NDArray[np.float64] = weights @ CORNERS
    return xy


def draw_ternary(
    points: Sequence[tuple[float, float, float]],
    values: NDArray[np.float64],
    best: int,
    title: str,
    kind: str,
) -> bytes:
    """The file ("png" or "svg") of a heat map of `values` `[N]` with the best point marked."""
    xy = place(np.array(points))
    figure = Figure(figsize=(6, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    drawn = axes.scatter(xy[:, 0], xy[:, 1], c=values, s=480, marker="h", cmap="viridis")
    middle = (values.min() + values.max()) / 2
    for (x, y), value in zip(xy, values, strict=True):
        # Viridis is dark at its low end.
        colour = "black" if value > middle else "white"
        axes.annotate(f"{100 * value:.0f}", (x, y), color=colour, ha="center", va="center", size=7)
    x, y = xy[best]
    axes.plot(x, y, "h", markersize=23, fillstyle="none", color="crimson", markeredgewidth=2)
    for (x, y), name, drop in zip(CORNERS, NAMES, (-0.1, -0.1, 0.07), strict=True):
        axes.text(x, y + drop, f"{name} = 1", ha="center", va="center")
    low, mid, high = points[best]
    axes.set_title(f"{title}\nbest λ = ({low:g}, {mid:g}, {high:g}): {100 * values[best]:.1f} %")
    axes.set_xlim(-0.12, 1.12)
    axes.set_ylim(-0.16, 1.0)
    axes.set_aspect("equal")
    axes.axis("off")
    figure.colorbar(drawn, ax=axes, label="recall@1", shrink=0.8)
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {})
    return content.getvalue()
