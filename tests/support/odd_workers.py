"""Workers for the tests of processes, which import this module by name."""

import os
import signal
import time
from collections.abc import Callable


def open_squares(threads: int) -> Callable[[int], int]:
    return _square


def _square(number: int) -> int:
    if number == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 7:
        raise ValueError("seven")
    time.sleep(0.02 if number % 2 else 0)
    return number * number


def open_none(threads: int) -> Callable[[int], int]:
    os._exit(3)


def open_threads(threads: int) -> Callable[[int], int]:
    return lambda _: threads
