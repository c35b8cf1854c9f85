"""What SQLite and the file system say against an index file, in words with a cure."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hafloc.errors import IndexBusyError, IndexFileError

READ_ONLY_MEDIUM = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# What a file system says that cannot share memory, or lock it, among processes.
NO_SHARED_MEMORY = (
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMLOCK,
    sqlite3.SQLITE_IOERR_SHMMAP,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_CANTOPEN,
)
_NO_LOCKS = (
    sqlite3.SQLITE_IOERR_LOCK,
    sqlite3.SQLITE_IOERR_RDLOCK,
    sqlite3.SQLITE_IOERR_UNLOCK,
    sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK,
)
_NETWORK = "the file system locks no files, as some network drives; copy it to a disk of your own"
_CURES: dict[int, str] = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space and run it again (what was stored "
    "before is intact)",
    sqlite3.SQLITE_IOERR: "the disk refused; check its space and health, then run it again (what "
    "was stored before is intact)",
    sqlite3.SQLITE_READONLY: "the file or its folder is read-only; change the permissions or "
    "copy it to a folder of your own",
    sqlite3.SQLITE_CANTOPEN: "the file or its folder cannot be opened; check the path and its "
    "permissions",
    sqlite3.SQLITE_NOTADB: "it is not a GeoPackage; name a file made by `hafloc index build`",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore a copy or rebuild it with `hafloc index build`",
    sqlite3.SQLITE_PROTOCOL: _NETWORK,
    sqlite3.SQLITE_INTERRUPT: "it was closed meanwhile; open it again",
    **dict.fromkeys(_NO_LOCKS, _NETWORK),
}


@contextmanager
def translated(path: Path, action: str, *, alone: bool = False) -> Iterator[None]:
    """Turn SQLite's errors into IndexFileError or IndexBusyError with cause and cure.

    Where nobody else can know the file (`alone`), one that is busy cannot be locked at all.
    """
    try:
        yield
    except UnicodeDecodeError as error:  # of a name in a damaged schema, told in an error's text
        raise IndexFileError(f"cannot {action} {path}: {_CURES[sqlite3.SQLITE_CORRUPT]}") from error
    except sqlite3.Error as error:
        if kind(error) in BUSY and alone:
            raise IndexFileError(f"cannot {action} {path}: {_NETWORK}") from error
        if kind(error) in BUSY:
            raise busy(path, action) from error
        detailed = _CURES.get(detail(error))
        cure = detailed or _CURES.get(kind(error), f"{error}; check it with `hafloc index verify`")
        raise IndexFileError(f"cannot {action} {path}: {cure}") from error


def busy(path: Path, action: str) -> IndexBusyError:
    """The error that tells who comes second."""
    return IndexBusyError(
        f"cannot {action} {path}: another program is writing to it; wait for it to end"
    )


def detail(error: sqlite3.Error) -> int:
    """SQLite's extended code; errors of Python's own layer carry none."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)


def kind(error: sqlite3.Error) -> int:
    """SQLite's code without its detail."""
    return detail(error) & 0xFF


def reason(error: OSError | ValueError) -> str:
    """What the system says, in few words."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
