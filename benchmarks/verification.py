"""What verification adds: candidates compared, re-ranked by a rule fitted on other queries.

Used by `real_photos.py --rerank K`. The rule that ships is fitted by `answers.py --fit`.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from fitting import fit_weights
from hafloc.description import LocalFeatures
from hafloc.index import GeoIndex
from hafloc.photos import Image
from hafloc.verify import (
    PLAIN_CUES,
    Rule,
    Usual,
    Verified,
    compare,
    match_rows,
    read_cues,
    shipped_rule,
    verify,
)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]

CUTS = (1, 5, 10)
FOLDS = 5
SIFT_POINTS = 1_000
SIFT_RATIO = 0.8


@dataclass(frozen=True, slots=True)
class Compared:
    """A query's K candidates as the search ranks them, and what geometry says of each.

    `right` `[K]` are partners by the criterion, `unclear` `[K]` those that are neither right nor
    wrong (the same place seen the other way).
    """

    similarities: Floats
    verified: tuple[Verified, ...]
    right: Flags
    unclear: Flags

    def first(self, k: int) -> "Compared":
        return Compared(self.similarities[:k], self.verified[:k], self.right[:k], self.unclear[:k])

    def cues(self, usual: Usual) -> Floats:
        return read_cues(self.similarities.tolist(), self.verified, usual)


@dataclass(slots=True)
class Stopwatch:
    """Seconds of each query: on the clock, and of all cores together, which a busy machine does
    not stretch."""

    clock: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        clock, cores = time.perf_counter(), time.process_time()
        yield
        self.clock.append(time.perf_counter() - clock)
        self.cores.append(time.process_time() - cores)

    def results(self) -> dict[str, float]:
        if not self.clock:
            return {}
        medians = float(np.median(self.clock)), float(np.median(self.cores))
        names = "seconds_per_query", "core_seconds_per_query"
        return {name: round(value, 4) for name, value in zip(names, medians, strict=True)}


def compare_stored(
    index: GeoIndex, query: LocalFeatures, ids: Sequence[int]
) -> tuple[Verified, ...]:
    """Geometry of stored candidates: reading, matching, fitting."""
    found = compare(query, index.local_features(ids))
    return tuple(item for item in found if item is not None)


def fit_rule(queries: Sequence[Compared]) -> Rule:
    """Both models of the rule, on queries of which all candidates were compared."""
    usual = shipped_rule().usual
    cues = np.concatenate([query.cues(usual)[~query.unclear] for query in queries])
    right = np.concatenate([query.right[~query.unclear] for query in queries])
    plain = cues[:, : len(PLAIN_CUES)]
    return Rule(fit_weights(cues, right), fit_weights(plain, right), usual)


def order_by(rule: Rule, query: Compared) -> Numbers:
    """Candidates of a query by the rule, strongest first."""
    strengths = rule.strengths(query.similarities.tolist(), query.verified)
    return np.argsort(-strengths, kind="stable")


def recalls(queries: Sequence[Compared], orders: Sequence[Numbers]) -> dict[str, float]:
    hits = [query.right[order] for query, order in zip(queries, orders, strict=True)]
    return {
        f"recall@{cut}": round(float(np.mean([hit[:cut].any() for hit in hits])), 4) for cut in CUTS
    }


def cross_validated(queries: Sequence[Compared]) -> list[Numbers]:
    """Each query's candidates by a rule fitted on the other folds' queries.

    Folds are runs of neighbours in the list: photos of one street share a fold.
    """
    folds = np.arange(len(queries)) * FOLDS // len(queries)
    orders = []
    rules = [
        fit_rule([query for query, f in zip(queries, folds, strict=True) if f != fold])
        for fold in range(FOLDS)
    ]
    for query, fold in zip(queries, folds, strict=True):
        orders.append(order_by(rules[fold], query))
    return orders


class Sift:
    """The yardstick: RootSIFT of OpenCV, ratio test, the same geometry; ranked by inliers."""

    def __init__(self) -> None:
        self._sift = cv2.SIFT_create(nfeatures=SIFT_POINTS)

    def features(self, image: Image) -> tuple[LocalFeatures, NDArray[np.float32]]:
        points, rows = self._sift.detectAndCompute(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None)
        if rows is None:
            rows = np.zeros((0, 128), np.float32)
        # Arandjelović & Zisserman, CVPR 2012.
        root = np.sqrt(rows / rows.sum(1, keepdims=True).clip(min=1e-9))
        xy = np.array([point.pt for point in points], np.float32).reshape(-1, 2)
        size = (image.shape[1], image.shape[0])
        return LocalFeatures(xy, np.zeros((len(xy), 1), np.int8), size), root

    def inliers(
        self,
        query: tuple[LocalFeatures, NDArray[np.float32]],
        candidates: Sequence[tuple[LocalFeatures, NDArray[np.float32]]],
    ) -> list[int]:
        """Inliers of each candidate."""
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda candidate: self._inliers(query, candidate), candidates))

    def _inliers(
        self,
        query: tuple[LocalFeatures, NDArray[np.float32]],
        candidate: tuple[LocalFeatures, NDArray[np.float32]],
    ) -> int:
        matches = match_rows(query[1], candidate[1], SIFT_RATIO)
        return verify(query[0], candidate[0], matches).inliers
