"""Vectors of many photos, in files rather than in memory."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from hafloc.errors import OutputError
from hafloc.prefetch import prefetch
from hafloc.progress import Progress
from hafloc.train import parallel
from hafloc.train.features import Source
from hafloc.train.trainee import Trainee

CHUNK = 256

Rows = NDArray[np.float32]


def pool_photos(
    trainee: Trainee,
    source: Source,
    numbers: Sequence[int],
    path: Path,
    *,
    step: str,
    progress: Progress,
    half: bool = False,
) -> Rows:
    """Vectors before whitening of the photos `numbers`, memory-mapped at `path`: `[M, P]`.

    `half` computes convolutions in bf16. Several processes share the work; rows come in the order
    of `numbers`.
    """
    device = next(trainee.network.parameters()).device
    work = parallel.share(list(enumerate(numbers)))
    rows = _open_shared(path, (len(numbers), trainee.pooled_size))
    progress.start(step, len(work))
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=half):
        loaded = prefetch(work, lambda item: source.load(item[1]))
        for done, ((row, _), inputs) in enumerate(loaded, 1):
            rows[row] = trainee.pooled(inputs.to(device)).float().cpu().numpy()
            progress.advance(done)
    parallel.wait_for_all()
    return rows


def finish_photos(trainee: Trainee, pooled: Rows) -> Rows:
    """The vectors `[M, D]` that training compares, of pooled ones `[M, P]`.

    They are compact and stay in memory; where the network trains on unwhitened vectors they are
    `pooled` itself, memory-mapped.
    """
    if not trainee.whitens:
        return pooled
    device = next(trainee.network.parameters()).device
    finished: Rows | None = None
    with torch.no_grad():
        for first in range(0, len(pooled), CHUNK):
            part = torch.from_numpy(np.array(pooled[first : first + CHUNK])).to(device)
            vectors = trainee.finish(part).float().cpu().numpy()
            if finished is None:
                finished = np.empty((len(pooled), vectors.shape[1]), np.float32)
            finished[first : first + CHUNK] = vectors
    assert finished is not None, "there are no photos"
    return finished


def _open_shared(path: Path, shape: tuple[int, int]) -> Rows:
    """A memory-mapped file that the first process makes and all others write into."""
    parallel.wait_for_all()  # none may still read the file that is made anew
    try:
        if parallel.is_first():
            open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        parallel.wait_for_all()
        return np.asanyarray(open_memmap(path, mode="r+"))
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}; free space or choose another place"
        ) from error
