"""What a command says when it is stopped before its end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hafloc.errors import Interrupted


@contextmanager
def when_stopped(say: str | Callable[[], str]) -> Iterator[None]:
    """Turn a bare Ctrl-C into Interrupted with what `say` is or gives: what is kept, and what next.

    A room that knows better has raised Interrupted itself, and is heard.
    """
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt as stop:
        raise Interrupted(say if isinstance(say, str) else say()) from stop
