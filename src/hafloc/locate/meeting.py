"""From a query's candidates to a sharper position, where their views meet."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hafloc.geo import LocalFrame
from hafloc.index import Record
from hafloc.locate.position import REACH, Consensus
from hafloc.locate.standpoint import View, where_views_meet
from hafloc.verify import Evidence

# Log-odds from which on a candidate's matches may place the camera: 3 of 4 are right. Weaker ones
# have matches too, but of another place.
_SURE = 1.0
# What is known of a place beforehand, in metres: how far photos are from those who saw the same …
_USUAL = 6.0
# … how far off positions are whose source says nothing of it …
_ACCURACY = 1.5
# … and how far off, at least, all positions of one database may be together.
_SHARED = 6.0
# Standard deviations that are comparable to a consensus's scale, which is rarely exceeded.
_DEVIATIONS = 3.0
# Radians that headings are off: those of cars and panoramas, and those of a magnetic compass.
_TURNED, _TURNED_MAGNETIC = 0.05, 0.25


def sharpened(
    consensus: Consensus,
    records: Sequence[Record],
    evidence: Sequence[Evidence],
    focal: float | None = None,
) -> Consensus:
    """The consensus with the position where the candidates' views meet, where that is surer.

    `records` and `evidence` are the candidates that agreed, `focal` is the query's focal length in
    longer sides of the image, where it is known. Its signs stay: they tell which place
    it is, this where in it. Its scale is never larger, and its `views` count the photos that the
    position rests on.
    """
    frame = LocalFrame(consensus.position)
    standpoint = where_views_meet(list(_views(frame, records, evidence)), (0.0, 0.0), _USUAL, focal)
    if standpoint is None:
        return consensus
    scale = math.hypot(_SHARED, _DEVIATIONS * standpoint.deviation)
    if scale >= consensus.scale:
        return consensus
    return replace(
        consensus,
        position=frame.to_position(*standpoint.place),
        scale=scale,
        views=standpoint.views,
        agreed_scale=consensus.scale,
    )


def _views(
    frame: LocalFrame, records: Sequence[Record], evidence: Sequence[Evidence]
) -> Iterator[View]:
    for record, item in zip(records, evidence, strict=True):
        if item.sizes is None or item.strength < _SURE:
            continue
        east, north = frame.to_metres(record.position.lat, record.position.lon)[0].tolist()
        if math.hypot(east, north) <= REACH:
            yield View(
                (east, north),
                max(_ACCURACY, record.accuracy or 0.0),
                None if record.heading is None else math.radians(record.heading),
                _TURNED_MAGNETIC if record.magnetic else _TURNED,
                _from_middle(item.pairs[:, :2], item.sizes[0]),
                _from_middle(item.pairs[:, 2:], item.sizes[1]),
            )


def _from_middle(pixels: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float64]:
    """Pixels (centres at integers) in longer sides of the image right of and below its middle."""
    middle = (np.array(size, dtype=np.float64) - 1) / 2
    return np.asarray((pixels - middle) / max(size), dtype=np.float64)
