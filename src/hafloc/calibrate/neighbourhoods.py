"""Neighbourhoods: queries taken near each other, which a held-out test keeps together.

Photos of one street find each other, share the error of one receiver and fail together, so
queries do not vouch for a calibration one by one. What is held out, drawn anew for an interval, or
promised to hold elsewhere is a neighbourhood.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hafloc.geo import LocalFrame, Position

Numbers = NDArray[np.int64]

# Queries in one neighbourhood at most, and neighbourhoods at least, where queries allow both.
MOST = 20
LEAST = 10
_SMALLEST = 3


def neighbourhoods(positions: Sequence[Position]) -> Numbers:
    """The number of each position's neighbourhood, `[N]`, counted from 0.

    Positions are halved along the longer side of what they span, at the widest gap of their middle
    half, until none holds more than MOST of them, or than a LEAST-th of all where these are few.
    The same for the same positions, whatever their order, but for the numbers.
    """
    numbers = np.zeros(len(positions), dtype=np.int64)
    if not positions:
        return numbers
    frame = LocalFrame(positions[0])
    places = frame.to_metres([p.lat for p in positions], [p.lon for p in positions])
    most = min(MOST, max(_SMALLEST, len(positions) // LEAST))
    waiting, done = [np.arange(len(positions))], 0
    while waiting:
        part = waiting.pop()
        if len(part) <= most:
            numbers[part] = done
            done += 1
            continue
        axis = int(np.argmax(np.ptp(places[part], axis=0)))
        ordered = part[np.lexsort((places[part, 1 - axis], places[part, axis]))]
        gaps = np.diff(places[ordered, axis])
        first, last = len(part) // 4, max(3 * len(part) // 4, len(part) // 4 + 1)
        cut = first + int(np.argmax(gaps[first:last])) + 1
        waiting += [ordered[cut:], ordered[:cut]]
    return numbers
