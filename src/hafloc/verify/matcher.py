"""Matchers by name: whatever finds places of two photos that show the same thing, behind one door.

| name           | needs                         | weights                        |
|----------------|-------------------------------|--------------------------------|
| `sift`         | nothing                       | none (RootSIFT of OpenCV)      |
| `orb`          | nothing                       | none (OpenCV)                  |
| `xfeat`        | `pip install hafloc[xfeat]`   | in the package                 |
| `kornia:NAME`  | `pip install hafloc[kornia]`  | fetched, except for `sift`     |
| `vismatch:NAME`| `pip install vismatch`        | fetched, except for SIFT, ORB  |

hafloc's own key points need no matcher: they are stored in the index.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import OptionError

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

# Pixels of the longer side in which matchers see photos: what most of them were made for.
LONGER_SIDE = 640
BUILT_IN = ("sift", "orb")
FAMILIES = ("kornia", "vismatch")
NAMES = "sift, orb, xfeat, kornia:NAME, vismatch:NAME"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Places `here` `[M, 2]` in one image that match those `there` `[M, 2]` in another; x, y."""

    here: Floats
    there: Floats


class Matcher(Protocol):
    """Finds places of two images that show the same thing.

    `look` says what is kept of one upright RGB image `H×W×3` (key points, or the image itself where
    two must be seen together); `match` takes two of these, query first. Both may raise anything:
    that pair then counts as no match. They may be called in several threads.
    """

    @property
    def name(self) -> str: ...

    def look(self, image: Image) -> Any: ...

    def match(self, query: Any, candidate: Any) -> Pairs: ...


def open_matcher(name: str, *, device: str = "cpu") -> Matcher:
    """The matcher of that name, ready to work on `device`.

    Raises OptionError for a name that is none, MissingExtraError where its package is missing, and
    CheckpointError where its weights cannot be had.
    """
    from hafloc.verify import network_matchers, opencv_matchers

    family, _, kind = name.partition(":")
    plain: dict[str, Callable[[], Matcher]] = {
        "sift": opencv_matchers.Sift,
        "orb": opencv_matchers.Orb,
        "xfeat": lambda: network_matchers.open_xfeat(device),
    }
    if name in plain:
        return plain[name]()
    if family in FAMILIES and kind:
        if family == "kornia":
            return network_matchers.open_kornia(kind, device)
        return network_matchers.open_vismatch(kind, device)
    raise OptionError(f"there is no matcher {name!r}; name one of {NAMES}")
