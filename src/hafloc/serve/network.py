"""The network as a server's threads use it: dropped work never reaches it, photos that wait go
through a GPU together, and one that is looked for in several databases is described once."""

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hafloc.description import Description, ImageFeatures
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


@dataclass(slots=True, eq=False)
class _Waiting:
    """An image at the network's door; together go those of one `kind`."""

    image: Image
    kind: tuple[Any, ...]
    future: "Future[ImageFeatures]" = field(default_factory=Future)


class Network:
    """A describer that asks, before each image, whether anybody waits for it still.

    Where it says that several images are worth a pass (`at_once`), whoever gets in takes with it
    those that wait and have its size. Nobody waits for others to come.
    """

    def __init__(self, describer: Any) -> None:
        self._describer = describer
        self.longer_side: int = describer.longer_side
        self.at_once: int = getattr(describer, "at_once", 1)
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []

    def __getattr__(self, name: str) -> Any:
        # Name, hash, options and the like, by which an index knows it.
        return getattr(self._describer, name)

    def features(self, image: Image, *, local: bool = True, regions: bool = True) -> ImageFeatures:
        """As `Describer.features`. Raises Dropped too."""
        work.check()
        known: dict[Any, ImageFeatures] | None = getattr(_own, "known", None)
        if known is None:
            return self._features(image, local, regions)
        key = id(self), image.shape, hashlib.blake2b(image.tobytes()).digest(), local, regions
        if key not in known:
            known[key] = self._features(image, local, regions)
        return known[key]

    def describe(self, image: Image) -> Description:
        """As `Describer.describe`. Raises Dropped too."""
        work.check()
        found: Description = self._describer.describe(image)
        return found

    def _features(self, image: Image, local: bool, regions: bool) -> ImageFeatures:
        if self.at_once == 1:
            found: ImageFeatures = self._describer.features(image, local=local, regions=regions)
            return found
        mine = _Waiting(image, (image.shape, local, regions))
        with self._lock:
            self._waiting.append(mine)
        with self._turn:
            if not mine.future.done():
                self._pass(mine)
        return mine.future.result()

    def _pass(self, first: _Waiting) -> None:
        """One pass of the network, with `first` and those that may go with it."""
        with self._lock:
            others = [one for one in self._waiting if one.kind == first.kind and one is not first]
            together = [first, *others[: self.at_once - 1]]
            self._waiting = [one for one in self._waiting if one not in together]
        _, local, regions = first.kind
        try:
            images = [one.image for one in together]
            results = self._describer.features_of(images, local=local, regions=regions)
        except BaseException as error:
            for one in together:
                one.future.set_exception(error)
        else:
            for one, result in zip(together, results, strict=True):
                one.future.set_result(result)
