"""Read the log of a receiver's NMEA 0183 sentences."""

import re
from datetime import UTC, datetime

from hafloc.photos.tracks.found import Found

_SENTENCE = re.compile(
    r"\$(?P<body>(?:[A-Z]{2})(?P<kind>RMC|GGA|ZDA),[^*$\r\n]*)(?:\*(?P<sum>[0-9A-Fa-f]{2}))?"
)
_HALF_DAY = 43_200.0
_CENTURY = 80  # years from here on are the twentieth century's


def is_nmea(data: bytes) -> bool:
    return bool(re.search(rb"\$[A-Z]{2}(?:RMC|GGA|ZDA),[\d.]*,", data[:65_536]))


def read_nmea(data: bytes, found: Found) -> None:
    """Fixes of RMC, which has the date; or of GGA, by the date of the last ZDA.

    Sentences with a wrong checksum are left out, and counted. Void fixes (RMC "V", GGA quality 0)
    are none. Altitudes are GGA's, of the same second.
    """
    log = _Log(found)
    text = data.decode("ascii", "replace")
    broken = 0
    for match in _SENTENCE.finditer(text):
        if match["sum"] is not None and int(match["sum"], 16) != _checksum(match["body"]):
            broken += 1
            continue
        log.take(match["kind"], match["body"].split(","))
    log.end()
    if broken:
        found.problems.append(
            f"{broken:,} sentence{'s' * (broken > 1)} with a wrong checksum left out"
        )


def _checksum(body: str) -> int:
    value = 0
    for letter in body:
        value ^= ord(letter) & 0xFF
    return value


class _Log:
    """Sentences one after another, until it is known which kind has dates."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._recommended: list[tuple[float, list[str]]] = []
        self._heights: dict[int, str] = {}  # of GGA, by the RMC beside it
        self._stamp = self._height_stamp = self._height = ""
        self._alone: list[tuple[float | None, list[str]]] = []
        self._date: float | None = None
        self._last = 0.0

    def take(self, kind: str, fields: list[str]) -> None:
        if kind == "RMC" and len(fields) > 9 and fields[2] == "A":
            day = _day(fields[9][:2], fields[9][2:4], fields[9][4:6])
            seconds = _time_of_day(fields[1])
            if day is not None and seconds is not None:
                self._recommended.append((day + seconds, fields[3:7]))
                self._stamp = fields[1]
                self._pair()
        elif kind == "GGA" and len(fields) > 9 and fields[6] not in ("", "0"):
            self._height_stamp, self._height = fields[1], fields[9]
            self._pair()
            self._alone.append((self._dated(fields[1]), [*fields[2:6], fields[9]]))
        elif kind == "ZDA" and len(fields) > 4:
            self._date = _day(fields[2], fields[3], fields[4])
            self._last = _time_of_day(fields[1]) or 0.0

    def _pair(self) -> None:
        """The two sentences of one second may stand in either order."""
        if self._stamp == self._height_stamp and self._recommended:
            self._heights[len(self._recommended) - 1] = self._height

    def end(self) -> None:
        if self._recommended:
            for at, (time, place) in enumerate(self._recommended):
                self._add(time, place, self._heights.get(at, ""))
        else:
            for when, place in self._alone:
                self._add(when, place, place[4])

    def _dated(self, text: str) -> float | None:
        seconds = _time_of_day(text)
        if self._date is None or seconds is None:
            return None
        # A log may go past midnight before the next date is written.
        if seconds < self._last - _HALF_DAY:
            self._date += 86_400
        self._last = seconds
        return self._date + seconds

    def _add(self, time: float | None, place: list[str], height: str) -> None:
        lat, north, lon, east = place[:4]
        self._found.add(time, _degrees(lat, north), _degrees(lon, east), _number(height))


def _number(text: str) -> float | None:
    match = re.fullmatch(r"-?\d{1,9}(?:\.\d{0,12})?", text, re.ASCII)
    return float(text) if match else None


def _degrees(text: str, side: str) -> float | None:
    """ "4812.3456" is 48 degrees and 12.3456 minutes."""
    match = re.fullmatch(r"(\d{1,3})(\d\d(?:\.\d{0,12})?)", text, re.ASCII)
    if match is None or side not in ("N", "S", "E", "W") or float(match[2]) >= 60:
        return None
    value = int(match[1]) + float(match[2]) / 60
    return -value if side in "SW" else value


def _time_of_day(text: str) -> float | None:
    match = re.fullmatch(r"(\d\d)(\d\d)(\d\d(?:\.\d{0,9})?)", text, re.ASCII)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59 or float(match[3]) >= 61:
        return None
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])


def _day(day: str, month: str, year: str) -> float | None:
    """Seconds since 1970 of a date at midnight; two digits of a year are of 1980 to 2079."""
    if not all(re.fullmatch(r"\d{1,4}", part, re.ASCII) for part in (day, month, year)):
        return None
    number = int(year)
    if len(year) == 2:
        number += 1900 if number >= _CENTURY else 2000
    try:
        return datetime(number, int(month), int(day), tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None
