"""How long work tells of itself, and the listener that nobody watches."""

from typing import Protocol


class Progress(Protocol):
    """How long work tells of itself: a step's name and size once, then what is done of it."""

    def start(self, step: str, total: int) -> None: ...

    def advance(self, done: int) -> None: ...


class Silent:
    """Progress that nobody watches."""

    def start(self, step: str, total: int) -> None: ...

    def advance(self, done: int) -> None: ...
