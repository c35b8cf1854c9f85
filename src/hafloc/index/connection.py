"""SQLite connections as an index needs them: one writer, many readers, one file when at rest.

A writer holds SQLite's own write lock from opening to closing, and lets go only within a
commit. That lock belongs to the process: it ends with it however it ends, leaves no lock file
behind, and keeps out every other SQLite program as well. In WAL mode readers read on meanwhile.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from hafloc.errors import IndexBusyError, IndexFileError
from hafloc.index.paths import linked_file
from hafloc.index.point import read_point
from hafloc.index.schema import (
    APPLICATION_ID,
    GEOPACKAGE_VERSION,
    MIGRATIONS,
    OLDEST_READABLE,
    PAGE_BYTES,
    migrate,
)

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
}
_READ_ONLY_MEDIUM = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_WAIT_SECONDS = 5.0


@contextmanager
def translated(path: Path, action: str) -> Iterator[None]:
    """Turn SQLite's errors into IndexFileError or IndexBusyError with cause and cure."""
    try:
        yield
    except sqlite3.Error as error:
        code = _code(error)
        if code in _BUSY:
            raise IndexBusyError(
                f"cannot {action} {path}: another program is writing to it; wait for it to end"
            ) from error
        cure = _CURES.get(code, f"{error}; check it with `hafloc index verify`")
        raise IndexFileError(f"cannot {action} {path}: {cure}") from error


def _code(error: sqlite3.Error) -> int:
    # The low byte is the kind, the rest its detail. Errors of Python's own layer carry none.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def create_file(path: Path, settings: dict[str, str]) -> None:
    """A new, complete and empty index at `path`, or nothing.

    Raises IndexFileError where a file is in the way or the folder cannot be written.
    """
    if path.exists():
        raise IndexFileError(
            f"cannot create {path}: it exists already; remove it or choose another name"
        )
    if not path.parent.is_dir():
        raise IndexFileError(
            f"cannot create {path}: there is no folder {path.parent}; make it first"
        )
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with translated(path, "create"):
            _write_schema(unfinished, settings)
        # Side files of a deleted index of this name would be taken for this one's.
        for side_file in _side_files(path):
            side_file.unlink(missing_ok=True)
        unfinished.rename(path)
    except OSError as error:
        raise IndexFileError(
            f"cannot create {path}: {error.strerror}; choose a folder of your own"
        ) from error
    finally:
        for left in (unfinished, *_side_files(unfinished)):
            with suppress(OSError):
                left.unlink()


def _write_schema(path: Path, settings: dict[str, str]) -> None:
    connection = _connect(path, "rwc")
    try:
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={GEOPACKAGE_VERSION}")
        connection.execute("BEGIN IMMEDIATE")
        migrate(connection, 0)
        connection.executemany("INSERT INTO hafloc VALUES (?, ?)", settings.items())
        connection.execute("COMMIT")
    finally:
        connection.close()


def _side_files(path: Path) -> list[Path]:
    return [path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal")]


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that never writes; on a read-only medium too."""
    _check_path(path)
    with translated(path, "open"):
        # Where it may, a reader opens for writing: only so can it finish what a killed writer
        # left in the -wal file, and remove that file when it is the last to close.
        connection = _connect(path, "rw")
        try:
            _check_format(connection, path)
            connection.execute("PRAGMA query_only=ON")
        except sqlite3.Error as error:
            connection.close()
            if _code(error) not in _READ_ONLY_MEDIUM:
                raise
            connection = _open_immutable(path)
        except IndexFileError:
            connection.close()
            raise
    return connection


def _open_immutable(path: Path) -> sqlite3.Connection:
    wal = _side_files(path)[0]
    if wal.exists() and wal.stat().st_size > 0:
        raise IndexFileError(
            f"cannot open {path}: {wal.name} beside it holds changes to finish, and the folder is "
            "read-only; copy both files to a folder of your own"
        )
    connection = _connect(path, "ro&immutable=1")
    try:
        _check_format(connection, path)
    except (sqlite3.Error, IndexFileError):
        connection.close()
        raise
    return connection


def open_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes, inside a transaction from the start.

    Raises IndexBusyError at once while another writes.
    """
    _check_path(path)
    with translated(path, "write to"):
        connection = _connect(path, "rw")
        try:
            version = _check_format(connection, path, migrating=True)
            # Waits for a reader to finish its statement; nothing to do while another writes.
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA busy_timeout=0")
            connection.execute("BEGIN IMMEDIATE")
            if version < len(MIGRATIONS):
                migrate(connection, version)
                commit(connection)
        except (sqlite3.Error, IndexFileError):
            connection.close()
            raise
        connection.execute(f"PRAGMA busy_timeout={_WAIT_SECONDS * 1000:.0f}")
    return connection


def begin(connection: sqlite3.Connection) -> None:
    """Make sure that a writer's transaction is open, even after a failure to open it before."""
    if not connection.in_transaction:
        connection.execute("BEGIN IMMEDIATE")


def commit(connection: sqlite3.Connection) -> None:
    """Make the transaction last and begin the next; on failure undo it."""
    try:
        connection.execute("COMMIT")
    except sqlite3.Error:
        rollback(connection)
        raise
    begin(connection)


def rollback(connection: sqlite3.Connection) -> None:
    """Undo the transaction and begin the next."""
    # SQLite has rolled back by itself after some errors, such as a full disk.
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    begin(connection)


def close_writer(connection: sqlite3.Connection, path: Path) -> None:
    """Close, and leave one single file unless others have it open: then the last one does."""
    with translated(path, "finish"):
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            _leave_one_file(connection)
        finally:
            connection.close()


def close_reader(connection: sqlite3.Connection, path: Path) -> None:
    """Close; the last one out leaves one single file where the medium lets it."""
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA query_only=OFF")
        _leave_one_file(connection)
    connection.close()


def drop(connection: sqlite3.Connection, path: Path) -> bool:
    """Close a writer, and delete its file if it holds no photo; whether it did.

    What another has begun to read or to fill is left alone.
    """
    file = linked_file(path)
    with translated(path, "finish"):
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            _leave_one_file(connection)
            # From here no other gets in, and there is no side file that its successor's could be
            # taken for.
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
            if journal == "wal" or _holds_photos(connection):
                return False
            if os.name != "nt":
                file.unlink()
        except sqlite3.OperationalError as error:
            if _code(error) not in _BUSY:
                raise
            return False
        finally:
            connection.close()
    if os.name == "nt":  # where nobody deletes a file that anyone has open
        try:
            file.unlink()
        except OSError:
            return False
    return True


def _holds_photos(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM photos)").fetchone()[0])


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is anything at `path`. Raises IndexFileError where that cannot be told."""
    try:
        Path(path).stat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise IndexFileError(f"cannot open {path}: {_reason(error)}; check the path") from error
    return True


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _leave_one_file(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA busy_timeout=0")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    try:
        connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        if _code(error) not in _BUSY:
            raise


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    # SQLite itself serialises the threads that share a connection.
    connection = sqlite3.connect(
        uri, uri=True, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
    )
    for name, corner in (("ST_MinX", 0), ("ST_MaxX", 0), ("ST_MinY", 1), ("ST_MaxY", 1)):
        connection.create_function(name, 1, _coordinate(corner), deterministic=True)
    connection.create_function("ST_IsEmpty", 1, _is_empty, deterministic=True)
    return connection


def _coordinate(axis: int) -> Callable[[bytes | None], float | None]:
    def coordinate(blob: bytes | None) -> float | None:
        point = None if blob is None else read_point(blob)
        return None if point is None else point[axis]

    return coordinate


def _is_empty(blob: bytes | None) -> bool | None:
    return None if blob is None else read_point(blob) is None


def _check_path(path: Path) -> None:
    if path.is_dir():
        raise IndexFileError(f"cannot open {path}: it is a folder; name the index file in it")
    if not path.exists():
        raise IndexFileError(
            f"cannot open {path}: there is no such file; make one with `hafloc index build`"
        )


def _check_format(connection: sqlite3.Connection, path: Path, *, migrating: bool = False) -> int:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    tables = "SELECT count(*) FROM sqlite_master WHERE name IN ('photos', 'hafloc', 'descriptors')"
    (ours,) = connection.execute(tables).fetchone()
    if application != APPLICATION_ID:
        raise IndexFileError(
            f"cannot open {path}: it is not a GeoPackage; name a file made by `hafloc index build`"
        )
    if ours != 3:
        raise IndexFileError(
            f"cannot open {path}: it is a GeoPackage of another program; "
            "name a file made by `hafloc index build`"
        )
    query = "SELECT value FROM hafloc WHERE key = 'format_version'"
    version = int(connection.execute(query).fetchone()[0])
    if version > len(MIGRATIONS):
        raise IndexFileError(
            f"cannot open {path}: its format {version} is newer than this hafloc reads "
            f"({len(MIGRATIONS)}); update hafloc"
        )
    if version < OLDEST_READABLE and not migrating:
        raise IndexFileError(
            f"cannot open {path}: its format {version} is older than this hafloc reads "
            f"({len(MIGRATIONS)}); bring it up to date with `hafloc index add`"
        )
    return version
