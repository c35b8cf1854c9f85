"""The statements that change a GeoPackage, each within a transaction that somebody else holds."""

import json
import sqlite3
import struct
from collections.abc import Iterable, Sequence

from hafloc.index import checksums, rows
from hafloc.index.point import read_point
from hafloc.index.records import Record

_CELL = struct.Struct(">q4f")  # id or node, then minx, maxx, miny, maxy
# Twice the most that SQLite's rounding to float32 moves a coordinate, as a share of it.
_ROUNDING = 2.0**-21
_SIDES = (("minx", 0, min), ("miny", 1, min), ("maxx", 0, max), ("maxy", 1, max))


def insert(
    connection: sqlite3.Connection,
    records: Sequence[Record],
    vectors: Sequence[bytes],
    features: Sequence[bytes | None],
    regions: Sequence[bytes | None],
    thumbnails: Sequence[bytes | None],
) -> list[int]:
    """Add photos with what hangs on them, or put them in the place of those of their path."""
    names = ", ".join(rows.FIELDS)
    renewed = ", ".join(f"{name} = excluded.{name}" for name in rows.FIELDS)
    statement = (
        f"INSERT INTO photos ({names}) VALUES ({', '.join('?' * len(rows.FIELDS))}) "
        f"ON CONFLICT (path) DO UPDATE SET {renewed} RETURNING id, {names}"
    )
    ids = []
    whole = zip(records, vectors, features, regions, thumbnails, strict=True)
    for record, vector, found, parts, thumbnail in whole:
        ((id_, *stored),) = connection.execute(statement, rows.row(record)).fetchall()
        connection.execute("INSERT OR REPLACE INTO descriptors VALUES (?, ?)", (id_, vector))
        # A photo that takes another's place must not keep that one's features and picture.
        connection.execute("DELETE FROM local_features WHERE photo_id = ?", (id_,))
        connection.execute("DELETE FROM thumbnails WHERE photo_id = ?", (id_,))
        if found is not None:
            connection.execute("INSERT INTO local_features VALUES (?, ?)", (id_, found))
        if parts is not None:
            connection.execute("INSERT OR REPLACE INTO regions VALUES (?, ?)", (id_, parts))
        if thumbnail is not None:
            connection.execute("INSERT INTO thumbnails VALUES (?, ?)", (id_, thumbnail))
        # Last, since triggers forget those of what was there before.
        connection.execute(
            "INSERT OR REPLACE INTO checksums VALUES (?, ?, ?, ?, ?)",
            (
                id_,
                checksums.of_row(id_, stored),
                checksums.of_blobs(id_, stored[0], vector),
                None if parts is None else checksums.of_blobs(id_, parts),
                None if found is None else checksums.of_blobs(id_, found),
            ),
        )
        ids.append(int(id_))
    return ids


def update(connection: sqlite3.Connection, record: Record) -> bool:
    """Rewrite a photo by its id; whether it is there.

    Its vector gets a new checksum with the new position only where it had the right one: damage to
    it stays damage.
    """
    assignments = ", ".join(f"{name} = ?" for name in rows.FIELDS)
    vectors = connection.execute(
        "SELECT geom, descriptors.vector, checksums.vector FROM photos "
        "JOIN descriptors ON descriptors.photo_id = id JOIN checksums ON checksums.photo_id = id "
        "WHERE id = ?",
        (record.id,),
    ).fetchall()
    changed = connection.execute(
        f"UPDATE photos SET {assignments} WHERE id = ? RETURNING id, {', '.join(rows.FIELDS)}",
        (*rows.row(record), record.id),
    ).fetchall()
    for id_, *stored in changed:
        for place, vector, wanted in vectors:
            is_sound = wanted in (None, checksums.of_blobs(id_, place, vector))
            sealed = checksums.of_blobs(id_, stored[0], vector) if is_sound else wanted
            connection.execute(
                "UPDATE checksums SET record = ?, vector = ? WHERE photo_id = ?",
                (checksums.of_row(id_, stored), sealed, id_),
            )
    return bool(changed)


def delete(connection: sqlite3.Connection, ids: Iterable[int]) -> int:
    """Delete photos; how many there were."""
    query = "DELETE FROM photos WHERE id IN (SELECT value FROM json_each(?))"
    found = connection.execute(query, (json.dumps([int(id_) for id_ in ids]),))
    return int(found.rowcount)


def fit_extent(connection: sqlite3.Connection) -> None:
    """Make the layer's extent that of its photos, and note the time of the change.

    The root of the R-tree knows the extent in float32, rounded outward by up to two steps. So
    the photos within as much of it are all that can lie outermost.
    """
    (root,) = connection.execute(
        "SELECT data FROM rtree_photos_geom_node WHERE nodeno = 1"
    ).fetchone()
    (count,) = struct.unpack_from(">H", root, 2)
    cells = [_CELL.unpack_from(root, 4 + _CELL.size * i) for i in range(count)]
    sides: list[float | None] = [None] * 4
    for side, (name, axis, outermost) in enumerate(_SIDES):
        if cells:
            column = 1 + ("minx", "maxx", "miny", "maxy").index(name)
            bound = outermost(cell[column] for cell in cells)
            sides[side] = outermost(_reaching(connection, name, bound, axis))
    connection.execute(
        "UPDATE gpkg_contents SET last_change = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), "
        "min_x = ?, min_y = ?, max_x = ?, max_y = ? WHERE table_name = 'photos'",
        sides,
    )


def _reaching(connection: sqlite3.Connection, side: str, bound: float, axis: int) -> list[float]:
    """The coordinates of the photos that reach a bound of the R-tree, or nearly."""
    comparison, slack = ("<=", 1) if side.startswith("min") else (">=", -1)
    bound += slack * abs(bound) * _ROUNDING
    query = (
        "SELECT geom FROM photos JOIN rtree_photos_geom USING (id) "
        f"WHERE {side} {comparison} ? AND geom NOT NULL"
    )
    points = [read_point(geometry) for (geometry,) in connection.execute(query, (bound,))]
    return [point[axis] for point in points if point is not None] or [bound]
