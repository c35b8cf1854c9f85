"""The command line in a test's own process; the fixture `run` (tests/conftest.py) gives it."""

import sys
from collections.abc import Callable

import pytest

from hafloc.cli import main

# Words to exit status, standard output and standard error.
Run = Callable[..., tuple[int, str, str]]


def run_hafloc(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of `hafloc` with those words."""
    monkeypatch.setattr(sys, "argv", ["hafloc", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err
