"""A hard life for a server: requests by its own OpenAPI, many clients that misbehave, and kills."""

import json
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

from served import Client, form, jpeg, photo, until

from hafloc.index import open_index

SUPPORT = Path(__file__).parents[1] / "support"
SERVER = SUPPORT / "stand_in_server.py"


# --- Requests by the OpenAPI ---


def try_schema(port: int, examples: int, *, seed: int = 0) -> tuple[int, dict[str, str]]:
    """Requests that schemathesis draws for each operation, and what is wrong with an answer.

    Whether data that the schema allows was accepted is not asked: that a photo has no position, or
    `near` names no place, no schema can tell.
    """
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from schemathesis.checks import CHECKS, load_all_checks

    load_all_checks()
    left_out = CHECKS.get_one("positive_data_acceptance")
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    wrong: dict[str, str] = {}
    count = 0
    for operation in (found.ok() for found in schema.get_all_operations()):

        def check(case) -> None:  # type: ignore[no-untyped-def]
            nonlocal count
            count += 1
            label = case.operation.label
            answer = case.call(timeout=30)
            try:
                case.validate_response(answer, excluded_checks=[left_out])
                assert answer.status_code != 500
            except BaseExceptionGroup as failures:
                wrong.setdefault(label, str(failures.exceptions)[:2_000])

        seeded(seed)(
            settings(
                max_examples=examples,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )(given(case=operation.as_strategy())(check))
        )()
    return count, wrong


# --- Clients that misbehave ---

LOCATE = b"POST /v1/locate HTTP/1.1\r\nHost: localhost\r\n"
JPEG = b"Content-Type: image/jpeg\r\n"


def bombs() -> dict[str, bytes]:
    """Requests, as bytes on the wire, that mean to take more than they bring."""
    parts = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\nx\r\n'
        for _ in range(100_000)
    )
    many = b"Content-Type: multipart/form-data; boundary=b\r\n"
    deep = b"[" * 200_000
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\0\0\0" + bytes(4)
    flat = _all_black_png(30_000)

    def post(body: bytes, kind: bytes = JPEG, head: bytes = b"") -> bytes:
        return LOCATE + kind + head + b"Content-Length: %d\r\n\r\n" % len(body) + body

    return {
        "a form of 100,000 parts": post(parts + b"--b--\r\n", many),
        "fields without end": post(parts.replace(b"photo", b"other") + b"--b--\r\n", many),
        "a part's head without end": post(b"--b\r\n" + b"X: y\r\n" * 100_000, many),
        "JSON 200,000 deep": post(deep, b"Content-Type: application/json\r\n"),
        "a PNG of 4.6e18 pixels": post(png),
        "a PNG of 900 million black pixels": post(flat),
        "a gzip body": post(flat, JPEG + b"Content-Encoding: gzip\r\n"),
        "a head of 200 kB": LOCATE + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
        "100,000 heads": LOCATE + b"X: y\r\n" * 100_000 + b"\r\n",
        "a name of 50 kB": post(jpeg(), JPEG, b"X-Name: " + b"n" * 50_000 + b"\r\n"),
        "another kind than it says": post(jpeg(), b"Content-Type: text/html\r\n"),
        "no kind at all": post(jpeg(), b""),
        "no form though it says so": post(jpeg(), many),
    }


def _all_black_png(side: int) -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8 + 1)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def tricks() -> dict[str, bytes]:
    """Requests that lie: about lengths, hosts, paths and ranges."""
    get = b"GET /v1/databases HTTP/1.1\r\nHost: localhost\r\n"
    found = {
        "two lengths": LOCATE + JPEG + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        "a negative length": LOCATE + JPEG + b"Content-Length: -1\r\n\r\n",
        "a length of letters": LOCATE + JPEG + b"Content-Length: 0x10\r\n\r\n",
        "a length of 400 digits": LOCATE + JPEG + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n",
        "chunks and a length": LOCATE
        + JPEG
        + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a chunk of letters": LOCATE + JPEG + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        "a chunk without end": LOCATE
        + JPEG
        + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "a chunk shorter than said": LOCATE
        + JPEG
        + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab\r\n0\r\n\r\n",
        "chunked twice": LOCATE + JPEG + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "another coding": LOCATE + JPEG + b"Transfer-Encoding: gzip\r\n\r\n",
        "two hosts": b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        "no host": b"GET /v1/databases HTTP/1.1\r\n\r\n",
        "a host of nothing": b"GET /v1/databases HTTP/1.1\r\nHost:\r\n\r\n",
        "a host with a line end": b"GET / HTTP/1.1\r\nHost: local\r\n host\r\n\r\n",
        "a whole address": b"GET http://evil.example/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a forwarded host": get + b"X-Forwarded-Host: evil.example\r\nX-Forwarded-For: 1\r\n\r\n",
        "a forwarded prefix": get + b"X-Forwarded-Prefix: //evil.example\r\n\r\n",
        "a forwarded scheme": get + b"X-Forwarded-Proto: javascript\r\n\r\n",
        "a range of all": get + b"Range: bytes=-99999999999999999999\r\n\r\n",
        "ranges without end": get + b"Range: bytes=" + b"0-1," * 5_000 + b"\r\n\r\n",
        "a header with a NUL": get + b"X: a\0b\r\n\r\n",
        "a header of bytes": get + b"X-API-Key: \xff\xfe\r\nAuthorization: Bearer \xff\r\n\r\n",
        "an old version": b"GET /v1/databases HTTP/0.9\r\n\r\n",
        "a new version": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "a method of nobody": b"BREW /v1/databases HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(190),
        "spaces before a colon": b"GET /v1/databases HTTP/1.1\r\nHost : localhost\r\n\r\n",
    }
    for path in (
        *("/../../etc/passwd", "/assets/../../../etc/passwd", "/assets/%2e%2e/%2e%2e/etc/passwd"),
        *("/assets/..%2f..%2f..%2fetc%2fpasswd", "//etc/passwd", "/assets//etc/passwd", "/%00"),
        *("/assets/%00.js", "/assets/..%5c..%5cx", "/assets/%c0%ae%c0%ae/x", "/v1/photos/%2e%2e"),
        *("/v1/photos/1%00/thumbnail", "/v1/photos/1/thumbnail?database=../city", "/v1/photos/-1"),
        *("/v1/photos/99999999999999999999999/thumbnail", "/v1/photos/1e3", "/v1/photos/%F1"),
        *(
            "/v1/tiles/city/99/0/0.mvt",
            "/v1/tiles/city/-1/0/0.mvt",
            "/v1/tiles/..%2fcity/0/0/0.mvt",
        ),
        *("/v1/evidence/..%2f..%2fx/photo", "/v1/photos?after=%00&limit=9e99", "/" + "a/" * 8_000),
        *("/v1/photos?bbox=nan,nan,nan,nan", "/v1/photos?bbox=1e999,0,0,0", "/v1/photos?limit=-1"),
        *(
            "/v1/photos?datetime=%00/..",
            "/v1/photos?after='%20OR%201=1",
            "/v1/collections/%00/items",
        ),
        "/v1/photos/1/thumbnail?side=1000000000",
    ):
        found[path[:60]] = b"GET " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    return found


def answer_to(port: int, request: bytes, seconds: float = 20.0) -> bytes:
    """All that comes back until the server is done with it, or has been silent for a while."""
    parts: list[bytes] = []
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        sender = threading.Thread(target=_send, args=(connection, request), daemon=True)
        sender.start()
        with suppress(TimeoutError, ConnectionError):
            while part := connection.recv(65_536):
                parts.append(part)
                connection.settimeout(0.15)  # one answer is enough
    return b"".join(parts)


def _send(connection: socket.socket, request: bytes) -> None:
    with suppress(OSError):
        connection.sendall(request)


def statuses(answer: bytes) -> list[int]:
    """The statuses of the answers in what came back."""
    lines = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    return [int(line.split()[1]) for line in lines]


@contextmanager
def idle_connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Connections that have sent half a request and wait."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 3 * count + 200)), hard))
    found: list[socket.socket] = []
    try:
        for number in range(count):
            connection = socket.create_connection(("127.0.0.1", port), timeout=20)
            half = LOCATE + JPEG + b"Content-Length: 90000\r\n\r\n\xff\xd8"
            connection.sendall(half if number % 2 else LOCATE)
            found.append(connection)
        yield found
    finally:
        for connection in found:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@dataclass(slots=True)
class Load:
    """What became of many requests: answers by status, and milliseconds of those that were 200."""

    statuses: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)


def press(port: int, requests: int, clients: int) -> Load:
    """So many photos located by so many clients at once; whoever is told to come again does."""
    found, lock = Load(), threading.Lock()

    def one(number: int) -> None:
        client = Client(port)
        colour = (number * 37 % 256, number * 91 % 256, number * 13 % 256)
        body = jpeg(colour)
        for _ in range(200):
            began = time.perf_counter()
            try:
                answer = client.post("/v1/locate", [photo(body)])
            except (OSError, HTTPException) as error:
                with lock:
                    found.broken.append(repr(error))
                return
            with lock:
                found.statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    found.milliseconds.append(1e3 * (time.perf_counter() - began))
                    assert len(answer.json()["answers"]) == 1
            if answer.status_code != 503:
                return
            assert answer.headers["retry-after"]
            time.sleep(0.05)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, range(requests)))
    return found


# --- Kills ---


@contextmanager
def server_process(
    index: Path, folder: Path | None = None, slow: float = 0.0
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server in a process of its own, and its port; killed at the end."""
    words = [sys.executable, str(SERVER), str(index), str(slow), *([str(folder)] if folder else [])]
    path = [str(SUPPORT), *sys.path]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": ":".join(path)}
    )
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def write_and_kill(index: Path, folder: Path, first: int, chance: random.Random) -> dict[int, str]:
    """Photos sent by three clients until the server is killed amid them: id to content, of those
    that were acknowledged."""
    kept: dict[int, str] = {}
    lock, stopped = threading.Lock(), threading.Event()
    numbers = iter(range(first, first + 100_000))

    with server_process(index, folder) as (process, port):

        def send() -> None:
            while not stopped.is_set():
                with lock:
                    number = next(numbers)
                colour = (number % 251, number // 251 % 251, number * 7 % 251)
                body = form([photo(jpeg(colour, (64 + number % 7, 48)), f"{number}.jpg")],
                            {"lat": "52.2", "lon": "0.1"})  # fmt: skip
                kind = "multipart/form-data; boundary=between-the-parts"
                try:
                    answer = Client(port).send("POST", "/v1/photos", body, {"content-type": kind})
                except (OSError, HTTPException):
                    return
                if answer.status_code == 201:
                    id_ = _id_of(answer.content)
                    # Whether one whose removal is not acknowledged is gone is open.
                    if chance.random() < 0.1 and _is_removed(port, id_):
                        continue
                    with lock:
                        kept[id_] = f"{number}.jpg"

        threads = [threading.Thread(target=send) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: bool(kept), 30)
        time.sleep(chance.uniform(0.0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        stopped.set()
        for thread in threads:
            thread.join()
    return kept


def _is_removed(port: int, id_: int) -> bool:
    """Whether a photo was removed, or may have been."""
    try:
        return Client(port).delete(f"/v1/photos/{id_}").status_code in (204, 404)
    except (OSError, HTTPException):
        return True


def _id_of(content: bytes) -> int:
    found = json.loads(content)
    feature = found["features"][0] if "features" in found else found
    return int(feature["id"])


def check_kept(index: Path, kept: dict[int, str]) -> int:
    """That all acknowledged photos are there with their files, and all is sound; how many are."""
    with open_index(index) as opened:
        assert opened.verify() == []
        held = {record.id: record for record in opened.photos()}
        for id_, name in kept.items():
            assert id_ in held, f"photo {id_} was acknowledged and is gone"
            assert Path(held[id_].path).name.startswith(name.partition(".")[0])
            file = opened.paths.file_of(held[id_].path)
            assert isinstance(file, Path)
            assert file.is_file()
        return len(held)
