"""What `verify` looks for in an index file, and how it says what it found."""

import sqlite3
from collections.abc import Iterator, Sequence

import numpy as np

from hafloc.errors import PositionError
from hafloc.geo import Position
from hafloc.index import local_features as compact
from hafloc.index import vectors as stored
from hafloc.index.point import read_point

_NAMED = 5  # how many photos a message names
_FETCH = 4_096
# The R-tree keeps float32, rounded outward: less than 2⁻²² of a coordinate away.
_ROUNDING = 2.0**-22


def find_problems(connection: sqlite3.Connection, vector_type: str, dimension: int) -> list[str]:
    """Problems in words, none when the file is sound; only the first kind if it is damaged."""
    damages = [
        f"the file is damaged: {line}"
        for query in ("PRAGMA integrity_check(10)", "SELECT rtreecheck('rtree_photos_geom')")
        for (line,) in connection.execute(query)
        if line != "ok"
    ]
    if damages:
        return damages
    return [
        *_partners(connection),
        *_vectors(connection, vector_type, dimension),
        *_local_features(connection),
        *_positions(connection),
        *_extent(connection),
    ]


def _partners(connection: sqlite3.Connection) -> Iterator[str]:
    checks = {
        "{} without a vector: {}; add the file again or remove the photo": (
            "SELECT id FROM photos WHERE id NOT IN (SELECT photo_id FROM descriptors)"
        ),
        "a vector without its photo, for {}: {}; rebuild with `hafloc index build`": (
            "SELECT photo_id FROM descriptors WHERE photo_id NOT IN (SELECT id FROM photos)"
        ),
        "{} missing from the spatial index: {}; rebuild it in a GIS": (
            "SELECT id FROM photos WHERE geom NOT NULL AND NOT ST_IsEmpty(geom) "
            "AND id NOT IN (SELECT id FROM rtree_photos_geom)"
        ),
        "the spatial index names {} that have no position: {}; rebuild it in a GIS": (
            "SELECT id FROM rtree_photos_geom WHERE id NOT IN "
            "(SELECT id FROM photos WHERE geom NOT NULL AND NOT ST_IsEmpty(geom))"
        ),
    }
    for message, query in checks.items():
        yield from _say(message, [id_ for (id_,) in connection.execute(query)])


def _vectors(connection: sqlite3.Connection, vector_type: str, dimension: int) -> Iterator[str]:
    size = dimension * stored.stored_dtype(vector_type).itemsize
    misfits: list[int] = []
    unsound: list[int] = []
    found = connection.execute("SELECT photo_id, vector FROM descriptors ORDER BY photo_id")
    while batch := found.fetchmany(_FETCH):
        fitting = [(id_, blob) for id_, blob in batch if _is_blob(blob, size)]
        misfits += [id_ for id_, blob in batch if not _is_blob(blob, size)]
        if fitting:
            sound = stored.is_sound(stored.stack([blob for _, blob in fitting], vector_type))
            unsound += [fitting[i][0] for i in np.flatnonzero(~sound)]
    yield from _say(f"{{}} with a vector that is not {size:,} bytes long: {{}}", misfits)
    yield from _say("{} with a vector that is not of unit length: {}", unsound)


def _local_features(connection: sqlite3.Connection) -> Iterator[str]:
    query = "SELECT count(*) FROM sqlite_master WHERE name = 'local_features'"
    if connection.execute(query).fetchone() == (0,):  # a file of format 1
        return
    orphans = "SELECT photo_id FROM local_features WHERE photo_id NOT IN (SELECT id FROM photos)"
    yield from _say(
        "local features without their photo, for {}: {}; rebuild with `hafloc index build`",
        [id_ for (id_,) in connection.execute(orphans)],
    )
    found = connection.execute("SELECT photo_id, features FROM local_features ORDER BY photo_id")
    unsound = [id_ for id_, blob in found if compact.find_problem(blob)]
    yield from _say("{} with damaged local features: {}; add the file again", unsound)


def _is_blob(value: object, size: int) -> bool:
    return isinstance(value, bytes) and len(value) == size


def _positions(connection: sqlite3.Connection) -> Iterator[str]:
    nowhere: list[int] = []
    disagreeing: list[int] = []
    found = connection.execute(
        "SELECT id, geom, minx, maxx, miny, maxy FROM photos LEFT JOIN rtree_photos_geom USING (id)"
    )
    for id_, geometry, *box in found:
        point = None if geometry is None else read_point(geometry)
        if point is None or not _is_on_earth(*point):
            nowhere.append(id_)
        elif None not in box and not _encloses(box, point):
            disagreeing.append(id_)
    yield from _say("{} without a position on Earth: {}; correct or remove them", nowhere)
    yield from _say("{} elsewhere in the spatial index: {}; rebuild it in a GIS", disagreeing)


def _is_on_earth(lon: float, lat: float) -> bool:
    try:
        Position(lat=lat, lon=lon)
    except PositionError:
        return False
    return True


def _encloses(box: Sequence[float], point: tuple[float, float]) -> bool:
    ends = zip(box[::2], box[1::2], point, strict=True)
    return all(low <= at <= high and high - low <= abs(at) * _ROUNDING for low, high, at in ends)


def _extent(connection: sqlite3.Connection) -> Iterator[str]:
    (outside,) = connection.execute(
        "SELECT count(*) FROM photos, gpkg_contents WHERE table_name = 'photos' AND NOT "
        "coalesce(ST_MinX(geom) >= min_x AND ST_MaxX(geom) <= max_x AND ST_MinY(geom) >= min_y "
        "AND ST_MaxY(geom) <= max_y, ST_MinX(geom) ISNULL)"
    ).fetchone()
    if outside:
        yield f"the layer's extent leaves out {outside:,} of its photos; add or remove any photo"


def _say(message: str, ids: list[int]) -> Iterator[str]:
    if ids:
        photos = f"{len(ids):,} photo{'s' if len(ids) > 1 else ''}"
        named = ", ".join(map(str, ids[:_NAMED])) + (", …" if len(ids) > _NAMED else "")
        yield message.format(photos, named)
