"""All that the requests of one server share: databases, the queue, what is kept and counted."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TypeVar

from starlette.requests import Request

from hafloc.serve import work
from hafloc.serve.databases import Database, Databases
from hafloc.serve.evidence import Evidence
from hafloc.serve.logs import Log
from hafloc.serve.metrics import Metrics
from hafloc.serve.options import Options
from hafloc.serve.page import Page
from hafloc.serve.pictures import ThumbnailCache
from hafloc.serve.problems import BAD_PARAMETER, NO_KEY, NOT_ALLOWED, Problem
from hafloc.serve.tiles import PointStore
from hafloc.serve.uploads import Room
from hafloc.serve.writing import Writer

Result = TypeVar("Result")

_READERS = 4
_PAINTERS = 2
_FORGET_S = 10.0


class Service:
    """One server's state. `close` finishes what was begun."""

    def __init__(self, databases: Databases, options: Options, log: Log | None = None) -> None:
        self.databases = databases
        self.options = options
        self.log = log or Log()
        self.metrics = Metrics()
        self.queue = work.Queue(options.workers, options.max_waiting)
        self.evidence = Evidence(
            options.evidence_photos, options.evidence_bytes, options.evidence_seconds
        )
        self.room = Room(options.max_upload_bytes)
        self.thumbnails = ThumbnailCache()
        self.page = Page()
        self.writer = Writer(options.photos_folder, databases)
        self._points = {database.name: PointStore() for database in databases}
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="read")
        self._painters = ThreadPoolExecutor(_PAINTERS, thread_name_prefix="paint")
        self._watch()

    def prepare(self) -> None:
        """Load what draws, beside what comes next: the first picture would wait for it."""
        self._painters.submit(import_module, "hafloc.show")

    def points(self, database: Database) -> PointStore:
        return self._points[database.name]

    async def read(self, look: Callable[[], Result]) -> Result:
        """What `look` returns, done beside the event loop: for what a database or disk answers."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, look)

    async def paint(self, draw: Callable[[], Result]) -> Result:
        """As `read`, for pictures."""
        return await asyncio.get_running_loop().run_in_executor(self._painters, draw)

    async def network(self, request: Request, works: "list[Callable[[], Result]]") -> list[Result]:
        """What works that need the network return or raise, each in its turn; see `work.Queue`."""
        client = client_of(request)
        tickets = self.queue.submit(client, works, self.options.deadline)
        results: list[Result] = await work.finished(self.queue, tickets, _leaving(request))
        return results

    # Not in a thread, as the framework runs what is no coroutine.
    async def may_read(self, request: Request) -> None:
        """Raises Problem where the request's key lets it not read."""
        if not self.options.keys.may_read(key_of(request)):
            raise _key_needed(request, "read")

    async def may_write(self, request: Request) -> None:
        """Raises Problem where the request's key lets it not write, or nobody may."""
        keys, key = self.options.keys, key_of(request)
        if keys:
            if not keys.may_read(key):
                raise _key_needed(request, "write")
            if not keys.may_write(key):
                raise Problem(NOT_ALLOWED, "this key may read, but not write; give a writing key")
        elif not self.options.writable:
            raise Problem(
                NOT_ALLOWED,
                "this server only reads; start it with --writable, or with a writing key",
            )

    async def forget_now_and_then(self) -> None:
        """Let go of evidence when its time is over, for as long as the server runs."""
        while True:
            await asyncio.sleep(_FORGET_S)
            self.evidence.forget_old()

    def close(self) -> None:
        self.queue.close()
        self._readers.shutdown()
        self._painters.shutdown()
        self.databases.close()

    def _watch(self) -> None:
        watch = self.metrics.watch
        watch("hafloc_photos_waiting", "Photos that wait.", lambda: self.queue.waiting)
        watch("hafloc_photos_in_work", "Photos being located.", lambda: self.queue.working)
        watch(
            "hafloc_photos_dropped",
            "Photos whose client had gone, or waited no more, before they were located.",
            lambda: self.queue.dropped,
        )
        watch("hafloc_evidence_kept", "Photos kept for evidence.", lambda: len(self.evidence))
        watch(
            "hafloc_upload_bytes_held",
            "Bytes of uploads in memory.",
            lambda: self.options.max_upload_bytes - self.room.left,
        )


def client_of(request: Request) -> str:
    """Whom a request counts for where clients take turns."""
    return request.client.host if request.client is not None else ""


async def only_known(request: Request) -> None:
    """Raises Problem for a parameter that the route has not: a misspelt one would do nothing."""
    dependant = getattr(request.scope.get("route"), "dependant", None)
    if dependant is None:
        return
    known = {parameter.alias for parameter in dependant.query_params}
    for name in request.query_params:
        if name not in known:
            told = f"; there are {', '.join(sorted(known))}" if known else ""
            raise Problem(BAD_PARAMETER, f"there is no parameter {name[:40]!r} here{told}")


def key_of(request: Request) -> str | None:
    """The key that a request gives, of either form."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return request.headers.get("x-api-key")


def _key_needed(request: Request, what: str) -> Problem:
    said = f"a key is needed to {what}: send Authorization: Bearer KEY, or X-API-Key: KEY"
    if key_of(request) is not None:
        said = "this key is not known here; check that it is whole, and meant for this server"
    return Problem(NO_KEY, said, {"www-authenticate": "Bearer"})


def _leaving(request: Request) -> Callable[[], Awaitable[None]]:
    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return gone
