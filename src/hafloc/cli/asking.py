"""The question whether code of others may run, put to the person at the terminal."""

import sys

import typer

from hafloc import consent


def start_asking() -> None:
    """From now on the person at the terminal is asked; where there is none, nobody is."""
    consent.allow_always(False)
    consent.ask_by(_ask if sys.stdin.isatty() and sys.stderr.isatty() else None)


def _ask(question: str) -> bool:
    return typer.confirm(question, default=False, err=True)
