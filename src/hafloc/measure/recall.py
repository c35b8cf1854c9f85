"""Scores of ranked lists: recall@N, average precision, precision at k, threshold curves, and how
far each would scatter with other queries.

A ranking is `[Q, K]` database rows, best first. Positives and junk are one array of database rows
a query. Ranks count from 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import EvaluationError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

RESAMPLES = 5_000
CONFIDENCE = 0.95
_TABLE = 4_000_000  # drawn queries held at a time: 32 MB


def find_hits(ranking: Ints, positives: Sequence[Ints]) -> Bools:
    """Which places of a ranking `[Q, K]` hold a positive of their query: `[Q, K]`.

    Negative rows are empty places and never a hit.
    """
    hits = np.zeros(ranking.shape, dtype=np.bool_)
    for row, (ranked, good) in enumerate(zip(ranking, positives, strict=True)):
        if len(good):
            ordered = np.sort(good)
            at = np.minimum(np.searchsorted(ordered, ranked), len(ordered) - 1)
            hits[row] = ordered[at] == ranked
    return hits


def drop_rows(ranking: Ints, unwanted: Sequence[Ints], depth: int) -> Ints:
    """Without each query's own unwanted database rows, such as its own file; cut to `depth`."""
    return keep_rows(ranking, ~find_hits(ranking, unwanted) & (ranking >= 0), depth)


def keep_rows(ranking: Ints, keep: NDArray[np.bool_], depth: int) -> Ints:
    """A ranking `[Q, K]` of only what `keep` `[Q, K]` marks, -1 behind it; cut to `depth`."""
    # A stable sort by "dropped" moves what stays to the front in its order.
    order = np.argsort(~keep, axis=1, kind="stable")[:, :depth]
    kept = np.take_along_axis(keep, order, axis=1)
    return np.where(kept, np.take_along_axis(ranking, order, axis=1), -1)


def first_hits(hits: Bools) -> Ints:
    """The rank of each query's first hit `[Q]`; K where there is none among its K."""
    if hits.shape[1] == 0:
        return np.zeros(len(hits), dtype=np.int64)
    first = np.where(hits.any(axis=1), hits.argmax(axis=1), hits.shape[1])
    return np.asarray(first, dtype=np.int64)


def hit_counts(hits: Bools, depth: int) -> Ints:
    """How many queries have a hit among their first 1, 2 … `depth`: `[depth]`."""
    first = first_hits(hits)
    found = first[first < hits.shape[1]]
    return np.cumsum(np.bincount(found[found < depth], minlength=depth))


def recall_curve(hits: Bools, depth: int) -> Floats:
    """recall@1 … recall@depth over all queries `[depth]`, those without positives included."""
    _some(len(hits))
    return hit_counts(hits, depth) / len(hits)


def average_precision(ranked: Ints, positives: Ints, junk: Ints | None = None) -> float:
    """Average precision of one ranked list `[K]` by the VGG trapezoid rule.

    Junk is deleted from the list first. Precision before the first result is 1; each positive
    adds (recall step) × (precision before it + precision with it) / 2; one that the list lacks
    adds nothing. NaN where the query has no positives. Source: compute_ap.cpp of the Oxford
    Buildings data set.
    """
    if not len(positives):
        return float("nan")
    ranks = positive_ranks(ranked, positives, junk)
    order = np.arange(len(ranks))
    before = np.where(ranks > 0, order / np.maximum(ranks, 1), 1.0)
    return float((before + (order + 1) / (ranks + 1)).sum() / 2 / len(positives))


def positive_ranks(ranked: Ints, positives: Ints, junk: Ints | None = None) -> Ints:
    """Ranks of the positives in the list `[K]` once its junk is deleted, ascending."""
    at = np.flatnonzero(np.isin(ranked, positives))
    if junk is None or not len(junk):
        return at
    # What is both positive and junk counts as a positive, as in the original.
    dropped = np.flatnonzero(np.isin(ranked, np.setdiff1d(junk, positives)))
    return at - np.searchsorted(dropped, at)


def precision_at(ranks: Ints, k: int) -> float:
    """Share of positives among the first k of a list, k capped at the last positive's rank.

    `ranks` as from `positive_ranks`; NaN where empty. Source: revisitop's compute_map.
    """
    if not len(ranks):
        return float("nan")
    capped = min(int(ranks[-1]) + 1, k)
    return float((ranks < capped).sum() / capped)


@dataclass(frozen=True, slots=True)
class RetrievalScore:
    """Means over the queries that have positives: `mean_ap`, mP@k by k; and each query's AP `[Q]`
    and precisions by k `[Q]`, NaN where it has none."""

    mean_ap: float
    precision_at: dict[int, float]
    each: Floats
    each_precision_at: dict[int, Floats]


def score_retrieval(
    ranking: Ints,
    positives: Sequence[Ints],
    junk: Sequence[Ints] | None = None,
    ks: Sequence[int] = (1, 5, 10),
) -> RetrievalScore:
    """mAP and mP@k of a ranking `[Q, K]`; queries without positives are left out.

    Raises EvaluationError where no query has positives.
    """
    ignored = junk if junk is not None else [np.empty(0, dtype=np.int64)] * len(positives)
    scored = [q for q, good in enumerate(positives) if len(good)]
    _some(len(scored))
    each = np.full(len(positives), np.nan)
    precisions = {k: np.full(len(positives), np.nan) for k in ks}
    for q in scored:
        each[q] = average_precision(ranking[q], positives[q], ignored[q])
        ranks = positive_ranks(ranking[q], positives[q], ignored[q])
        for k in ks:
            precisions[k][q] = precision_at(ranks, k) if len(ranks) else 0.0
    return RetrievalScore(
        mean_ap=float(np.nanmean(each)),
        precision_at={k: float(np.nanmean(values)) for k, values in precisions.items()},
        each=each,
        each_precision_at=precisions,
    )


def bootstrap_interval(
    values: Floats,
    seed: int = 0,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> tuple[Floats, Floats]:
    """Where the means of other queries of the same kind would lie: lower and upper bounds `[S]`.

    `values` `[Q, S]` are S scores of each query, NaN where a score leaves it out; for two
    networks on the same queries, their differences. Percentile bootstrap: Q queries are drawn
    with replacement, all S scores from the same ones. It takes queries for independent: where
    several show one place, the truth is wider. Source: Efron, Tibshirani, An Introduction to the
    Bootstrap, chapter 13. Raises EvaluationError where there is no query.
    """
    _some(len(values))
    random = np.random.default_rng(seed)
    count = len(values)
    known = np.isfinite(values)
    sums = np.hstack([np.where(known, values, 0.0), known])
    means = np.empty((resamples, values.shape[1]))
    step = max(1, _TABLE // count)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = random.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        totals, counted = np.hsplit(times @ sums, 2)
        # A draw without any query that counts says nothing.
        means[start : start + rows] = np.where(counted > 0, totals / np.maximum(counted, 1), np.nan)
    tail = 50 * (1 - confidence)
    low, high = np.nanpercentile(means, [tail, 100 - tail], axis=0)
    return low, high


@dataclass(frozen=True, slots=True)
class ThresholdCurve:
    """What is answered as a threshold on the score falls: `thresholds`, `recall`, `precision`,
    all `[T]`, strictest first.

    `area` is Σ (recall step × precision); `sure_recall` the largest recall at which every answer
    is right.
    """

    thresholds: Floats
    recall: Floats
    precision: Floats
    area: float
    sure_recall: float


def threshold_curve(scores: NDArray[np.floating], correct: Bools) -> ThresholdCurve:
    """Precision and recall of answering only above a threshold, from each query's best candidate.

    `scores` `[Q]`, higher is surer; `correct` `[Q]`. recall = right answers / all queries,
    precision = right answers / answers. Equal scores are answered together. Source: the
    evaluation package of the San Francisco Landmark data set. Raises EvaluationError for NaN.
    """
    _some(len(scores))
    values = np.asarray(scores, dtype=np.float64)
    if np.isnan(values).any():
        raise EvaluationError("scores hold NaN; the vectors or the verification are broken")
    order = np.argsort(-values, kind="stable")
    values, right = values[order], np.cumsum(correct[order])
    last_of_equals = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)
    answered = last_of_equals + 1
    recall = right[last_of_equals] / len(values)
    precision = right[last_of_equals] / answered
    sure = recall[precision == 1.0]
    return ThresholdCurve(
        thresholds=values[last_of_equals],
        recall=recall,
        precision=precision,
        area=float((np.diff(recall, prepend=0.0) * precision).sum()),
        sure_recall=float(sure.max()) if len(sure) else 0.0,
    )


def _some(count: int) -> None:
    if not count:
        raise EvaluationError(
            "no query has a positive, so nothing can be scored; check the lists and the tolerance"
        )
