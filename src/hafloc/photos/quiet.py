"""Keep what decoders say of damaged files off the user's screen, in any number of threads."""

import re
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

_DECODERS = re.compile(r"(PIL|pillow_heif|pillow_jxl)(\.|$)")
_reading = threading.local()


class _WhileReading:
    """The module pattern of a warnings filter that holds only in a thread that is reading."""

    def match(self, module: str) -> bool:
        return bool(getattr(_reading, "depth", 0) and _DECODERS.match(module))


_FILTER = ("ignore", None, Warning, _WhileReading(), 0)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Ignore the warnings of Pillow and its plugins in this thread until the end of the block.

    Safe in threads, without a lock: the one filter that this puts in front of those of `warnings`
    stays, and does nothing outside such a block, nor in threads that are not in one. A
    `warnings.catch_warnings` that another thread leaves meanwhile may take the filter away, as it
    does with anyone's; the next block puts it back.
    """
    if getattr(sys.flags, "context_aware_warnings", False):
        # From Python 3.14 filters can belong to the context instead of the process.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=_DECODERS.pattern)
            yield
        return
    filters = cast("list[Any]", warnings.filters)
    if not filters or filters[0] is not _FILTER:
        filters.insert(0, _FILTER)
    _reading.depth = getattr(_reading, "depth", 0) + 1
    try:
        yield
    finally:
        _reading.depth -= 1
