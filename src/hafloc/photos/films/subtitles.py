"""Read the positions that DJI drones write as subtitles, beside the film (.SRT) or inside it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MOST = 64 * 2**20  # bytes; an hour at 60 lines a second has 60 MB
_SPAN = re.compile(r"(\d{1,3}):(\d\d):(\d\d)[,.](\d{1,3})\s*-->")
_NUMBER = r"([-+]?\d{1,3}(?:\.\d{1,12})?)"
# Firmware of several years: "[latitude: 48.2] [longtitude: 16.3]", "[latitude : 48.2]",
# and "GPS (16.3, 48.2, 12)", "GPS(16.3,48.2,0.0M)" with the longitude first.
_LAT = re.compile(rf"latitude\s*:\s*{_NUMBER}", re.IGNORECASE)
_LON = re.compile(rf"longt?itude\s*:\s*{_NUMBER}", re.IGNORECASE)
_ALTITUDE = re.compile(r"(?:abs_alt|altitude)\s*:\s*([-+]?\d{1,5}(?:\.\d{1,6})?)", re.IGNORECASE)
_GPS = re.compile(rf"GPS\s*\(\s*{_NUMBER}\s*,\s*{_NUMBER}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Told:
    """A place that a line tells: WGS84 degrees, and metres, NaN where unknown."""

    lat: float
    lon: float
    altitude: float


def told_by(text: str) -> Told | None:
    """The place that one subtitle tells, None where it tells none, or 0, 0 without a lock."""
    lat, lon = _LAT.search(text), _LON.search(text)
    if lat and lon:
        place = float(lat[1]), float(lon[1])
    elif gps := _GPS.search(text):
        place = float(gps[2]), float(gps[1])
    else:
        return None
    if abs(place[0]) > 90 or abs(place[1]) > 180 or place == (0.0, 0.0):
        return None
    altitude = _ALTITUDE.search(text)
    return Told(*place, float(altitude[1]) if altitude else float("nan"))


def read_srt(path: Path) -> list[tuple[float, Told]]:
    """The places of an .SRT with the seconds of the film at which they begin; perhaps none."""
    with path.open("rb") as file:
        text = file.read(_MOST).decode("utf-8-sig", "replace")
    return list(_places(text))


def _places(text: str) -> Iterator[tuple[float, Told]]:
    spans = list(_SPAN.finditer(text))
    ends = [span.start() for span in spans[1:]] + [len(text)]
    for span, end in zip(spans, ends, strict=True):
        place = told_by(text[span.end() : end])
        if place is not None:
            hours, minutes, seconds, rest = span.groups()
            at = int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{rest}")
            yield at, place


def srt_beside(film: Path) -> Path | None:
    """The subtitles of the same name beside a film."""
    for suffix in (".SRT", ".srt", ".Srt"):
        beside = film.with_suffix(suffix)
        if beside.is_file():
            return beside
    return None
