"""A static file server on this machine, as object stores and web servers are: Range, no listing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Files:
    """What is served by path; `dies` holds after how many bytes the next answers break off;
    parts begin at a multiple of `block`, as some caches have it."""

    content: dict[str, bytes] = field(default_factory=dict)
    dies: list[int] = field(default_factory=list)
    ranges: bool = True
    block: int = 1
    asked: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    files: Files

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        data = self.files.content.get(self.path.partition("?")[0])
        asked = self.headers.get("Range", "")
        if body:
            self.files.asked.append((self.path, asked))
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if data is None:
            self.send_response(404)
            data = b""
        elif start and self.files.ranges and start >= len(data):
            self.send_response(416)
            data = b""
        elif start and self.files.ranges:
            self.send_response(206)
            start -= start % self.files.block
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            data = data[start:]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            most = self.files.dies.pop(0) if data and self.files.dies else len(data)
            self.wfile.write(data[:most])
            self.files.sent += len(data[:most])
            self.close_connection = most < len(data)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: that the other side is killed is what is tested."""


@contextmanager
def serving_files(files: Files) -> Iterator[str]:
    """The address of a server of `files`, while the block lasts."""
    handler = type("Handler", (_Handler,), {"files": files})
    server = _Server(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
