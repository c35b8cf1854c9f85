"""Whether an index of strangers is nothing but what hafloc writes: no code, no way out of it.

An SQLite file can hold triggers, views and tables with expressions that run when it is read or
written. So everything in it must be, to the letter, what our own migrations make.
"""

import re
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import quote

from hafloc.errors import IndexFileError, reason_of
from hafloc.index.approximate import EXACT, KINDS
from hafloc.index.functions import add_functions
from hafloc.index.part import is_inner
from hafloc.index.reading import SEARCH, local_size_in
from hafloc.index.schema import APPLICATION_ID, MIGRATIONS, migrate
from hafloc.index.soundness import find_problems
from hafloc.index.vectors import VECTOR_TYPES

# The longest row by far is that of settings, with a checkpoint's options; SQLite itself refuses
# to read a longer one.
_LONGEST_ROW = 32 << 20
_LONGEST_TEXT = 10_000
_TEXTS = (
    *("path", "content", "time", "source", "gps_status", "stated"),
    *("licence", "producer", "source_url"),
)
_SHADOW = re.compile(r"rtree_photos_geom_(node|parent|rowid)")
_SHADOW_COLUMNS = {
    "node": ["nodeno", "data"],
    "parent": ["nodeno", "parentnode"],
    "rowid": ["rowid", "nodeno"],
}
# What SQLite itself keeps.
_OF_SQLITE = re.compile(r"sqlite_(sequence|stat[134]|autoindex_.*)")
_NAMED = 3

Object = tuple[str, str, str, str]  # type, name, table, plain SQL


def check_bundle(path: Path, named: str) -> None:
    """Raises IndexFileError, which calls it `named`, unless it is an index and nothing else."""
    try:
        problems = find_foreign(path)
    except (sqlite3.Error, ValueError, KeyError, TypeError, OSError) as error:
        raise IndexFileError(
            f"cannot use {named}: it is damaged or no index of hafloc ({reason_of(error)}); "
            "remove it"
        ) from error
    if problems:
        more = f", and {len(problems) - _NAMED:,} more" if len(problems) > _NAMED else ""
        raise IndexFileError(
            f"cannot use {named}: {'; '.join(problems[:_NAMED])}{more}; an index that others share "
            "must hold only what hafloc writes: remove it"
        )


def find_foreign(path: Path) -> list[str]:
    """What a file holds that hafloc does not write, in words; raises sqlite3.Error.

    The file is only read, and nothing of it is run: first its objects are compared, before any
    of them is used.
    """
    uri = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True)
    try:
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_ROW)
        (number,) = connection.execute("PRAGMA application_id").fetchone()
        if number != APPLICATION_ID:
            return ["it is no GeoPackage"]
        objects = _objects(connection)
        if ("table", "hafloc") not in {(kind, name) for kind, name, _, _ in objects}:
            return ["it has no table hafloc"]
        # Of all formats together, as the table that tells the format is not to be trusted yet.
        problems = list(_foreign(connection, objects))
        if problems:
            return problems
        return [*_misplaced(connection, objects), *_too_long(connection)] or list(
            _unsound(connection)
        )
    finally:
        connection.close()


def _objects(connection: sqlite3.Connection) -> list[Object]:
    found = connection.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master")
    return [(kind, name, table, _plain(sql)) for kind, name, table, sql in found]


def _foreign(connection: sqlite3.Connection, objects: list[Object]) -> Iterator[str]:
    for kind, name, table, sql in objects:
        if _is_of_sqlite(kind, name):
            continue
        if _is_shadow(connection, kind, name, sql):
            continue
        if not any((kind, name, table, sql) in known for known in _formats()):
            what = "another than hafloc's" if name in _names() else "not hafloc's"
            yield f"the {kind} {name[:60]!r} is {what}"


def _is_of_sqlite(kind: str, name: str) -> bool:
    # Nobody else may use these names.
    return kind in ("table", "index") and _OF_SQLITE.fullmatch(name) is not None


def _is_shadow(connection: sqlite3.Connection, kind: str, name: str, sql: str) -> bool:
    """Whether it is one of the R-tree's own tables, which versions of SQLite write differently."""
    shadow = _SHADOW.fullmatch(name)
    if not shadow or kind != "table" or "(" in sql.partition("(")[2]:  # an expression in it
        return False
    found = connection.execute("SELECT name, hidden FROM pragma_table_xinfo(?)", (name,)).fetchall()
    return found == [(column, 0) for column in _SHADOW_COLUMNS[shadow[1]]]


def _misplaced(connection: sqlite3.Connection, objects: list[Object]) -> Iterator[str]:
    """A format that the objects are not of, and photos whose names lead out of the folder."""
    settings = dict(connection.execute("SELECT key, value FROM hafloc"))
    version = str(settings.get("format_version"))
    if not (version.isdecimal() and 1 <= int(version) <= len(MIGRATIONS)):
        yield f"its format {version[:20]} is not known"
        return
    own = {item[:2] for item in _formats()[int(version) - 1]}
    missing = own - {item[:2] for item in objects}
    if missing:
        yield f"the {' '.join(sorted(missing)[0])} is missing"
        return
    outside = [
        name for (name,) in connection.execute("SELECT path FROM photos") if not _is_inside(name)
    ]
    if outside:
        yield (
            f"{len(outside):,} of its photos lie outside its folder, the first at "
            f"{str(outside[0])[:60]!r}"
        )


def _is_inside(name: object) -> bool:
    return isinstance(name, str) and is_inner(name)


def _too_long(connection: sqlite3.Connection) -> Iterator[str]:
    there = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info('photos')")}
    for column in _TEXTS:
        if column in there:
            (longest,) = connection.execute(f"SELECT max(length({column})) FROM photos").fetchone()
            if (longest or 0) > _LONGEST_TEXT:
                yield f"{column} of a photo is longer than {_LONGEST_TEXT:,} letters"


def _unsound(connection: sqlite3.Connection) -> Iterator[str]:
    settings = dict(connection.execute("SELECT key, value FROM hafloc"))
    dimension, vector_type = int(settings["dimension"]), settings["vector_type"]
    if vector_type not in VECTOR_TYPES or not 1 <= dimension <= 65_536:
        yield f"vectors of {dimension:,} × {str(vector_type)[:20]} are not known"
        return
    if settings.get(SEARCH, EXACT) not in KINDS:
        yield f"its kind of search {str(settings[SEARCH])[:20]!r} is not known"
    local_size_in(settings)  # a ValueError is damage
    yield from find_problems(connection, vector_type, dimension, int(settings.get("regions", 0)))


@cache
def _formats() -> tuple[frozenset[Object], ...]:
    """The objects of each format, as our own migrations make them."""
    found = []
    for version in range(1, len(MIGRATIONS) + 1):
        connection = sqlite3.connect(":memory:")
        add_functions(connection)
        connection.execute("BEGIN")
        migrate(connection, 0, version)
        found.append(frozenset(_objects(connection)))
        connection.close()
    return tuple(found)


@cache
def _names() -> frozenset[str]:
    return frozenset(name for known in _formats() for _, name, _, _ in known)


def _plain(sql: str) -> str:
    """A statement with single spaces."""
    return " ".join(sql.split())
