"""Libraries loaded in less time, for a command that a person waits for."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hafloc.torch_import import in_part


@contextmanager
def loading() -> Iterator[None]:
    """What is first imported within comes sooner, and makes the process end sooner.

    A million objects come to stay: nothing of them is garbage, yet the collector looks through
    them again and again meanwhile, and once more at the end.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        with in_part():
            yield
    finally:
        gc.freeze()
        gc.enable()
