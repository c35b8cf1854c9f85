"""Draws the progress of long work on the terminal."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hafloc.cli.output import is_terminal, shown

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_DUMB = ("dumb", "unknown")


class Bar:
    """One bar that starts anew with each step; without a `progress` to draw on, none."""

    def __init__(self, progress: "Progress | None") -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def start(self, step: str, total: int) -> None:
        if self._progress is None:
            return
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(shown(step), total=total, said="")

    def advance(self, done: int) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done)

    def tell(self, text: str) -> None:
        """Show how the step goes, at the end of its line."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, said=shown(text))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar away while something is printed on the terminal that may show both."""
        if self._progress is None or not self._progress.live.is_started:
            yield
            return
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()


@contextmanager
def bar() -> Iterator[Bar]:
    """A bar on standard error, gone when the work is done."""
    # In a file or a pipe a bar would only leave blank lines.
    if not is_terminal(sys.stderr) or os.environ.get("TERM", "").lower() in _DUMB:
        yield Bar(None)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[said]}", markup=False),
    )
    console = Console(stderr=True, markup=False, emoji=False)
    # Redirected, standard output would come out of standard error while the bar is drawn.
    with Progress(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:
        yield Bar(progress)
