"""Do several processes describe more photos a second than one whose threads share each photo?

    python benchmarks/workers.py [--workers 2] [--photos 24] [--runs 3]

Rendered photos of 480×360, described with regions and key points as `index build` does, by one
process and by several in turns. Photos a second are counted from the first result to the last, so
that starting processes is left out; `start_s` tells it. The last line is JSON.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch

from hafloc.demo import render_city
from hafloc.describe import Describer
from hafloc.photos import scan


def rate(describer: Describer, paths: list[Path], workers: int) -> tuple[float, float]:
    """Photos a second once it runs, and seconds until the first."""
    start = time.perf_counter()
    at = [
        time.perf_counter()
        for _ in describer.describe_files(paths, local=True, regions=True, workers=workers)
    ]
    # The first results of several come together, so as many are left out.
    return (len(at) - workers) / (at[-1] - at[workers - 1]), at[0] - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    describer = Describer.open(device="cpu")
    with tempfile.TemporaryDirectory() as scratch:
        render_city(Path(scratch), database=given.photos, queries=0)
        paths = list(scan(Path(scratch) / "database").paths)
        rate(describer, paths[:2], 1)
        pairs = [
            (rate(describer, paths, 1), rate(describer, paths, given.workers))
            for _ in range(given.runs)
        ]
    result = {
        "machine": platform.machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "photos": given.photos,
        "runs": given.runs,
        "one process, photos/s": round(statistics.median(one[0] for one, _ in pairs), 3),
        f"{given.workers} processes, photos/s": round(
            statistics.median(many[0] for _, many in pairs), 3
        ),
        "times as many": round(statistics.median(many[0] / one[0] for one, many in pairs), 3),
        "start_s": round(statistics.median(many[1] for _, many in pairs), 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
