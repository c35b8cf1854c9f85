"""Read what a photo's EXIF and XMP say of position, direction, time and orientation."""

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from PIL import ExifTags
from PIL import Image as Pillow

from hafloc.errors import PositionError
from hafloc.geo import Position, distance
from hafloc.photos.clock import camera_reading, choose, is_credible, parse_offset, parse_time
from hafloc.photos.datum import to_wgs84
from hafloc.photos.gpano import pose_of
from hafloc.photos.photo import Metadata
from hafloc.photos.tags import Directories, Tags, is_zero_over_zero, number, parts, text
from hafloc.photos.xmp import LONGEST, read_xmp

# Scaling to whole pixels moves an aspect by less; a crop moves it by more.
ASPECT_TOLERANCE = 0.02
# XMP may be rounded to a tenth of a minute (some 100 m); farther apart, one of the two was moved.
DISAGREEMENT = 1_000.0  # metres
_TRANSPOSING = (5, 6, 7, 8)
_GIF_XMP = b"\x21\xff\x0bXMP DataXMP"
_GIF_XMP_END = b"\x01\xff\xfe\xfd"  # where the 258 bytes of its "magic trailer" begin


@dataclass(frozen=True, slots=True)
class Exif(Directories):
    """The directories of a photo's EXIF, and its XMP packet as it stands in the file."""

    xmp: bytes | str = b""


def read_exif(image: Pillow.Image) -> Exif:
    """The EXIF and XMP of an opened image; a broken directory reads as an empty one.

    The XMP is that of JPEG, PNG, WebP, TIFF, HEIF, AVIF and GIF, without JPEG's extended part.
    """
    return Exif(
        _directory(image, None),
        _directory(image, ExifTags.IFD.Exif),
        _directory(image, ExifTags.IFD.GPSInfo),
        _xmp(image),
    )


def _xmp(image: Pillow.Image) -> bytes | str:
    if image.format == "GIF":
        return _gif_xmp(image)
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    return packet if isinstance(packet, bytes | str) else b""


def _gif_xmp(image: Pillow.Image) -> bytes:
    """The packet in a GIF's application extension, which Pillow leaves out."""
    stream = getattr(image, "fp", None)
    if stream is None:
        return b""
    place = stream.tell()
    try:
        stream.seek(0)
        _, found, rest = stream.read(LONGEST).partition(_GIF_XMP)
    finally:
        stream.seek(place)
    packet, ended, _ = rest.partition(_GIF_XMP_END)
    return packet if found and ended else b""


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
    value = number(exif.main.get(ExifTags.Base.Orientation))
    if value is None or value not in range(1, 9):
        return 1
    if value in _TRANSPOSING and _sides_are_swapped(exif, size):
        return 1
    return int(value)


def _sides_are_swapped(exif: Exif, size: tuple[int, int]) -> bool:
    width = number(exif.detail.get(ExifTags.Base.ExifImageWidth)) or 0.0
    height = number(exif.detail.get(ExifTags.Base.ExifImageHeight)) or 0.0
    if width <= 0 or height <= 0 or (width > height) == (size[0] > size[1]):
        return False
    if width == height or size[0] == size[1]:
        return False
    return abs(math.log((size[0] * width) / (size[1] * height))) < ASPECT_TOLERANCE


def metadata(exif: Exif) -> Metadata:
    """Where and when, by EXIF and XMP; what is missing, broken or impossible is None.

    The EXIF's position is taken wherever it is possible, since it is the camera's and what most
    programs show; the XMP's where the EXIF has none or an impossible one (`source` "xmp"). Where
    the two lie more than DISAGREEMENT apart, `problem` says so beside the EXIF's position.
    A position off the Earth, or in a datum that is not known (see `datum.to_wgs84`), is none,
    with the reason in `problem`; latitude and longitude both exactly zero are what a phone
    without a fix writes, and count as missing. A missing reference means north or east unless the
    number is negative. Direction and time that the EXIF lacks come from the XMP; for the time
    see `clock.choose`. A panorama's heading is that of its centre column, as its XMP tells.
    """
    xmp = read_xmp(exif.xmp)
    datum = text(exif.gps.get(ExifTags.GPS.GPSMapDatum))
    own = _place(exif.gps, datum, "exif")
    # XMP without a datum is mostly a copy of the EXIF's numbers.
    other = _place(xmp.gps, text(xmp.gps.get(ExifTags.GPS.GPSMapDatum)) or datum, "xmp")
    heading, magnetic = _direction(exif.gps)
    if heading is None:
        heading, magnetic = _direction(xmp.gps)
    if (pose := pose_of(exif.xmp)) is not None:
        heading, magnetic = pose, False
    return replace(_agreed(own, other), heading=heading, magnetic=magnetic, time=_time(exif, xmp))


def _agreed(exif: Metadata, xmp: Metadata) -> Metadata:
    if exif.position is None and xmp.position is not None:
        return xmp if xmp.altitude is not None else replace(xmp, altitude=exif.altitude)
    found = exif if exif.altitude is not None else replace(exif, altitude=xmp.altitude)
    if found.position is None or xmp.position is None:
        return replace(found, problem=found.problem or (xmp.problem if not found.source else None))
    apart = distance(found.position, xmp.position)
    if apart <= DISAGREEMENT:
        return found
    return replace(found, problem=f"the positions in its EXIF and its XMP lie {apart:,.0f} m apart")


def _place(gps: Tags, datum: str, source: str) -> Metadata:
    position, problem = _position(gps, datum, source.upper())
    accuracy = number(gps.get(ExifTags.GPS.GPSHPositioningError))
    status = text(gps.get(ExifTags.GPS.GPSStatus)).upper()
    return Metadata(
        position=position,
        altitude=_altitude(gps),
        source=source if position else None,
        problem=problem,
        accuracy=accuracy if accuracy is not None and accuracy > 0 else None,
        gps_status=status if status in ("A", "V") else None,
    )


def _position(gps: Tags, datum: str, where: str) -> tuple[Position | None, str | None]:
    values = gps.get(ExifTags.GPS.GPSLatitude), gps.get(ExifTags.GPS.GPSLongitude)
    if all(_is_void(value) for value in values):
        return None, None
    lat, lon = _degrees(values[0]), _degrees(values[1])
    if lat is None or lon is None:
        return None, f"the GPS position in its {where} is incomplete or malformed"
    if lat == 0 and lon == 0:
        return None, None
    lat = _signed(lat, gps.get(ExifTags.GPS.GPSLatitudeRef), "S")
    lon = _signed(lon, gps.get(ExifTags.GPS.GPSLongitudeRef), "W")
    if abs(lat) > 90 or abs(lon) > 180:
        return None, f"the GPS position in its {where} is not on Earth ({lat:g}, {lon:g})"
    try:
        return to_wgs84(lat, lon, datum), None
    except PositionError as error:
        return None, f"the GPS position in its {where} cannot be used: {error}"


def _signed(degrees: float, reference: Any, negative: str) -> float:
    below = degrees < 0 or text(reference).upper().startswith(negative)
    return -abs(degrees) if below else degrees


def _is_void(value: Any) -> bool:
    return value is None or all(is_zero_over_zero(part) for part in parts(value))


def _degrees(value: Any) -> float | None:
    """Degrees, minutes, seconds as signed degrees; the last two may be absent or 0/0."""
    if value is None:
        return None
    degrees, *smaller = parts(value) or (None,)
    whole = number(degrees)
    rest = [0.0 if is_zero_over_zero(part) else number(part) for part in smaller]
    if whole is None or len(rest) > 2:
        return None
    fraction = 0.0
    for part, size in zip(rest, (60, 3600), strict=False):
        if part is None or not 0 <= part <= 60:
            return None
        fraction += part / size
    return math.copysign(abs(whole) + fraction, whole)


def _direction(gps: Tags) -> tuple[float | None, bool]:
    heading = number(gps.get(ExifTags.GPS.GPSImgDirection))
    if heading is None or not 0 <= heading <= 360:
        return None, False
    return heading % 360, text(gps.get(ExifTags.GPS.GPSImgDirectionRef)).upper() == "M"


def _altitude(gps: Tags) -> float | None:
    altitude = number(gps.get(ExifTags.GPS.GPSAltitude))
    if altitude is None:
        return None
    reference = gps.get(ExifTags.GPS.GPSAltitudeRef)
    if isinstance(reference, bytes):
        reference = reference[0] if reference else 0
    # 1: below sea level; 3: below the ellipsoid (EXIF 3.0). Some write the digit as text.
    below = reference in (1, 3, ord("1"), ord("3"), "1", "3")
    return -abs(altitude) if below else altitude


def readings(exif: Exif) -> tuple[datetime | None, datetime | None]:
    """What the camera's clock showed, aware where it states its zone, and the time of the GPS.

    The latter is a reference for the former, however far they are apart; None where the receiver
    wrote a default. Which of the two is believed of a single photo, see `clock.choose`.
    """
    now = datetime.now(UTC)
    xmp = read_xmp(exif.xmp)
    gps = _gps_time(exif.gps) or _gps_time(xmp.gps)
    reading = camera_reading(_cameras(exif, xmp), now)
    if reading is not None and reading.tzinfo is None:
        reading = reading.replace(tzinfo=_offset(exif))
    return reading, gps if gps and is_credible(gps, now) else None


def _offset(exif: Exif) -> timezone | None:
    """The zone of a camera that states it for the file's last change alone, which was its own."""
    base, tags = ExifTags.Base, {**exif.main, **exif.detail}
    changed, taken = text(tags.get(base.DateTime)), text(tags.get(base.DateTimeOriginal))
    is_own = changed in ("", taken) or not taken
    return parse_offset(text(tags.get(base.OffsetTime))) if is_own else None


def _time(exif: Exif, xmp: Directories) -> datetime | None:
    gps = _gps_time(exif.gps) or _gps_time(xmp.gps)
    return choose(_cameras(exif, xmp), gps, datetime.now(UTC))


def _cameras(exif: Exif, xmp: Directories) -> tuple[datetime | None, ...]:
    # Some programs put the dates of the detail into the main directory.
    base, tags = ExifTags.Base, {**exif.main, **exif.detail}
    return (
        _clock(tags, base.DateTimeOriginal, base.OffsetTimeOriginal, base.SubsecTimeOriginal),
        _clock(tags, base.DateTimeDigitized, base.OffsetTimeDigitized, base.SubsecTimeDigitized),
        _clock(xmp.detail, base.DateTimeOriginal),
        # The last change of the file, and the exposure only where nobody changed it.
        _clock(tags, base.DateTime, base.OffsetTime, base.SubsecTime),
    )


def _clock(tags: Tags, clock: int, offset: int = 0, fraction: int = 0) -> datetime | None:
    return parse_time(*(text(tags.get(tag)) for tag in (clock, offset, fraction)))


def _gps_time(gps: Tags) -> datetime | None:
    # Some write the time of day behind the date, or in place of the three numbers.
    day = text(gps.get(ExifTags.GPS.GPSDateStamp)).replace("T", " ").partition(" ")[0]
    stamp = gps.get(ExifTags.GPS.GPSTimeStamp)
    clock = text(stamp).split(":") if isinstance(stamp, bytes | str) else parts(stamp)
    hours, minutes, seconds = map(number, clock) if len(clock) == 3 else (None, None, None)
    start = parse_time(f"{day} 00:00")
    if start is None or hours is None or minutes is None or seconds is None:
        return None
    if not (0 <= hours < 24 and 0 <= minutes < 60 and 0 <= seconds < 61):
        return None
    try:
        return start.replace(tzinfo=UTC) + timedelta(hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        return None
