"""Find where on a track a moment lies, and which way it went there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyproj import Geod

from hafloc.geo import Position
from hafloc.photos.tracks.track import Track, in_words, span_in_words

# Longer than watches and loggers that save power leave between two fixes of a straight way, and
# short enough that a walker is not far from the line between them.
MAX_GAP = 120.0  # seconds
# Below a slow walk a receiver's errors turn the course to anywhere.
MOVING = 0.7  # metres a second
_AROUND = 5.0  # seconds before and after, for the course
_BRIEF = 2.0  # seconds: too short a way for a course
_WGS84 = Geod(ellps="WGS84")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a track was at a moment; `course` in degrees clockwise from north, None at rest;
    `gap` is the seconds between the two fixes that the place lies between, 0 at a fix."""

    position: Position
    altitude: float | None
    course: float | None
    gap: float


def place_at(tracks: Sequence[Track], time: float, max_gap: float = MAX_GAP) -> Place | str:
    """Where a receiver was at `time` (seconds since 1970), or why that is not known, in words.

    Between two fixes the place lies on the geodesic. Of several tracks the one speaks whose fixes
    lie closest in time. Fixes more than `max_gap` seconds apart tell nothing of the way
    between them, and the first and last one speak for half of that time outside the track.
    """
    brackets = [(_gap(track, time), number) for number, track in enumerate(tracks)]
    gap, number = min(brackets)
    if gap > max_gap:
        return _refusal(tracks, time, max_gap)
    track = tracks[number]
    position, altitude = _between(track, time)
    return Place(position, altitude, _course(track, time, max_gap), gap)


def is_reached(tracks: Sequence[Track], time: float, max_gap: float) -> bool:
    """Whether `place_at` would know a place."""
    return min(_gap(track, time) for track in tracks) <= max_gap


def _gap(track: Track, time: float) -> float:
    """Seconds between the fixes around a moment; twice the distance in time outside the track."""
    if not track.start <= time <= track.end:
        return 2 * max(track.start - time, time - track.end)
    after = int(np.searchsorted(track.times, time))
    if track.times[after] == time:
        return 0.0
    return float(track.times[after] - track.times[after - 1])


def _between(track: Track, time: float) -> tuple[Position, float | None]:
    after = int(np.clip(np.searchsorted(track.times, time), 1, max(1, len(track) - 1)))
    before = after - 1
    after = min(after, len(track) - 1)
    length = float(track.times[after] - track.times[before])
    share = 0.0 if length == 0 else min(1.0, max(0.0, (time - track.times[before]) / length))
    heights = track.altitudes[[before, after]]
    if share in (0.0, 1.0):
        heights = heights[[int(share)] * 2]
    altitude = float(heights[0] + (heights[1] - heights[0]) * share)
    return (
        _on_geodesic(track, before, after, share),
        altitude if math.isfinite(altitude) else None,
    )


def _on_geodesic(track: Track, before: int, after: int, share: float) -> Position:
    lats, lons = track.lats, track.lons
    if share in (0.0, 1.0):
        at = after if share else before
        return Position(float(lats[at]), float(lons[at]))
    azimuth, _, metres = _WGS84.inv(lons[before], lats[before], lons[after], lats[after])
    lon, lat, _ = _WGS84.fwd(lons[before], lats[before], azimuth, metres * share)
    return Position(float(lat), float(lon))


def _course(track: Track, time: float, max_gap: float) -> float | None:
    """The bearing of the way from shortly before to shortly after, while it moves."""
    start, end = max(time - _AROUND, track.start), min(time + _AROUND, track.end)
    if end - start < _BRIEF or max(_gap(track, start), _gap(track, end)) > max_gap:
        return None
    here, there = _between(track, start)[0], _between(track, end)[0]
    azimuth, _, metres = _WGS84.inv(here.lon, here.lat, there.lon, there.lat)
    return float(azimuth) % 360 if metres >= MOVING * (end - start) else None


def _refusal(tracks: Sequence[Track], time: float, max_gap: float) -> str:
    moment = f"it was taken {in_words(time)}"
    inside = [track for track in tracks if track.start <= time <= track.end]
    if inside:
        gap = min(_gap(track, time) for track in inside)
        return (
            f"{moment}, in a gap of {span_in_words(gap)} of the track, and more than "
            f"{span_in_words(max_gap)} is refused (--max-gap)"
        )
    # Of several recordings the one that comes nearest.
    nearest = min(tracks, key=lambda track: max(track.start - time, time - track.end))
    if time < nearest.start:
        return f"{moment}, {span_in_words(nearest.start - time)} before the track begins"
    return f"{moment}, {span_in_words(time - nearest.end)} after the track ends"
