"""The functions that a GeoPackage expects of whoever writes to it."""

import sqlite3
from collections.abc import Callable

from hafloc.index.point import read_point


def add_functions(connection: sqlite3.Connection) -> None:
    """What the triggers of the spatial index call. They are Python: for the writer only, since a
    thread that waits inside SQLite for another's Python code would wait for ever."""
    for name, corner in (("ST_MinX", 0), ("ST_MaxX", 0), ("ST_MinY", 1), ("ST_MaxY", 1)):
        connection.create_function(name, 1, _coordinate(corner), deterministic=True)
    connection.create_function("ST_IsEmpty", 1, _is_empty, deterministic=True)


def _coordinate(axis: int) -> Callable[[bytes | None], float | None]:
    def coordinate(blob: bytes | None) -> float | None:
        point = None if blob is None else read_point(blob)
        return None if point is None else point[axis]

    return coordinate


def _is_empty(blob: bytes | None) -> bool | None:
    return None if blob is None else read_point(blob) is None
