"""A server of street-level photos on this machine, as Panoramax and Mapillary speak, and its moods.

The items have the form of those of an instance of Panoramax (GeoVisio 2.15, STAC 1.0). Photos
lie along a street eastward, STEP apart.
"""

import base64
import hashlib
import io
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
from PIL import Image

WEST, SOUTH = 16.37, 48.2
STEP = 0.0001  # degrees eastward, 7.4 m there


def jpeg(seed: int, side: int = 64) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    memory = io.BytesIO()
    Image.fromarray(pixels).save(memory, "JPEG", quality=80)
    return memory.getvalue()


@dataclass
class Street:
    """What is served and how: `moods` are taken in turn by each path, then all goes well.

    A mood is a status ("429 7": with Retry-After), "html", "broken" (no image), "torn" (a JPEG
    cut off, whole by its length), "dies" (the link does, half way), "changed" (bytes that
    differ from what the hash says) or "slow".
    """

    count: int = 10
    pages: bool = True
    tags: bool = True
    digests: bool = True
    change: dict[int, dict[str, Any]] = field(default_factory=dict)
    moods: dict[str, list[str]] = field(default_factory=dict)
    hits: Counter[str] = field(default_factory=Counter)
    agents: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    ranges: list[str] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    most_at_once: int = 0
    pause: float = 0.0
    address: str = ""
    side: int = 64
    at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def photo(self, i: int) -> bytes:
        return jpeg(i, self.side)

    def place(self, i: int) -> tuple[float, float]:
        return WEST + i * STEP, SOUTH

    def item(self, i: int) -> dict[str, Any]:
        lon, lat = self.place(i)
        name = f"{i:08d}-65eb-4a90-9764-86b3661aaa77"
        files = f"{self.address}/api/pictures/{name}"
        item = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": name,
            "collection": "bb129602-5ac1-4512-bf67-9ec1fa23033f",
            "geometry": {"type": "Point", "coordinates": [lon, lat]},
            "bbox": [lon, lat, lon, lat],
            "providers": [
                {"name": f"Ada {i % 2}", "roles": ["producer"], "id": "11"},
                {"name": "example.org", "roles": ["processor", "host"]},
            ],
            "assets": {
                name: {"href": f"{files}/{name}.jpg", "roles": ["data"], "type": "image/jpeg"}
                for name in ("hd", "sd", "thumb")
            },
            "links": [
                {"rel": "root", "href": f"{self.address}/api", "type": "application/json"},
                {"rel": "self", "href": f"{self.address}/api/items/{name}"},
                {"rel": "next", "href": f"{self.address}/api/items/another", "id": "another"},
            ],
            "properties": {
                "datetime": f"{2020 + i % 4}-05-03T13:28:{i % 60:02d}+00:00",
                "license": "CC-BY-SA-4.0",
                "view:azimuth": (i * 10) % 360,
                "pers:interior_orientation": {
                    "camera_manufacturer": "GoPro",
                    "camera_model": "Max",
                    "field_of_view": 360 if i % 5 == 0 else 70,
                },
                "geovisio:producer": f"Ada {i % 2}",
            },
        }
        return _merged(item, self.change.get(i, {}))

    def image(self, i: int) -> dict[str, Any]:
        """A photo as Mapillary describes it."""
        lon, lat = self.place(i)
        urls = {
            f"thumb_{size}_url": f"{self.address}/cdn/{i}/{size}.jpg?signature=abc"
            for size in ("1024", "2048", "original")
        }
        return urls | {
            "id": str(1000 + i),
            "geometry": {"type": "Point", "coordinates": [lon + 0.00001, lat]},
            "computed_geometry": {"type": "Point", "coordinates": [lon, lat]},
            "compass_angle": 350.0,
            "computed_compass_angle": (i * 10) % 360,
            "captured_at": 1_650_000_000_000 + i * 1000,
            "is_pano": i % 5 == 0,
            "sequence": "walk",
            "creator": {"username": f"ada{i % 2}", "id": "7"},
        }


def _merged(item: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(item.get(key), dict):
            _merged(item[key], value)
        else:
            item[key] = value
    return item


class _Handler(BaseHTTPRequestHandler):
    street: Street

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for the other side

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        with self.street.lock:
            self.street.at_once += 1
            self.street.most_at_once = max(self.street.most_at_once, self.street.at_once)
            self.street.hits[f"{self.command} {parts.path}"] += 1
            self.street.agents.add(self.headers.get("User-Agent", ""))
            if "Authorization" in self.headers:
                self.street.tokens.add(f"{parts.path} {self.headers['Authorization']}")
            waiting = self.street.moods.get(parts.path, [])
            mood = waiting.pop(0) if waiting and self.command == "GET" else ""
        time.sleep(self.street.pause)
        try:
            self._answer(parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()}, mood)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with self.street.lock:
                self.street.at_once -= 1

    def _answer(self, path: str, query: dict[str, str], mood: str) -> None:
        if mood[:1].isdigit():
            status, _, after = mood.partition(" ")
            self._send(int(status), b"no", {"Retry-After": after} if after else {})
        elif mood == "html":
            self._send(200, b"<!DOCTYPE html><p>Sign in</p>", {"Content-Type": "text/html"})
        elif path == "/api/search":
            self.street.queries.append(query)
            self._json(self._found(query))
        elif path == "/images":
            self.street.queries.append(query)
            images = [self.street.image(i) for i in self._inside(query)]
            self._json({"data": images[: int(query["limit"])]})
        elif path.startswith(("/api/pictures/", "/cdn/")):
            number = path.split("/")[3 if path.startswith("/api") else 2].partition("-")[0]
            self._file(self.street.photo(int(number)), mood)
        else:
            self._send(404, b"nothing here")

    def _inside(self, query: dict[str, str]) -> list[int]:
        west, south, east, north = map(float, query["bbox"].split(","))
        middle = (west + east) / 2
        found = [
            i
            for i in range(self.street.count)
            if west <= self.street.place(i)[0] <= east and south <= self.street.place(i)[1] <= north
        ]
        return sorted(found, key=lambda i: abs(self.street.place(i)[0] - middle))

    def _found(self, query: dict[str, str]) -> dict[str, Any]:
        items, limit = self._inside(query), int(query["limit"])
        start = int(query.get("after", 0))
        links = []
        if self.street.pages and start + limit < len(items):
            onward = urlencode(query | {"after": str(start + limit)})
            links.append({"rel": "next", "href": f"{self.street.address}/api/search?{onward}"})
        some = items[start : start + limit]
        features = [self.street.item(i) for i in some]
        return {"type": "FeatureCollection", "features": features, "links": links}

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/geo+json"})

    def _file(self, data: bytes, mood: str) -> None:
        headers = {"Content-Type": "image/jpeg"}
        tag = f'"{hashlib.md5(data).hexdigest()}"'
        if self.street.tags:
            headers["ETag"] = tag
        if self.street.digests:
            digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
            headers["Repr-Digest"] = f"sha-256=:{digest}:"
        if mood == "changed":
            data = data[:-10] + bytes(10)
        if mood in ("torn", "broken"):
            headers.pop("Repr-Digest", None)
            data = data[: len(data) // 2] if mood == "torn" else b"not a photo at all"
        if mood == "slow":
            time.sleep(0.3)
        start = 0
        asked = self.headers.get("Range", "")
        if asked and self.headers.get("If-Range") == tag:
            self.street.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._send(206 if start else 200, data[start:], headers, dies=mood == "dies")

    def _send(
        self,
        status: int,
        data: bytes,
        headers: dict[str, str] | None = None,
        *,
        dies: bool = False,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if dies else data)
        if dies:
            self.wfile.flush()
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: that the other side is killed is what is tested."""


@contextmanager
def serving(street: Street) -> Iterator[str]:
    """The address of a server of `street`, while the block lasts."""
    handler = type("Handler", (_Handler,), {"street": street})
    server = _Server(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    street.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield street.address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
