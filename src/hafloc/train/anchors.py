"""Anchors: where every training photo lies before anything is learned.

The anchor loss asks a photo, changed by augmentation, to be found among all of them. So the network
learns what does not matter to a place, and is held to where it started.
"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hafloc.errors import TrainingError
from hafloc.files import write_whole
from hafloc.train import parallel
from hafloc.train.losses import anchor_loss
from hafloc.train.mining import Neighbours, Vectors
from hafloc.train.state import NAME as STATE

NAME = "anchors.npy"


class Anchors:
    """The start's vectors of the database `[N, D]`, and which of them are near each query.

    `with_own` says that queries are the database's own photos.
    """

    def __init__(self, vectors: Tensor, neighbours: Neighbours, *, with_own: bool) -> None:
        self._vectors = vectors
        self._neighbours = neighbours
        self._with_own = with_own

    def loss(self, query: int, vector: Tensor, temperature: float) -> Tensor:
        """The anchor loss of a query's image vector `[D]`.

        Right are its own photo and its positives; other near ones are neither right nor wrong.
        """
        right = self._neighbours.positives.of(query)
        if self._with_own:
            right = np.union1d(right, [query])
        unclear = np.setdiff1d(self._neighbours.near.of(query), right)
        return anchor_loss(
            vector,
            self._vectors,
            torch.from_numpy(right).to(vector.device),
            torch.from_numpy(unclear).to(vector.device),
            temperature,
        )


def keep(folder: Path, make: Callable[[], Vectors], photos: int) -> Tensor:
    """The vectors `[N, D]` of anchors.npy, made first where the folder holds no run.

    A resumed run reads them, since its network has moved on. Raises TrainingError for a file of
    other photos.
    """
    path = folder / NAME
    # Without a saved state they may be another recipe's, whose run stopped before its first one.
    if not (path.exists() and (folder / STATE).exists()):
        vectors = make()
        if parallel.is_first():
            content = io.BytesIO()
            np.save(content, vectors)
            write_whole(path, content.getvalue())
        parallel.wait_for_all()
    try:
        found = np.load(path)
    except (OSError, ValueError) as error:
        raise TrainingError(f"cannot read {path}: {error}; start in a new folder") from error
    if len(found) != photos:
        raise TrainingError(
            f"{path} holds {len(found):,} photos, now there are {photos:,}; bring back the same "
            "photos or start in a new folder"
        )
    return torch.from_numpy(found)
