"""What verification adds: candidates compared, re-ranked by a rule fitted on other queries.

Used by `real_photos.py --rerank K`, and to fit the rule that ships with hafloc:

    python benchmarks/real_photos.py data/sf_west --rerank 50 --save sf_west.npz
    python benchmarks/real_photos.py data/cambridge/val --rerank 50 --save val.npz
    python benchmarks/verification.py sf_west.npz val.npz --out src/hafloc/verify/rule.json

The last command prints what rules fitted on one set are worth on the other, then fits on all.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from hafloc.description import LocalFeatures
from hafloc.files import write_whole
from hafloc.index import GeoIndex
from hafloc.photos import Image
from hafloc.verify import (
    CUES,
    PLAIN_CUES,
    Rule,
    Verified,
    Weights,
    compare,
    match_rows,
    read_cues,
    verify,
)
from hafloc.verify.rule import FORMAT

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]

CUTS = (1, 5, 10)
FOLDS = 5
# L2 on the weights of standardised cues, beside the sum of log-likelihoods.
PENALTY = 1.0
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

    def cues(self) -> Floats:
        return read_cues(self.similarities.tolist(), self.verified)


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


def fit_weights(cues: Floats, right: Flags) -> Weights:
    """The logistic model of largest penalised likelihood: `[N, S]` cues, `[N]` labels."""
    mean, scale = cues.mean(0), cues.std(0).clip(min=1e-9)
    x = np.column_stack([(cues - mean) / scale, np.ones(len(cues))])
    y = np.where(right, 1.0, -1.0)

    def loss(w: Floats) -> tuple[float, Floats]:
        margins = y * (x @ w)
        slope = -y / (1 + np.exp(np.clip(margins, -500, 500)))
        value = np.logaddexp(0, -margins).sum() + PENALTY / 2 * (w[:-1] @ w[:-1])
        return float(value), slope @ x + PENALTY * np.append(w[:-1], 0)

    w = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    weights = w[:-1] / scale
    return Weights(float(w[-1] - weights @ mean), tuple(weights.tolist()))


def fit_rule(queries: Sequence[Compared]) -> Rule:
    """Both models of the rule, on queries of which all candidates were compared."""
    cues = np.concatenate([query.cues()[~query.unclear] for query in queries])
    right = np.concatenate([query.right[~query.unclear] for query in queries])
    plain = cues[:, : len(PLAIN_CUES)]
    return Rule(fit_weights(cues, right), fit_weights(plain, right))


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


def save(path: Path, queries: Sequence[Compared]) -> None:
    """Keep what rules are fitted on; of the inliers only their number."""
    rows = [
        (similarity, v.matches, v.mutual, v.inliers, v.significance, v.spread, right, unclear)
        for query in queries
        for similarity, v, right, unclear in zip(
            query.similarities, query.verified, query.right, query.unclear, strict=True
        )
    ]
    np.savez_compressed(path, rows=rows, ends=np.cumsum([len(query.right) for query in queries]))


def load(path: Path) -> list[Compared]:
    kept = np.load(path)
    queries = []
    for rows in np.split(kept["rows"], kept["ends"][:-1]):
        verified = tuple(
            Verified(int(m), int(u), "", np.empty((int(n), 4), np.float32), float(s), float(a))
            for m, u, n, s, a in rows[:, 1:6]
        )
        queries.append(Compared(rows[:, 0], verified, rows[:, 6] > 0, rows[:, 7] > 0))
    return queries


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the rule that ships with hafloc.")
    parser.add_argument("kept", type=Path, nargs="+", help="what real_photos.py --save wrote")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    given = parser.parse_args()
    sets = {path.stem: load(path) for path in given.kept}
    for name, queries in sets.items():
        others = [query for other, found in sets.items() if other != name for query in found]
        if others:
            rule = fit_rule(others)
            orders = [order_by(rule, query) for query in queries]
            print(f"{name} by a rule fitted on the others: {json.dumps(recalls(queries, orders))}")
        folded = json.dumps(recalls(queries, cross_validated(queries)))
        print(f"{name} by rules fitted on its own other folds: {folded}")
    rule = fit_rule([query for queries in sets.values() for query in queries])
    models = (("verified", CUES, rule.verified), ("plain", PLAIN_CUES, rule.plain))
    content = {"format": FORMAT, "fitted_on": {name: len(found) for name, found in sets.items()}}
    for name, cues, model in models:
        weights = {sign: round(w, 6) for sign, w in zip(cues, model.weights, strict=True)}
        content[name] = {"bias": round(model.bias, 6), "weights": weights}
    write_whole(given.out, (json.dumps(content, indent=1) + "\n").encode())
    print(f"{given.out}: {json.dumps(content)}")


if __name__ == "__main__":
    main()
