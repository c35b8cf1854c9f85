"""What both trainings on views are told on the command line."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

Kind = TypeVar("Kind")


def parser_of(description: str) -> argparse.ArgumentParser:
    """A parser with data, --out, --start, --things, --plan and --until."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", default="haf")
    parser.add_argument("--things", type=Path)
    parser.add_argument("--plan", action="append", default=[], help="JSON over Plan's fields")
    parser.add_argument("--until", type=float, default=1e9, help="seconds for all of it")
    return parser


def plans(kind: type[Kind], texts: Sequence[str], **defaults: Any) -> list[Kind]:
    """The plans that JSON texts describe, over the defaults; one of defaults where there is none.

    Lists stand for tuples.
    """
    found = []
    for text in texts or ["{}"]:
        fields = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(text).items()}
        found.append(kind(**(defaults | fields)))
    return found
