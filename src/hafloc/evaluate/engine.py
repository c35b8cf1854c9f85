"""Measure a network on a benchmark: describe, search, arrange, score."""

import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hafloc import __version__
from hafloc.errors import EvaluationError, OutputError
from hafloc.evaluate.benchmark import Benchmark
from hafloc.evaluate.describe_pictures import Network, describe_pictures
from hafloc.evaluate.protocol import Ints, sum_scores
from hafloc.evaluate.regions import WithRegions, search_parts
from hafloc.evaluate.whitening import BenchmarkWhitening
from hafloc.measure import recall, search
from hafloc.progress import Progress, Silent

Floats = NDArray[np.float32]

RECALLS = (1, 5, 10, 20)
_THRESHOLD_WORDS = (
    "answering only above a similarity: the area under its precision-recall curve, and the recall "
    "up to which every answer is right"
)
_NAME_A_CACHE = "name a folder for them with --cache"
SHOWN = 10  # candidates a query that a gallery shows


@dataclass(frozen=True, slots=True)
class Result:
    """A network's scores on a benchmark, and all that it takes to compare them.

    `scores` by name, such as "recall@1" or "mAP"; `intervals` the 95 % bounds of those that are
    means over queries, `each` `[Q]` what those are means of, NaN where a query is left out;
    `curve` recall@1…N, empty for mAP; `threshold` from the similarity of each query's best
    candidate, else None. For looking at: `ranking` `[Q, 10]`, with -1 for empty places; `right` and
    `distances` (of vectors) `[Q, 10]`; `first_right` `[Q]`, the rank of the first right answer from
    0, or -1.
    """

    benchmark: Benchmark
    model: Mapping[str, Any]
    scores: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    each: Mapping[str, NDArray[np.float64]]
    curve: NDArray[np.float64]
    threshold: recall.ThresholdCurve | None
    protocol: Mapping[str, str]
    provenance: Mapping[str, Any]
    ranking: Ints
    right: NDArray[np.bool_]
    distances: Floats
    first_right: Ints

    @property
    def name(self) -> str:
        """The network's name; of one in a file, the file's; of torch.hub, without the commit."""
        name = str(self.model["name"])
        if name.startswith("hub:"):
            return name.removeprefix("hub:").partition("@")[0]
        return Path(name).stem if name.startswith("onnx:") else name


def difference(result: Result, other: Result, score: str) -> tuple[float, float, float]:
    """By how much `result` is better than `other`, and the 95 % bounds of that.

    Both answer the same queries, so what makes a query hard for both cancels out. Raises
    EvaluationError where the queries differ in number, or one of them has no such score.
    """
    both = [one.each.get(score) for one in (result, other)]
    if both[0] is None or both[1] is None or len(both[0]) != len(both[1]):
        raise EvaluationError(
            f"{score} of {result.name} and {other.name} cannot be compared query by query; "
            "measure both on the same benchmark"
        )
    each = both[0] - both[1]
    low, high = recall.bootstrap_interval(each[:, None])
    return float(np.nanmean(each)), float(low[0]), float(high[0])


def cache_folder() -> Path:
    """Where vectors are kept unless told otherwise: $XDG_CACHE_HOME/hafloc/vectors.

    Raises OutputError where neither that nor a home folder exists.
    """
    told = os.environ.get("XDG_CACHE_HOME", "")
    # A relative one is to be ignored: XDG Base Directory Specification, "Basics".
    if Path(told).is_absolute():
        return Path(told) / "hafloc" / "vectors"
    try:
        home = Path.home()
        if not home.is_dir():
            raise OutputError(f"the home folder {home} is not there; {_NAME_A_CACHE}")
    except (RuntimeError, OSError) as error:
        raise OutputError(f"there is no home folder to keep vectors in; {_NAME_A_CACHE}") from error
    return home / ".cache" / "hafloc" / "vectors"


def evaluate(
    benchmark: Benchmark,
    network: Network,
    *,
    cache: Path | None = None,
    whitening: BenchmarkWhitening | None = None,
    dimension: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """Describe what is not in the cache folder, search exactly, score.

    `whitening` is applied to all vectors and cut to `dimension`. Raises EvaluationError naming
    the file that cannot be used.
    """
    progress, folder = progress or Silent(), cache or cache_folder()
    if benchmark.model_hash not in (None, network.hash):
        raise EvaluationError(
            f"the index was made with checkpoint {benchmark.model_hash}, not with "
            f"{network.name} ({network.hash}); use the one it was made with"
        )
    _check_whitening(benchmark, network, whitening, dimension)
    started = time.monotonic()
    queries, new = describe_pictures(network, benchmark.queries, folder, progress, "queries")
    database = np.empty((0, network.dimension), dtype=np.float32)
    if benchmark.search is None:
        database, added = describe_pictures(
            network, benchmark.database, folder, progress, "database"
        )
        new += added
    if whitening is not None:
        queries, database = (whitening.apply(part, dimension) for part in (queries, database))
    described = time.monotonic()
    progress.start("searching", 1)
    found, similarities = _search(
        benchmark, database, sum_scores(queries, benchmark.crops), network
    )
    ranking = benchmark.arrange(found)
    progress.advance(1)
    shown = ranking[:, :SHOWN]
    close = _similarities_of(shown, found, similarities)
    scores, each, curve, threshold = _score(benchmark, ranking, close)
    intervals = _intervals(each)
    main = next(iter(benchmark.truths.values()))
    first = recall.first_hits(recall.find_hits(ranking, main.positives))
    return Result(
        benchmark=benchmark,
        model={
            "name": network.name,
            "hash": network.hash,
            "options": network.options,
            "dimension": queries.shape[1],
        },
        scores=scores,
        intervals=intervals,
        each=each,
        curve=curve,
        threshold=threshold,
        protocol={
            **benchmark.protocol,
            "network's images": f"longer side at most {network.longer_side} px",
            "vectors": _vector_words(network, queries.shape[1], whitening),
            **({} if threshold is None else {"threshold": _THRESHOLD_WORDS}),
            "intervals": f"{100 * recall.CONFIDENCE:g} %, bootstrap over queries "
            f"({recall.RESAMPLES:,} draws), as if queries were independent",
        },
        provenance={
            "hafloc": __version__,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
            "machine": platform.machine(),
            "vectors described": new,
            "vectors from cache": len(benchmark.queries) + len(database) - new,
            "seconds describing": round(described - started, 2),
            "seconds searching and scoring": round(time.monotonic() - described, 2),
        },
        ranking=shown,
        right=recall.find_hits(shown, main.positives),
        # Of several crops, the root of their mean square.
        distances=np.sqrt(2 - 2 * np.clip(close / benchmark.crops, -1, 1)),
        first_right=np.where(first < ranking.shape[1], first, -1),
    )


def _check_whitening(
    benchmark: Benchmark,
    network: Network,
    whitening: BenchmarkWhitening | None,
    dimension: int | None,
) -> None:
    if isinstance(network, WithRegions) and (whitening is not None or benchmark.crops > 1):
        raise EvaluationError(
            "vectors of regions are neither whitened anew nor summed over crops; leave regions out"
        )
    if whitening is None:
        if dimension is not None:
            raise EvaluationError(
                f"only whitened vectors can be cut to {dimension:,} dimensions, whose first are "
                "the strongest; add a whitening"
            )
        return
    if benchmark.search is not None:
        raise EvaluationError("an index keeps its vectors as they are; leave the whitening out")
    if whitening.model not in (None, network.hash):
        raise EvaluationError(
            f"the whitening was fitted for checkpoint {whitening.model}, not for {network.name} "
            f"({network.hash}); fit one for it"
        )


def _vector_words(network: Network, dimension: int, whitening: BenchmarkWhitening | None) -> str:
    if isinstance(network, WithRegions):
        each = dimension // network.parts
        return f"{network.parts:,} of {each:,} dimensions: the whole photo's and its regions'"
    how = "the network's own"
    if whitening is not None:
        how = f"the first whitened of {len(whitening.mean):,}, by a PCA of {whitening.sample}"
    return f"{dimension:,} dimensions, unit length, {how}"


def _search(
    benchmark: Benchmark, database: Floats, queries: Floats, network: Network
) -> tuple[Ints, Floats]:
    if benchmark.search is not None:
        return benchmark.search(queries, benchmark.reach or len(benchmark.database))
    if isinstance(network, WithRegions):
        return search_parts(database, queries, benchmark.reach, network.parts)
    return search(database, queries, benchmark.reach)


def _similarities_of(shown: Ints, found: Ints, similarities: Floats) -> Floats:
    """The similarity of each candidate of `shown` `[Q, S]`; the least there is in empty places."""
    out = np.full(shown.shape, np.finfo(np.float32).min, dtype=np.float32)
    for place in range(shown.shape[1]):
        at = (found == shown[:, place, None]).argmax(axis=1)
        values = np.take_along_axis(similarities, at[:, None], axis=1)[:, 0]
        out[:, place] = np.where(shown[:, place] >= 0, values, out[:, place])
    return out


def _score(
    benchmark: Benchmark, ranking: Ints, close: Floats
) -> tuple[
    dict[str, float],
    dict[str, NDArray[np.float64]],
    NDArray[np.float64],
    recall.ThresholdCurve | None,
]:
    if benchmark.measure == "ap":
        scores, each = _score_lists(benchmark, ranking)
        return scores, each, np.empty(0), None
    hits = recall.find_hits(ranking, benchmark.truths[""].positives)
    curve = recall.recall_curve(hits, benchmark.depth)
    first = recall.first_hits(hits)
    each = {f"recall@{n}": (first < min(n, hits.shape[1])).astype(float) for n in RECALLS}
    best = close[:, 0] if close.shape[1] else np.zeros(len(close), dtype=np.float32)
    threshold = recall.threshold_curve(best, first == 0)
    scores = {f"recall@{n}": float(curve[n - 1]) for n in RECALLS}
    scores["threshold area"] = threshold.area
    scores["recall at 100 % precision"] = threshold.sure_recall
    return scores, each, curve, threshold


def _score_lists(
    benchmark: Benchmark, ranking: Ints
) -> tuple[dict[str, float], dict[str, NDArray[np.float64]]]:
    scores, each = {}, {}
    for name, truth in benchmark.truths.items():
        if not any(len(rows) for rows in truth.positives):
            continue
        score = recall.score_retrieval(ranking, truth.positives, truth.junk)
        suffix = f" {name}" if name else ""
        scores[f"mAP{suffix}"], each[f"mAP{suffix}"] = score.mean_ap, score.each
        for k, value in score.precision_at.items():
            scores[f"mP@{k}{suffix}"] = value
            each[f"mP@{k}{suffix}"] = score.each_precision_at[k]
    return scores, each


def _intervals(each: Mapping[str, NDArray[np.float64]]) -> dict[str, tuple[float, float]]:
    low, high = recall.bootstrap_interval(np.column_stack(list(each.values())))
    return {
        name: (float(below), float(above))
        for name, below, above in zip(each, low, high, strict=True)
    }
