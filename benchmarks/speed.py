"""How fast is hafloc, and how much memory does it take? Ratios within one run, medians of 5.

    python benchmarks/speed.py            all but the long memory watch, about 5 minutes
    python benchmarks/speed.py --watch    resident memory over 2,000 photos, about 10 minutes

Results go to benchmarks/results/speed.json (or memory.json) with machine and versions.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import torch
import torch.nn.functional as F
from PIL import Image

from hafloc.describe import Describer
from hafloc.geo import Position
from hafloc.index import Record, build_index, create_index, model_info, open_index
from hafloc.nn import HAF, VGG16, load_checkpoint
from hafloc.nn.vgg import LAYERS

RESULTS = Path(__file__).parent / "results"
RUNS = 5
SIZE = (480, 640)  # rows, columns
PHOTOS = 16
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


def bare_trunk(trunk: VGG16) -> Callable[[torch.Tensor], torch.Tensor]:
    """The trunk as anyone would run it: torch's convolutions, float32, channels_last."""
    weights = {
        name: (layer.weight.to(memory_format=torch.channels_last), layer.bias)
        for name, layer in ((name, trunk.get_submodule(name)) for name in LAYERS)
    }

    def run(images: torch.Tensor) -> torch.Tensor:
        x = trunk.centre(images).contiguous(memory_format=torch.channels_last)
        for name, (weight, bias) in weights.items():
            if name.endswith("_1") and name != "conv1_1":
                x = F.max_pool2d(x, 2)
            x = F.relu_(F.conv2d(x, weight, bias, padding=1))
        return x

    return run


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@torch.inference_mode()
def description_against_trunk(network: HAF, size: tuple[int, int] = SIZE) -> dict[str, float]:
    """Of one photo: `features` are what an index keeps, with regions and key points."""
    image = noise(size)
    batch = torch.from_numpy(image).permute(2, 0, 1)[None]
    run_trunk = bare_trunk(network.trunk)
    works: dict[str, Callable[[], object]] = {
        "trunk": lambda: run_trunk(batch),
        "description": lambda: network.describe([image]),
        "vector": lambda: network(batch),
        "features": lambda: network.features(batch, local=True, regions=True),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(RUNS):
        for name, work in works.items():
            times[name].append(seconds(work))
    ratios = {
        name: [t / base for t, base in zip(times[name], times["trunk"], strict=True)]
        for name in ("description", "vector", "features")
    }
    return {f"{name} s": round(statistics.median(t), 3) for name, t in times.items()} | {
        f"{name} / trunk": round(statistics.median(r), 3) for name, r in ratios.items()
    }


def memory_of_this_process() -> dict[str, float]:
    """Resident now and at its peak, MiB (Linux); ru_maxrss would inherit the parent's peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines if line.startswith(("VmRSS", "VmHWM")))
    return {name: int(value.split()[0]) / 1024 for name, value in values.items()}


def peak_memory() -> dict[str, float]:
    """Peak of a fresh process that describes one photo, above what the loaded model takes."""
    code = (
        "import sys; sys.path.insert(0, 'benchmarks'); import speed; "
        "network = speed.load_checkpoint('haf').network; image = speed.noise(speed.SIZE); "
        "loaded = speed.memory_of_this_process()['VmRSS']; network.describe([image]); "
        "print(loaded, speed.memory_of_this_process()['VmHWM'])"
    )
    runs = [
        [float(part) for part in subprocess.check_output([sys.executable, "-c", code]).split()]
        for _ in range(RUNS)
    ]
    above = statistics.median(after - before for before, after in runs)
    return {"model loaded MiB": round(runs[0][0]), "above it while describing MiB": round(above)}


def indexing_throughput(describer: Describer) -> dict[str, float]:
    """Photos per second of `hafloc index build` against the network alone on decoded photos."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "photos"
        folder.mkdir()
        for i in range(PHOTOS):
            Image.fromarray(noise(SIZE, i)).save(folder / f"{i:03}.jpg", quality=90)
        rows = [f"{i:03}.jpg,52.2,{0.1 + i / 1000}" for i in range(PHOTOS)]
        (folder / "positions.csv").write_text("\n".join(["image,lat,lon", *rows]))
        images = [describer.fit(noise(SIZE, i)) for i in range(PHOTOS)]
        ratios, whole = [], []
        for run in range(RUNS):
            target = Path(scratch) / f"{run}.gpkg"
            alone = seconds(lambda: [describer.vector(image) for image in images])
            whole.append(seconds(lambda: build_index(target, describer, folder)))  # noqa: B023
            ratios.append(alone / whole[-1])
    return {
        "photos / s": round(PHOTOS / statistics.median(whole), 2),
        "of the network's own": round(statistics.median(ratios), 3),
    }


def search_time(describer: Describer) -> dict[str, float]:
    """Exact search over synthetic vectors, per query, as `locate` does it; both storage types."""
    rng = np.random.default_rng(0)
    result = {}
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--watch", action="store_true", help="watch memory over 2,000 photos")
    watch = parser.parse_args().watch
    describer = Describer.open()
    results: dict[str, dict[str, float] | dict[str, str | int]] = {"machine": machine()}
    steps: dict[str, Callable[[], dict[str, float]]]
    if watch:
        steps = {"memory": lambda: watch_memory(describer)}
    else:
        network = load_checkpoint("haf").network
        assert isinstance(network, HAF)
        steps = {
            "one 640×480 photo": lambda: description_against_trunk(network),
            "one 480×360 photo": lambda: description_against_trunk(network, (360, 480)),
            "memory": peak_memory,
            "indexing": lambda: indexing_throughput(describer),
            f"search of {DATABASE:,}": lambda: search_time(describer),
        }
    for name, step in steps.items():
        results[name] = step()
        print(name, json.dumps(results[name], ensure_ascii=False), flush=True)
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / ("memory.json" if watch else "speed.json")
    target.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
