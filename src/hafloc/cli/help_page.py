"""Draws the page that --help prints: usage, what it does, its arguments and options in panels.

By itself, in the look of typer's: typer draws with rich, which takes longer to load than all the
rest of --help.
"""

import os
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from hafloc.cli.output import is_terminal

_WIDTH = 80  # where no terminal says another
_NARROWEST = 40
_NAMES_SHARE = 0.4  # of a line, at most, for what a row is called
_CORNERS = tuple("╭╮╰╯─│")
_ASCII_CORNERS = tuple("++++-|")
_BOLD, _DIM, _RED, _YELLOW, _CYAN = "1", "2", "31", "1;33", "1;36"
_REQUIRED = "[required]"
# What is coloured: facts in brackets at the end of a help, types, and options.
_COLOURED = re.compile(
    r"(?P<fact>\[(?:default: |required|x[<>]|[\d.]+<)[^\]]*\])"
    r"|(?P<type><[^<>]+>)"
    r"|(?P<option>(?<![\w-])--?[A-Za-z][\w-]*)"
)
_COLOURS = {"fact": _DIM, "type": _YELLOW, "option": _CYAN}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a panel: an option, argument or command, and what it does."""

    names: str
    text: str

    @property
    def is_required(self) -> bool:
        return self.text.endswith(_REQUIRED)


@dataclass(frozen=True, slots=True)
class Panel:
    """Rows under a title; an empty one is not drawn."""

    title: str
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Page:
    """All that --help says of one command, in the order in which it is read."""

    usage: str
    text: str
    panels: Sequence[Panel]
    epilog: str = ""


def print_page(page: Page) -> None:
    """Print a page on standard output, as wide as the terminal, in colour where one is there."""
    stream = sys.stdout
    if stream is None:
        return
    encoded = (getattr(stream, "encoding", None) or "utf-8").lower().startswith("utf")
    lines = draw(page, _width(), coloured=_is_coloured(stream), ascii_only=not encoded)
    # typer ends it with a blank line.
    stream.write("".join(f"{line}\n" for line in lines))
    stream.flush()


def draw(page: Page, width: int, *, coloured: bool = False, ascii_only: bool = False) -> list[str]:
    """The lines of a page of `width` columns."""
    paint = _paint if coloured else _plain
    inner = max(width, _NARROWEST) - 2
    lines = ["", *(f" {paint(line, _BOLD)}" for line in _wrap(page.usage, inner)), ""]
    for paragraph in page.text.split("\n\n"):
        lines += [*(f" {_coloured(line, paint)}" for line in _wrap(paragraph, inner)), ""]
    corners = _ASCII_CORNERS if ascii_only else _CORNERS
    for panel in page.panels:
        if panel.rows:
            lines += _box(panel, inner + 2, corners, paint)
    if page.epilog:
        lines += ["", *(f" {_coloured(line, paint)}" for line in _wrap(page.epilog, inner))]
    return lines


def _box(panel: Panel, width: int, corners: Sequence[str], paint: "_Paint") -> Iterator[str]:
    left_top, right_top, left_bottom, right_bottom, level, upright = corners
    side = paint(upright, _DIM)
    title = f"{level} {panel.title} "
    yield paint(f"{left_top}{title:{level}<{width - 2}}{right_top}", _DIM)
    for line, length in _rows(panel.rows, width - 4, paint):
        yield f"{side} {line}{' ' * (width - 4 - length)} {side}"
    yield paint(f"{left_bottom}{level * (width - 2)}{right_bottom}", _DIM)


def _rows(rows: Sequence[Row], width: int, paint: "_Paint") -> Iterator[tuple[str, int]]:
    """Lines of two columns, each with its length as it is seen."""
    mark = 2 if any(row.is_required for row in rows) else 0
    longest = max(len(row.names) for row in rows)
    first = min(longest, int(_NAMES_SHARE * width) - mark)
    for row in rows:
        names = _wrap(row.names, first)
        texts = _wrap(row.text, width - mark - first - 2)
        for number in range(max(len(names), len(texts))):
            name = names[number] if number < len(names) else ""
            text = texts[number] if number < len(texts) else ""
            star = ("* " if row.is_required and not number else "  ")[:mark]
            # A command has neither dash nor type, and is all name.
            called = _coloured(name, paint) if "-" in name or "<" in name else paint(name, _CYAN)
            line = f"{paint(star, _RED)}{called}{' ' * (first - len(name))}  "
            yield f"{line}{_coloured(text, paint)}", mark + first + 2 + len(text)


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False) or [""]


class _Paint:
    """Gives words a colour, or leaves them as they are."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def __call__(self, words: str, colour: str) -> str:
        return f"\x1b[{colour}m{words}\x1b[0m" if self._on and words.strip() else words


_paint, _plain = _Paint(on=True), _Paint(on=False)


def _coloured(line: str, paint: _Paint) -> str:
    """A line with its options, types and facts in colour."""
    return _COLOURED.sub(lambda found: paint(found[0], _COLOURS[found.lastgroup or ""]), line)


def _width() -> int:
    """Columns of the terminal, by COLUMNS or by whichever stream is one."""
    wished = os.environ.get("COLUMNS", "")
    if wished.isdecimal() and int(wished):
        return int(wished)
    for stream in (sys.__stdout__, sys.__stderr__, sys.__stdin__):
        if stream is None:
            continue
        try:
            # A terminal that does not know its size says 0.
            return os.get_terminal_size(stream.fileno()).columns or _WIDTH
        except (OSError, ValueError, AttributeError):
            continue
    return _WIDTH


def _is_coloured(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"
