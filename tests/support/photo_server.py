"""A web server of photos on this machine, which can fail as real ones do."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


@dataclass
class PhotoServer:
    """`files` by path; `statuses` are answered in their place, `hang` paths get no answer."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    hang: set[str] = field(default_factory=set)
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    heads: bool = True
    connections: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def status(self, command: str, path: str) -> int:
        if command == "HEAD" and not self.heads:
            return 405
        if self.statuses.get(path):
            return self.statuses[path].pop(0)
        return 200 if path in self.files else 404


@contextmanager
def photo_server() -> Iterator[PhotoServer]:
    state = PhotoServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # several requests a connection

        def setup(self) -> None:
            super().setup()
            state.connections += 1

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = unquote(self.path).lstrip("/")
            state.asked[self.command, path] += 1
            if path in state.hang:
                state.ended.wait(30)
                self.close_connection = True
                return
            status = state.status(self.command, path)
            body = state.files.get(path, b"") if status == 200 else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    state.url = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        state.ended.set()
        httpd.shutdown()
        thread.join()
        httpd.server_close()
