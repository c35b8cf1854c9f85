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
from hafloc.errors import EvaluationError
from hafloc.evaluate import metrics
from hafloc.evaluate.benchmark import Benchmark
from hafloc.evaluate.describe_pictures import Network, describe_pictures
from hafloc.evaluate.exact_search import search
from hafloc.evaluate.protocol import Ints, sum_scores
from hafloc.evaluate.whitening import BenchmarkWhitening
from hafloc.index import Progress
from hafloc.index.folder import Silent

Floats = NDArray[np.float32]

RECALLS = (1, 5, 10, 20)
SHOWN = 10  # candidates a query that a gallery shows


@dataclass(frozen=True, slots=True)
class Result:
    """A network's scores on a benchmark, and all that it takes to compare them.

    `scores` by name, such as "recall@1" or "mAP"; `curve` recall@1…N, empty for mAP; `threshold`
    from the similarity of each query's best candidate, else None. `ranking` `[Q, 10]`, with -1 for
    empty places, and `right` `[Q, 10]` are for looking at.
    """

    benchmark: Benchmark
    model: Mapping[str, Any]
    scores: Mapping[str, float]
    curve: NDArray[np.float64]
    threshold: metrics.ThresholdCurve | None
    protocol: Mapping[str, str]
    provenance: Mapping[str, Any]
    ranking: Ints
    right: NDArray[np.bool_]

    @property
    def name(self) -> str:
        """The network's name; of one in a file, the file's."""
        name = str(self.model["name"])
        return Path(name).stem if name.startswith("onnx:") else name


def cache_folder() -> Path:
    """Where vectors are kept unless told otherwise: $XDG_CACHE_HOME/hafloc/vectors."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "hafloc" / "vectors"


def evaluate(
    benchmark: Benchmark,
    network: Network,
    *,
    cache: Path | None = None,
    whitening: BenchmarkWhitening | None = None,
    dimensions: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """Describe what is not in the cache folder, search exactly, score.

    `whitening` is applied to all vectors and cut to `dimensions`. Raises EvaluationError naming
    the file that cannot be used.
    """
    progress, folder = progress or Silent(), cache or cache_folder()
    if benchmark.model_hash not in (None, network.hash):
        raise EvaluationError(
            f"the index was made with checkpoint {benchmark.model_hash}, not with "
            f"{network.name} ({network.hash}); use the one it was made with"
        )
    if whitening is not None and benchmark.search is not None:
        raise EvaluationError("an index keeps its vectors as they are; leave the whitening out")
    started = time.monotonic()
    queries, new = describe_pictures(network, benchmark.queries, folder, progress, "queries")
    database = np.empty((0, network.dimension), dtype=np.float32)
    if benchmark.search is None:
        database, added = describe_pictures(
            network, benchmark.database, folder, progress, "database"
        )
        new += added
    if whitening is not None:
        queries, database = (whitening.apply(part, dimensions) for part in (queries, database))
    described = time.monotonic()
    progress.start("searching", 1)
    found, similarities = _search(benchmark, database, sum_scores(queries, benchmark.crops))
    ranking = benchmark.arrange(found)
    progress.advance(1)
    scores, curve, threshold = _score(benchmark, ranking, _best(ranking, found, similarities))
    shown = ranking[:, :SHOWN]
    main = next(iter(benchmark.truths.values()))
    return Result(
        benchmark=benchmark,
        model={
            "name": network.name,
            "hash": network.hash,
            "options": network.options,
            "dimension": queries.shape[1],
        },
        scores=scores,
        curve=curve,
        threshold=threshold,
        protocol={
            **benchmark.protocol,
            "network's images": f"longer side at most {network.longer_side} px",
            "vectors": _vector_words(queries.shape[1], whitening),
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
        right=metrics.find_hits(shown, main.positives),
    )


def _vector_words(dimension: int, whitening: BenchmarkWhitening | None) -> str:
    how = "the network's own" if whitening is None else "whitened by a PCA of unrelated images"
    return f"{dimension:,} dimensions, unit length, {how}"


def _search(benchmark: Benchmark, database: Floats, queries: Floats) -> tuple[Ints, Floats]:
    if benchmark.search is not None:
        return benchmark.search(queries, benchmark.reach or len(benchmark.database))
    return search(database, queries, benchmark.reach)


def _best(ranking: Ints, found: Ints, similarities: Floats) -> Floats:
    """The similarity of each query's first candidate `[Q]`; the least there is for none."""
    none = np.full(len(ranking), np.finfo(np.float32).min, dtype=np.float32)
    if not ranking.shape[1]:
        return none
    at = (found == ranking[:, :1]).argmax(axis=1)
    best = np.take_along_axis(similarities, at[:, None], axis=1)[:, 0]
    return np.where(ranking[:, 0] >= 0, best, none)


def _score(
    benchmark: Benchmark, ranking: Ints, best: Floats
) -> tuple[dict[str, float], NDArray[np.float64], metrics.ThresholdCurve | None]:
    if benchmark.measure == "ap":
        return _score_lists(benchmark, ranking), np.empty(0), None
    hits = metrics.find_hits(ranking, benchmark.truths[""].positives)
    curve = metrics.recall_curve(hits, benchmark.depth)
    threshold = metrics.threshold_curve(best, metrics.first_hits(hits) == 0)
    scores = {f"recall@{n}": float(curve[n - 1]) for n in RECALLS}
    scores["threshold area"] = threshold.area
    scores["recall at 100 % precision"] = threshold.sure_recall
    return scores, curve, threshold


def _score_lists(benchmark: Benchmark, ranking: Ints) -> dict[str, float]:
    scores = {}
    for name, truth in benchmark.truths.items():
        if not any(len(rows) for rows in truth.positives):
            continue
        score = metrics.score_retrieval(ranking, truth.positives, truth.junk)
        suffix = f" {name}" if name else ""
        scores[f"mAP{suffix}"] = score.mean_ap
        scores |= {f"mP@{k}{suffix}": value for k, value in score.precision_at.items()}
    return scores
