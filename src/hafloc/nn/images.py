"""The door of every network: images come in as batches, results go out as plain arrays."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hafloc.errors import PhotoError

SMALLEST_SIDE = 32


def check_sides(images: Tensor) -> None:
    """Raises PhotoError for a batch `N×3×H×W` with a side below 32 px."""
    height, width = size_of(images)
    if min(height, width) < SMALLEST_SIDE:
        raise PhotoError(
            f"the image is {width}×{height} pixels; at least {SMALLEST_SIDE} a side are needed"
        )


def to_batch(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    """One `H×W×3` image as `1×3×H×W`."""
    # torch warns of arrays that it may not write to, as Pillow's are.
    array = np.require(image, requirements=["C", "W"])
    return torch.from_numpy(array).to(device).permute(2, 0, 1)[None]


def one_by_one(
    images: Tensor | Sequence[NDArray[np.uint8]], device: torch.device
) -> Iterator[Tensor]:
    """Each of a batch `N×3×H×W`, or of `H×W×3` arrays of any sizes, as `1×3×H×W`."""
    if isinstance(images, Tensor):
        yield from images[:, None]
    else:
        for image in images:
            yield to_batch(image, device)


def size_of(images: Tensor) -> tuple[int, int]:
    """(H, W) of a batch."""
    height, width = images.shape[-2:]
    return height, width


def to_numpy(x: Tensor) -> NDArray[np.float32]:
    """A float32 array in memory of its own."""
    # Results that keep a large block alive fragment the heap.
    return np.array(x.float().cpu().numpy(), dtype=np.float32)


def on_processor(values: Tensor) -> bool:
    """Whether it lies where a question costs nothing and memory is slow: not on a GPU."""
    return values.device.type == "cpu"
