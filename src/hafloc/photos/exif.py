"""Read what a photo's EXIF says of position, direction, time and orientation, trusting nothing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from PIL import ExifTags
from PIL import Image as Pillow

from hafloc.errors import PositionError
from hafloc.geo import Position
from hafloc.photos.photo import Metadata

# Scaling to whole pixels moves an aspect by less; a crop moves it by more.
ASPECT_TOLERANCE = 0.02
_TRANSPOSING = (5, 6, 7, 8)

Tags = Mapping[int, Any]


@dataclass(frozen=True, slots=True)
class Exif:
    """The three directories that matter, by tag number; empty where absent or broken."""

    main: Tags
    detail: Tags
    gps: Tags


def read_exif(image: Pillow.Image) -> Exif:
    """The EXIF of an opened image; a broken directory reads as an empty one."""
    return Exif(
        _directory(image, None),
        _directory(image, ExifTags.IFD.Exif),
        _directory(image, ExifTags.IFD.GPSInfo),
    )


def _directory(image: Pillow.Image, which: int | None) -> Tags:
    try:
        tags = image.getexif()
        return dict(tags) if which is None else dict(tags.get_ifd(which))
    # Damaged EXIF makes Pillow raise anything at all, and never makes the pixels unreadable.
    except Exception:
        return {}


def orientation(exif: Exif, size: tuple[int, int]) -> int:
    """The EXIF orientation (1 to 8) to apply to stored pixels of `size` (width, height).

    An undefined value counts as 1. So does a stale one: a value that swaps the sides, on a file
    whose sides are swapped already against the camera's own dimensions (ExifIFD 0xA002, 0xA003).
    A stale tag on a file that has the camera's aspect cannot be told from a valid one.
    """
    value = _number(exif.main.get(ExifTags.Base.Orientation))
    if value is None or value not in range(1, 9):
        return 1
    if value in _TRANSPOSING and _sides_are_swapped(exif, size):
        return 1
    return int(value)


def _sides_are_swapped(exif: Exif, size: tuple[int, int]) -> bool:
    width = _number(exif.detail.get(ExifTags.Base.ExifImageWidth)) or 0.0
    height = _number(exif.detail.get(ExifTags.Base.ExifImageHeight)) or 0.0
    if width <= 0 or height <= 0 or (width > height) == (size[0] > size[1]):
        return False
    if width == height or size[0] == size[1]:
        return False
    return abs(math.log((size[0] * width) / (size[1] * height))) < ASPECT_TOLERANCE


def metadata(exif: Exif) -> Metadata:
    """Position, direction, altitude and time; what is missing, broken or impossible is None.

    A position off the Earth is none, with the reason in `problem`; latitude and longitude both
    exactly zero are what a phone without a fix writes, and count as missing. A missing
    reference means north or east unless the number is negative.
    """
    position, problem = _position(exif.gps)
    heading = _number(exif.gps.get(ExifTags.GPS.GPSImgDirection))
    if heading is not None:
        heading = heading % 360 if 0 <= heading <= 360 else None
    magnetic = _text(exif.gps.get(ExifTags.GPS.GPSImgDirectionRef)).upper() == "M"
    return Metadata(
        position=position,
        heading=heading,
        altitude=_altitude(exif.gps),
        time=_gps_time(exif.gps) or _camera_time(exif.detail),
        source="exif" if position else None,
        magnetic=magnetic and heading is not None,
        problem=problem,
    )


def _position(gps: Tags) -> tuple[Position | None, str | None]:
    values = gps.get(ExifTags.GPS.GPSLatitude), gps.get(ExifTags.GPS.GPSLongitude)
    if all(_is_void(value) for value in values):
        return None, None
    lat, lon = _degrees(values[0]), _degrees(values[1])
    if lat is None or lon is None:
        return None, "the GPS position in its EXIF is incomplete or malformed"
    if lat == 0 and lon == 0:
        return None, None
    lat = _signed(lat, gps.get(ExifTags.GPS.GPSLatitudeRef), "S")
    lon = _signed(lon, gps.get(ExifTags.GPS.GPSLongitudeRef), "W")
    try:
        return Position(lat, lon), None
    except PositionError:
        return None, f"the GPS position in its EXIF is not on Earth ({lat:g}, {lon:g})"


def _signed(degrees: float, reference: Any, negative: str) -> float:
    below = degrees < 0 or _text(reference).upper().startswith(negative)
    return -abs(degrees) if below else degrees


def _is_void(value: Any) -> bool:
    return value is None or all(_is_zero_over_zero(part) for part in _parts(value))


def _degrees(value: Any) -> float | None:
    """Degrees, minutes, seconds as signed degrees; the last two may be absent or 0/0."""
    if value is None:
        return None
    degrees, *smaller = _parts(value) or (None,)
    whole = _number(degrees)
    rest = [0.0 if _is_zero_over_zero(part) else _number(part) for part in smaller]
    if whole is None or len(rest) > 2:
        return None
    fraction = 0.0
    for part, size in zip(rest, (60, 3600), strict=False):
        if part is None or not 0 <= part <= 60:
            return None
        fraction += part / size
    return math.copysign(abs(whole) + fraction, whole)


def _altitude(gps: Tags) -> float | None:
    altitude = _number(gps.get(ExifTags.GPS.GPSAltitude))
    if altitude is None:
        return None
    reference = gps.get(ExifTags.GPS.GPSAltitudeRef)
    if isinstance(reference, bytes):
        reference = reference[0] if reference else 0
    # 1: below sea level; 3: below the ellipsoid (EXIF 3.0). Some write the digit as text.
    below = reference in (1, 3, ord("1"), ord("3"), "1", "3")
    return -abs(altitude) if below else altitude


def _gps_time(gps: Tags) -> datetime | None:
    day = _date(_text(gps.get(ExifTags.GPS.GPSDateStamp)))
    clock = [_number(part) for part in _parts(gps.get(ExifTags.GPS.GPSTimeStamp))]
    hours, minutes, seconds = clock if len(clock) == 3 else (None, None, None)
    if day is None or hours is None or minutes is None or seconds is None:
        return None
    if not (0 <= hours < 24 and 0 <= minutes < 60 and 0 <= seconds < 61):
        return None
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    try:
        return start + timedelta(hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        return None


def _camera_time(detail: Tags) -> datetime | None:
    day, _, clock = _text(detail.get(ExifTags.Base.DateTimeOriginal)).partition(" ")
    date_ = _date(day)
    if date_ is None:
        return None
    try:
        local = datetime.fromisoformat(f"{date_.isoformat()}T{clock.strip()}").replace(tzinfo=None)
    except ValueError:
        return None
    offset = _offset(_text(detail.get(ExifTags.Base.OffsetTimeOriginal)))
    return local if offset is None else local.replace(tzinfo=offset)


def _date(text: str) -> date | None:
    try:
        return date(*(int(part) for part in text.replace("-", ":").replace("/", ":").split(":")))
    except (TypeError, ValueError, OverflowError):
        return None


def _offset(text: str) -> timezone | None:
    if text == "Z":
        return UTC
    try:
        sign = {"+": 1, "-": -1}[text[:1]]
        hours, minutes = (int(part) for part in text[1:].split(":"))
        return timezone(sign * timedelta(hours=hours, minutes=minutes))
    except (KeyError, ValueError, OverflowError):
        return None


def _parts(value: Any) -> tuple[Any, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _is_zero_over_zero(value: Any) -> bool:
    return getattr(value, "denominator", 1) == 0 and value.numerator == 0


def _number(value: Any) -> float | None:
    """A finite number from whatever a camera wrote, else None."""
    if isinstance(value, bytes | str):
        value = _text(value)
    elif isinstance(value, tuple | list) and len(value) == 1:
        value = value[0]
    try:
        number = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if math.isfinite(number) else None


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return value.replace("\0", "").strip() if isinstance(value, str) else ""
