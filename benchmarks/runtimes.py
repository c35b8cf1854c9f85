"""What describing by another runtime, or in fewer bits, costs in recall: the table that proves it.

    python benchmarks/runtimes.py DATA INDEXES --out benchmarks/results/runtimes.json \\
        --runtime openvino:int8 --runtime onnx:int8 [--every 2] [--ship]

INDEXES holds `sf_west.gpkg`, `cambridge_val.gpkg` and `campus_night_val.gpkg`, built by torch in
float32 with regions from the folders of the same names in DATA. Photos are described anew by each
runtime, every `--every`th, and asked of the stored vectors: as in an index whose photos torch
described. Right is what benchmarks/regions.py calls right; both the whole photos' vectors and the
index's own way by regions are counted, and `lost` is the larger loss of the two (shares of the
queries, paired; below 0: more were found). A run adds its rows to those of `--out`, or takes the
place of the same runtime's.

`--ship` also writes `nn/checkpoints/haf.runtimes.json`, with the network's responses to rendered
photos that int8 needs: "auto" takes what lost at most 0.5 points on every set. bf16 and float16 are
never in it where the processor cannot multiply them.
"""

import argparse
import json
import platform
import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from hafloc.describe import Describer
from hafloc.describe.run_by import shown
from hafloc.files import write_whole
from hafloc.index import open_index
from hafloc.nn import GRAPH_VERSION, HAF, Responses, load_checkpoint
from hafloc.photos import read
from regions import Asked, by_parts, read_sets, shortened, whole

SETS = ("sf_west", "cambridge_val", "campus_night_val")
SHORTLIST = 200
SHIPPED = Path(__file__).parents[1] / "src/hafloc/nn/checkpoints/haf.runtimes.json"
# What was not measured, or could not be here: named in the table, never proven by it.
UNMEASURED = {
    ("onnx", "int8"): "not asked for recall yet",
    ("openvino", "bf16"): "needs AVX512-BF16 or AMX",
    ("openvino", "float16"): "needs AMX-FP16 or an ARM processor",
    ("torch", "bf16"): "needs AVX512-BF16 or AMX, or a GPU",
    ("torch", "float16"): "needs a GPU",
}

Floats = NDArray[np.float32]


def photos_of(name: str, data: Path, indexes: Path) -> list[Path]:
    """The photos of a set in the order of `read_sets`."""
    with open_index(indexes / f"{name}.gpkg") as index:
        names = sorted(Path(record.path).name for record in index.iterate())
    return [data / name.replace("_val", "/val") / "images" / each for each in names]


def described(describer: Describer, paths: list[Path], numbers: list[int]) -> Floats:
    """Vectors of parts `[Q, 1 + R, D]` of the photos of those numbers."""
    rows = []
    for number in track(numbers, f"{describer.runtime}"):
        image = read(paths[number], longer_side=describer.longer_side).image
        features = describer.features(image, local=False)
        assert features.regions is not None, "HAF has regions"
        rows.append(np.concatenate([features.vector[None], features.regions]))
    return np.stack(rows)


def found_first(asked: Asked, queries: NDArray[np.int64], parts: Floats) -> dict[str, Any]:
    """Whether each query's first photo is right, by whole vectors and as the index searches."""
    allowed, right = asked.allowed[queries], asked.right[queries]
    first = whole(parts, asked.parts)
    scores = shortened(first, by_parts(parts, asked.parts), allowed, SHORTLIST)
    rows = np.arange(len(queries))
    return {
        way: (right & allowed)[rows, np.where(allowed, made, -99).argmax(1)]
        for way, made in (("whole", first), ("regions", scores))
    }


def recall(asked: Asked, parts: dict[int, Floats]) -> dict[str, Any]:
    queries = np.array([number for number in asked.queries if number in parts])
    here = found_first(asked, queries, np.stack([parts[number] for number in queries]))
    there = found_first(asked, queries, asked.parts[queries])
    figures: dict[str, Any] = {"queries": len(queries)}
    losses = []
    for way in here:
        losses.append(float(there[way].mean() - here[way].mean()))
        figures[way] = {
            "float32": round(float(there[way].mean()), 4),
            "here": round(float(here[way].mean()), 4),
            "gained": int((here[way] & ~there[way]).sum()),
            "lost": int((there[way] & ~here[way]).sum()),
        }
    return {**figures, "lost": round(max(losses), 4)}


def measured(runtime: str, precision: str, data: Path, indexes: Path, every: int) -> dict[str, Any]:
    """One row of the table."""
    describer = Describer.open("haf", device="cpu", runtime=runtime, precision=precision)
    if describer.runtime.precision != precision:
        raise SystemExit(f"this processor cannot multiply {precision}")
    cosines: list[float] = []
    results: dict[str, Any] = {}
    asked_by_set = _by_set(data, indexes)
    start = time.perf_counter()
    for name, asked in asked_by_set.items():
        numbers = sorted({int(number) for each in asked for number in each.queries})[::every]
        rows = described(describer, photos_of(name, data, indexes), numbers)
        stored = asked[0].parts[numbers]
        cosines += [float(cosine) for cosine in (rows[:, 0] * stored[:, 0]).sum(1)]
        for each in asked:
            results[each.name] = recall(each, dict(zip(numbers, rows, strict=True)))
            Console().print(each.name, results[each.name])
    return {
        "runtime": runtime,
        "precision": precision,
        "cosine": {
            "min": round(min(cosines), 6),
            "median": round(statistics.median(cosines), 6),
            "photos": len(cosines),
        },
        "recall": results,
        "every": every,
        "processor": _processor(),
        "seconds": round(time.perf_counter() - start),
    }


def _by_set(data: Path, indexes: Path) -> dict[str, list[Asked]]:
    found: dict[str, list[Asked]] = {name: [] for name in SETS}
    for asked in read_sets(data, indexes):
        found[next(name for name in SETS if name[:6] == asked.name[:6])].append(asked)
    return found


def _processor() -> str:
    flags = Path("/proc/cpuinfo")
    known = flags.read_text().split() if flags.exists() else []
    units = [unit for unit in ("avx2", "avx512_vnni", "avx_vnni", "avx512_bf16") if unit in known]
    return f"{platform.machine()} with {', '.join(units) or 'units unknown'}"


def _all_rows(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows measured, and those that could not be, with why."""
    have = {(row["runtime"], row["precision"]) for row in rows}
    yield from rows
    for (runtime, precision), why in UNMEASURED.items():
        if (runtime, precision) not in have:
            yield {"runtime": runtime, "precision": precision, "unmeasured": why}


def ship(rows: list[dict[str, Any]]) -> None:
    checkpoint = load_checkpoint("haf")
    assert isinstance(checkpoint.network, HAF)
    content = {
        "checkpoint": checkpoint.hash,
        "graph": GRAPH_VERSION,
        "responses": Responses.of(checkpoint.network, shown()).to_json(),
        "rows": list(_all_rows(rows)),
    }
    text = json.dumps(content, indent=1)
    lists = re.sub(r"\[[-0-9.e,\s]+\]", lambda found: " ".join(found[0].split()), text)
    write_whole(SHIPPED, (lists + "\n").encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("indexes", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runtime", action="append", default=[], metavar="RUNTIME:PRECISION")
    parser.add_argument("--every", type=int, default=2)
    parser.add_argument("--ship", action="store_true")
    chosen = parser.parse_args()
    rows = json.loads(chosen.out.read_text())["rows"] if chosen.out.exists() else []
    for text in chosen.runtime:
        runtime, _, precision = text.partition(":")
        made = measured(runtime, precision, chosen.data, chosen.indexes, chosen.every)
        key = runtime, precision
        rows = [row for row in rows if (row["runtime"], row["precision"]) != key] + [made]
        write_whole(chosen.out, (json.dumps({"rows": rows}, indent=1) + "\n").encode())
    if chosen.ship:
        ship(rows)


if __name__ == "__main__":
    main()
