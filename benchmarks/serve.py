"""What a server adds to the network: POST /v1/locate of 640×480 JPEGs, alone and by eight clients.

`python benchmarks/serve.py INDEX.gpkg PHOTOS [--rounds 12]`. The server is a process of its own
(`hafloc serve`), this one holds the same network. Alone: a request, `Localizer.locate` of the same
bytes, and the bare network (the photo and its half) take turns, and medians of their ratios count.
Eight clients: blocks of requests take turns with as many photos through the bare network, and
through one Localizer by eight threads. Requests that are answered otherwise than by 200 are lost.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from PIL import Image

from hafloc.locate import Localizer
from hafloc.photos import query_photos

CLIENTS = 8
SIZE = (640, 480)
RESULTS = Path(__file__).parent / "results" / "serve.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--runtime", default="torch")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    photos = [small(path) for path in sorted(options.photos.glob("*.jpg"))[:CLIENTS]]
    with (
        Localizer.open(options.index, runtime=options.runtime) as localizer,
        server(options.index, options.runtime) as port,
    ):
        ask(port, photos[0])
        localizer.locate(photos[0])
        single = alone(localizer, port, photos, options.rounds)
        print(json.dumps(single), flush=True)
        found = {
            "alone": single,
            "eight clients": together(localizer, port, photos, options.blocks),
            "runtime": str(getattr(localizer.describer, "runtime", "")),
            "machine": f"{os.cpu_count()} cores",
            "load when it ended": round(os.getloadavg()[0], 1),
        }
    options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


def small(path: Path) -> bytes:
    memory = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").resize(SIZE).save(memory, "JPEG", quality=90)
    return memory.getvalue()


@contextmanager
def server(index: str, runtime: str) -> Iterator[int]:
    start = "import sys; from hafloc.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", start, "serve", index, "--port", "0"]
    running = subprocess.Popen(
        [*command, "--runtime", runtime], stderr=subprocess.PIPE, text=True, bufsize=1
    )
    assert running.stderr is not None
    lines = running.stderr
    first = lines.readline()
    # Its log has to be read, or the server would wait for that.
    threading.Thread(target=lambda: [None for _ in lines], daemon=True).start()
    try:
        yield int(first.rpartition(":")[2].partition("/")[0])
    finally:
        running.terminate()
        running.wait()


def ask(port: int, photo: bytes) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request("POST", "/v1/locate", photo, {"Content-Type": "image/jpeg"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def through_network(localizer: Localizer, photo: bytes) -> None:
    from hafloc.locate.scales import at_scales

    (read,) = query_photos(photo, longer_side=localizer.candidates.longer_side)
    began = time.perf_counter()
    at_scales(localizer.describer, read.image, local=True, regions=localizer.index.regions > 0)
    _network.append(time.perf_counter() - began)


_network: list[float] = []


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def alone(
    localizer: Localizer, port: int, photos: Sequence[bytes], rounds: int
) -> dict[str, object]:
    served, located, bare, statuses = [], [], [], []
    for number in range(rounds):
        photo = photos[number % len(photos)]
        served.append(seconds(lambda photo=photo: statuses.append(ask(port, photo))))
        located.append(seconds(lambda photo=photo: localizer.locate(photo)))
        through_network(localizer, photo)
        bare.append(_network[-1])
    return {
        "requests": rounds,
        "lost": sum(status != 200 for status in statuses),
        "ms": {"p50": ms(served, 0.5), "p95": ms(served, 0.95)},
        "ms of Localizer.locate": {"p50": ms(located, 0.5), "p95": ms(located, 0.95)},
        "ms of the network": {"p50": ms(bare, 0.5), "p95": ms(bare, 0.95)},
        "to Localizer.locate": ratio(served, located),
        "to the network": ratio(served, bare),
    }


def together(
    localizer: Localizer, port: int, photos: Sequence[bytes], blocks: int
) -> dict[str, object]:
    served, located, bare, latencies, statuses = [], [], [], [], []

    def one(photo: bytes) -> None:
        latencies.append(seconds(lambda: statuses.append(ask(port, photo))))

    with ThreadPoolExecutor(CLIENTS) as clients:
        for _ in range(blocks):
            served.append(seconds(lambda: list(clients.map(one, photos))))
            _network.clear()
            for photo in photos:
                through_network(localizer, photo)
            bare.append(sum(_network))
            located.append(seconds(lambda: list(clients.map(localizer.locate, photos))))
    return {
        "requests": blocks * len(photos),
        "lost": sum(status != 200 for status in statuses),
        "ms": {"p50": ms(latencies, 0.5), "p95": ms(latencies, 0.95)},
        "photos a second": round(blocks * len(photos) / sum(served), 2),
        "photos a second of the network": round(blocks * len(photos) / sum(bare), 2),
        "throughput to the network": ratio(bare, served),
        "throughput to Localizer.locate by 8 threads": ratio(located, served),
    }


def ms(times: Sequence[float], share: float) -> float:
    ordered = sorted(times)
    return round(1000 * ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))], 1)


def ratio(ours: Sequence[float], others: Sequence[float]) -> float:
    pairs = [one / other for one, other in zip(ours, others, strict=True)]
    return round(statistics.median(pairs), 3)


if __name__ == "__main__":
    main()
