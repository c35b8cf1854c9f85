"""HAF whose convolutions a runtime does: from its graph's outputs on, the network is the same."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hafloc.nn.graph import read_outputs
from hafloc.nn.haf import HAF, LEVELS, Reads
from hafloc.nn.half_resolution import HalfResolution
from hafloc.nn.vgg import Taps

# An image `1×3×H×W` as float32 to the graph's outputs in their order.
Runner = Callable[[NDArray[np.float32]], Sequence[NDArray[np.float32]]]


class _ReadTaps(Taps):
    """Taps together with what the levels read of them; the high one is left empty."""

    reads: dict[str, Reads]


class GraphHAF(HAF):
    """A HAF without a trunk of its own, on the processor; it shares all other weights with `haf`.

    Images are described one at a time.
    """

    def __init__(self, haf: HAF, run: Runner) -> None:
        with torch.device("meta"):
            super().__init__(haf.options)
        del self.trunk
        self.levels, self.compact, self.local = haf.levels, haf.compact, haf.local
        self._run = run
        self.eval().requires_grad_(False)

    def taps(self, images: Tensor) -> Taps:
        seen = [
            read_outputs(self, self._run(np.ascontiguousarray(image[None].float().numpy())))
            for image in images
        ]
        low, mid = (torch.cat([taps[name] for taps, _ in seen]) for name in ("low", "mid"))
        found = _ReadTaps(low, mid, mid.new_zeros(len(mid), 0, 0, 0))
        found.reads = {name: _join([reads[name] for _, reads in seen]) for name in LEVELS}
        return found

    def maps(self, taps: Taps, size: tuple[int, int]) -> dict[str, HalfResolution]:
        assert isinstance(taps, _ReadTaps), "taps of this network's own"
        grid = (-(-size[0] // 2), -(-size[1] // 2))
        return {name: self.level(name).spread(taps.reads[name], grid) for name in LEVELS}


def _join(reads: Sequence[Reads]) -> Reads:
    """The reads of images of one size as those of a batch."""
    if len(reads) == 1:
        return reads[0]
    return Reads(*(None if None in parts else torch.cat(parts) for parts in zip(*reads)))  # type: ignore[arg-type]
