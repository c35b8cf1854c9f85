"""Records as rows of the table of photos, and back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hafloc.errors import IndexFileError, PositionError
from hafloc.geo import Position
from hafloc.index import checksums
from hafloc.index.point import read_point, write_point
from hafloc.index.records import Record

FIELDS = (
    *("geom", "path", "content", "heading", "time", "altitude", "width", "height", "source"),
    *("magnetic", "accuracy", "gps_status", "bytes", "modified", "stated"),
    *("licence", "producer", "source_url"),
)
# What files of an earlier format than the number have no columns for, and what stands for it.
_SINCE = {
    3: {"magnetic": "0", **dict.fromkeys(FIELDS[10:15], "NULL")},
    6: dict.fromkeys(FIELDS[15:], "NULL"),
}


def columns(format_version: int) -> str:
    """What to select for `record`, from a file of that format."""
    missing = {
        name: value
        for since, names in _SINCE.items()
        if format_version < since
        for name, value in names.items()
    }
    known = format_version >= checksums.SINCE
    sealed = "(SELECT record FROM checksums WHERE photo_id = id)" if known else "NULL"
    return ", ".join(("id", *(missing.get(name, name) for name in FIELDS), sealed))


def row(record: Record) -> tuple[Any, ...]:
    """The values of `FIELDS`."""
    return (
        write_point(record.position.lon, record.position.lat),
        record.path,
        record.content,
        record.heading,
        None if record.time is None else record.time.isoformat(),
        record.altitude,
        record.width,
        record.height,
        record.source,
        record.magnetic,
        record.accuracy,
        record.gps_status,
        record.bytes,
        record.modified,
        record.stated,
        record.licence,
        record.producer,
        record.source_url,
    )


def place(id_: int, geometry: bytes | None, file: str) -> tuple[float, float] | None:
    """The (longitude, latitude) of a photo; None where a GIS has taken it away.

    Raises IndexFileError, which names `file`, where it is no point.
    """
    try:
        return None if geometry is None else read_point(geometry)
    except (ValueError, TypeError) as error:
        raise _unreadable(f"photo {id_}", file, error) from error


def record(found: Sequence[Any], file: str) -> Record | None:
    """The record of a row of `columns`; None where a GIS has taken its position away.

    Raises IndexFileError, which names `file`, where it holds what no record can, or not what was
    stored.
    """
    *found, sealed = found
    checksums.check_row(found[0], found[1:], sealed, file)
    id_, geometry, path, content, heading, time, altitude, width, height, source, *rest = found
    magnetic, accuracy, gps_status, size, modified, stated, licence, producer, source_url = rest
    try:
        point = None if geometry is None else read_point(geometry)
        if point is None:
            return None
        return Record(
            path=path,
            content=content,
            position=Position(lat=point[1], lon=point[0]),
            width=width,
            height=height,
            source=source,
            heading=heading,
            altitude=altitude,
            time=None if time is None else datetime.fromisoformat(time),
            id=id_,
            magnetic=bool(magnetic),
            accuracy=accuracy,
            gps_status=gps_status,
            bytes=size,
            modified=modified,
            stated=stated,
            licence=licence,
            producer=producer,
            source_url=source_url,
        )
    except (ValueError, TypeError, PositionError) as error:
        raise _unreadable(f"photo {id_} ({path})", file, error) from error


def _unreadable(photo: str, file: str, error: Exception) -> IndexFileError:
    return IndexFileError(
        f"cannot read {photo} of {file}: {error}; correct it or remove it with "
        "`hafloc index remove`"
    )
