"""A bound on what waits for others, whatever it waits for."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

Result = TypeVar("Result")


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """What `work` returns or raises; TimeoutError where it takes longer than so many seconds.

    It runs in a thread of a daemon: one that hangs keeps nobody from ending.
    """
    done: SimpleQueue[tuple[list[Result], BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            done.put(([work()], None))
        except BaseException as error:
            done.put(([], error))

    threading.Thread(target=run, name="bounded", daemon=True).start()
    try:
        results, error = done.get(timeout=seconds)
    except Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return results[0]
