"""Threads: the next items prepared while the caller works on this one, or all items shared out."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Decoded photos that wait for the network: enough to bridge a slow file, little memory.
AHEAD = 4
# Shares of work that is done by numpy and OpenCV: nothing is gained from more than a few.
_MOST_THREADS = 4


def prefetch(
    items: Iterable[Item], load: Callable[[Item], Result], limit: int = AHEAD, threads: int = 2
) -> Iterator[tuple[Item, Result]]:
    """Each item with what `load` makes of it, in order; `limit` are loaded beforehand.

    More `threads` than two are for what waits for others, as servers.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="prefetch")
    try:
        for item in items:
            waiting.append((item, pool.submit(load, item)))
            if len(waiting) > limit:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        # On Ctrl-C, too, nothing may keep the process waiting.
        pool.shutdown(wait=False, cancel_futures=True)


def share_out(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """What `work` makes of each item, in order, by a few threads: for what leaves Python's lock."""
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        return list(pool.map(work, items))
