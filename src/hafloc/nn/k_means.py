"""k-means (Lloyd's algorithm) with seeded k-means++ starts."""

import torch
from torch import Tensor


def k_means(
    points: Tensor, clusters: int, generator: torch.Generator, *, iterations: int = 100
) -> Tensor:
    """Centres `[clusters, n]` of points `[M, n]`, a local minimum of the summed squared distance.

    Stops early when no point changes its centre. A centre that loses all its points moves to the
    point farthest from its own. Everything random comes from `generator` (CPU). Raises ValueError
    for fewer points than clusters.
    """
    if len(points) < clusters:
        raise ValueError(f"{len(points):,} points are too few for {clusters:,} clusters")
    centres = _spread(points, clusters, generator)
    nearest = None
    for _ in range(iterations):
        previous = nearest
        distances, nearest = _squared_distances(points, centres).min(1)
        if previous is not None and bool((nearest == previous).all()):
            break
        centres = _means(points, nearest, distances, clusters)
    return centres


def _spread(points: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """k-means++ (Arthur & Vassilvitskii 2007): each next start far from those before."""
    first = int(torch.randint(len(points), (), generator=generator))
    chosen = [points[first]]
    distances = _squared_distances(points, points[first][None])[:, 0]
    for _ in range(1, clusters):
        # Where all points coincide with starts, any of them will do.
        weights = (distances if distances.sum() > 0 else torch.ones_like(distances)).cpu()
        chosen.append(points[int(torch.multinomial(weights.double(), 1, generator=generator))])
        apart = _squared_distances(points, chosen[-1][None])[:, 0]
        distances = torch.minimum(distances, apart)
    return torch.stack(chosen)


def _squared_distances(points: Tensor, centres: Tensor) -> Tensor:
    squares = points.square().sum(1, keepdim=True) + centres.square().sum(1)
    return (squares - 2 * points @ centres.T).clamp(min=0)


def _means(points: Tensor, nearest: Tensor, distances: Tensor, clusters: int) -> Tensor:
    """Each cluster's mean `[clusters, n]`; empty clusters take the points that fit worst."""
    sums = points.new_zeros(clusters, points.shape[1]).index_add_(0, nearest, points)
    counts = torch.bincount(nearest, minlength=clusters)
    means = sums / counts.clamp(min=1)[:, None]
    empty = counts == 0
    means[empty] = points[distances.argsort(descending=True)[: int(empty.sum())]]
    return means
