"""Centring and PCA whitening of vectors: fitted once on unrelated images, stored with the net."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Whitening(nn.Module):
    """Vectors `[N, n]` to L2(P (v − μ)), `[N, d]`; P and μ are fitted, not learned from scratch."""

    mean: Tensor
    projection: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("projection", torch.eye(outputs, inputs))
        self.change: nn.Parameter | None = None

    def forward(self, vectors: Tensor) -> Tensor:
        # In bf16 the strong directions' rounding would drown the weak ones, which count as much.
        with torch.autocast(vectors.device.type, enabled=False):
            whitened = (vectors - self.mean) @ self.projection.T
            if self.change is not None:
                whitened = whitened + whitened @ self.change.T
            return F.normalize(whitened, dim=-1)

    def fit(self, vectors: Tensor, *, power: float = 0.5, shrinkage: float = 0.0) -> None:
        """Set μ and P from M vectors of unrelated images, `[M, n]`: see `pca_whitening`."""
        self.set(*pca_whitening(vectors, len(self.projection), power=power, shrinkage=shrinkage))

    def learn(self) -> None:
        """Let training go on from the fit: (I + A) P in place of P, A from zero.

        P's rows differ in length by the root of their variance, so one rate cannot fit all of its
        entries; it can fit A's.
        """
        size = len(self.projection)
        self.change = nn.Parameter(self.projection.new_zeros(size, size))

    @torch.no_grad()
    def settle(self) -> None:
        """Make what was learned part of P."""
        if self.change is not None:
            self.projection += self.change @ self.projection
            self.change = None

    @torch.no_grad()
    def set(self, mean: Tensor, projection: Tensor) -> None:
        """Take over μ `[n]` and P `[d, n]`."""
        self.mean.copy_(mean)
        self.projection.copy_(projection)


def pca_whitening(
    vectors: Tensor, dimensions: int, *, power: float = 0.5, shrinkage: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Mean `[n]` and projection `[d, n]` onto the d leading principal directions.

    Each direction is divided by its variance to the `power`: 0 is plain PCA, 0.5 full whitening.
    `shrinkage` in [0, 1) first moves the variances towards their mean, which steadies the weak
    directions of small samples. Needs more than d vectors for d directions that mean something;
    directions without variance are left out as zeros. float64 inside; fewer vectors than n cost
    an M×M problem in place of an n×n one.
    """
    mean, variances, directions = principal_directions(vectors, dimensions)
    shrunk = (1 - shrinkage) * variances + shrinkage * variances.sum() / vectors.shape[1]
    # Beyond the sample's rank there is only rounding; whitening would blow it up.
    empty = variances <= variances[0] * 1e-10
    scale = torch.where(empty, 0.0, shrunk.clamp(min=1e-30) ** -power)[:dimensions]
    projection = vectors.new_zeros(dimensions, vectors.shape[1], dtype=torch.float64)
    projection[: len(directions)] = directions * scale[:, None]
    # Only directions matter to a unit vector: keep numbers near 1 so that float16 can store them.
    projection /= projection.norm(dim=1).max().clamp(min=1e-30)
    return mean.to(vectors.dtype), projection.to(vectors.dtype)


def principal_directions(vectors: Tensor, dimensions: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean `[n]`, all variances, falling, and the d leading unit directions `[d, n]`, in float64.

    Of M vectors `[M, n]`; variances are means over M. Works on the smaller of M×M and n×n, so
    there are min(M, n) variances and at most as many directions.
    """
    mean = vectors.mean(0, dtype=torch.float64)
    centred = torch.sub(vectors, mean)
    few = len(vectors) < vectors.shape[1]
    squares = (centred @ centred.T if few else centred.T @ centred) / len(vectors)
    variances, axes = torch.linalg.eigh(squares)
    variances, axes = variances.flip(0).clamp(min=0), axes.flip(1)
    directions = axes[:, :dimensions].T
    if few:
        # An axis u of the vectors' Gram matrix stands for the direction Xᵀu, of length √(M λ).
        lengths = (len(vectors) * variances[:dimensions].clamp(min=1e-30)).sqrt()
        directions = (directions @ centred) / lengths[:, None]
    return mean, variances, directions


def pair_whitening(
    vectors: Tensor, pairs: Tensor, dimensions: int, *, power: float = 0.25, shrinkage: float = 0.3
) -> tuple[Tensor, Tensor]:
    """Mean `[n]` and projection `[d, n]` that keep what tells places apart.

    `pairs` `[P, 2]` number vectors of the same place. Their differences' covariance, shrunk
    towards a multiple of the identity, is whitened away; of what is then left, the d directions
    of largest variance stay, divided by their variance to the `power` (after the learned
    whitening of Mikolajczyk & Matas, ICCV 2007). float64 inside.
    """
    sample = vectors.double()
    mean = sample.mean(0)
    differences = sample[pairs[:, 0]] - sample[pairs[:, 1]]
    within = differences.T @ differences / (2 * len(pairs))
    level = within.diagonal().mean().clamp(min=1e-30)
    within = (1 - shrinkage) * within + shrinkage * level * torch.eye(len(mean)).to(within)
    spread, axes = torch.linalg.eigh(within)
    sphere = axes * spread.clamp(min=level * 1e-6) ** -0.5 @ axes.T
    centred = (sample - mean) @ sphere
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(sample))
    variances, directions = variances.flip(0).clamp(min=1e-30), directions.flip(1).T
    projection = (directions * variances[:, None] ** -power)[:dimensions] @ sphere
    projection = projection / projection.norm(dim=1).max()
    return mean.to(vectors.dtype), projection.to(vectors.dtype)
