"""PCA whitening as the benchmarks' literature does it: fit on unrelated images, save, apply."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import EvaluationError
from hafloc.evaluate.plain_arrays import read_npz
from hafloc.files import write_whole

Floats = NDArray[np.float32]

# NetVLAD adds it to the eigenvalues before the square root.
EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class BenchmarkWhitening:
    """Mean `[n]` and whitening rows `[m, n]`, strongest direction first.

    Source: NetVLAD, relja_PCA: project, divide by √(eigenvalue + 1e-9), L2. Fit it on images
    unrelated to the evaluation: CRN's numbers on San Francisco were whitened on the test gallery.
    """

    mean: NDArray[np.float64]
    rows: NDArray[np.float64]

    @classmethod
    def fit(cls, vectors: Floats, dimensions: int | None = None) -> Self:
        """From M vectors `[M, n]`; keeps at most M - 1 directions, since more are only noise.

        Raises EvaluationError where fewer directions than `dimensions` can be had.
        """
        sample = vectors.astype(np.float64)
        possible = min(len(sample) - 1, sample.shape[1])
        keep = possible if dimensions is None else dimensions
        if keep > possible or keep < 1:
            raise EvaluationError(
                f"{len(sample):,} vectors of {sample.shape[1]:,} give at most {possible:,} "
                f"whitened dimensions, not {keep:,}; fit on more images or keep fewer"
            )
        mean = sample.mean(axis=0)
        values, directions = np.linalg.eigh(np.atleast_2d(np.cov(sample, rowvar=False)))
        strongest = np.argsort(-values)[:keep]
        scale = 1 / np.sqrt(np.maximum(values[strongest], 0) + EPSILON)
        return cls(mean, directions[:, strongest].T * scale[:, None])

    def apply(self, vectors: Floats, dimensions: int | None = None) -> Floats:
        """Whitened vectors `[N, d]` of unit length: the first d dimensions, then L2."""
        keep = len(self.rows) if dimensions is None else dimensions
        if keep > len(self.rows) or vectors.shape[1] != len(self.mean):
            raise EvaluationError(
                f"a whitening of {len(self.mean):,} to {len(self.rows):,} dimensions does not turn "
                f"vectors of {vectors.shape[1]:,} into {keep:,}; fit it for this network"
            )
        out = (vectors - self.mean) @ self.rows[:keep].T
        norms = np.linalg.norm(out, axis=1, keepdims=True)
        unit = out / np.maximum(norms, np.finfo(np.float64).tiny)
        return np.asarray(unit, dtype=np.float32)

    def save(self, path: Path) -> None:
        """Write an .npz, whole or not at all. Raises OutputError."""
        buffer = io.BytesIO()
        np.savez(buffer, mean=self.mean, rows=self.rows)
        write_whole(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises EvaluationError naming the file."""
        arrays = read_npz(path)
        mean, rows = arrays.get("mean"), arrays.get("rows")
        if mean is None or rows is None or rows.ndim != 2 or mean.shape != rows.shape[1:]:
            raise EvaluationError(f"{path} is not a whitening; fit and save it anew")
        return cls(mean.astype(np.float64), rows.astype(np.float64))
