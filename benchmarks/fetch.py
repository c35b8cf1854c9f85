"""`hafloc fetch` of 1,000 photos from a server on this machine: speed, memory, kill -9.

    python benchmarks/fetch.py [--photos 1000] [--side 256]

The server (tests/support/street_server.py) speaks as Panoramax does and counts what it is asked
for; it runs in this process, the fetch in others. Beside it stands what the same photos take by
bare requests on four connections, written without a check. Then a fetch is killed (SIGKILL) at a
third of the photos, and run again: no photo that was there may be asked for a second time, and
each has its row.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "fetch.json"
sys.path.insert(0, str(HERE / "tests" / "support"))
RUN = """
import resource, sys, threading
from hafloc.cli import main
try:
    main()
finally:
    print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""
BOX = "16.0,48.0,17.0,48.5"


def command(folder: Path, address: str) -> list[str]:
    words = ["fetch", "panoramax", str(folder), "--bbox", BOX, "--server", address, "--yes"]
    return [sys.executable, "-c", RUN, *words]


def bare(urls: list[str], folder: Path) -> float:
    """Seconds for the same photos without hafloc: four connections, no check, no table."""
    import urllib3

    folder.mkdir()
    pool = urllib3.PoolManager(maxsize=4)
    started = time.perf_counter()

    def one(numbered: tuple[int, str]) -> None:
        (folder / f"{numbered[0]}.jpg").write_bytes(pool.request("GET", numbered[1]).data)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(one, enumerate(urls)))
    return time.perf_counter() - started


def main() -> None:
    from street_server import Street, jpeg, serving

    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--photos", type=int, default=1_000)
    arguments.add_argument("--side", type=int, default=256)
    given = arguments.parse_args()
    # A hundred pictures stand for all, so that the server draws none while it is measured.
    drawn = [jpeg(i, given.side) for i in range(100)]

    class Drawn(Street):
        def photo(self, i: int) -> bytes:
            return drawn[i % 100]

    street = Drawn(count=given.photos)
    with serving(street) as address, tempfile.TemporaryDirectory() as made:
        place = Path(made)
        urls = [
            street.item(i)["assets"]["hd" if i % 5 == 0 else "sd"]["href"]
            for i in range(given.photos)
        ]
        plain, whole = [], []
        for turn in range(2):
            plain.append(bare(urls, place / f"bare {turn}"))
            started = time.perf_counter()
            done = subprocess.run(
                command(place / f"whole {turn}", address),
                capture_output=True,
                text=True,
                check=True,
            )
            whole.append(time.perf_counter() - started)
        peak = int(done.stderr.split("PEAK")[1].split()[0])
        facts = {
            "photos": given.photos,
            "bytes_a_photo": round(sum(map(len, drawn)) / len(drawn)),
            "seconds": round(min(whole), 2),
            "photos_a_second": round(given.photos / min(whole)),
            "bare_requests_seconds": round(min(plain), 2),
            "peak_resident_mib": round(peak / 1024),
            **killed(place / "killed", address, street, given.photos),
            "cores": os.cpu_count(),
        }
    RESULT.write_text(json.dumps(facts, indent=2) + "\n")
    print(json.dumps(facts))


def killed(folder: Path, address: str, street: object, photos: int) -> dict[str, int]:
    """What a killed fetch leaves, and what the next one asks for again."""
    hits = street.hits  # type: ignore[attr-defined]
    process = subprocess.Popen(
        command(folder, address), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while len(list(folder.glob("*.jpg"))) < photos // 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path.name for path in folder.glob("*.jpg")}
    rows = (folder / "positions.csv").read_text()
    before = dict(hits)
    subprocess.run(command(folder, address), check=True, capture_output=True)
    asked = [
        path.split("/")[3]
        for path, count in hits.items()
        if path.startswith("GET /api/pictures/") and count > before.get(path, 0)
    ]
    return {
        "kept_when_killed": len(kept),
        "kept_without_row": sum(name not in rows for name in kept),
        "fetched_twice": sum(f"panoramax-{name}.jpg" in kept for name in asked),
        "fetched_by_the_second_run": len(asked),
        "there_in_the_end": len(list(folder.glob("*.jpg"))),
    }


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
