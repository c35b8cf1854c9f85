"""The command line: arguments in, exit status out; one file a command."""

import sys
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line with the words of `sys.argv`; ends in SystemExit."""
    from hafloc.cli.guard import guarded

    sys.exit(guarded(_work))


def _work(words: list[str]) -> int:
    # Within the guard, so that Ctrl-C while modules load is answered like any other.
    if words in (["--version"], ["--help"], ["-h"]):
        from hafloc.cli.commands import tell_of_itself

        tell_of_itself(words[0])
        return 0
    from hafloc.cli.app import run

    return run(words)
