"""Read positions from tables as people have them: ours, exiftool's, a spreadsheet's."""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from hafloc.errors import PositionError
from hafloc.photos.columns import NEEDED, described, find_columns
from hafloc.photos.delimited import SEPARATORS, read_lines, rows, separated, stated_separator
from hafloc.photos.parts import split_name, view_of
from hafloc.photos.photo import Metadata
from hafloc.photos.projected import as_degrees, check_crs
from hafloc.photos.remote import PhotoFile
from hafloc.photos.row import metadata_of_row
from hafloc.photos.tags import number as finite
from hafloc.photos.tags import shown

# OpenDroneMap's geo.txt: its first line names the coordinates, and its columns have no names.
_GEO = re.compile(r"EPSG:+4326|WGS ?84", re.IGNORECASE)
_OTHER_GEO = re.compile(r"EPSG:+\d+|\+proj=.*|WGS ?84 UTM.*", re.IGNORECASE)
_GEO_COLUMNS = {"image": 0, "lon": 1, "lat": 2, "altitude": 3, "accuracy": 7}
_WKT = re.compile(
    r"(?:SRID=4326;)?POINT(?: ?ZM?| ?M)? ?\( *([-+.\de]+) +([-+.\de]+)(?: +[-+.\de]+){0,2} *\)",
    re.IGNORECASE,
)
_GEO_WIDTH = 1_000  # what follows the columns is notes
# Views of one panorama agree on its heading but for rounding.
_HEADING_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class PositionTable:
    """What a table says: its usable rows by photo name as written, in the file's order.

    Names have forward slashes. `problems` tells, a line each ("row 7: …"), which rows or single
    values are left out and why; `notes` what else a person should know of how it was read.
    """

    rows: Mapping[str, Metadata]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Header:
    columns: Mapping[str, int]
    separator: str | None
    width: int
    end: int  # the line after it
    crs: str | None = None  # of its coordinates, where these are no degrees


def read_positions_csv(path: PhotoFile | str) -> PositionTable:
    """The positions in a table of text, as far as its rows can be used.

    Columns are told by their names (see `columns.NAMES`) and others ignored:
    image,lat,lon[,heading,time,…] as `hafloc index export` writes them, `exiftool -csv` with and
    without -n, latitude/longitude/filename and the like; also OpenDroneMap's geo.txt in EPSG:4326.
    Separated by commas, semicolons, tabs, bars or spaces; in UTF-8, UTF-16 or a Western code
    page; a decimal comma may stand where commas do not separate, or in quotes. Coordinates are
    decimal degrees, or degrees, minutes and seconds, with a sign or a hemisphere. A row without a
    usable position is left out, and so are single values that cannot be read. A photo with
    several rows that differ has none: which of them is right cannot be told. Rows of a panorama's
    views (`pano.jpg#view=45`) are rows of the panorama, and headings theirs.

    Raises PositionError in one line naming the file: where it cannot be read, where the columns
    cannot be told or one stands there twice, and where there is no row at all.
    """
    path = Path(path) if isinstance(path, str) else path
    lines = read_lines(path)
    if not any(line.strip() for line in lines):
        raise PositionError(f"{path} is empty; {NEEDED}, one row for each photo")
    try:
        header = _header(lines)
    except PositionError as error:
        raise PositionError(f"{path}, {error}") from error
    problems: list[str] = []
    found: dict[str, dict[int, Metadata]] = {}
    for number, name, metadata in _usable(lines, header, problems):
        found.setdefault(name, {})[number] = metadata
    if not found and not problems:
        raise PositionError(f"{path} holds no positions; {NEEDED}, one row for each photo")
    agreed: dict[str, Metadata] = {}
    for name, by_row in found.items():
        first, *others = by_row.values()
        if any(other != first for other in others):
            numbers = ", ".join(f"{number:,}" for number in by_row)
            problems.append(f"rows {numbers}: {shown(name, 200)} is given differently; keep one")
        else:
            agreed[name] = first
    return PositionTable(agreed, tuple(problems))


def image_name(text: str) -> str:
    """A photo's name as names are compared: forward slashes, no "./"; of a web address no "%20"."""
    text = text.strip().replace("\\", "/").removeprefix("file://")
    if text.startswith(("http://", "https://")):
        text = unquote(text)
    return posixpath.normpath(text) if text else ""


def _usable(
    lines: Sequence[str], header: _Header, problems: list[str]
) -> Iterator[tuple[int, str, Metadata]]:
    """The rows with a position, by number and name; to `problems` goes what is wrong."""
    for number, cells in rows(lines, header.end, header.separator):
        try:
            row = _in_degrees(_fields(cells, header), header.crs)
            metadata, remarks = metadata_of_row(row)
        except PositionError as error:
            problems.append(f"row {number:,}: {error}")
            continue
        problems += [f"row {number:,}: {remark}" for remark in remarks]
        yield number, *of_file(image_name(row["image"]), metadata)


def of_file(name: str, metadata: Metadata) -> tuple[str, Metadata]:
    """What the row of a panorama's view, as `hafloc index export` writes it, says of the whole."""
    file, part = split_name(name)
    view = view_of(part)
    if view is None or metadata.heading is None:
        return file, metadata
    whole = round((metadata.heading - view.heading) % 360, _HEADING_DECIMALS) % 360
    return file, replace(metadata, heading=whole)


def _fields(cells: list[str] | str, header: _Header) -> dict[str, str]:
    if isinstance(cells, str):
        raise PositionError(cells)
    if any(cell.strip() for cell in cells[header.width :]):
        raise PositionError(
            f"{len(cells):,} fields where the header has {header.width:,}; put those that hold a "
            "separator in quotes"
        )
    row = {
        name: cells[place] if place < len(cells) else "" for name, place in header.columns.items()
    }
    if not image_name(row["image"]):
        raise PositionError("the image name is empty; fill it in or remove the row")
    return row


def _in_degrees(row: dict[str, str], crs: str | None) -> dict[str, str]:
    """The row with its coordinates as lat and lon, out of a projection or a point in WKT."""
    if "wkt" in row and not (row.get("lat") or row.get("lon")):
        match = _WKT.fullmatch(row["wkt"].strip())
        if match is None:
            raise PositionError(
                f'"{shown(row["wkt"].strip())}" is no point; write POINT (lon lat)'
                if row["wkt"].strip()
                else "it has no point; write POINT (lon lat) or remove the row"
            )
        return row | {"lon": match[1], "lat": match[2]}
    if crs is None:
        return row
    x, y = finite(row["lon"]), finite(row["lat"])
    if x is None or y is None:
        raise PositionError(
            f'"{shown(row["lon"])}", "{shown(row["lat"])}" are no coordinates; correct them'
        )
    lon, lat = as_degrees(x, y, crs)
    return row | {"lon": repr(lon), "lat": repr(lat)}


def _header(lines: Sequence[str]) -> _Header:
    """Find and read the line that names the columns; comments and "sep=;" may stand before it."""
    separators: Sequence[str | None] = SEPARATORS
    at = 0
    for at, line in enumerate(lines):
        if not line.strip():
            continue
        stated = stated_separator(line)
        if stated is not None:
            separators = (stated,)
            continue
        header = _told(line, at, separators)
        if header is not None:
            return header
        if not line.lstrip().startswith("#"):
            break
    found = max((separated(lines[at], separator) for separator in separators[:4]), key=len)
    raise PositionError(
        f"row {at + 1:,}: no image, lat and lon among its columns {described(found)}; {NEEDED}"
    )


def _told(line: str, at: int, separators: Sequence[str | None]) -> _Header | None:
    if _GEO.fullmatch(line.strip()):
        return _Header(_GEO_COLUMNS, None, _GEO_WIDTH, at + 1)
    if _OTHER_GEO.fullmatch(line.strip()):
        try:
            check_crs(line)
        except PositionError as error:
            raise PositionError(f"row {at + 1:,}: {error}") from error
        return _Header(_GEO_COLUMNS, None, _GEO_WIDTH, at + 1, line.strip())
    for separator in separators:
        header = separated(line, separator)
        try:
            columns = find_columns(header)
        except PositionError as error:
            raise PositionError(f"row {at + 1:,}: {error}") from error
        if columns is not None:
            return _Header(columns, separator, len(header), at + 1)
    return None
