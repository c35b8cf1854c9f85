"""A hard life, in full length: what the quick tests do a few times, a hundred times and more.

    python benchmarks/hard_life.py schema [--examples 300]   requests by the OpenAPI
    python benchmarks/hard_life.py load [--requests 3000]    many clients, 1,000 idle connections
    python benchmarks/hard_life.py server [--kills 100]      kill -9 of the server amid writes
    python benchmarks/hard_life.py build [--kills 100]       kill -9 of `index build`
    python benchmarks/hard_life.py pages [--flips 20]        every page of an index flipped so often
    python benchmarks/hard_life.py costs                     what checksums cost a first search

Each adds its part to results/hard_life.json and fails where something is lost, wrong or not told.
The server is the small one of tests/serve, with a network that sees only colours, on this machine.
"""

import argparse
import json
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "hard_life.json"
for room in ("support", "serve", "hardening"):
    sys.path.insert(0, str(HERE / "tests" / room))


def schema(given: argparse.Namespace, home: Path) -> dict[str, Any]:
    from served import build, served

    from hard_life import try_schema

    index = build(home / "city.gpkg")
    began = time.monotonic()
    with served(index, writable=True, photos_folder=home / "kept") as city:
        requests, wrong = try_schema(city.port, given.examples, seed=given.seed)
    print(json.dumps(wrong, indent=1))
    return {
        "requests": requests,
        "seconds": round(time.monotonic() - began),
        "wrong": sorted(wrong),
        "schemathesis": version("schemathesis"),
    }


def load(given: argparse.Namespace, home: Path) -> dict[str, Any]:
    import psutil
    from served import build

    from hard_life import idle_connections, press, server_process

    index = build(home / "city.gpkg")
    with server_process(index) as (process, port):
        running = psutil.Process(process.pid)
        press(port, 200, 8)
        memory, began = [running.memory_info().rss / 2**20], time.monotonic()
        with idle_connections(port, given.idle):
            found = press(port, given.requests // 4, 16)
        for _ in range(3):
            memory.append(running.memory_info().rss / 2**20)
            more = press(port, given.requests // 4, 16)
            found.statuses += more.statuses
            found.broken += more.broken
            found.milliseconds += more.milliseconds
        memory.append(running.memory_info().rss / 2**20)
        files = running.num_fds()
    lost = 4 * (given.requests // 4) - found.statuses[200]
    return {
        "requests": 4 * (given.requests // 4),
        "idle_connections": given.idle,
        "lost": lost,
        "broken": len(found.broken),
        "why": sorted(set(found.broken))[:3],
        "told_to_come_again": found.statuses[503],
        "seconds": round(time.monotonic() - began),
        "median_ms": round(statistics.median(found.milliseconds), 1),
        "memory_mb": [round(value) for value in memory],
        "open_files_after": files,
        "wrong": [] if lost == 0 and not found.broken else ["requests were lost"],
    }


def server(given: argparse.Namespace, home: Path) -> dict[str, Any]:
    from served import build

    from hard_life import check_kept, write_and_kill

    index, kept, chance = build(home / "city.gpkg"), {}, random.Random(given.seed)
    began = time.monotonic()
    for number in range(given.kills):
        kept |= write_and_kill(index, home / "kept", 1_000 * number, chance)
        check_kept(index, kept)
    return {
        "kills": given.kills,
        "acknowledged": len(kept),
        "seconds": round(time.monotonic() - began),
        "wrong": [],
    }


BUILD = """
import sys
from pathlib import Path
from colours import Colours
from hafloc.index import build_index

print("ready", flush=True)
build_index(Path(sys.argv[1]), Colours(), Path(sys.argv[2]))
"""


def build(given: argparse.Namespace, home: Path) -> dict[str, Any]:
    import numpy as np
    from PIL import Image as Pillow

    from hafloc.index import open_index

    photos, index = home / "photos", home / "city.gpkg"
    photos.mkdir()
    rows = ["image,lat,lon"]
    for number in range(3_000):
        colour = np.full((24, 32, 3), (number % 256, number // 256 * 20, 90), np.uint8)
        Pillow.fromarray(colour).save(photos / f"{number}.png")
        rows.append(f"{number}.png,{48 + number / 10_000},16")
    (home / "positions.csv").write_text("\n".join(rows))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", BUILD, str(index), str(photos)]
    chance, counts, began = random.Random(given.seed), [], time.monotonic()
    for _ in range(given.kills):
        process = subprocess.Popen(words, stdout=subprocess.PIPE, env=environment, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0, 1.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if index.exists():
            with open_index(index) as opened:
                assert opened.verify() == []
                counts.append(opened.count())
        if counts and counts[-1] == 3_000:
            index.unlink()
            counts.append(0)
    grows = all(b >= a or b == 0 for a, b in pairwise(counts))
    left = [path.name for path in home.iterdir() if path.name.endswith((".part", "-journal"))]
    return {
        "kills": given.kills,
        "most_photos": max(counts, default=0),
        "seconds": round(time.monotonic() - began),
        "left_behind": left,
        "wrong": [] if grows else ["photos that were stored are gone"],
    }


def pages(given: argparse.Namespace, home: Path) -> dict[str, Any]:
    import fuzz_seeds
    from test_damaged_pages import PAGE, answers, asked, flips, is_told_by_verify, places

    sound, path = fuzz_seeds.index_file(8, PAGE), home / "city.gpkg"
    path.write_bytes(sound)
    right, there = answers(path), places(path)
    chance, tried, told, moved, wrong = random.Random(given.seed), 0, 0, 0, []
    began = time.monotonic()
    for page in range(len(sound) // PAGE):
        for _ in range(given.flips):
            for content in flips(sound, page, chance):
                path.write_bytes(content)
                tried += 1
                found = asked(answers, path)
                told += found is None
                if found not in (None, right):
                    wrong.append(f"page {page} changes an answer")
                if asked(places, path) not in (None, there):
                    moved += 1
                    if not is_told_by_verify(path):
                        wrong.append(f"page {page} moves photos unseen")
    return {
        "pages": len(sound) // PAGE,
        "flips": tried,
        "told": told,
        "told_by_verify_alone": moved,
        "same_answer": tried - told,
        "seconds": round(time.monotonic() - began),
        "wrong": wrong,
    }


def costs(given: argparse.Namespace, home: Path) -> dict[str, Any]:
    """The same index with and without checksums, in turns in one process."""
    import sqlite3

    import numpy as np
    from small_index import BEFORE_FORMAT_7, MODEL, sample

    from hafloc.index import create_index, open_index
    from hafloc.index.functions import add_functions

    sealed, plain = home / "sealed.gpkg", home / "plain.gpkg"
    records, _ = sample(given.photos)
    random_ = np.random.default_rng(0)
    from dataclasses import replace

    model = replace(MODEL, dimension=1_152)
    with create_index(sealed, model) as index:
        for start in range(0, given.photos, 1_000):
            some = records[start : start + 1_000]
            vectors = random_.standard_normal((len(some), 1_152), dtype=np.float32)
            index.add(some, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    shutil.copy(sealed, plain)
    database = sqlite3.connect(plain)
    add_functions(database)
    for statement in BEFORE_FORMAT_7:
        database.execute(statement)
    database.execute("UPDATE hafloc SET value = '6' WHERE key = 'format_version'")
    database.commit()
    database.execute("VACUUM")
    database.close()
    query = np.full((1, 1_152), 1_152**-0.5, np.float32)

    def first_search(path: Path) -> float:
        began = time.perf_counter()
        with open_index(path) as index:
            index.search(query, 10)
        return time.perf_counter() - began

    pairs = [(first_search(plain), first_search(sealed)) for _ in range(15)]
    return {
        "photos": given.photos,
        "first_search_ms_without": round(1e3 * statistics.median(a for a, _ in pairs), 1),
        "first_search_ms_with": round(1e3 * statistics.median(b for _, b in pairs), 1),
        "ratio": round(statistics.median(b / a for a, b in pairs), 3),
        "bytes_ratio": round(sealed.stat().st_size / plain.stat().st_size, 4),
        "wrong": [],
    }


PARTS = {
    "schema": schema,
    "load": load,
    "server": server,
    "build": build,
    "pages": pages,
    "costs": costs,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--examples", type=int, default=300, help="requests an operation")
    parser.add_argument("--requests", type=int, default=3_000)
    parser.add_argument("--idle", type=int, default=1_000, help="connections that wait")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--flips", type=int, default=20, help="times that a page is flipped")
    parser.add_argument("--photos", type=int, default=15_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hard-life-") as folder:
        found = PARTS[options.part](options, Path(folder))
    found["machine"] = f"{platform.machine()}, {os.cpu_count()} cores"
    found["python"] = platform.python_version()
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    results[options.part] = found
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(found))
    sys.exit(1 if found["wrong"] else 0)
