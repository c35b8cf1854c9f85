"""Places as numbers that are near where the places are: cells of a grid, along Z-shaped curves.

A cell of any size is one range of numbers, so that a search nearby is a few ranges in the engine,
which a sorted index answers. Of the libraries, S2's are unkept or cover no areas, and H3's cells
do not nest, so that they are no ranges. (Morton 1966.)
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hafloc.index.records import Box

_BITS = 30  # a side: 4 cm at the equator
_SIDE = 1 << _BITS
# The range of all cells.
EVERYWHERE = (0, (1 << (2 * _BITS)) - 1)
_ACROSS = 4  # cells that a box is covered by, along either side, at most


def cells(lats: ArrayLike, lons: ArrayLike) -> NDArray[np.int64]:
    """The smallest cells of N places in degrees, `[N]`."""
    rows = _steps(np.asarray(lats, dtype=np.float64), -90.0, 180.0)
    columns = _steps(np.asarray(lons, dtype=np.float64), -180.0, 360.0)
    return _spread(columns) | (_spread(rows) << 1)


def covering(boxes: Iterable[Box]) -> list[tuple[int, int]]:
    """Ranges of cells (first and last) that hold all of the boxes, and some around; sorted.

    No box crosses the 180th meridian.
    """
    found = sorted(cell for box in boxes for cell in _covering(box))
    merged: list[tuple[int, int]] = []
    for first, last in found:
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return merged


def _covering(box: Box) -> list[tuple[int, int]]:
    west, south, east, north = box
    columns = _steps(np.array([west, east]), -180.0, 360.0).tolist()
    rows = _steps(np.array([south, north]), -90.0, 180.0).tolist()
    shift = 0
    while max(_count(columns, shift), _count(rows, shift)) > _ACROSS:
        shift += 1
    x, y = np.meshgrid(_range(columns, shift), _range(rows, shift))
    first = (_spread(x.ravel()) | (_spread(y.ravel()) << 1)) << (2 * shift)
    size = 1 << (2 * shift)
    return [(cell, cell + size - 1) for cell in first.tolist()]


def _count(ends: list[int], shift: int) -> int:
    return (ends[1] >> shift) - (ends[0] >> shift) + 1


def _range(ends: list[int], shift: int) -> NDArray[np.int64]:
    return np.arange(ends[0] >> shift, (ends[1] >> shift) + 1, dtype=np.int64)


def _steps(degrees: NDArray[np.float64], start: float, span: float) -> NDArray[np.int64]:
    steps = np.floor((degrees - start) * (_SIDE / span)).astype(np.int64)
    return np.asarray(np.clip(steps, 0, _SIDE - 1))


def _spread(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bits of numbers below 2³², with a gap after each."""
    spread = numbers.astype(np.int64)
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        spread = (spread | (spread << shift)) & mask
    return spread
