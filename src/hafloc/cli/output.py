"""Everything that commands print: lines and tables for people, JSON for programs.

Names of files come as they are: no markup is read in them, and what could move the cursor or
forge a line is escaped. Where no terminal is, nothing is cut or wrapped.
"""

import json
import math
import os
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any, TextIO

# Control characters, halves of broken UTF-16 or bytes that are no UTF-8, and ends of line.
_UNSHOWN = {"Cc", "Cs", "Zl", "Zp"}
# These turn the direction of writing, and so may show a name as another.
_TURNING = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}
# Wider than any path, so that no table is ever fitted to a width.
_UNBOUNDED = 1_000_000


def shown(text: object) -> str:
    """The text as one line without control characters: each becomes its backslash escape."""
    return "".join(map(_shown, str(text)))


def _shown(letter: str) -> str:
    if letter in _TURNING or unicodedata.category(letter) in _UNSHOWN:
        return letter.encode("unicode_escape", "surrogatepass").decode("ascii")
    return letter


def _write(stream: TextIO | None, line: str) -> None:
    # Not by click's echo, which takes an ASCII stream for a mistake and writes UTF-8 to it.
    if stream is not None:  # a closed one
        stream.write(f"{line}\n")
        stream.flush()


def say(text: object, *, title: object = "") -> None:
    """One line on standard output, after its title, which a terminal shows in bold."""
    head = shown(title)
    if head and is_terminal(sys.stdout) and not os.environ.get("NO_COLOR"):
        head = f"\x1b[1m{head}\x1b[0m"
    _write(sys.stdout, f"{head}{shown(text)}")


def tell(text: object) -> None:
    """One line on standard error, which is for people alone."""
    _write(sys.stderr, shown(text))


def print_json(value: object) -> None:
    """One JSON value on a line of standard output, in ASCII whatever the code page."""
    _write(sys.stdout, json.dumps(plain(value), allow_nan=False))


def plain(value: Any) -> Any:
    """The value in JSON's types: dataclasses as objects, paths as strings, no number as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "tolist"):  # numpy's arrays and numbers
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [plain(item) for item in value]
    return value


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: Sequence[str] = (),
    title: str | None = None,
) -> None:
    """A table, columns aligned to the right but for those named in `left`.

    On a terminal, cells that are too wide are folded; elsewhere each row is a line.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), title=title, title_justify="left")
    for column in columns:
        table.add_column(
            column, justify="left" if column in left else "right", overflow="fold", no_wrap=False
        )
    for row in rows:
        table.add_row(*map(shown, row))
    width = None if is_terminal(sys.stdout) else _UNBOUNDED
    console = Console(width=width, markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        _write(sys.stdout, line.rstrip())


def is_terminal(stream: Any) -> bool:
    """Whether a person watches the stream. FORCE_COLOR colours a file, but makes it no terminal."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # closed, or none at all
        return False
