"""PCA whitening as the benchmarks' literature does it: fit on unrelated images, save, apply."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from hafloc.errors import EvaluationError
from hafloc.evaluate.benchmark import Picture
from hafloc.evaluate.data_sets.plain_arrays import read_npz
from hafloc.evaluate.describe_pictures import Network, describe_pictures
from hafloc.files import write_whole
from hafloc.nn import principal_directions
from hafloc.photos import photo_paths
from hafloc.progress import Progress

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

# NetVLAD adds it to the eigenvalues before the square root.
EPSILON = 1e-9
# NetVLAD fits on at most so many random images.
MOST_IMAGES = 10_000
# Eigenvalues smaller than this share of the largest are rounding, not directions.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class BenchmarkWhitening:
    """Mean `[n]` and whitening rows `[m, n]`, strongest direction first.

    `model` is the hash of the checkpoint whose vectors it was fitted on (None: not recorded),
    `sample` says in words on which images. Source: NetVLAD, relja_PCA: project, divide by
    √(eigenvalue + 1e-9), L2. Fit it on images unrelated to the evaluation: CRN's numbers on San
    Francisco were whitened on the test gallery.
    """

    mean: Doubles
    rows: Doubles
    model: str | None = None
    sample: str = "unrelated images"

    @classmethod
    def fit(
        cls,
        vectors: Floats,
        dimension: int | None = None,
        *,
        model: str | None = None,
        sample: str = "unrelated images",
    ) -> Self:
        """From M vectors `[M, n]`; keeps at most M - 1 directions, since more are only noise.

        Raises EvaluationError where fewer directions than `dimension` can be had.
        """
        count = len(vectors)
        found = principal_directions(torch.from_numpy(vectors), count)
        mean, variances, directions = (part.numpy() for part in found)
        # The sample's covariance, as NetVLAD takes it; beyond its rank there is only rounding.
        values = variances * count / max(1, count - 1)
        real = int((values > _ROUNDING * values[0]).sum()) if values[0] > 0 else 0
        values = values[: min(real, count - 1)]
        keep = len(values) if dimension is None else dimension
        if keep > len(values) or keep < 1:
            raise EvaluationError(
                f"{len(vectors):,} vectors of {vectors.shape[1]:,} give at most {len(values):,} "
                f"whitened dimensions, not {max(keep, 1):,}; fit on more images or keep fewer"
            )
        scale = 1 / np.sqrt(values[:keep] + EPSILON)
        return cls(mean, directions[:keep] * scale[:, None], model, sample)

    def apply(self, vectors: Floats, dimension: int | None = None) -> Floats:
        """Whitened vectors `[N, d]` of unit length: the first d dimensions, then L2."""
        keep = len(self.rows) if dimension is None else dimension
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
        np.savez(
            buffer,
            mean=self.mean,
            rows=self.rows.astype(np.float32),
            model=np.array(self.model or ""),
            sample=np.array(self.sample),
        )
        write_whole(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises EvaluationError naming the file."""
        arrays = read_npz(path)
        mean, rows = arrays.get("mean"), arrays.get("rows")
        wrong = EvaluationError(f"{path} is not a whitening; fit and save it anew")
        if mean is None or rows is None or {"model", "sample"} - set(arrays):
            raise wrong
        if rows.ndim != 2 or not len(rows) or mean.shape != rows.shape[1:]:
            raise wrong
        if not (np.isfinite(mean).all() and np.isfinite(rows).all()):
            raise EvaluationError(f"{path} holds NaN or infinity; fit and save it anew")
        model, sample = str(arrays["model"]), str(arrays["sample"])
        return cls(mean.astype(np.float64), rows.astype(np.float64), model or None, sample)


def fit_whitening(
    network: Network,
    folders: Sequence[Path],
    cache: Path,
    progress: Progress,
    *,
    dimension: int | None = None,
    evaluated: Sequence[Picture] = (),
) -> BenchmarkWhitening:
    """A whitening of the network's vectors from the photos below `folders`, at most 10,000.

    Vectors are kept in the folder `cache`. Raises EvaluationError where a photo is among the
    `evaluated`, cannot be read, or there are too few for `dimension`; PhotoError where a folder
    holds none.
    """
    paths = sorted({path for folder in folders for path in photo_paths(folder)})
    if shared := {path.resolve() for path in paths} & {item.path.resolve() for item in evaluated}:
        raise EvaluationError(
            f"{len(shared):,} photos of the whitening are in the benchmark too, the first is "
            f"{min(shared)}; fit it on unrelated photos"
        )
    if len(paths) > MOST_IMAGES:
        chosen = np.random.default_rng(0).choice(len(paths), MOST_IMAGES, replace=False)
        paths = [paths[row] for row in np.sort(chosen)]
    pictures = [Picture(path, upright=True) for path in paths]
    vectors, _ = describe_pictures(network, pictures, cache, progress, "photos for the whitening")
    # Two names tell cambridge/train from getty/train and give away no more of the disk.
    places = ", ".join("/".join(folder.resolve().parts[-2:]) for folder in folders)
    return BenchmarkWhitening.fit(
        vectors, dimension, model=network.hash, sample=f"{len(paths):,} photos of {places}"
    )
