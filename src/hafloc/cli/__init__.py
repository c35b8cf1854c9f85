"""The command line: arguments in, exit status out; one file a command."""

from hafloc.cli.app import main

__all__ = ["main"]
