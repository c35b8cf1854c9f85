"""SQLite connections as an index needs them: one writer, many readers, one file when at rest.

A writer holds SQLite's own write lock from opening to closing, and lets go only within a
commit. That lock belongs to the process: it ends with it however it ends, leaves no lock file
behind, and keeps out every other SQLite program as well. In WAL mode readers read on meanwhile.
Where a file system cannot share memory among processes, which WAL needs, the writer falls back to
a rollback journal and keeps readers out until it closes.
"""

import os
import secrets
import sqlite3
import time
from contextlib import suppress
from pathlib import Path, PurePath
from urllib.parse import quote

from hafloc.errors import IndexFileError
from hafloc.index.checksums import seal_settings
from hafloc.index.functions import add_functions
from hafloc.index.paths import linked_file
from hafloc.index.schema import (
    APPLICATION_ID,
    GEOPACKAGE_VERSION,
    MIGRATIONS,
    OLDEST_READABLE,
    PAGE_BYTES,
    migrate,
)
from hafloc.index.trouble import (
    BUSY,
    NO_SHARED_MEMORY,
    READ_ONLY_MEDIUM,
    busy,
    detail,
    kind,
    reason,
    translated,
)

_WAIT_SECONDS = 5.0
_BEING_MADE_SECONDS = 0.5


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is anything at `path`. Raises IndexFileError where that cannot be told."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise IndexFileError(
            f"cannot open {path}: {reason(error)}; check the path and its permissions"
        ) from error
    return True


def create_file(path: Path, settings: dict[str, str]) -> None:
    """A new, complete and empty index at `path`, or nothing.

    Raises IndexFileError where a file is in the way or the folder cannot be written,
    IndexBusyError where another program makes the same index at the same time.
    """
    if exists(path):
        raise IndexFileError(
            f"cannot create {path}: it exists already; remove it or choose another name"
        )
    file = linked_file(path)
    if not exists(file.parent):
        raise IndexFileError(
            f"cannot create {path}: there is no folder {path.parent}; make it first"
        )
    # Not even a thread of this process may use the same; the name itself may be as long as allowed.
    unfinished = file.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with translated(path, "create", alone=True):
            _write_schema(unfinished, settings)
        _publish(unfinished, file)
    except FileExistsError:
        raise busy(path, "create") from None
    except OSError as error:
        raise IndexFileError(
            f"cannot create {path}: {reason(error)}; choose a folder of your own"
        ) from error
    finally:
        for left in (unfinished, *_side_files(unfinished)):
            with suppress(OSError):
                left.unlink()


def _publish(unfinished: Path, file: Path) -> None:
    # An empty file claims the name first: of two that make one index only one gets it, on file
    # systems without hard links too.
    os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        # Side files of a deleted index of this name would be taken for this one's.
        for side_file in _side_files(file):
            side_file.unlink(missing_ok=True)
        unfinished.replace(file)
    except BaseException:
        file.unlink()
        raise


def _write_schema(path: Path, settings: dict[str, str]) -> None:
    connection = _connect(path, "rwc")
    try:
        add_functions(connection)
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={GEOPACKAGE_VERSION}")
        connection.execute("BEGIN IMMEDIATE")
        migrate(connection, 0)
        connection.executemany("INSERT INTO hafloc VALUES (?, ?)", settings.items())
        seal_settings(connection)
        connection.execute("COMMIT")
    finally:
        connection.close()


def _side_files(path: Path) -> list[Path]:
    return [path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal")]


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that never writes; on a read-only medium too."""
    _check_path(path)
    with translated(path, "open"):
        try:
            return _open_shared(path)
        except sqlite3.Error as error:
            if detail(error) not in NO_SHARED_MEMORY and kind(error) not in READ_ONLY_MEDIUM:
                raise
        try:
            _leave_wal(path)
            return _open_shared(path)
        except sqlite3.Error as error:
            if kind(error) in BUSY:
                raise
        return _open_immutable(path)


def _open_shared(path: Path) -> sqlite3.Connection:
    # Where it may, a reader opens for writing: only so can it finish what a killed writer
    # left in the -wal file, and remove that file when it is the last to close.
    connection = _connect(path, "rw")
    try:
        _check_format(connection, path)
        _distrust(connection)
        connection.execute("PRAGMA query_only=ON")
    except (sqlite3.Error, IndexFileError):
        connection.close()
        raise
    return connection


def _distrust(connection: sqlite3.Connection) -> None:
    # A file may come from strangers, and its views and triggers with it.
    connection.execute("PRAGMA trusted_schema=OFF")


def _leave_wal(path: Path) -> None:
    """Bring a file out of WAL mode without shared memory, and what is in its -wal into it."""
    connection = _connect(path, "rw")
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        _forget_shared_memory(path)
    finally:
        connection.close()


def _forget_shared_memory(path: Path) -> None:
    # SQLite makes this file before it finds that nobody can share it. Whoever has the database
    # alone and out of WAL mode may delete it.
    with suppress(OSError):
        _side_files(linked_file(path))[1].unlink()


def _open_immutable(path: Path) -> sqlite3.Connection:
    wal, _, journal = _side_files(linked_file(path))
    for left in (wal, journal):
        if left.exists() and left.stat().st_size > 0:
            raise IndexFileError(
                f"cannot open {path}: {left.name} beside it holds changes to finish, and the "
                "folder is read-only; copy both files to a folder of your own"
            )
    connection = _connect(path, "ro&immutable=1")
    try:
        _check_format(connection, path)
        _distrust(connection)
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
        try:
            return _open_writer(path, alone=False)
        except sqlite3.Error as error:
            if detail(error) not in NO_SHARED_MEMORY:
                raise
        # Not only to write here, but also because the attempt may have left the file in WAL mode.
        return _open_writer(path, alone=True)


def _open_writer(path: Path, *, alone: bool) -> sqlite3.Connection:
    before = identity(path)
    connection = _connect(path, "rw")
    try:
        add_functions(connection)
        if alone:  # before the first read, or that would ask for shared memory
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        _check_format(connection, path, migrating=True)
        if alone:
            _take_alone(connection)
            _forget_shared_memory(path)
        else:
            _share(connection)
        # Another may have migrated it until it was ours.
        version = _check_format(connection, path, migrating=True)
        if identity(path) != before:  # deleted by the writer before us, or put in another's place
            raise busy(path, "write to")
        if version < len(MIGRATIONS):
            migrate(connection, version)
            seal_settings(connection)
            commit(connection)
    except (sqlite3.Error, OSError, IndexFileError):
        connection.close()
        raise
    connection.execute(f"PRAGMA busy_timeout={_WAIT_SECONDS * 1000:.0f}")
    return connection


def _share(connection: sqlite3.Connection) -> None:
    # Waits for a reader to finish its statement; nothing to do while another writes.
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        _take_alone(connection)
        return
    connection.execute("PRAGMA busy_timeout=0")
    connection.execute("BEGIN IMMEDIATE")


def _take_alone(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("PRAGMA busy_timeout=0")
    connection.execute("BEGIN EXCLUSIVE")


def identity(path: Path) -> tuple[int, int] | None:
    """What tells the file at `path` from another that takes its place."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


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


def close_reader(connection: sqlite3.Connection) -> None:
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
            (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
            if journal == "wal" or _holds_photos(connection):
                return False
            if os.name != "nt":
                file.unlink()
        except sqlite3.OperationalError as error:
            if kind(error) not in BUSY:
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


def _leave_one_file(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA busy_timeout=0")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    # Held alone, a rollback journal would stay beside the file, emptied.
    connection.execute("PRAGMA locking_mode=NORMAL")
    try:
        connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        if kind(error) not in BUSY:
            raise


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    # A connection serves one thread at a time; see `Connections`.
    return sqlite3.connect(
        f"{uri(path.absolute())}?mode={mode}",
        uri=True,
        timeout=_WAIT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def uri(path: PurePath) -> str:
    """An absolute path as SQLite takes it: an empty host, then the path with a slash before it."""
    name = path.as_posix()
    return "file://" + quote(os.fsencode(name if name.startswith("/") else f"/{name}"), safe="/:")


def _check_path(path: Path) -> None:
    if not exists(path):
        raise IndexFileError(
            f"cannot open {path}: there is no such file; make one with `hafloc index build`"
        )
    if path.is_dir():
        raise IndexFileError(f"cannot open {path}: it is a folder; name the index file in it")
    # Another program may be about to put its new index here; see `_publish`.
    with suppress(OSError):
        while (found := path.stat()).st_size == 0:
            if not 0 <= time.time() - found.st_mtime < _BEING_MADE_SECONDS:
                break
            time.sleep(0.01)


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
    try:
        version = int(connection.execute(query).fetchone()[0])
    except (TypeError, ValueError) as error:
        raise IndexFileError(
            f"cannot open {path}: it is damaged: it tells no format; restore a copy or rebuild it "
            "with `hafloc index build`"
        ) from error
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
