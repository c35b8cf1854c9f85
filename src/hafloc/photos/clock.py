"""Decide when a photo was taken, from clocks that may be unset, stale or broken."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

# EXIF 2.2 of April 2002 brought the date of the GPS: what lies before is a receiver's default
# (1970, 1980-01-06) or its week counter's fall back by 1,024 weeks (1999-08-22).
FIRST_GPS_DATE = datetime(2002, 4, 1, tzinfo=UTC)
DRIFT = timedelta(hours=1)  # a summer time not set, or a clock set by hand
WESTERNMOST, EASTERNMOST = timedelta(hours=-12), timedelta(hours=14)  # of the world's time zones
_FUTURE = timedelta(days=1)  # a computer's own clock may stand in another zone
_YEAR = timedelta(days=366)
# Epochs of file systems and computers: a clock that counts from there was never set.
_ZEROS = tuple(datetime(year, 1, 1) for year in (1601, 1904, 1970, 1980))
_TIME = re.compile(
    r"(\d{4})[:/.-](\d{1,2})[:/.-](\d{1,2})[T\s]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,](\d+))?)?"
    r"\s*(Z|UTC|GMT|[+-].*)?",
    re.ASCII | re.IGNORECASE,
)
_OFFSET = re.compile(r"([+-])(\d{1,2}):?(\d{2})?", re.ASCII)


def parse_time(text: str, offset: str = "", fraction: str = "") -> datetime | None:
    """The time in a text as EXIF, XMP and ISO 8601 write it; None where it is none.

    "2018:05:05 10:11:12", "2018-05-05T10:11:12.5+02:00", "2018/05/05 10:11Z". `offset` ("+02:00",
    "+0200", "Z") and `fraction` (digits behind the point) stand for what the text leaves out;
    a broken one is ignored. Aware where an offset is known, else naive.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute = (int(part) for part in match.groups()[:5])
    second = int(match[6] or 0)
    if hour > 24 or minute > 59 or second > 60:
        return None
    digits = match[7] or (fraction.strip() if re.fullmatch(r"\d+", fraction.strip(), re.A) else "")
    try:
        # Some count the first hour of a day as the 24th (Nokia 7 plus; Piwigo, issue 1017), and
        # adding allows for a leap second.
        time = datetime(year, month, day) + timedelta(
            hours=hour % 24,
            minutes=minute,
            seconds=second,
            microseconds=int(f"{digits:0<6.6}" or 0),
        )
    except (ValueError, OverflowError):
        return None
    return time.replace(tzinfo=parse_offset(match[8] or "") or parse_offset(offset))


def parse_offset(text: str) -> timezone | None:
    """A time zone from "+02:00", "+0200", "+02" or "Z"; None for anything else."""
    text = text.strip()
    if text.upper() in ("Z", "UTC", "GMT"):
        return UTC
    match = _OFFSET.fullmatch(text)
    if match is None or int(match[3] or 0) > 59:
        return None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
    offset = -offset if match[1] == "-" else offset
    return timezone(offset) if WESTERNMOST <= offset <= EASTERNMOST else None


def choose(
    cameras: Sequence[datetime | None], gps: datetime | None, now: datetime
) -> datetime | None:
    """The time to believe, of a camera's clocks in order of trust and of the GPS (UTC).

    The camera's time is the first that is neither an epoch's zero nor in the future of `now`, else
    the first that is in the future. The GPS time counts only where it lies between the first EXIF
    that could hold it (April 2002) and `now`, so not where a receiver wrote its default. Then:

    - with one of them, that one;
    - where both can be the same moment, that is where the camera's reading is local time in some
      zone of the world, give or take an hour: the camera's, where its offset is known and
      agrees within that hour (it is that of the exposure, the GPS time that of the last fix), else
      the GPS time, which is UTC for certain;
    - where they cannot: the camera's, with its offset if it has one, since receivers fall back
      to old dates; but the GPS time where the camera says 1 January of a year before, as
      clocks do that were never set, or a day to come.
    """
    camera = camera_reading(cameras, now)
    if gps is None or not is_credible(gps, now):
        return camera
    if camera is None or _is_future(camera, now):
        return gps
    ahead = camera.replace(tzinfo=UTC) - gps
    if not WESTERNMOST - DRIFT <= ahead <= EASTERNMOST + DRIFT:
        unset = (camera.month, camera.day) == (1, 1) and -ahead > _YEAR
        return gps if unset else camera
    if camera.tzinfo is not None and abs(camera - gps) <= DRIFT:
        return camera
    return gps


def is_credible(gps: datetime, now: datetime) -> bool:
    """Whether a receiver's time lies between the first EXIF that could hold it and `now`."""
    return FIRST_GPS_DATE <= gps <= now + _FUTURE


def camera_reading(cameras: Sequence[datetime | None], now: datetime) -> datetime | None:
    """The first reading that is neither an epoch's zero nor in the future, else in the future."""
    set_ = [time for time in cameras if time and time.replace(tzinfo=None) not in _ZEROS]
    past = [time for time in set_ if not _is_future(time, now)]
    return next(iter(past or set_), None)


def _is_future(time: datetime, now: datetime) -> bool:
    # Compared as local readings, which cannot overflow at the ends of the calendar.
    return time.replace(tzinfo=UTC) - now > _FUTURE
