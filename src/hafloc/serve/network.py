"""The network as a server's threads use it: dropped work never reaches it, and one photo that is
looked for in several databases is described once."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hafloc.description import Description, FeatureMaker, ImageFeatures
from hafloc.serve import work

Image = NDArray[np.uint8]

_own = threading.local()


@contextmanager
def remembering() -> Iterator[None]:
    """Within, this thread's network keeps what it has said, for the same image asked again."""
    _own.known = {}
    try:
        yield
    finally:
        _own.known = None


class Network:
    """A describer that asks, before each image, whether anybody waits for it still."""

    def __init__(self, describer: Any) -> None:
        self._describer: FeatureMaker = describer
        self.longer_side: int = describer.longer_side

    def __getattr__(self, name: str) -> Any:
        # Name, hash, options and the like, by which an index knows it.
        return getattr(self._describer, name)

    def features(self, image: Image, *, local: bool = True, regions: bool = True) -> ImageFeatures:
        """As `Describer.features`. Raises Dropped too."""
        work.check()
        known: dict[Any, ImageFeatures] | None = getattr(_own, "known", None)
        if known is None:
            return self._describer.features(image, local=local, regions=regions)
        digest = hashlib.blake2b(image.tobytes()).digest()
        key = id(self._describer), image.shape, digest, local, regions
        if key not in known:
            known[key] = self._describer.features(image, local=local, regions=regions)
        return known[key]

    def describe(self, image: Image) -> Description:
        """As `Describer.describe`. Raises Dropped too."""
        work.check()
        found: Description = self._describer.describe(image)  # type: ignore[attr-defined]
        return found
