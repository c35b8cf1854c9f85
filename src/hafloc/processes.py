"""Work shared out among processes, in order: on a processor, a photo each beats all on one photo.

Each process makes its worker anew, with its share of the cores. One that dies takes only the work
down that it had: that is done again, piece by piece, and what kills a process twice is told.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from hafloc.errors import OptionError

Item = TypeVar("Item")

# Pieces that wait for each process, so that it never waits for the next.
_WAITING = 2
# Pieces in a row that end their process before it is not they that are at fault.
_FRUITLESS = 5
_worker: Any = None


class Died(Exception):  # noqa: N818 - it is returned, not raised
    """What a piece of work ends in that a process died of."""


@dataclass(slots=True)
class _Piece:
    item: Any
    work: Any
    future: "Future[Any] | None" = None

    @property
    def is_left(self) -> bool:
        """Whether it was begun by a process that died since."""
        return self.work is not None and self.future is None


class Processes:
    """`count` processes, each with a worker that `open_worker` makes there for so many threads.

    `open_worker`, work and results must pickle. As with all of multiprocessing, each process
    imports the program's main module: a script needs its `if __name__ == "__main__":`.
    """

    def __init__(self, count: int, open_worker: Callable[[int], Callable[[Any], Any]]) -> None:
        self._count = count
        threads = max(1, (os.cpu_count() or 1) // count)
        self._begin = partial(_begin, open_worker, threads)
        self._fruitless = 0
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        # Spawned, not forked: threads of the parent's network would be missing in a child.
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._count, spawn, initializer=self._begin)

    def map(self, items: Iterable[tuple[Item, Any]]) -> Iterator[tuple[Item, Any]]:
        """Each item with what a worker made of its work, in order; None where it has none.

        A piece that kills its process twice, the second time alone, gives `Died`. Raises what the
        work raises, and OptionError where no process stays alive.
        """
        waiting: deque[_Piece] = deque()
        try:
            for item, work in items:
                piece = _Piece(item, work)
                waiting.append(piece)
                if work is not None:
                    self._submit(piece)
                while len(waiting) > _WAITING * self._count or any(x.is_left for x in waiting):
                    yield self._first(waiting)
            while waiting:
                yield self._first(waiting)
        finally:
            # On Ctrl-C each finishes the piece at hand and goes.
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _first(self, waiting: deque[_Piece]) -> tuple[Any, Any]:
        piece = waiting.popleft()
        if piece.work is None:
            return piece.item, None
        if piece.future is not None:
            try:
                return piece.item, piece.future.result()
            except BrokenProcessPool:
                self._begin_again(waiting)
        try:
            result = self._pool.submit(_run, piece.work).result()
        except BrokenProcessPool:
            self._fruitless += 1
            if self._fruitless >= _FRUITLESS:
                raise OptionError(
                    "processes that describe end as soon as they begin; give them more memory, "
                    "or leave out --workers"
                ) from None
            self._begin_again(waiting)
            return piece.item, Died()
        self._fruitless = 0
        return piece.item, result

    def _submit(self, piece: _Piece) -> None:
        # Where the processes are gone, those before it will begin again, and it comes after them.
        with suppress(BrokenProcessPool):
            piece.future = self._pool.submit(_run, piece.work)

    def _begin_again(self, waiting: deque[_Piece]) -> None:
        """New processes; what the old ones had not finished is left to be done alone."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._start()
        for piece in waiting:
            if piece.future is not None and (piece.future.cancelled() or piece.future.exception()):
                piece.future = None


def _begin(open_worker: Callable[[int], Callable[[Any], Any]], threads: int) -> None:
    global _worker
    # Ctrl-C is the parent's to answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker = open_worker(threads)


def _run(work: Any) -> Any:
    return _worker(work)
