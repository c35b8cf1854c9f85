"""A small server for tests: photos of plain colours, and a describer that sees only colour."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hafloc.description import Description, ImageFeatures, KeyPoints, LevelDescription
from hafloc.geo import Position
from hafloc.index import ModelInfo, Record, create_index
from hafloc.photos import read
from hafloc.serve import Databases, Log, Options, Service, SharedNetworks
from hafloc.serve.network import Network
from hafloc.serve.run import listen, make_server

MODEL = ModelInfo(name="colours", hash="0123456789abcdef", options="{}", dimension=3)
COLOURS = {
    "red.jpg": (250, 10, 10),
    "green.jpg": (10, 250, 10),
    "blue.jpg": (10, 10, 250),
    "orange.jpg": (250, 120, 10),
}
PLACES = {
    "red.jpg": Position(52.2000, 0.1000),
    "green.jpg": Position(52.2010, 0.1000),
    "blue.jpg": Position(52.3000, 0.1000),
    "orange.jpg": Position(52.2000, 0.1010),
}
OPTIONS = Options(workers=2, deadline=10.0, upload_seconds=10.0)


class MeanColour:
    """Stands in for a network; `slow` is how long it takes, `seen` how many images it saw."""

    name, hash, options, dimension = MODEL.name, MODEL.hash, MODEL.options, MODEL.dimension
    longer_side = 64
    at_once = 1

    def __init__(self, slow: float = 0.0) -> None:
        self.slow = slow
        self.seen = 0
        self._one_by_one = threading.Lock()

    def features(
        self, image: NDArray[np.uint8], *, local: bool = True, regions: bool = True
    ) -> ImageFeatures:
        with self._one_by_one:
            self.seen += 1
            time.sleep(self.slow)
        mean = image.reshape(-1, 3).mean(axis=0) + 1
        return ImageFeatures(np.asarray(mean / np.linalg.norm(mean), dtype=np.float32))

    def describe(self, image: NDArray[np.uint8]) -> Description:
        height, width = image.shape[:2]
        heat = image[::2, ::2].mean(axis=2).astype(np.float32) + 1
        heat /= heat.sum()
        level = LevelDescription(np.ones(1, np.float32), heat, heat, heat)
        nothing = np.zeros((0, 2), np.float32)
        points = KeyPoints(nothing, np.zeros(0, np.float32), nothing)
        levels = {name: level for name in ("low", "mid", "high")}
        return Description(
            self.features(image).vector, (width, height), levels, heat * heat.size, points
        )


def jpeg(colour: tuple[int, int, int] = (240, 40, 20), size: tuple[int, int] = (80, 60)) -> bytes:
    memory = BytesIO()
    Image.new("RGB", size, colour).save(memory, "JPEG", quality=95)
    return memory.getvalue()


def build(path: Path, places: dict[str, Position] = PLACES) -> Path:
    """An index at `path`, its photos beside it."""
    with create_index(path, MODEL, "float32") as index:
        for name, place in places.items():
            file = path.parent / name
            file.write_bytes(jpeg(COLOURS.get(name, (100, 100, 100))))
            photo = read(file)
            record = Record(
                path=name,
                content=photo.content,
                position=place,
                width=photo.width,
                height=photo.height,
                source="csv",
                heading=90.0 if name == "red.jpg" else None,
            )
            vector = MeanColour().features(photo.image).vector
            index.add([record], vector[np.newaxis])
    return path


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; the names of `headers` are in small letters."""

    status_code: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True, slots=True)
class Client:
    """A client with one connection a request."""

    port: int

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Response(answer.status, names, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Response:
        return self.send("GET", path, headers=_named(headers))

    def delete(self, path: str, **headers: str) -> Response:
        return self.send("DELETE", path, headers=_named(headers))

    def post(
        self,
        path: str,
        files: Sequence[tuple[str, tuple[str, bytes, str]]] = (),
        content: bytes = b"",
        fields: dict[str, str] | None = None,
        **headers: str,
    ) -> Response:
        """A form with `files` and `fields`, or the `content` as it is."""
        named = _named(headers)
        if files or fields:
            content = form(files, fields or {})
            named["content-type"] = f"multipart/form-data; boundary={BOUNDARY}"
        return self.send("POST", path, content, named)


BOUNDARY = "between-the-parts"


def form(
    files: Sequence[tuple[str, tuple[str, bytes, str]]], fields: dict[str, str] | None = None
) -> bytes:
    """A body of multipart/form-data."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n'
        f"Content-Type: {kind}\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, (file, data, kind) in files
    ]
    parts += [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in (fields or {}).items()
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def photo(data: bytes, name: str = "query.jpg") -> tuple[str, tuple[str, bytes, str]]:
    return "photo", (name, data, "image/jpeg")


def make_service(
    locations: list[Path], describer: MeanColour, options: Options, log: StringIO
) -> Service:
    networks = SharedNetworks(lambda location, name: Network(describer))
    databases = Databases([str(one) for one in locations], networks.localizer, options.photos)
    databases.open()
    return Service(databases, options, Log(log))


@dataclass(slots=True)
class Served:
    """A server with what a test looks at."""

    port: int
    service: Service
    describer: MeanColour
    log: StringIO
    client: Client
    server: Any
    thread: threading.Thread

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()


@contextmanager
def served(
    *locations: Path, slow: float = 0.0, options: Options = OPTIONS, **more: Any
) -> Iterator[Served]:
    """A server on a port of its own, in a thread."""
    describer, started, log = MeanColour(slow), threading.Event(), StringIO()
    service = make_service(list(locations), describer, replace(options, **more), log)
    socket = listen("127.0.0.1", 0)
    server = make_server(service, started=started.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    assert started.wait(20)
    port = socket.getsockname()[1]
    found = Served(port, service, describer, log, Client(port), server, thread)
    try:
        yield found
    finally:
        found.stop()
        service.close()


def until(wanted: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until it holds; fails where that takes too long."""
    end = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.01)
