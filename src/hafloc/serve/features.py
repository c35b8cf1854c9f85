"""Photos of a database as GeoJSON features, a page at a time (OGC API Features 1.0)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hafloc.errors import IndexFileError
from hafloc.index import Box, GeoIndex, Record
from hafloc.photos import credit_in_words
from hafloc.serve.answers import json_id, thumbnail_link
from hafloc.serve.databases import Database
from hafloc.serve.problems import BAD_PARAMETER, NOT_FOUND, Problem

MOST = 1_000
# Records looked at for one page: with few that fit, a page may have fewer, and the next goes on.
_MOST_LOOKED_AT = 20_000
_ID = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_IDS = range(-(2**63), 2**63)

Interval = tuple[datetime | None, datetime | None]


@dataclass(frozen=True, slots=True)
class Page:
    """The records of a page, and the id after which the next begins; None on the last."""

    records: list[Record]
    next_after: int | None


def page_of(
    index: GeoIndex, box: Box | None, interval: Interval | None, after: int | None, limit: int
) -> Page:
    """The next `limit` photos by id that lie in the box and were taken in the interval."""
    found: list[Record] = []
    last: int | None = None
    for looked, record in enumerate(index.iterate(box, after)):
        if len(found) == limit or looked == _MOST_LOOKED_AT:
            return Page(found, last)
        last = record.id
        if interval is None or _is_in(record.time, interval):
            found.append(record)
    return Page(found, None)


def feature(record: Record, database: Database, root: str) -> dict[str, Any]:
    """A photo as a GeoJSON feature, longitude first."""
    id_ = record.id or 0
    return {
        "type": "Feature",
        "id": json_id(id_),
        "geometry": {
            "type": "Point",
            "coordinates": [round(record.position.lon, 7), round(record.position.lat, 7)],
        },
        "properties": {
            "path": database.paths.shown(record.path),
            "database": database.name,
            "heading": record.heading,
            "magnetic": record.magnetic,
            "time": None if record.time is None else record.time.isoformat(),
            "accuracy": record.accuracy,
            "licence": record.licence,
            "producer": record.producer,
            "source_url": record.source_url,
            "credit": credit_in_words(record.producer, record.licence, record.source_url),
            "thumbnail": thumbnail_link(root, database, id_),
        },
    }


def parse_id(text: str) -> int:
    """A photo's id. Raises Problem for what is none."""
    if not _ID.fullmatch(text) or int(text) not in _IDS:
        raise Problem(NOT_FOUND, f"there is no photo {text[:40]!r}: ids are whole numbers")
    return int(text)


def record_of(index: GeoIndex, id_: int) -> Record:
    """The record of that id. Raises Problem where there is none."""
    try:
        return index.get([id_])[0]
    except IndexFileError as error:
        if isinstance(error.__cause__, Exception):  # not that it is missing: the file itself fails
            raise
        raise Problem(NOT_FOUND, f"there is no photo {id_} in this database") from error


def parse_box(text: str | None) -> Box | None:
    """W,S,E,N in degrees (or with heights, which are not looked at). Raises Problem."""
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 6:
        numbers = [*numbers[:2], *numbers[3:5]]
    if len(numbers) != 4:
        raise Problem(
            BAD_PARAMETER, "bbox is W,S,E,N in degrees; give for example 0.1,52.1,0.2,52.3"
        )
    west, south, east, north = numbers
    # Comparisons with NaN are false.
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise Problem(
            BAD_PARAMETER,
            "bbox is W,S,E,N with longitudes from -180 to 180 and S not above N; one that crosses "
            "the 180th meridian has W above E",
        )
    return west, south, east, north


def parse_interval(text: str | None) -> Interval | None:
    """A time, or two with a slash between, of which `..` or nothing is open. Raises Problem."""
    if text is None:
        return None
    ends = text.split("/")
    try:
        if len(ends) == 1:
            return _time(text, None), _time(text, None, end=True)
        start, end = ends
        return _time(start, ".."), _time(end, "..", end=True)
    except ValueError:
        raise Problem(
            BAD_PARAMETER,
            "datetime is a time such as 2024-05-01T12:00:00Z, or two with / between, of which one "
            "may be ..",
        ) from None


def _time(text: str, open_: str | None, *, end: bool = False) -> datetime | None:
    if open_ is not None and text in ("", open_):
        return None
    time = datetime.fromisoformat(text)
    if end and len(text) == len("2024-05-01"):
        time = time.replace(hour=23, minute=59, second=59, microsecond=999_999)
    return _aware(time)


def _aware(time: datetime) -> datetime:
    # A camera's clock without a zone is as good as any: it is taken for UTC.
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _is_in(time: datetime | None, interval: Interval) -> bool:
    if time is None:
        return False
    start, end = interval
    known = _aware(time)
    return (start is None or known >= start) and (end is None or known <= end)
