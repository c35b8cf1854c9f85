"""What single questions to an index of 100,000 photos cost, before and after they were rewritten.

    python benchmarks/index_costs.py [--before DIRECTORY] [--photos 100000 --dimension 1024]

`DIRECTORY` is a checkout of commit a70bf95, whose `src` answers the same questions the old way;
it also makes the file, which both read. Each question runs in a process of its own: the median of
some repetitions, and the peak memory beyond that of the open index.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent / "results" / "index_costs.json"
HERE = Path(__file__).parents[1]
ROUNDS = 5
FEATURES = 4_096  # bytes of key points a photo; a real one takes up to 24 KB


def make(path: Path, photos: int, dimension: int) -> None:
    """An index of made-up photos, in clusters over the world as photos are."""
    import numpy as np

    from hafloc.geo import Position
    from hafloc.index import GeoPackageIndex, ModelInfo, Record
    from hafloc.nn import LocalFeatures

    random = np.random.default_rng(0)
    cities = random.uniform((-60, -180), (70, 180), (50, 2))
    count = FEATURES // 36
    points = np.zeros((count, 2), np.float32), np.ones((count, 32), np.int8)
    local = LocalFeatures(*points, (480, 480))
    with GeoPackageIndex.create(path, ModelInfo("made up", "0" * 32, "{}", dimension)) as index:
        for start in range(0, photos, 1_000):
            n = min(1_000, photos - start)
            vectors = random.standard_normal((n, dimension), dtype=np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            places = cities[random.integers(0, 50, n)] + random.normal(0, 0.05, (n, 2))
            records = [
                Record(
                    path=f"photos/{(start + i) // 500:04d}/{start + i:06d}.jpg",
                    content=f"{start + i:032x}",
                    position=Position(float(lat), float(lon)),
                    width=4000,
                    height=3000,
                    source="exif",
                )
                for i, (lat, lon) in enumerate(places.clip(-179, 179))
            ]
            index.add(records, vectors, [local] * n)


# Each question as (index, scratch folder, turn) asks it.
Question = Callable[[Any, Path, int], Any]
FOLDER = "photos/0042"


def _old_nearest(index: Any, scratch: Path, turn: int) -> Any:
    from hafloc import geo

    places = [record.position for record in index.photos()]
    return geo.distances(_centre(), [p.lat for p in places], [p.lon for p in places]).min()


def _old_sample(index: Any, scratch: Path, turn: int) -> Any:
    import numpy as np

    records = index.photos()
    chosen = np.random.default_rng(0).choice(len(records), 300, replace=False)
    return [records[int(i)] for i in np.sort(chosen)]


def _old_content(index: Any, scratch: Path, turn: int) -> Any:
    held = index.contents().items()
    return index.get([id_ for (content, _), id_ in held if content == _content(turn)])


def _old_below(index: Any, scratch: Path, turn: int) -> Any:
    from hafloc.index import find_records

    return list(find_records(index, [Path(index.info().path).parent / FOLDER]))


def _below(index: Any, scratch: Path, turn: int) -> Any:
    from hafloc.index import ids_below, paths_of

    folder = Path(index.location).parent / FOLDER
    return ids_below(index, paths_of(index.location), [folder])


def _update(index: Any, scratch: Path, turn: int) -> Any:
    from hafloc.geo import Position

    (record,) = index.get([500 + turn])
    return index.update([replace(record, position=Position(1.0, 2.0 + turn))])


def _export(index: Any, scratch: Path, turn: int) -> Any:
    from hafloc.index import export

    return export(index, scratch / "out.csv")


def _centre() -> Any:
    from hafloc.geo import Position

    return Position(48.2, 16.3)


def _content(turn: int) -> str:
    return f"{77_777 + turn:032x}"


OLD: dict[str, Question] = {
    "is it empty": lambda index, scratch, turn: index.info().photos == 0,
    "info": lambda index, scratch, turn: index.info(),
    "find by content": _old_content,
    "nearest photo": _old_nearest,
    "sample of 300": _old_sample,
    "what a build compares with": lambda index, scratch, turn: index.contents(),
    "photos below a folder": _old_below,
    "update one": _update,
    "remove one": lambda index, scratch, turn: index.remove([900 + turn]),
    "export CSV": _export,
    "verify": lambda index, scratch, turn: index.verify(),
}
NEW: dict[str, Question] = {
    **OLD,
    "is it empty": lambda index, scratch, turn: index.count() == 0,
    "find by content": lambda index, scratch, turn: index.find_content([_content(turn)]),
    "nearest photo": lambda index, scratch, turn: index.nearest(_centre(), 1),
    "sample of 300": lambda index, scratch, turn: index.sample(300, 0),
    "what a build compares with": lambda index, scratch, turn: sum(1 for _ in index.held()),
    "photos below a folder": _below,
}


def measure(path: Path, question: str) -> None:
    from hafloc.index import GeoPackageIndex

    writes = question in ("update one", "remove one")
    with (
        tempfile.TemporaryDirectory() as scratch,
        GeoPackageIndex.open(path, write=writes) as index,
    ):
        ask = (OLD if hasattr(index, "contents") else NEW)[question]
        before = _peak()
        seconds = []
        for turn in range(ROUNDS):
            start = time.perf_counter()
            ask(index, Path(scratch), turn)
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"ms": statistics.median(seconds) * 1_000, "MB": _peak() - before}))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(source: Path, *arguments: object) -> Any:
    environment = {**os.environ, "PYTHONPATH": str(source / "src")}
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout or "null")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=1_024)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--ask", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make:
        return make(args.make, args.photos, args.dimension)
    if args.ask:
        return measure(Path(args.ask[0]), args.ask[1])
    table: dict[str, dict[str, dict[str, float]]] = {question: {} for question in OLD}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "city.gpkg"
        size = ("--photos", args.photos, "--dimension", args.dimension)
        run(args.before or HERE, "--make", path, *size)
        sources = {"before": args.before, "after": HERE}
        for when, source in sources.items():
            if source is not None:
                copy = Path(folder) / "copy.gpkg"
                shutil.copy(path, copy)
                # Once as a writer, so that the file is of the format of that library.
                run(source, "--ask", copy, "update one")
                for question in OLD:
                    table[question][when] = run(source, "--ask", copy, question)
                    print(when, question, table[question][when], flush=True)
                copy.unlink()
    result = {
        "photos": args.photos,
        "dimension": args.dimension,
        "key points, bytes a photo": FEATURES,
        "rounds": ROUNDS,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "questions": table,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    RESULT.with_suffix(".md").write_text(_markdown(result, table))


def _markdown(result: dict[str, Any], table: dict[str, dict[str, dict[str, float]]]) -> str:
    head = (
        f"# Questions to an index of {result['photos']:,} photos\n\n"
        f"Vectors of {result['dimension']:,} float16, {FEATURES:,} bytes of key points a photo; "
        f"{result['machine']}, Python {result['python']}, SQLite {result['sqlite']}. Median of "
        f"{ROUNDS}, with the file in the system's cache; memory is the peak beyond the open index. "
        "Made by `benchmarks/index_costs.py`.\n\n"
        "| question | before, ms | after, ms | before, MB | after, MB |\n|---|---|---|---|---|\n"
    )
    rows = []
    for question, times in table.items():
        cells = [
            f"{times[when][unit]:,.1f}" if when in times else ""
            for unit in ("ms", "MB")
            for when in ("before", "after")
        ]
        rows.append(f"| {question} | {' | '.join(cells)} |\n")
    return head + "".join(rows)


if __name__ == "__main__":
    main()
