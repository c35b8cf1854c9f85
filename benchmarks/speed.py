"""How fast is hafloc, and how much memory does it take? Every figure beside its limit or a peer.

    python benchmarks/speed.py            all but the long memory watch, about 15 minutes
    python benchmarks/speed.py --watch    resident memory over 2,000 photos, about 10 minutes

Ratios are taken within one run, of works that take turns; medians of 5 at least. A city of 60
photos is rendered and indexed, and its index filled up to 500 with the same photos elsewhere.
Results go to benchmarks/results/speed.json and speed.md (or memory.json) with machine and versions.
"""

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

import describe
from hafloc.demo import render_city
from hafloc.describe import Describer
from hafloc.files import write_whole
from hafloc.geo import Position
from hafloc.index import Record, build_index, create_index, model_info, open_index

HERE = Path(__file__).parent
RESULTS = HERE / "results"
RUNS = 5
SIZE = (480, 640)  # rows, columns
PHOTOS = 60
LARGE = 100  # photos of 12 megapixels
INDEXED = 500
DATABASE = 100_000
WATCH = (200, 2_000)
WATCH_SIZE = (192, 256)


def machine() -> dict[str, str | int]:
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def noise(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """A picture with structure at several scales; timing does not depend on what it shows."""
    rng = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(rng.integers(0, 256, (size[0] // k, size[1] // k, 3), np.uint8)).resize(
                size[::-1]
            ),
            float,
        )
        for k in (2, 8, 32)
    ]
    return np.mean(layers, 0).astype(np.uint8)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def memory_of_this_process() -> dict[str, float]:
    """Resident now and at its peak, MiB (Linux); ru_maxrss would inherit the parent's peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines if line.startswith(("VmRSS", "VmHWM")))
    return {name: int(value.split()[0]) / 1024 for name, value in values.items()}


def peak_memory() -> dict[str, float]:
    """Peak of a fresh process that describes one photo, above what the loaded model takes."""
    code = (
        "import sys; sys.path.insert(0, 'benchmarks'); import speed; "
        "from hafloc.nn import load_checkpoint; "
        "network = load_checkpoint('haf').network; image = speed.noise(speed.SIZE); "
        "loaded = speed.memory_of_this_process()['VmRSS']; network.describe([image]); "
        "print(loaded, speed.memory_of_this_process()['VmHWM'])"
    )
    runs = [
        [float(part) for part in subprocess.check_output([sys.executable, "-c", code]).split()]
        for _ in range(RUNS)
    ]
    above = statistics.median(after - before for before, after in runs)
    return {"model loaded MiB": round(runs[0][0]), "above it while describing MiB": round(above)}


def search_time(describer: Describer) -> dict[str, float]:
    """Exact search over synthetic vectors, per query, as `locate` does it; both storage types."""
    rng = np.random.default_rng(0)
    result: dict[str, float] = {}
    for vector_type in ("float16", "int8"):
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "big.gpkg"
            with create_index(path, model_info(describer), vector_type) as index:
                for start in range(0, DATABASE, 5_000):
                    vectors = rng.standard_normal((5_000, describer.dimension), np.float32)
                    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
                    records = [
                        Record(f"{i}.jpg", f"{i:032x}", Position(52, i / 1e6), 640, 480, "csv")
                        for i in range(start, start + 5_000)
                    ]
                    index.add(records, vectors)
            with open_index(path) as index:
                loading = seconds(lambda: index.search(vectors[:1], 10))  # noqa: B023
                times = [
                    seconds(lambda: index.search(vectors[i : i + 1], 10))  # noqa: B023
                    for i in range(4 * RUNS)
                ]
        result[f"{vector_type} ms"] = round(1000 * statistics.median(times), 1)
        result[f"{vector_type} first query, with loading, s"] = round(loading, 2)
    return result


def watch_memory(describer: Describer) -> dict[str, float]:
    """Resident memory after 200 and after 2,000 different photos in one process."""
    process = psutil.Process()
    kept, result = np.empty((WATCH[-1], describer.dimension), np.float32), {}
    for i in range(WATCH[-1]):
        kept[i] = describer.describe(noise(WATCH_SIZE, i)).vector
        if i + 1 in WATCH:
            result[f"resident after {i + 1:,} MiB"] = round(process.memory_info().rss / 2**20)
            print(result, flush=True)
    first, last = result.values()
    return result | {"growth": round(last / first, 3)}


@dataclass(frozen=True, slots=True)
class Line:
    """A figure with what it may be: `limit`, at most or at least."""

    what: str
    value: float | None
    limit: float | None = None
    at_least: bool = False

    def __str__(self) -> str:
        if self.value is None:
            return f"| {self.what} | not measured | | |"
        if self.limit is None:
            return f"| {self.what} | {self.value:,.3g} | | |"
        holds = self.value >= self.limit if self.at_least else self.value <= self.limit
        sign, said = ("≥" if self.at_least else "≤"), ("yes" if holds else "**no**")
        return f"| {self.what} | {self.value:,.3g} | {sign} {self.limit:g} | {said} |"


def indexes(folder: Path, describer: Describer) -> tuple[Path, Path, Path]:
    """An index of PHOTOS whose files are there, one of INDEXED, and a photo to ask for."""
    render_city(folder, database=PHOTOS, queries=1)
    index = folder / "city.gpkg"
    build_index(index, describer, folder / "database")
    small = Path(shutil.copy(index, folder / "small.gpkg"))
    with open_index(index, write=True) as city:
        records = list(city.iterate())
        ids = [record.id or 0 for record in records]
        vectors, regions = city.vectors(ids), city.region_vectors(ids)
        local = city.local_features(ids)
        noise = np.random.default_rng(0)
        for copy in range(1, INDEXED // len(records) + 1):
            north = [
                replace(r, id=None, path=f"{copy}/{r.path}", content=f"{copy}{r.content}"[:32],
                        position=Position(r.position.lat + copy / 50, r.position.lon))
                for r in records
            ]  # fmt: skip
            others = vectors + noise.normal(0, 0.01, vectors.shape).astype(np.float32)
            others /= np.linalg.norm(others, axis=1, keepdims=True)
            city.add(north, others, local, regions)
    return small, index, next((folder / "queries").glob("*.jpg"))


def script(name: str, *arguments: object) -> dict[str, Any]:
    """The JSON in the last line of another benchmark."""
    command = [sys.executable, str(HERE / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}: {done.stderr.strip().splitlines()[-1]}", flush=True)
        return {}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def lines(found: Mapping[str, Any]) -> Iterator[Line]:
    """The figures that have a limit or a peer, from the results of all steps."""
    described = found["describing"]
    yield Line(
        "describing, torch float32 / bare trunk", described["torch_float32_over_trunk"], 0.75
    )
    yield Line(
        f"auto ({described['auto_is']}), times as fast as the trunk",
        described["auto_speedup_over_trunk"], 3.5, at_least=True,
    )  # fmt: skip
    yield Line("int8, times as fast as the trunk", described["int8_speedup_over_trunk"], 5,
               at_least=True)  # fmt: skip
    yield Line("least cosine of auto to float32", described["cosine_auto"])
    for name, row in described["rows"].items():
        yield Line(f"{name} / trunk", row["over_trunk"])
    yield Line(
        "MiB above the model, one photo", found["memory"]["above it while describing MiB"], 300
    )
    large = found["large photos"].get("large photos", {})
    yield Line("indexing 12-megapixel photos, of the network's own throughput",
               large.get("of the network's own"), 0.9, at_least=True)  # fmt: skip
    cold = found["cold start"]
    processes = cold.get("processes", {})
    for name, limit in (("hafloc --help", 0.25), ("hafloc --version", None),
                        ("python -c pass", None), ("import torch", None)):  # fmt: skip
        yield Line(f"{name}, s", processes.get(name, {}).get("seconds"), limit)
    beyond = cold.get("locate beyond the network", {})
    yield Line("hafloc locate, cold, beyond the network, s", beyond.get("seconds"), 1.5)
    ways = found["verification"].get("small", {}).get("ways", {})
    yield Line("verifying 50 candidates, s", ways.get("hafloc", {}).get("seconds"), 0.08)
    yield Line("SIFT and RANSAC by OpenCV / ours", ways.get("SIFT and RANSAC", {}).get("over_ours"))
    step = found["training"].get("haf step / trunk, median of pairs")
    yield Line("training step / trunk forward and backward", step, 1.5)
    for kind in ("float16", "int8"):
        yield Line(f"searching {DATABASE:,}, {kind}, ms", found["search"][f"{kind} ms"])


def measure(scratch: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    describer = Describer.open()
    yield "describing", describe.measure()
    yield "memory", peak_memory()
    yield "search", search_time(describer)
    small, index, photo = indexes(scratch / "city", describer)
    yield "cold start", script("cold_start.py", index, photo, "--out", scratch / "cold.json")
    queries = ("--queries", 20, "--out", scratch / "verification.json")
    yield "verification", script("verification_costs.py", small, *queries)
    yield "large photos", script("large_photos.py", "--photos", LARGE)
    yield "training", script("training.py", scratch / "city" / "database")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--watch", action="store_true", help="watch memory over 2,000 photos")
    results: dict[str, Any] = {"machine": machine()}
    if parser.parse_args().watch:
        results["memory"] = watch_memory(Describer.open())
        write_whole(RESULTS / "memory.json", f"{json.dumps(results, indent=2)}\n".encode())
        return
    with tempfile.TemporaryDirectory() as scratch:
        for name, found in measure(Path(scratch)):
            results[name] = found
            print(name, json.dumps(found, ensure_ascii=False), flush=True)
    content = json.dumps(results, indent=2, ensure_ascii=False)
    write_whole(RESULTS / "speed.json", f"{content}\n".encode())
    said = ", ".join(f"{key} {value}" for key, value in results["machine"].items())
    table = "\n".join(map(str, lines(results)))
    page = (
        f"# Speed\n\nMade by `make bench`: {said}. Medians of {RUNS} and more, ratios within one "
        f"run; `speed.json` has it all.\n\n| what | measured | limit | holds |\n|---|---|---|---|\n"
        f"{table}\n"
    )
    write_whole(RESULTS / "speed.md", page.encode())
    print(page)


if __name__ == "__main__":
    main()
