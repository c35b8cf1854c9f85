"""Results of slow work by key: made once however many threads ask, and kept while there is room."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future
from typing import Generic, TypeVar

from hafloc.errors import HaflocError
from hafloc.index import PhotoPaths, Record
from hafloc.photos import PhotoFile

# A photo by name and content, and the time and size of its file: one that was put back or mended
# is looked at again.
FileKey = tuple[str, str, tuple[int | None, int | None]]

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """The `most` results that were last asked for.

    Safe in threads: one makes a result while those that want the same wait for it, and no lock is
    held meanwhile. What could not be made is not remembered. A forked process begins anew.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._made: OrderedDict[Key, Future[Value]] = OrderedDict()
        self._process = os.getpid()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The result for `key`, made now where it is not known. Raises what `make` raises."""
        if self._process != os.getpid():
            # Whoever held the lock, or was to finish a result, stayed in the parent.
            self._start()
        while True:
            with self._lock:
                known = self._made.get(key)
                if known is None:
                    own: Future[Value] = Future()
                    self._made[key] = own
                    if len(self._made) > self._most:
                        self._made.popitem(last=False)
                    break
                self._made.move_to_end(key)
            try:
                return known.result()
            except CancelledError:
                continue  # whoever was at it failed, which may not happen to us
        try:
            value = make()
        except BaseException:
            with self._lock:
                if self._made.get(key) is own:
                    del self._made[key]
            own.cancel()
            raise
        own.set_result(value)
        return value


def file_of(record: Record, paths: PhotoPaths) -> tuple[PhotoFile, FileKey] | None:
    """A photo's file and the key of what is made of it; None where it is gone, or not for us."""
    try:
        file = paths.file_of(record.path)
        seen = file.stat()
    except (OSError, ValueError, HaflocError):
        return None
    return file, (record.path, record.content, (seen.st_mtime_ns, seen.st_size))
