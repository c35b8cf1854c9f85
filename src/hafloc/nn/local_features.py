"""Key points made compact: corners of the image, described by the trunk in a few int8 each.

Corners stay where they are from one photo to the next, to a pixel; maxima of the trunk's own
scores are blurred by its pooling, and were measured to match worse. Their descriptors are the
trunk's responses there, low and mid, whitened on unrelated photos.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from hafloc.nn.whitening import Whitening

_LARGEST = 127
# Grey levels by which a corner's circle must differ: low, since only the strongest are kept.
_CONTRAST = 5
_SOONER = (40, 20, 10)
# For the photos of a batch.
_THREADS = 8


class LocalHead(nn.Module):
    """Responses of levels at key points to compact unit descriptors, each level with equal share.

    `channels` are those of the levels, `dimension` is the size of a descriptor.
    """

    def __init__(self, channels: Sequence[int], dimension: int) -> None:
        super().__init__()
        self.whitening = Whitening(sum(channels), dimension)

    def forward(self, responses: Sequence[Tensor]) -> Tensor:
        """Unit rows `[M, dimension]` from the levels' responses `[M, n]`."""
        compact: Tensor = self.whitening(join(responses))
        return compact


def join(responses: Sequence[Tensor]) -> Tensor:
    """The levels' unit descriptors `[M, n]` side by side."""
    return torch.cat([F.normalize(level, dim=-1) for level in responses], -1)


def find_corners(image: NDArray[np.uint8], count: int) -> NDArray[np.float32]:
    """Pixels (x, y) `[M, 2]` of the `count` strongest FAST corners of an `H×W×3` image.

    Rosten & Drummond, ECCV 2006; equals from the top left.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    # A corner's strength is the largest contrast at which it is found, and its rivals are found
    # with it: where a higher contrast finds enough, those are the strongest of all, sooner.
    for contrast in (*_SOONER, _CONTRAST):
        found = cv2.FastFeatureDetector.create(contrast).detect(grey, None)
        if len(found) >= count:
            break
    xy = np.array([point.pt for point in found], dtype=np.float32).reshape(-1, 2)
    strengths = np.array([point.response for point in found])
    return np.asarray(xy[np.argsort(-strengths, kind="stable")[:count]])


def sample(maps: Tensor, xy: Tensor, stride: int) -> Tensor:
    """One image's maps `[1, n, h, w]` at pixels `xy` `[M, 2]`, bilinear: `[M, n]`.

    A value belongs to the middle of the `stride`×`stride` pixels that it covers.
    """
    # grid_sample asks for a value of each channel in turn, all over the memory.
    rows = maps[0].flatten(1)
    height, width = maps.shape[-2:]
    last = xy.new_tensor([width - 1, height - 1])
    place = torch.minimum((xy + 0.5) / stride - 0.5, last).clamp(min=0)
    corner = torch.minimum(place.floor(), last - 1).clamp(min=0)
    x, y = corner.long().unbind(-1)
    right, below = (x + 1).clamp(max=width - 1), (y + 1).clamp(max=height - 1)
    index = torch.stack(
        [y * width + x, y * width + right, below * width + x, below * width + right]
    )
    near = rows.index_select(1, index.flatten()).view(len(rows), 4, len(xy))
    a, b = (place - corner).unbind(-1)
    weights = torch.stack([(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b])
    return (near * weights).sum(1).T


def sample_all(maps: Tensor, xy: Tensor, stride: int) -> Tensor:
    """As `sample`, of N images' maps `[N, n, h, w]` at pixels `[N, M, 2]`: `[N, M, n]`.

    One question to a device, and slower than `sample` on a processor.
    """
    height, width = maps.shape[-2:]
    whole = xy.new_tensor([width * stride, height * stride])
    grid = (2 * (xy + 0.5) / whole - 1)[:, None]
    found = F.grid_sample(maps, grid, padding_mode="border", align_corners=False)
    return found[:, :, 0].transpose(1, 2)


@contextmanager
def corners_beside(
    images: NDArray[np.uint8], count: int
) -> Iterator[list[Future[NDArray[np.float32]]]]:
    """`find_corners` of each of `N×H×W×3` images, in threads, while a device is at work."""
    with ThreadPoolExecutor(min(len(images), _THREADS), "corners") as threads:
        yield [threads.submit(find_corners, image, count) for image in images]


def to_int8(rows: Tensor) -> NDArray[np.int8]:
    """Rows `[M, D]` rounded to int8, each scaled so that its largest entry becomes ±127."""
    largest = rows.abs().amax(-1, keepdim=True).clamp(min=1e-30)
    return np.array((rows * (_LARGEST / largest)).round().cpu().numpy(), dtype=np.int8)
