"""Turn a file of delimited text into rows of cells, whatever its code page and separator."""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, Self

from hafloc.errors import PositionError
from hafloc.photos.remote import PhotoFile, RemoteError

SEPARATORS = (",", ";", "\t", "|", None)  # None: any spaces
_LARGEST = 512 * 2**20  # bytes; a million photos take some hundred
_SEP = re.compile(r'"?sep=(.?|\\t)"?', re.IGNORECASE)


def read_lines(path: PhotoFile) -> list[str]:
    """The lines of a text file: UTF-8 or UTF-16, each with or without mark, or else Windows-1252.

    Raises PositionError where it cannot be read, is no file or is too long for a table.
    """
    try:
        if isinstance(path, Path) and path.exists() and not path.is_file():
            raise PositionError(f"cannot read {path}: it is not a file; give a table of positions")
        if (path.stat().st_size or 0) > _LARGEST:
            raise PositionError(
                f"cannot read {path}: it is longer than {_LARGEST:,} bytes, which is no table of "
                "positions; check the path"
            )
        return re.split(r"\r\n|\r|\n", _decoded(path.read_bytes()))
    except RemoteError as error:
        raise PositionError(f"cannot read {path}: {error.strerror}") from error
    # ValueError: a name with a NUL.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PositionError(f"cannot read {path}: {reason}; check the path") from error


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    # Latin letters in UTF-16 have a NUL beside each, at odd places where the low byte is first.
    head = data[:1024]
    odd, even = head[1::2].count(0), head[::2].count(0)
    if max(odd, even) > len(head) // 8:
        return data.decode("utf-16-le" if odd > even else "utf-16-be", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # What is not UTF-8 comes from a Western spreadsheet; five bytes are no letter there.
        return data.decode("cp1252", "replace")


def stated_separator(line: str) -> str | None:
    """The separator that Excel's first line "sep=;" states; None for any other line."""
    match = _SEP.fullmatch(line.strip())
    # A tab goes with the spaces around the line.
    return None if match is None else {"": "\t", "\\t": "\t"}.get(match[1], match[1])


def separated(line: str, separator: str | None) -> list[str]:
    """The cells of one line; broken quotation marks separate nothing."""
    try:
        return next(_reader(iter([line]), separator), [])
    except csv.Error:
        return [line]


def rows(
    lines: Sequence[str], start: int, separator: str | None
) -> Iterator[tuple[int, list[str] | str]]:
    """Each row from line `start` on: its line's number from 1, and its cells or what is wrong.

    Blank lines are left out. A row with broken quotation marks costs its first line only.
    """
    at = start
    while at < len(lines):
        first, reader = at, _reader((lines[i] + "\n" for i in range(at, len(lines))), separator)
        try:
            found: list[str] | str = next(reader, [])
            at += max(1, reader.line_num)
        except csv.Error as error:
            found = f"{error}; check its quotation marks"
            at += 1
        if isinstance(found, str) or any(cell.strip() for cell in found):
            yield first + 1, found


class _Rows(Protocol):
    @property
    def line_num(self) -> int: ...

    def __next__(self) -> list[str]: ...

    def __iter__(self) -> Iterator[list[str]]: ...


class _Words:
    """Lines whose cells lie between spaces, in the form of a `csv.reader`."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.line_num = 0

    def __next__(self) -> list[str]:
        words = next(self._lines).split()
        self.line_num += 1
        return words

    def __iter__(self) -> Self:
        return self


def _reader(lines: Iterator[str], separator: str | None) -> _Rows:
    if separator is None:
        return _Words(lines)
    return csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)
