"""Read positions from a CSV with the columns image,lat,lon[,heading,time]."""

import csv
import io
import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath

from hafloc.errors import PositionError
from hafloc.geo import Position
from hafloc.photos.photo import Metadata

_REQUIRED = ("image", "lat", "lon")
_COLUMNS = (*_REQUIRED, "heading", "time")
_FORM = "the columns are image,lat,lon[,heading,time]"


def read_positions_csv(path: Path | str) -> dict[str, Metadata]:
    """Positions by image name (path as written, with forward slashes), in the file's order.

    `lat`, `lon` in degrees; `heading` in degrees from 0 to 360 and `time` in ISO 8601 may be
    empty. UTF-8, with or without byte-order mark.

    Raises PositionError naming the file, the row and what to do about it.
    """
    path = Path(path)
    positions: dict[str, Metadata] = {}
    first: dict[str, int] = {}
    for number, row in _rows(path):
        where = f"{path}, row {number:,}"
        image = image_name(row["image"])
        if not image:
            raise PositionError(f"{where}: the image name is empty; fill it in or remove the row")
        if image in positions:
            raise PositionError(
                f"{where}: {image} has a position in row {first[image]:,} already; "
                "remove one of them"
            )
        first[image] = number
        positions[image] = Metadata(
            position=_position(row, where),
            heading=_heading(row.get("heading", ""), where),
            time=_time(row.get("time", ""), where),
            source="csv",
        )
    if not positions:
        raise PositionError(f"{path} holds no positions; {_FORM}, one row for each photo")
    return positions


def image_name(text: str) -> str:
    """The name of a photo in the form that names are compared in."""
    text = text.strip().replace("\\", "/")
    return str(PurePosixPath(text)) if text else ""


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        header = [column.strip().lower() for column in next(reader, [])]
        _check_header(header, path)
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            if len(fields) != len(header):
                raise PositionError(
                    f"{path}, row {reader.line_num:,}: {len(fields)} fields where the header has "
                    f"{len(header)}; complete the row or remove it"
                )
            yield reader.line_num, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise PositionError(
            f"{path}, row {reader.line_num:,}: {error}; save it as comma-separated text"
        ) from error


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PositionError(f"{path} is not UTF-8 text; save it as CSV in UTF-8") from error
    except OSError as error:
        raise PositionError(f"cannot read {path}: {error.strerror}; check the path") from error
    if not text.strip():
        raise PositionError(f"{path} is empty; {_FORM}, one row for each photo")
    return text


def _check_header(header: list[str], path: Path) -> None:
    for column in header:
        if column not in _COLUMNS:
            raise PositionError(
                f'{path}, row 1: unknown column "{column}"; {_FORM}, separated by commas'
            )
        if header.count(column) > 1:
            raise PositionError(f'{path}, row 1: column "{column}" stands there twice; remove one')
    for column in _REQUIRED:
        if column not in header:
            raise PositionError(f'{path}, row 1: column "{column}" is missing; {_FORM}')


def _position(row: dict[str, str], where: str) -> Position:
    lat, lon = (_number(row[name], name, where) for name in ("lat", "lon"))
    swapped = 90 < abs(lat) <= 180 and abs(lon) <= 90
    cure = "lat and lon look swapped: exchange the two columns" if swapped else "correct it"
    for name, value, bound in (("lat", lat, 90), ("lon", lon, 180)):
        if abs(value) > bound:
            raise PositionError(
                f"{where}: {name} {value:g} is not between -{bound} and {bound} degrees; {cure}"
            )
    return Position(lat, lon)


def _number(text: str, column: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise PositionError(
            f'{where}: {column} "{text.strip()}" is not a number; '
            "write decimal degrees or remove the row"
        )
    return value


def _heading(text: str, where: str) -> float | None:
    if not text.strip():
        return None
    heading = _number(text, "heading", where)
    if not 0 <= heading <= 360:
        raise PositionError(
            f"{where}: heading {heading:g} is not between 0 and 360 degrees; correct or empty it"
        )
    return heading % 360


def _time(text: str, where: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise PositionError(
            f'{where}: time "{text.strip()}" is not ISO 8601; '
            "write it like 2024-05-31T16:20:00Z or leave it empty"
        ) from error
