"""Read tracks that are written as XML: GPX, KML and TCX."""

from collections.abc import Callable
from datetime import UTC

from hafloc.photos.clock import parse_time
from hafloc.photos.tags import number
from hafloc.photos.tracks.elements import Element, root_of, walk
from hafloc.photos.tracks.found import Found

_LONGEST = 64  # characters of a time


class _Points:
    """Collects the fixes of one recording after the other."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._fields: dict[str, str] = {}

    def note(self, element: Element) -> None:
        self._fields.setdefault(element.name, element.text)

    def forget(self) -> None:
        self._fields = {}

    def end(self, lat: str | None, lon: str | None) -> None:
        fields, self._fields = self._fields, {}
        time = fields.get("time", fields.get("Time", ""))
        altitude = fields.get("ele", fields.get("AltitudeMeters", ""))
        add(self._found, time, lat, lon, altitude)


def add(found: Found, time: str, lat: str | None, lon: str | None, altitude: str | None) -> None:
    """A point from its texts; a time without zone is UTC, as these formats have it."""
    when = parse_time(time) if len(time) <= _LONGEST else None
    seconds = None
    if when is not None:
        try:
            seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
        except (OverflowError, ValueError):
            seconds = None
    found.add(seconds, number(lat), number(lon), number(altitude))


class Gpx(_Points):
    """GPX 1.0 and 1.1: trk, trkseg, trkpt. Routes and waypoints have no place in a recording."""

    def __call__(self, element: Element) -> None:
        if element.parent == "trkpt":
            self.note(element)
        elif element.name == "trkpt":
            self.end(element.attributes.get("lat"), element.attributes.get("lon"))
        elif element.name == "trk":
            self._found.close()


class Tcx(_Points):
    """Garmin's Training Center: Track, Trackpoint with Time and Position."""

    def __init__(self, found: Found) -> None:
        super().__init__(found)
        self._place: dict[str, str] = {}

    def __call__(self, element: Element) -> None:
        if element.parent == "Position":
            self._place[element.name] = element.text
        elif element.parent == "Trackpoint":
            self.note(element)
        elif element.name == "Trackpoint":
            place, self._place = self._place, {}
            if place:
                self.end(place.get("LatitudeDegrees"), place.get("LongitudeDegrees"))
            else:  # a heart rate without a fix is no broken point
                self.forget()
        elif element.name in ("Activity", "Course"):
            self._found.close()


class Kml:
    """KML: gx:Track with `when` and `gx:coord` in turns, and placemarks with a time and a point.

    Source: developers.google.com/kml/documentation/kmlreference.
    """

    def __init__(self, found: Found) -> None:
        self._found = found
        self._whens: list[str] = []
        self._places: list[str] = []
        self._when = self._point = ""

    def __call__(self, element: Element) -> None:
        name, parent = element.name, element.parent
        if parent == "Track" and name == "when":
            self._whens.append(element.text)
        elif parent == "Track" and name == "coord":
            self._places.append(element.text)
        elif name == "Track":
            self._end_track()
        elif parent == "TimeStamp" and name == "when":
            self._when = element.text
        elif parent == "Point" and name == "coordinates":
            self._point = element.text.replace(",", " ")
        elif name == "Placemark":
            self._end_placemark()

    def _end_track(self) -> None:
        whens, places = self._whens, self._places
        self._whens, self._places = [], []
        if len(whens) != len(places):
            self._found.problems.append(
                f"a track in it has {len(whens):,} times for {len(places):,} places; "
                "it is left out, for they cannot be paired"
            )
            return
        for when, place in zip(whens, places, strict=True):
            self._add(when, place)
        self._found.close()

    def _end_placemark(self) -> None:
        if self._when and self._point:
            self._add(self._when, self._point)
        self._when = self._point = ""

    def _add(self, when: str, place: str) -> None:
        lon, lat, altitude, *_ = [*place.split(), "", "", ""]
        add(self._found, when, lat, lon, altitude)


_ROOTS: dict[str, Callable[[Found], Callable[[Element], None]]] = {
    "gpx": Gpx,
    "kml": Kml,
    "TrainingCenterDatabase": Tcx,
}


def is_markup(data: bytes) -> bool:
    return root_of(data) in _ROOTS


def read_markup(data: bytes, found: Found) -> None:
    """The recordings of a GPX, KML or TCX file."""
    fault = walk(data, _ROOTS[root_of(data)](found))
    if fault is not None:
        found.problems.append(f"{fault}; what stands before is used")
