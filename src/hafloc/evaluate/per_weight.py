"""The best level weights λ among networks that were trained with one λ each, as the paper did."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from hafloc.errors import EvaluationError
from hafloc.evaluate.benchmark import Benchmark
from hafloc.evaluate.describe_pictures import Network
from hafloc.evaluate.engine import evaluate
from hafloc.progress import Progress

Weights = tuple[float, float, float]


def models_of_sweep(folder: Path) -> tuple[Path, ...]:
    """The finished checkpoints in the folder of `hafloc sweep --per-weight`, one a λ.

    Raises EvaluationError where there is none.
    """
    if not folder.is_dir():
        raise EvaluationError(
            f"cannot read {folder}: there is no such folder; `hafloc sweep --per-weight` makes one"
        )
    # A run writes recall.json once it is finished.
    found = [done.with_name("model.safetensors") for done in sorted(folder.glob("*/recall.json"))]
    models = tuple(path for path in found if path.is_file())
    if not models:
        raise EvaluationError(
            f"{folder} holds no finished models, one folder for each λ; train them with "
            "`hafloc sweep --per-weight`"
        )
    return models


def best_trained_weights(
    benchmark: Benchmark,
    networks: Sequence[Callable[[], Network]],
    cache: Path | None,
    progress: Progress,
) -> tuple[Weights, float]:
    """Of the networks, each opened in its turn, the λ of the one with the best recall@1, and that.

    Vectors are kept in the cache, so that a stopped run goes on there. Raises EvaluationError for
    a network without levels.
    """
    best: tuple[Weights, float] | None = None
    for opened in networks:
        network = opened()
        weights = _level_weights(network)
        result = evaluate(benchmark, network, cache=cache, progress=progress)
        recall = result.scores["recall@1"]
        if best is None or recall > best[1]:
            best = weights, recall
    if best is None:
        raise EvaluationError("there are no models to choose from; name a folder that holds some")
    return best


def _level_weights(network: Network) -> Weights:
    try:
        low, mid, high = json.loads(network.options)["level_weights"]
        return float(low), float(mid), float(high)
    except (KeyError, TypeError, ValueError) as error:
        raise EvaluationError(
            f"{network.name} has no level weights; a sweep for each λ holds HAF models"
        ) from error
