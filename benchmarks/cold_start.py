"""Time until the first answer: processes that start anew, and the parts of `hafloc locate`.

    python benchmarks/cold_start.py sf_west.gpkg data/sf_west/images/0100.jpg

Files are in the system's cache, bytecode is written. Each round starts each process once, so that a
busy machine is busy for all of them alike; a figure is the median of `--rounds`, in wall and in
processor seconds and as the median ratio to `python -c pass` of the same round. The parts of
locating (imports, model, index, photo, network, search, verification, calibration) come from one
process a round that does them one after the other; "network again" is the network's own time,
once all is warm. Writes benchmarks/results/cold_start.json.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hafloc.files import write_whole

RESULT = Path(__file__).parent / "results" / "cold_start.json"
COMMAND = "from hafloc.cli import main; main()"
PARTS = "--parts"
Pair = tuple[float, float]


def commands(index: Path, photo: Path) -> dict[str, list[str]]:
    def command(*words: object) -> list[str]:
        return [sys.executable, "-c", COMMAND, *map(str, words)]

    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import hafloc": [sys.executable, "-c", "import hafloc"],
        "hafloc --version": command("--version"),
        "hafloc --help": command("--help"),
        "hafloc locate --help": command("locate", "--help"),
        "hafloc index --help": command("index", "--help"),
        "import typer": [sys.executable, "-c", "import typer"],
        "import torch": [sys.executable, "-c", "import torch"],
        "hafloc locate": command("locate", index, photo),
    }


def run(words: list[str]) -> Pair:
    """Wall and processor seconds of one process from its start to its end."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(words, stdout=subprocess.DEVNULL, env=environment)
    if done.returncode > 1:  # 1: a place that is not in the database
        raise SystemExit(f"{words} ended with {done.returncode}")
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall, used


class Laps:
    """Wall and processor seconds since the last lap, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, Pair] = {}
        self._since = time.perf_counter(), time.process_time()

    def lap(self, name: str) -> None:
        wall, used = self._since
        self.seconds[name] = time.perf_counter() - wall, time.process_time() - used
        self._since = time.perf_counter(), time.process_time()


def parts(index: Path, photo: Path) -> dict[str, Pair]:
    """The parts of one cold answer, in their order."""
    laps = Laps()
    import hafloc.cli.locate
    import hafloc.cli.quick_start

    laps.lap("command line")
    with hafloc.cli.quick_start.loading():
        import torch  # noqa: F401

        laps.lap("import torch")
        import hafloc.describe
        import hafloc.locate
        import hafloc.locate.scales
        from hafloc.index import open_index
        from hafloc.locate.query import RERANK, RankedQuery, Wanted
        from hafloc.photos import as_photo

        laps.lap("other imports")
        describer = hafloc.describe.Describer.open("haf")
    laps.lap("model")
    opened = hafloc.locate.Localizer(open_index(index), describer)
    laps.lap("index and calibrations")
    read = as_photo(photo, name="query", longer_side=describer.longer_side)
    laps.lap("photo")
    look: Callable[[], Any] = lambda: hafloc.locate.scales.at_scales(  # noqa: E731
        describer, read.image, local=True, regions=opened.index.regions > 0
    )
    query = look()
    laps.lap("network")
    look()
    laps.lap("network again")
    records, found = opened.candidates._search(query, RERANK, None)
    laps.lap("search")
    evidence = opened.candidates.weigh(records, found, query)
    laps.lap("verification")
    ordered = [records[item.id] for item in evidence]
    ranked = RankedQuery("query", ordered, evidence, RERANK, None, None, None)
    answer = opened._answer(ranked, Wanted(5, None, RERANK, 0.9))
    laps.lap("position and calibration")
    hafloc.cli.locate._print(answer)
    laps.lap("output")
    return laps.seconds


def summary(rows: list[dict[str, Pair]], unit: list[Pair]) -> dict[str, dict[str, float]]:
    """Medians, and the median ratio of processor seconds to those of `unit`, round by round."""
    from statistics import median

    return {
        name: {
            "seconds": round(median(row[name][0] for row in rows), 3),
            "processor_seconds": round(median(row[name][1] for row in rows), 3),
            "over_pass": round(
                median(row[name][1] / one[1] for row, one in zip(rows, unit, strict=True)), 1
            ),
        }
        for name in rows[0]
    }


def beyond(whole: list[Pair], inside: list[dict[str, Pair]]) -> dict[str, float]:
    """What one cold answer takes beyond the network's own time, and that beyond torch's import."""
    from statistics import median

    found = {}
    for kind, name in ((0, "seconds"), (1, "processor_seconds")):
        rest = [
            all_[kind] - row["network again"][kind] for all_, row in zip(whole, inside, strict=True)
        ]
        torch = [row["import torch"][kind] for row in inside]
        found[name] = round(median(rest), 3)
        found[f"{name}_without_torch"] = round(
            median(one - loading for one, loading in zip(rest, torch, strict=True)), 3
        )
    return found


def told(rounds: list[dict[str, Pair]], inside: list[dict[str, Pair]]) -> dict[str, Any]:
    """The result of some rounds."""
    unit = [row["python -c pass"] for row in rounds]
    return {
        "rounds": len(rounds),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "processes": summary(rounds, unit),
        "parts of locate": summary(inside, unit),
        "locate beyond the network": beyond([row["hafloc locate"] for row in rounds], inside),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(PARTS, action="store_true", help="print the parts of this process")
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    if given.parts:
        print(json.dumps(parts(given.index, given.photo)))
        return
    every = commands(given.index, given.photo)
    rounds: list[dict[str, Pair]] = []
    inside: list[dict[str, Pair]] = []
    again = [sys.executable, __file__, PARTS, str(given.index), str(given.photo)]
    for name, words in every.items():  # fills the caches
        if name not in ("import torch", "hafloc locate"):
            run(words)
    for _ in range(given.rounds):
        rounds.append({name: run(words) for name, words in every.items()})
        done = subprocess.run(again, capture_output=True, text=True, check=True)
        inside.append(json.loads(done.stdout.splitlines()[-1]))
        result = told(rounds, inside)
        # A run that is stopped leaves its rounds so far.
        write_whole(given.out, (json.dumps(result, indent=1) + "\n").encode())
    print(json.dumps(result))


if __name__ == "__main__":
    main()
