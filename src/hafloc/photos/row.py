"""Read one row of a table: where and when a photo was taken, and what of it cannot be used."""

import math
import re
from collections.abc import Mapping
from datetime import datetime

from hafloc.errors import PositionError
from hafloc.geo import Position
from hafloc.photos.angle import degrees_of
from hafloc.photos.clock import parse_time
from hafloc.photos.datum import to_wgs84
from hafloc.photos.photo import Metadata
from hafloc.photos.tags import shown

_EMPTY = frozenset({"", "-", "--", "n/a", "na", "none", "null", "undef", "unknown", "nan"})
_NUMBER = re.compile(
    r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?)\s*(?:m|metres?|meters?|deg|degrees|°)?",
    re.IGNORECASE,
)
_LEVEL = re.compile(
    r"(.*?)\s*\b(above|below) (?:sea level|the ellipsoid|ellipsoid.*)", re.IGNORECASE
)
_LONGEST_WORDS = 2_000  # letters; the longest address that browsers take
_NO_TIME = re.compile(r"[0:/\-.\sTZ]*")  # "0000:00:00 00:00:00"

Row = Mapping[str, str]


def metadata_of_row(row: Row, *, source: str = "csv") -> tuple[Metadata, list[str]]:
    """What a row says, by the fields of `columns.NAMES`, and which of its values are left out.

    Raises PositionError, in words that follow "row 7: ", for a row without a usable position.
    """
    remarks: list[str] = []
    position = _position(row)
    heading = _measure(row, "heading", remarks)
    if heading is not None and not 0 <= heading <= 360:
        remarks.append(f"heading {heading:g} is not between 0 and 360 degrees; it is left out")
        heading = None
    accuracy = _measure(row, "accuracy", remarks)
    if accuracy is not None and accuracy <= 0:
        remarks.append(f"accuracy {accuracy:g} is not above 0 metres; it is left out")
        accuracy = None
    field_of_view = _measure(row, "field_of_view", remarks)
    if field_of_view is not None and not 0 < field_of_view <= 360:
        remarks.append(
            f"field_of_view {field_of_view:g} is not between 0 and 360 degrees; it is left out"
        )
        field_of_view = None
    metadata = Metadata(
        position=position,
        heading=None if heading is None else heading % 360,
        altitude=_altitude(row, remarks),
        time=_time(row, remarks),
        source=source,
        magnetic=heading is not None and _is_magnetic(row),
        accuracy=accuracy,
        gps_status=_status(row),
        field_of_view=field_of_view,
        licence=_words(row, "licence"),
        producer=_words(row, "producer"),
        source_url=_words(row, "source_url"),
    )
    return metadata, remarks


def _position(row: Row) -> Position:
    if _is_empty(row["lat"]) and _is_empty(row["lon"]):
        raise PositionError("it has no lat and lon; write decimal degrees or remove the row")
    lat = _coordinate(row, "lat", "NS")
    lon = _coordinate(row, "lon", "EW")
    swapped = 90 < abs(lat) <= 180 and abs(lon) <= 90
    cure = "lat and lon look swapped: exchange the two columns" if swapped else "correct it"
    for name, value, bound in (("lat", lat, 90), ("lon", lon, 180)):
        if abs(value) > bound:
            raise PositionError(
                f"{name} {value:g} is not between -{bound} and {bound} degrees; {cure}"
            )
    return to_wgs84(lat, lon, _cell(row, "datum"))


def _coordinate(row: Row, name: str, axis: str) -> float:
    value = degrees_of(_with_points(row[name]), axis)
    if value is None:
        raise PositionError(
            f'{name} "{shown(row[name].strip())}" is not a number; '
            "write decimal degrees or remove the row"
        )
    below = _cell(row, f"{name}_ref").upper().startswith(axis[1])
    return -abs(value) if below else value


def _with_points(text: str) -> str:
    """A decimal comma as a point; commas between degrees and minutes, as in XMP, as spaces."""
    if text.count(",") == 1 and "." not in text:
        return text.replace(",", ".")
    return text.replace(",", " ")


def _number(text: str) -> float | None:
    text = text.replace("−", "-")
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    match = _NUMBER.fullmatch(text.strip())
    value = float(match[1]) if match else math.nan
    return value if math.isfinite(value) else None


def _measure(row: Row, name: str, remarks: list[str]) -> float | None:
    text = _cell(row, name)
    if _is_empty(text):
        return None
    value = _number(text)
    if value is None:
        remarks.append(f'{name} "{shown(text)}" is not a number; it is left out')
    return value


def _altitude(row: Row, remarks: list[str]) -> float | None:
    reference = _cell(row, "altitude_ref").casefold()
    match = _LEVEL.fullmatch(_cell(row, "altitude"))
    text, level = (match[1], match[2].casefold()) if match else (_cell(row, "altitude"), "")
    altitude = _measure({"altitude": text}, "altitude", remarks)
    if altitude is None:
        return None
    below = level == "below" or reference in ("1", "3") or reference.startswith("below")
    return -abs(altitude) if below else altitude


def _time(row: Row, remarks: list[str]) -> datetime | None:
    text = _cell(row, "time")
    if _is_empty(text) or _NO_TIME.fullmatch(text):
        return None
    time = parse_time(text, _cell(row, "offset"), _cell(row, "fraction")) or _iso(text)
    if time is None:
        remarks.append(
            f'time "{shown(text)}" is not ISO 8601; it is left out; '
            "write it like 2024-05-31T16:20:00Z"
        )
    return time


def _iso(text: str) -> datetime | None:
    # Longer rows of digits are seconds since 1970 rather than a date.
    if text.isdecimal() and len(text) != 8:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _is_magnetic(row: Row) -> bool:
    own = _cell(row, "magnetic").casefold() in ("true", "1", "yes", "m", "magnetic")
    return own or _cell(row, "heading_ref").casefold() in ("m", "magnetic", "magnetic north")


def _status(row: Row) -> str | None:
    status = _cell(row, "gps_status").casefold()
    if status in ("a", "v"):
        return status.upper()
    return {"measurement active": "A", "measurement void": "V"}.get(status)


def _words(row: Row, name: str) -> str | None:
    text = _cell(row, name)
    # Somebody may be called Na or None; "nan" is how pandas writes nothing.
    return None if text in ("", "nan") else shown(text, _LONGEST_WORDS)


def _cell(row: Row, name: str) -> str:
    return row.get(name, "").strip()


def _is_empty(text: str) -> bool:
    return text.strip().casefold() in _EMPTY
