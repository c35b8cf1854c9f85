"""Write files whole or not at all, and make the folders they go to."""

import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hafloc.errors import OutputError

# Windows writes line ends of its own unless told that the file is binary.
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path` under a temporary name first; whatever ends it, no half file.

    Safe in threads and processes: the last one to finish wins. Raises OutputError; what was at
    `path` before is then untouched.
    """
    with whole_file(path) as file:
        file.write(content)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to piece by piece, which becomes `path` once the block ends well.

    A file that is replaced keeps its permissions, and a link keeps pointing at it; a new one gets
    what the process's mask leaves. Raises OutputError; what was at `path` before is then untouched.
    """
    target = Path(os.path.realpath(path))
    temporary = target.parent / f".{secrets.token_hex(8)}.part"
    try:
        mode = _mode(target)
        # The system takes the process's mask off here; to read it, one must set it for all threads.
        with os.fdopen(os.open(temporary, _NEW, 0o666), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None and sys.platform != "win32":
            temporary.chmod(mode)
        temporary.replace(target)
    except OSError as error:
        if error.filename not in (None, str(temporary), str(target)):
            raise  # of another file that the block reads
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; {_cure(error)}"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def make_folder(folder: Path, advice: str, trouble: str = "cannot write") -> None:
    """Make a folder with those above it, if it is not there.

    Raises OutputError: `trouble` with the folder, the reason, then `advice`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{trouble} {folder}: {error.strerror}; {advice}") from error


def _mode(target: Path) -> int | None:
    """The permissions of what is there. Raises OSError where a file cannot take its place."""
    try:
        found = target.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found):
        code = errno.EISDIR if stat.S_ISDIR(found) else errno.EINVAL
        raise OSError(code, "Is a directory" if stat.S_ISDIR(found) else "Not a regular file")
    return stat.S_IMODE(found)


def _cure(error: OSError) -> str:
    if isinstance(error, PermissionError):
        # On Windows also where another program has the file open.
        return "close what has it open, or choose another place"
    return "free space or choose another place"
