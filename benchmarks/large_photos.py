"""Does decoding keep up? `hafloc index build` of 12-megapixel JPEGs against the network alone.

    python benchmarks/large_photos.py                200 photos, about 5 minutes
    python benchmarks/large_photos.py --photos 20    while developing

The whole process counts, from the interpreter's start to the closed index, and so does its own
calibration. The network's throughput is that of `Describer.features` (vector, regions and key
points) on decoded photos, timed before and after in processes of their own. Where others use the
machine, compare the processors' seconds. A line of JSON ends it.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from speed import machine, noise

SIZE = (4000, 3000)  # columns, rows
DIFFERENT = 10
TIMED = 10

_ALONE = """
import sys, time
from pathlib import Path
from hafloc.describe import Describer
from hafloc.photos import read
describer = Describer.open()
images = [read(Path(path), longer_side=describer.longer_side).image for path in sys.argv[1:]]
describer.features(images[0])
for image in images:
    start, used = time.perf_counter(), time.process_time()
    describer.features(image)
    print(time.perf_counter() - start, time.process_time() - used)
"""


def write_photos(folder: Path, count: int) -> list[Path]:
    """Photos of as many bytes as a phone's, from a few pictures; no two files are the same."""
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 4, (SIZE[1], SIZE[0], 1)).astype(np.int16)
    files = []
    for i in range(DIFFERENT):
        large = Image.fromarray(noise((750, 1000), i)).resize(SIZE, Image.Resampling.BICUBIC)
        file = io.BytesIO()
        grainy = (np.asarray(large) + grain).clip(0, 255).astype(np.uint8)
        Image.fromarray(grainy).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    paths = [folder / f"{i:03}.jpg" for i in range(count)]
    for i, path in enumerate(paths):
        comment = f"photo {i:06}".encode()
        segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        data = files[i % DIFFERENT]
        path.write_bytes(data[:2] + segment + data[2:])
    rows = [f"{path.name},52.2,{0.1 + i / 1000}" for i, path in enumerate(paths)]
    (folder / "positions.csv").write_text("\n".join(["image,lat,lon", *rows]))
    return paths


def alone(paths: list[Path]) -> list[tuple[float, float]]:
    """The network's seconds, and its processors', for each photo, in a fresh process."""
    found = subprocess.check_output([sys.executable, "-c", _ALONE, *map(str, paths[:TIMED])])
    lines = [line.split() for line in found.decode().splitlines()]
    return [(float(seconds), float(used)) for seconds, used in lines]


def build(folder: Path, target: Path) -> tuple[float, float]:
    """Seconds of the whole process that indexes the photos, and its processors' seconds."""
    before, start = os.times(), time.perf_counter()
    code = "from hafloc.cli import main; main()"
    command = [sys.executable, "-c", code, "index", "build", str(target), str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - start, os.times()
    return seconds, after.children_user + after.children_system - (
        before.children_user + before.children_system
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=200, help="how many photos to index")
    count = parser.parse_args().photos
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "photos"
        folder.mkdir()
        paths = write_photos(folder, count)
        own = alone(paths)
        whole, processors = build(folder, Path(scratch) / "large.gpkg")
        own += alone(paths)
        megabytes = statistics.mean(path.stat().st_size for path in paths) / 1e6
    a_photo, used = (statistics.median(column) for column in zip(*own, strict=True))
    result = {
        "photos": count,
        "megabytes a photo": round(megabytes, 1),
        "network alone s": round(a_photo, 3),
        "index build s a photo": round(whole / count, 3),
        "processors' s a photo": round(processors / count, 3),
        "of the network's own": round(a_photo * count / whole, 3),
        "of the network's own, by processors": round(used * count / processors, 3),
    }
    print(json.dumps({"machine": machine(), "large photos": result}))


if __name__ == "__main__":
    main()
