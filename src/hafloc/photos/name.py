"""Read a position from a file name in the convention of visual place recognition data sets."""

import math
import re
from datetime import datetime

from hafloc.errors import PositionError
from hafloc.geo import Position, distance, utm_to_position
from hafloc.photos.photo import Metadata

# Names carry five decimals of a degree (1 m) and two of a metre; data sets round now and then.
TOLERANCE = 25.0  # metres
_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_EASTING, _NORTHING, _ZONE, _BAND, _LAT, _LON, _HEADING, _TIME = 1, 2, 3, 4, 5, 6, 9, 13
_TIME_FORMATS = {8: "%Y%m%d", 11: "%Y%m%d_%H", 13: "%Y%m%d_%H%M", 15: "%Y%m%d_%H%M%S"}


def position_from_name(name: str, *, zone: str | None = None) -> Metadata | None:
    """Position, heading and time from a photo's name; None where it is not in the convention.

    `@utm_easting@utm_northing@zone_number@zone_letter@lat@lon@pano_id@tile@heading@pitch@roll@
    height@timestamp@note@.jpg`, fields may be empty. The position is that of the UTM fields,
    which are the finer ones, or of lat and lon where the zone is empty. `zone` ("10S") serves
    names that hold easting and northing alone. The height is that of a camera above an unstated
    level, and not used; a time is local, and needs at least the day.

    Raises PositionError for a name in the convention that contradicts itself or is incomplete.
    Source: github.com/gmberton/VPR-datasets-downloader.
    """
    base = re.split(r"[/\\]", name)[-1]
    fields = [field.strip() for field in base.split("@")]
    if not _is_convention(fields):
        return None
    fields[-1] = ""  # the suffix
    fields += [""] * (15 - len(fields))
    position = _position(fields, zone, base)
    heading = _optional(fields[_HEADING], "heading", base)
    if heading is not None and not 0 <= heading <= 360:
        raise _refusal(base, f"heading {heading:g} is not between 0 and 360 degrees")
    return Metadata(
        position=position,
        heading=None if heading is None else heading % 360,
        time=_time(fields[_TIME]),
        source="name",
    )


def _is_convention(fields: list[str]) -> bool:
    if len(fields) < 4:
        return False
    east, north = _float(fields[_EASTING]), _float(fields[_NORTHING])
    if east is None or north is None:
        return False
    # Behind a prefix two small numbers may be anything.
    return fields[0] == "" or (east >= 100_000 and north >= 0)


def _position(fields: list[str], zone: str | None, base: str) -> Position:
    given = _given_position(fields, base)
    number, band = _zone(fields, zone, base)
    if number is None:
        if given is None:
            raise _refusal(base, "its UTM zone is not known")
        return given
    if not band and given is None:
        raise _refusal(base, "without a zone letter its hemisphere is not known")
    northern = band >= "N" if band else given is not None and given.lat >= 0
    try:
        position = utm_to_position(
            float(fields[_EASTING]), float(fields[_NORTHING]), number, northern=northern
        )
    except PositionError as error:
        raise PositionError(f"{base}: {error}") from error
    if given is not None and distance(position, given) > TOLERANCE:
        apart = distance(position, given)
        raise _refusal(base, f"its UTM fields and its lat, lon lie {apart:,.0f} m apart")
    if band and not _in_band(position.lat, band):
        raise _refusal(base, f"latitude {position.lat:.4f} is not in zone {number}{band}")
    return position


def _given_position(fields: list[str], base: str) -> Position | None:
    lat, lon = _optional(fields[_LAT], "lat", base), _optional(fields[_LON], "lon", base)
    if lat is None or lon is None:
        if lat != lon:
            raise _refusal(base, "one of lat and lon is empty")
        return None
    try:
        return Position(lat, lon)
    except PositionError as error:
        raise PositionError(f"{base}: {error}") from error


def _zone(fields: list[str], zone: str | None, base: str) -> tuple[int | None, str]:
    text = fields[_ZONE] + fields[_BAND] or zone or ""
    if not text:
        return None, ""
    match = re.fullmatch(rf"0*(\d{{1,2}})([{_BANDS}]?)", text.upper(), re.ASCII)
    if match is None:
        raise _refusal(base, f'"{text}" is not a UTM zone like 10S')
    return int(match[1]), match[2]


def _in_band(lat: float, band: str) -> bool:
    south = -80 + 8 * _BANDS.index(band)
    north = 84 if band == "X" else south + 8
    slack = 0.01  # degrees: eastings are rounded, and photos stand on the border too
    return south - slack <= lat <= north + slack


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _TIME_FORMATS[len(text)])
    except (KeyError, ValueError):
        return None


def _optional(text: str, what: str, base: str) -> float | None:
    if not text:
        return None
    value = _float(text)
    if value is None:
        raise _refusal(base, f'{what} "{text}" is not a number')
    return value


def _float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _refusal(base: str, reason: str) -> PositionError:
    return PositionError(f"{base}: {reason}; rename it or give its position in positions.csv")
