"""Matchers that OpenCV brings: RootSIFT and ORB, which need no weights."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hafloc.verify.matcher import Image, Pairs
from hafloc.verify.matching import match_rows

_MOST = 1_000  # key points of a photo
# Lowe's ratio (IJCV 2004); binary descriptors tell less apart.
_SIFT_RATIO, _ORB_RATIO = 0.8, 0.9


@dataclass(frozen=True, slots=True)
class Features:
    """Places `xy` `[M, 2]` with unit descriptors `rows` `[M, D]`, strongest first."""

    xy: NDArray[np.float32]
    rows: NDArray[np.float16]

    def match(self, other: "Features", ratio: float, least: float = -1.0) -> Pairs:
        """Places that are each other's nearest, by `match_rows`, with a cosine of at least that."""
        found = match_rows(self.rows.astype(np.float32), other.rows.astype(np.float32), ratio)
        kept = found.similarities >= least
        here, there = self.xy[found.query[kept]], other.xy[found.candidate[kept]]
        return Pairs(here.astype(np.float64), there.astype(np.float64))


class Sift:
    """SIFT whose descriptors are compared as histograms (RootSIFT; Arandjelović & Zisserman,
    CVPR 2012)."""

    name = "sift"

    def look(self, image: Image) -> Features:
        # One a call: OpenCV's detectors are not made for several threads.
        points, rows = cv2.SIFT.create(nfeatures=_MOST).detectAndCompute(_grey(image), None)
        if rows is None:
            rows = np.zeros((0, 128), np.float32)
        root = np.sqrt(rows / rows.sum(1, keepdims=True).clip(min=1e-9))
        return Features(_places(points), root.astype(np.float16))

    def match(self, query: Features, candidate: Features) -> Pairs:
        return query.match(candidate, _SIFT_RATIO)


class Orb:
    """ORB (Rublee et al., ICCV 2011); cosines of its bits as ±1 order as Hamming distances do."""

    name = "orb"

    def look(self, image: Image) -> Features:
        points: Sequence[cv2.KeyPoint] = ()
        rows = None
        # OpenCV fails an assertion of its own where a level of the pyramid has no pixel left.
        with suppress(cv2.error):
            points, rows = cv2.ORB.create(nfeatures=_MOST).detectAndCompute(_grey(image), None)
        if rows is None:
            rows = np.zeros((0, 32), np.uint8)
        bits = np.unpackbits(np.asarray(rows, np.uint8), axis=1).astype(np.float16) * 2 - 1
        return Features(_places(points), bits / np.float16(16))  # 256 bits have the length 16

    def match(self, query: Features, candidate: Features) -> Pairs:
        return query.match(candidate, _ORB_RATIO)


def _grey(image: Image) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), np.uint8)


def _places(points: Sequence[cv2.KeyPoint]) -> NDArray[np.float32]:
    return np.array([point.pt for point in points], np.float32).reshape(-1, 2)
