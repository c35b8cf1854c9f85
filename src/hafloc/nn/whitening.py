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

    def forward(self, vectors: Tensor) -> Tensor:
        return F.normalize((vectors - self.mean) @ self.projection.T, dim=-1)

    def fit(self, vectors: Tensor, *, power: float = 0.5, shrinkage: float = 0.0) -> None:
        """Set μ and P from M vectors of unrelated images, `[M, n]`: see `pca_whitening`."""
        mean, projection = pca_whitening(
            vectors, len(self.projection), power=power, shrinkage=shrinkage
        )
        self.mean.copy_(mean)
        self.projection.copy_(projection)


def pca_whitening(
    vectors: Tensor, dimensions: int, *, power: float = 0.5, shrinkage: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Mean `[n]` and projection `[d, n]` onto the d leading principal directions.

    Each direction is divided by its variance to the `power`: 0 is plain PCA, 0.5 full whitening.
    `shrinkage` in [0, 1) first moves the variances towards their mean, which steadies the weak
    directions of small samples. Needs more than d vectors for d directions that mean something;
    directions without variance are left out as zeros. float64 inside.
    """
    sample = vectors.double()
    mean = sample.mean(0)
    centred = sample - mean
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(sample))
    variances, directions = variances.flip(0).clamp(min=0), directions.flip(1).T
    shrunk = (1 - shrinkage) * variances + shrinkage * variances.mean()
    # Beyond the sample's rank there is only rounding; whitening would blow it up.
    empty = variances <= variances[0] * 1e-10
    scale = torch.where(empty, 0.0, shrunk.clamp(min=1e-30) ** -power)
    projection = (directions * scale[:, None])[:dimensions]
    # Only directions matter to a unit vector: keep numbers near 1 so that float16 can store them.
    projection = projection / projection.norm(dim=1).max()
    return mean.to(vectors.dtype), projection.to(vectors.dtype)
