"""What `index build` costs on a folder of many photos: the first time, and again.

    python benchmarks/build_again.py --photos 100000 [--source OLD/src]

Draws small photos and a table of positions into a temporary folder, and builds with a describer
that reads and decodes but computes nothing, so that only the index's own work is measured: each
build in a process of its own, the second one five times. `--source` measures another version of
hafloc instead, under the name "before". Writes benchmarks/results/build_again.json.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RESULT = Path(__file__).parent / "results" / "build_again.json"

# Run in a process of its own: which hafloc it finds is up to PYTHONPATH.
BUILD = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from hafloc.description import ImageFeatures
from hafloc.describe import Described
from hafloc.errors import HaflocError
from hafloc.index import build_index
from hafloc.photos import read

class Reader:
    name, hash, options, dimension = "reader", "0" * 32, "{}", 64
    def name_from(self, folder):
        return self.name
    def describe_files(self, paths, check=None, **_):
        vector = np.ones(64, np.float32) / 8
        for path in paths:
            try:
                photo = read(path, longer_side=480)
                check(path, photo)
            except HaflocError as error:
                yield path, error
            else:
                yield path, Described(photo, ImageFeatures(vector))

def read_bytes():
    return int(Path("/proc/self/io").read_text().split()[1])

before, start = read_bytes(), time.perf_counter()
report = build_index(Path(sys.argv[1]), Reader(), Path(sys.argv[2]))
print(json.dumps({
    "seconds": round(time.perf_counter() - start, 2),
    "megabytes read": round((read_bytes() - before) / 1e6, 1),
    "peak MiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    "added": report.added, "unchanged": report.unchanged,
}))
"""


def draw(folder: Path, count: int) -> None:
    """`count` JPEGs of different bytes in folders of 1,000, and their positions.csv."""
    from io import BytesIO

    from PIL import Image

    memory = BytesIO()
    Image.new("RGB", (96, 64), (90, 120, 150)).save(memory, "JPEG")
    picture = memory.getvalue()
    rows = ["image,lat,lon"]
    for number in range(count):
        name = f"{number // 1000:03d}/{number:06d}.jpg"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # As a motion photo: more bytes behind the picture's end.
        path.write_bytes(picture + number.to_bytes(8, "big") * 2_500)
        rows.append(f"{name},{48 + number % 1000 / 1e4:.5f},{16 + number // 1000 / 1e3:.5f}")
    (folder / "positions.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def build(index: Path, folder: Path, source: Path | None) -> dict[str, float]:
    env = dict(os.environ)
    if source is not None:
        env["PYTHONPATH"] = str(source)
    command = [sys.executable, "-c", BUILD, str(index), str(folder)]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--source", type=Path, help="the src folder of another version")
    wanted = parser.parse_args()
    name = "now" if wanted.source is None else "before"
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "photos"
        draw(folder, wanted.photos)
        index = Path(home) / "many.gpkg"
        first = build(index, folder, wanted.source)
        again = [build(index, folder, wanted.source) for _ in range(5)]
    middle = {key: statistics.median(run[key] for run in again) for key in again[0]}
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    results[name] = {
        "photos": wanted.photos,
        "first build": first,
        "again, median of 5": middle,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "python": platform.python_version(),
    }
    RESULT.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results[name], indent=2))


if __name__ == "__main__":
    main()
