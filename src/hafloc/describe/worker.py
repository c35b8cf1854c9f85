"""The threads in which networks work: one a device, for as long as the process lives.

Each thread that used a network would keep OpenMP threads and memory of its own, so all use one. A
forked child has none of its parent's OpenMP threads: in a thread that had used them torch would
wait for them for ever (pytorch/pytorch#17199), so the child begins new ones. Nor may a thread end,
or be amid a product, while the process forks: what it had locked stays locked in the child. So
these never end, and a fork waits until they have finished the image at hand.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class _Worker:
    """One thread, and the lock that it holds while it works."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self.working = threading.Lock()

    def run(self, work: Callable[[], Result]) -> Result:
        with self.working:
            return work()


_workers: dict[str, _Worker] = {}
_entering = threading.Lock()


def run_at(device: str, work: Callable[[], Result]) -> Result:
    """What `work` returns, done in the thread of `device` when its turn comes; raises what it does.

    `work` must neither call this nor fork.
    """
    with _entering:
        if device not in _workers:
            _workers[device] = _Worker()
        worker = _workers[device]
    return worker.thread.submit(worker.run, work).result()


def _before_fork() -> None:
    _entering.acquire()
    for worker in _workers.values():
        worker.working.acquire()


def _after_fork_in_parent() -> None:
    for worker in _workers.values():
        worker.working.release()
    _entering.release()


def _after_fork_in_child() -> None:
    _workers.clear()
    _entering.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
