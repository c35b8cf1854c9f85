"""Time of the metrics alone, at the sizes of Oxford 5k, Pitts250k and SF-0.

    python benchmarks/metrics_scale.py

Synthetic rankings; writes benchmarks/results/metrics_scale.json.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hafloc.measure import recall

RESULT = Path(__file__).parent / "results" / "metrics_scale.json"


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return round(time.perf_counter() - start, 3)


def main() -> None:
    random = np.random.default_rng(0)

    def some(n: int, count: int) -> recall.Ints:
        return np.unique(random.integers(0, n, count))

    whole = np.stack([random.permutation(5_063) for _ in range(55)])
    good, junk = ([some(5_063, 60) for _ in range(55)] for _ in range(2))
    pitts = random.integers(0, 84_000, (8_280, 100))
    pitts_good = [some(84_000, 150) for _ in range(8_280)]
    sf = random.integers(0, 1_062_468, (803, 1_000))
    sf_good = [some(1_062_468, 200) for _ in range(803)]
    sf_whole = np.stack([random.permutation(1_062_468) for _ in range(4)])
    scores, right = random.random(8_280), random.random(8_280) < 0.8
    result = {
        "Oxford 5k, mAP of 55 whole lists, s": seconds(
            lambda: recall.score_retrieval(whole, good, junk)
        ),
        "Pitts250k, recall@1..100 of 8,280 queries, s": seconds(
            lambda: recall.recall_curve(recall.find_hits(pitts, pitts_good), 100)
        ),
        "Pitts250k, threshold curve, s": seconds(lambda: recall.threshold_curve(scores, right)),
        "SF-0, recall@1..100 of 803 lists of 1,000, s": seconds(
            lambda: recall.recall_curve(recall.find_hits(sf, sf_good), 100)
        ),
        "SF-0, mAP of 4 whole lists of 1,062,468, s": seconds(
            lambda: recall.score_retrieval(sf_whole, sf_good[:4])
        ),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
