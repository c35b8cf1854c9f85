"""The connections of one open index: one a thread for reading, a single one for writing."""

import ctypes
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from hafloc.errors import IndexFileError
from hafloc.index import connection as sqlite
from hafloc.index.trouble import translated

Lend = Callable[[], AbstractContextManager[sqlite3.Connection]]

_alive: "weakref.WeakSet[Connections]" = weakref.WeakSet()


class _Held:
    """A connection with the lock of whoever uses it; closed when its thread has died."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.lock = threading.RLock()

    def __del__(self) -> None:
        self.connection.close()


class Connections:
    """Lends the connections of one index file.

    Open for reading, each thread gets its own, opened at its first use and closed with the
    thread. Open for writing there is one, lent to one thread at a time. A process that was forked
    while an index was open for reading opens its own; what was open for writing stays with the
    parent. After `close` all raise IndexFileError.
    """

    def __init__(self, path: Path, *, write: bool) -> None:
        self.path = path
        self.write = write
        # What a later thread opens is this file, wherever the process has gone meanwhile.
        self._file = path.absolute()
        self._identity = sqlite.identity(self._file)
        self._closed = ""
        self._told: list[weakref.WeakMethod[Callable[[], None]]] = []
        self._start()
        first = _Held(sqlite.open_writer(path) if write else sqlite.open_reader(path))
        self._own.held = first
        self._all.add(first)
        # Kept when its thread dies, so that one is left to tidy up.
        self._first: _Held | None = first
        _alive.add(self)

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._own = threading.local()
        self._all: weakref.WeakSet[_Held] = weakref.WeakSet()

    @contextmanager
    def lent(self, action: str) -> Iterator[sqlite3.Connection]:
        """This thread's connection, for one statement or one transaction at a time."""
        with self._used(self._mine(), action) as connection:
            yield connection

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows that a query finds."""
        with self.lent("read") as connection:
            return connection.execute(query, values).fetchall()

    def another(self) -> Lend:
        """A way to borrow one more connection, or the writer's own, by one thread at a time."""
        held = self._mine() if self.write else self._open()
        return lambda: self._used(held, "read")

    def when_forked(self, tell: Callable[[], None]) -> None:
        """Have a method called in a child process, before anything else there."""
        self._told.append(weakref.WeakMethod(tell))

    @contextmanager
    def _used(self, held: _Held, action: str) -> Iterator[sqlite3.Connection]:
        with held.lock:
            self._check_open()
            try:
                with translated(self.path, action):
                    yield held.connection
            except IndexFileError as error:
                if isinstance(error.__cause__, sqlite3.Error):
                    self._check_open()
                raise

    def _mine(self) -> _Held:
        self._check_open()
        if self.write and self._first is not None:
            return self._first
        held: _Held | None = getattr(self._own, "held", None)
        if held is None:
            held = self._own.held = self._open()
        return held

    def _open(self) -> _Held:
        held = _Held(sqlite.open_reader(self._file))
        if sqlite.identity(self._file) != self._identity:
            raise IndexFileError(
                f"cannot read {self.path}: another file was put in its place; open it again"
            )
        with self._lock:
            self._check_open()
            self._all.add(held)
            self._first = self._first or held
        return held

    def _check_open(self) -> None:
        if self._closed:
            raise IndexFileError(f"cannot use {self.path}: {self._closed}; open it again")

    def close(self, finish: Callable[[sqlite3.Connection, Path], Any] | None = None) -> Any:
        """Close all connections, breaking off what others are reading; the last one by `finish`.

        A second time it does nothing.
        """
        with self._lock:
            if self._closed:
                return None
            self._closed = "it was closed"
            left = list(self._all)
        result = None
        for number, held in enumerate(left, 1):
            # What is being written is finished, what is being read is broken off.
            if not held.lock.acquire(blocking=False):
                if not self.write:
                    held.connection.interrupt()
                held.lock.acquire()
            try:
                if number < len(left):
                    held.connection.close()
                elif self.write:
                    result = (finish or sqlite.close_writer)(held.connection, self.path)
                else:
                    sqlite.close_reader(held.connection)
            finally:
                held.lock.release()
        return result

    def after_fork(self) -> None:
        """Let go of the parent's connections: closing them here could undo what it writes."""
        for held in self._all:
            # Not even the end of this process may close it.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))
        self._start()
        self._first = None
        if self.write and not self._closed:
            self._closed = "it was opened for writing before this process was forked"
        for tell in self._told:
            if (method := tell()) is not None:
                method()


def _after_fork() -> None:
    for connections in list(_alive):
        connections.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
