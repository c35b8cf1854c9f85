"""Pictures to vectors: from the cache where they are known, else through the network."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import EvaluationError, HaflocError
from hafloc.evaluate.benchmark import Picture
from hafloc.evaluate.vector_cache import VectorCache
from hafloc.index import FLOAT32
from hafloc.photos import Image
from hafloc.progress import Progress

Vectors = NDArray[np.float32]

# Decoded pictures that wait for the network.
_AHEAD = 4
# Vectors a transaction: so many are described again after an interruption.
_BATCH = 64


class Network(Protocol):
    """What turns an image into a vector, and what identifies its vectors."""

    @property
    def name(self) -> str: ...
    @property
    def hash(self) -> str: ...
    @property
    def options(self) -> str: ...
    @property
    def dimension(self) -> int: ...
    @property
    def longer_side(self) -> int: ...

    def vector(self, image: Image) -> Vectors:
        """The vector `[D]` of an image `H×W×3`."""
        ...


def _identity(network: Network) -> str:
    """The checkpoint, and the runtime where it is another than torch in float32."""
    runtime = str(getattr(network, "runtime", FLOAT32))
    return network.hash if runtime == FLOAT32 else f"{network.hash} {runtime}"


def describe_pictures(
    network: Network, pictures: Sequence[Picture], folder: Path, progress: Progress, step: str
) -> tuple[Vectors, int]:
    """Vectors `[N, D]` of unit length, and how many of them were not in the cache `folder`.

    Every batch is kept as soon as it is done. Raises EvaluationError naming the file of a
    picture that cannot be read or whose vector is not finite.
    """
    out = np.empty((len(pictures), network.dimension), dtype=np.float32)
    progress.start(f"reading {step}", len(pictures))
    with VectorCache(folder, _identity(network), network.options, network.dimension) as cache:
        rows: dict[bytes, list[int]] = {}
        for row, key in enumerate(cache.keys(pictures)):
            rows.setdefault(key, []).append(row)
        for key, vector in cache.get(list(rows)):
            out[rows.pop(key)] = vector
        progress.start(f"describing {step}", len(rows))
        new: dict[bytes, Vectors] = {}
        todo = [pictures[places[0]] for places in rows.values()]
        try:
            for done, (key, image) in enumerate(zip(rows, _decoded(todo), strict=True), 1):
                out[rows[key]] = new[key] = _vector(network, image, pictures[rows[key][0]])
                if len(new) == _BATCH:
                    cache.put(new)
                    new = {}
                progress.advance(done)
        finally:
            cache.put(new)
    return out, len(rows)


def _vector(network: Network, image: Image, picture: Picture) -> Vectors:
    try:
        vector = network.vector(image)
    except HaflocError as error:
        raise EvaluationError(f"cannot describe {picture.path}: {error}") from error
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0.0:
        raise EvaluationError(
            f"the vector of {picture.path} is {'zero' if length == 0.0 else 'not finite'}; "
            "the network does not suit it, or is damaged"
        )
    return np.asarray(vector / length, dtype=np.float32)


def _decoded(pictures: Sequence[Picture]) -> Iterator[Image]:
    waiting: deque[Future[Image]] = deque()
    pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="decode")
    try:
        for picture in pictures:
            waiting.append(pool.submit(picture.pixels))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
