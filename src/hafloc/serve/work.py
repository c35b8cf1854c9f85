"""Work that needs the network waits here: bounded, each client in its turn, dropped when late.

A processor gains nothing from several photos in one pass of the network, so turns are what matters;
on a GPU `network.py` joins those that wait at the network's door.
"""

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from hafloc.serve.problems import BUSY, TOO_LATE, Problem

Result = TypeVar("Result")


class Dropped(Exception):  # noqa: N818 - nobody's fault: whoever asked has gone, or waits no more
    """Ends work that nobody waits for."""


@dataclass(slots=True, eq=False)
class Ticket(Generic[Result]):
    """A piece of work in the queue."""

    client: str
    work: Callable[[], Result]
    deadline: float
    future: "Future[Result]" = field(default_factory=Future)
    gone: bool = False

    def check(self) -> None:
        """Raises Dropped where nobody waits for it any more."""
        if self.gone or time.monotonic() > self.deadline:
            raise Dropped


_own = threading.local()


def check() -> None:
    """To be called by work before anything that takes long. Raises Dropped."""
    ticket: Ticket[Any] | None = getattr(_own, "ticket", None)
    if ticket is not None:
        ticket.check()


class Queue:
    """Threads that do the work of tickets; of several clients each has one done in turn."""

    def __init__(self, workers: int, most: int) -> None:
        self._most = most
        self._changed = threading.Condition()
        self._waiting: OrderedDict[str, deque[Ticket[Any]]] = OrderedDict()
        self._count = 0
        self._closed = False
        self.working = 0
        self.dropped = 0
        self._threads = [
            threading.Thread(target=self._work, name=f"locate-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        return self._count

    def check_room(self) -> None:
        """Raises Problem where not even one more would have room: before its bytes are read."""
        if self._closed or self._count >= self._most:
            raise _full(self._count)

    def submit(self, client: str, works: Sequence[Callable[[], Any]], seconds: float) -> Any:
        """Tickets for all the works, or Problem where there is no room for them."""
        deadline = time.monotonic() + seconds
        tickets: list[Ticket[Any]] = [Ticket(client, work, deadline) for work in works]
        with self._changed:
            # An empty queue takes a request of any size that is allowed at all.
            if self._closed or (self._count and self._count + len(tickets) > self._most):
                raise _full(self._count)
            self._waiting.setdefault(client, deque()).extend(tickets)
            self._count += len(tickets)
            self._changed.notify(len(tickets))
        return tickets

    def drop(self, tickets: Sequence[Ticket[Any]]) -> None:
        """Nobody waits for these any more: what has not begun never will."""
        for ticket in tickets:
            ticket.gone = True
        with self._changed:
            for ticket in tickets:
                line = self._waiting.get(ticket.client)
                if line is None:
                    continue
                with suppress(ValueError):
                    line.remove(ticket)
                    self._count -= 1
                    self.dropped += 1
                if not line:
                    del self._waiting[ticket.client]

    def close(self) -> None:
        """Finish what is being worked on, and begin nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _next(self) -> Ticket[Any] | None:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if not self._waiting:
                return None
            client, line = next(iter(self._waiting.items()))
            ticket = line.popleft()
            self._count -= 1
            self._waiting.move_to_end(client)
            if not line:
                del self._waiting[client]
            self.working += 1
            return ticket

    def _done(self, *, dropped: bool) -> None:
        with self._changed:
            self.working -= 1
            self.dropped += dropped

    def _work(self) -> None:
        while (ticket := self._next()) is not None:
            if not ticket.future.set_running_or_notify_cancel():
                self._done(dropped=True)
                continue
            _own.ticket = ticket
            try:
                ticket.check()
                result = ticket.work()
            except BaseException as error:
                self._done(dropped=isinstance(error, Dropped))
                ticket.future.set_exception(error)
            else:
                self._done(dropped=False)
                ticket.future.set_result(result)
            finally:
                _own.ticket = None
                del ticket  # and with it the photo, while the next one is waited for


def _full(count: int) -> Problem:
    return Problem(BUSY, f"{count:,} photos wait already; try again in a few seconds")


async def finished(
    queue: Queue, tickets: Sequence[Ticket[Any]], gone: Callable[[], Awaitable[None]]
) -> list[Any]:
    """What the tickets' works returned or raised, in their order.

    `gone` ends when the client has gone away. Raises Problem where the deadline passes first, and
    Dropped where the client goes; what has not begun then never will.
    """
    waiting = [asyncio.wrap_future(ticket.future) for ticket in tickets]
    together = asyncio.gather(*waiting, return_exceptions=True)
    leaving = asyncio.ensure_future(gone())
    left = max(0.0, max(ticket.deadline for ticket in tickets) - time.monotonic())
    try:
        both: set[asyncio.Future[Any]] = {together, leaving}
        await asyncio.wait(both, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if together.done():
            results = together.result()
            if not any(isinstance(result, Dropped) for result in results):
                return results
        elif leaving.done():
            raise Dropped
        raise Problem(
            TOO_LATE, "the answer was not ready in time; try again later, or with fewer photos"
        )
    finally:
        leaving.cancel()
        if not together.done():
            queue.drop(tickets)
            together.cancel()
            with suppress(asyncio.CancelledError):
                await together
