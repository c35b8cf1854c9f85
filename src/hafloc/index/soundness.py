"""What `verify` looks for in an index file, and how it says what it found."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from hafloc.errors import PositionError
from hafloc.geo import Position
from hafloc.index import checksums
from hafloc.index import local_features as compact
from hafloc.index import vectors as stored
from hafloc.index.point import read_point
from hafloc.index.rows import FIELDS
from hafloc.index.thumbnails import find_problem

_NAMED = 5  # how many photos a message names
_FETCH = 4_096
# The R-tree keeps float32, rounded outward: less than 2⁻²² of a coordinate away.
_ROUNDING = 2.0**-22


def find_problems(
    connection: sqlite3.Connection, vector_type: str, dimension: int, regions: int = 0
) -> list[str]:
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
        *_checksums(connection),
        *_partners(connection),
        *_vectors(connection, vector_type, dimension),
        *_local_features(connection),
        *(_regions(connection, regions, dimension) if regions else ()),
        *_thumbnails(connection),
        *_positions(connection),
    ]


class _Photos:
    """Photos with one flaw: how many, and the first few of them."""

    def __init__(self, flaw: str) -> None:
        self.flaw = flaw
        self.count = 0
        self.first: list[int] = []

    def add(self, ids: Iterable[int]) -> None:
        for id_ in ids:
            self.count += 1
            if len(self.first) < _NAMED:
                self.first.append(id_)

    def said(self) -> Iterator[str]:
        if self.count:
            photos = f"{self.count:,} photo{'s' if self.count > 1 else ''}"
            named = ", ".join(map(str, self.first)) + (", …" if self.count > _NAMED else "")
            yield self.flaw.format(photos, named)


def _checksums(connection: sqlite3.Connection) -> Iterator[str]:
    """Photos of which something is not what was stored, and settings that are not."""
    query = "SELECT count(*) FROM sqlite_master WHERE name = 'checksums'"
    if connection.execute(query).fetchone() == (0,):  # a file from before format 7
        return
    settings = dict(connection.execute("SELECT key, value FROM hafloc"))
    if checksums.KEY in settings and settings[checksums.KEY] != checksums.of_settings(settings):
        yield "the settings do not match their checksum; rebuild with `hafloc index build`"
    gone = _Photos("{} gone: {}; restore a copy or rebuild with `hafloc index build`")
    gone.add(
        id_
        for (id_,) in connection.execute(
            "SELECT photo_id FROM checksums WHERE NOT EXISTS (SELECT 1 FROM photos "
            "WHERE id = photo_id) OR NOT EXISTS (SELECT 1 FROM descriptors "
            "WHERE descriptors.photo_id = checksums.photo_id) ORDER BY photo_id"
        )
    )
    yield from gone.said()
    row = ", ".join(FIELDS)
    blobs = (
        ("vector", "vector", "descriptors.photo_id, geom, descriptors.vector",
         "descriptors JOIN photos ON id = descriptors.photo_id"),
        ("vectors of regions", "regions", "regions.photo_id, NULL, regions.vectors", "regions"),
        ("key points", "features", "local_features.photo_id, NULL, local_features.features",
         "local_features"),
    )  # fmt: skip
    for words, column, selected, table in blobs:
        photos = _Photos(f"{{}} with other {words} than were stored: {{}}; add the file again")
        found = connection.execute(
            f"SELECT {selected}, checksums.{column} FROM {table} JOIN checksums "
            f"ON checksums.photo_id = {selected.partition(',')[0]} "
            f"WHERE checksums.{column} NOT NULL ORDER BY 1"
        )
        photos.add(id_ for id_, *parts, sum_ in found if checksums.of_blobs(id_, *parts) != sum_)
        yield from photos.said()
    records = _Photos("{} of which not everything is what was stored: {}; add the file again")
    found = connection.execute(
        f"SELECT id, {row}, record FROM photos JOIN checksums ON photo_id = id "
        "WHERE record NOT NULL ORDER BY id"
    )
    records.add(id_ for id_, *values, sum_ in found if checksums.of_row(id_, values) != sum_)
    yield from records.said()


def _partners(connection: sqlite3.Connection) -> Iterator[str]:
    checks = {
        "{} without a vector: {}; add the file again or remove the photo": (
            "SELECT id FROM photos WHERE NOT EXISTS "
            "(SELECT 1 FROM descriptors WHERE photo_id = id) ORDER BY id"
        ),
        "a vector without its photo, for {}: {}; rebuild with `hafloc index build`": (
            "SELECT photo_id FROM descriptors WHERE NOT EXISTS "
            "(SELECT 1 FROM photos WHERE id = photo_id) ORDER BY photo_id"
        ),
    }
    for flaw, query in checks.items():
        found = _Photos(flaw)
        found.add(id_ for (id_,) in connection.execute(query))
        yield from found.said()


def _vectors(connection: sqlite3.Connection, vector_type: str, dimension: int) -> Iterator[str]:
    size = dimension * stored.stored_dtype(vector_type).itemsize
    misfits = _Photos(f"{{}} with a vector that is not {size:,} bytes long: {{}}")
    unsound = _Photos("{} with a vector that is not of unit length: {}")
    found = connection.execute("SELECT photo_id, vector FROM descriptors ORDER BY photo_id")
    while batch := found.fetchmany(_FETCH):
        fitting = [(id_, blob) for id_, blob in batch if _is_blob(blob, size)]
        misfits.add(id_ for id_, blob in batch if not _is_blob(blob, size))
        if fitting:
            sound = stored.is_sound(stored.stack([blob for _, blob in fitting], vector_type))
            unsound.add(fitting[i][0] for i in np.flatnonzero(~sound))
    yield from misfits.said()
    yield from unsound.said()


def _local_features(connection: sqlite3.Connection) -> Iterator[str]:
    query = "SELECT count(*) FROM sqlite_master WHERE name = 'local_features'"
    if connection.execute(query).fetchone() == (0,):  # a file of format 1
        return
    yield from _beside(connection, "local_features", "features", "local features",
                       lambda blob: bool(compact.find_problem(blob)))  # fmt: skip


def _regions(connection: sqlite3.Connection, regions: int, dimension: int) -> Iterator[str]:
    missing = _Photos("{} without vectors of their regions: {}; add the file again")
    missing.add(
        id_
        for (id_,) in connection.execute(
            "SELECT id FROM photos WHERE NOT EXISTS "
            "(SELECT 1 FROM regions WHERE photo_id = id) ORDER BY id"
        )
    )
    yield from missing.said()

    def damaged(blob: Any) -> bool:
        if not _is_blob(blob, regions * dimension):
            return True
        return not stored.is_sound(np.frombuffer(blob, np.int8).reshape(regions, -1)).all()

    yield from _beside(connection, "regions", "vectors", "vectors of regions", damaged)


def _thumbnails(connection: sqlite3.Connection) -> Iterator[str]:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'thumbnails'"
    if connection.execute(query).fetchone():
        yield from _beside(connection, "thumbnails", "jpeg", "small pictures", _is_no_thumbnail)


def _is_no_thumbnail(jpeg: object) -> bool:
    return find_problem(jpeg) is not None


def _beside(
    connection: sqlite3.Connection,
    table: str,
    column: str,
    words: str,
    damaged: Callable[[Any], bool],
) -> Iterator[str]:
    """Blobs of a table beside `photos` that have lost their photo, or are damaged."""
    orphans = _Photos(
        f"{words} without their photo, for {{}}: {{}}; rebuild with `hafloc index build`"
    )
    orphans.add(
        id_
        for (id_,) in connection.execute(
            f"SELECT photo_id FROM {table} WHERE NOT EXISTS "
            "(SELECT 1 FROM photos WHERE id = photo_id) ORDER BY photo_id"
        )
    )
    yield from orphans.said()
    unsound = _Photos(f"{{}} with damaged {words}: {{}}; add the file again")
    found = connection.execute(f"SELECT photo_id, {column} FROM {table} ORDER BY photo_id")
    unsound.add(id_ for id_, blob in found if damaged(blob))
    yield from unsound.said()


def _is_blob(value: object, size: int) -> bool:
    return isinstance(value, bytes) and len(value) == size


def _positions(connection: sqlite3.Connection) -> Iterator[str]:
    extent = connection.execute(
        "SELECT min_x, max_x, min_y, max_y FROM gpkg_contents WHERE table_name = 'photos'"
    ).fetchone() or (None,)
    missing = _Photos("{} missing from the spatial index: {}; rebuild it in a GIS")
    superfluous = _Photos(
        "the spatial index names {} that have no position: {}; rebuild it in a GIS"
    )
    nowhere = _Photos("{} without a position on Earth: {}; correct or remove them")
    disagreeing = _Photos("{} elsewhere in the spatial index: {}; rebuild it in a GIS")
    outside = 0
    found = connection.execute(
        "SELECT id, geom, minx, maxx, miny, maxy FROM photos LEFT JOIN rtree_photos_geom USING (id)"
    )
    for id_, geometry, *box in found:
        point = _point(geometry)
        if point is None or not _is_on_earth(*point):
            nowhere.add([id_])
        if point is None:
            superfluous.add([id_] if None not in box else [])
        elif None in box:
            missing.add([id_])
        elif _is_on_earth(*point) and not _encloses(box, point):
            disagreeing.add([id_])
        outside += point is not None and not _is_inside(extent, point)
    superfluous.add(
        id_
        for (id_,) in connection.execute(
            "SELECT rowid FROM rtree_photos_geom_rowid AS indexed WHERE NOT EXISTS "
            "(SELECT 1 FROM photos WHERE photos.id = indexed.rowid) ORDER BY rowid"
        )
    )
    for flaw in (missing, superfluous, nowhere, disagreeing):
        yield from flaw.said()
    if outside:
        yield f"the layer's extent leaves out {outside:,} of its photos; add or remove any photo"


def _point(geometry: object) -> tuple[float, float] | None:
    try:
        return read_point(geometry) if isinstance(geometry, bytes) else None
    except ValueError:
        return None


def _is_inside(extent: Sequence[object], point: tuple[float, float]) -> bool:
    sides = [side for side in extent if isinstance(side, int | float)]
    if len(sides) < len(extent):
        return False
    west, east, south, north = sides
    return west <= point[0] <= east and south <= point[1] <= north


def _is_on_earth(lon: float, lat: float) -> bool:
    try:
        Position(lat=lat, lon=lon)
    except PositionError:
        return False
    return True


def _encloses(box: Sequence[float], point: tuple[float, float]) -> bool:
    ends = zip(box[::2], box[1::2], point, strict=True)
    return all(low <= at <= high and high - low <= abs(at) * _ROUNDING for low, high, at in ends)
