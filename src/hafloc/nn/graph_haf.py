"""HAF whose convolutions a runtime does, or torch in fewer bits; all that follows is the same."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hafloc.nn.graph import read_outputs
from hafloc.nn.haf import HAF, LOCAL_LEVELS
from hafloc.nn.haf_level import LEVELS, Reads
from hafloc.nn.half_resolution import HalfResolution
from hafloc.nn.vgg import Taps

# An image `1×3×H×W` as float32 to the graph's outputs in their order.
Runner = Callable[[NDArray[np.float32]], Sequence[NDArray[np.float32]]]


class _ReadTaps(Taps):
    """Taps together with what the levels read of them."""

    reads: dict[str, Reads]


class _OtherwiseRead(HAF):
    """A HAF on the weights of another, whose `taps` gives reads too, and pools from these."""

    def __init__(self, haf: HAF) -> None:
        with torch.device("meta"):
            super().__init__(haf.options)
        self.trunk, self.levels = haf.trunk, haf.levels
        self.compact, self.local = haf.compact, haf.local
        self.eval().requires_grad_(False)

    def maps(self, taps: Taps, size: tuple[int, int]) -> dict[str, HalfResolution]:
        assert isinstance(taps, _ReadTaps), "taps of this network's own"
        grid = (-(-size[0] // 2), -(-size[1] // 2))
        return {name: self.level(name).spread(taps.reads[name], grid) for name in LEVELS}


class GraphHAF(_OtherwiseRead):
    """A HAF whose graph (`write_graph`) is run, on the processor, one image at a time."""

    def __init__(self, haf: HAF, run: Runner) -> None:
        super().__init__(haf)
        del self.trunk
        self._run = run

    def taps(self, images: Tensor) -> Taps:
        seen = [read_outputs(self, self._outputs(image, len(images))) for image in images]
        low, mid = (torch.cat([taps[name] for taps, _ in seen]) for name in LOCAL_LEVELS)
        # Nothing reads the high tap, which the graph keeps to itself.
        found = _ReadTaps(low, mid, mid.new_zeros(len(mid), 0, 0, 0))
        found.reads = {name: _join([reads[name] for _, reads in seen]) for name in LEVELS}
        return found

    def _outputs(self, image: Tensor, count: int) -> Sequence[NDArray[np.float32]]:
        found = self._run(np.ascontiguousarray(image[None].float().numpy()))
        # The next image of a batch may be written over this one's.
        return found if count == 1 else [np.array(array) for array in found]


class HalfHAF(_OtherwiseRead):
    """A HAF whose convolutions torch does in bf16 or float16, on whatever device it is."""

    def __init__(self, haf: HAF, dtype: torch.dtype) -> None:
        super().__init__(haf)
        self._dtype = dtype

    def taps(self, images: Tensor) -> Taps:
        with torch.autocast(images.device.type, self._dtype):
            taps = super().taps(images)
            reads = {
                name: self.level(name).read(tap) for name, tap in zip(LEVELS, taps, strict=True)
            }
        found = _ReadTaps(*(tap.float() for tap in taps))
        found.reads = reads
        return found


def _join(reads: Sequence[Reads]) -> Reads:
    """The reads of images of one size as those of a batch."""
    if len(reads) == 1:
        return reads[0]
    responses, blends, masks = zip(*reads, strict=True)
    return Reads(torch.cat(responses), _cat(blends), _cat(masks))


def _cat(parts: Sequence[Tensor | None]) -> Tensor | None:
    there = [part for part in parts if part is not None]
    return torch.cat(there) if there else None
