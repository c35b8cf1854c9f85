"""Decide where a film's frames were taken: by the film itself, by a track, or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hafloc.errors import PositionError
from hafloc.geo import Position
from hafloc.photos.films.clock import Beginning, beginning_of
from hafloc.photos.films.film import Film
from hafloc.photos.films.own_gps import own_gps, start_place
from hafloc.photos.photo import Metadata
from hafloc.photos.tracks.along import MAX_GAP, Place, is_reached, place_at
from hafloc.photos.tracks.placing import SOURCE, Tracking
from hafloc.photos.tracks.track import Fix, Track

FILM = "film"
_HOURS = range(-12, 15)
_SHOWN = 3  # zones that a line names
_LOOKS = 50  # moments of a film that are looked up on a track
# Seconds beyond a track's ends for which these hold: cameras of films move, and clocks are whole.
_BEYOND = 2.0
_STILL = 1.0  # seconds for which a film's one place holds


@dataclass(frozen=True, slots=True)
class Way:
    """Where a film was: `tracks` in seconds that are `ahead` of the film's own.

    `source` is what frames' records name, `began` when the first frame was taken (UTC), None where
    nothing tells; `notes` is what a person should know.
    """

    tracks: tuple[Track, ...]
    ahead: float = 0.0
    source: str = FILM
    max_gap: float = MAX_GAP
    course: bool = True
    began: datetime | None = None
    notes: tuple[str, ...] = field(default=())

    def place(self, seconds: float) -> Place | str:
        """Where the film was at a moment of it, or why that is not known."""
        time = seconds + self.ahead
        inside = any(track.start <= time <= track.end for track in self.tracks)
        return place_at(
            self.tracks, time, self.max_gap if inside else min(self.max_gap, 2 * _BEYOND)
        )

    def position(self, seconds: float) -> Position | None:
        place = self.place(seconds)
        return None if isinstance(place, str) else place.position

    def metadata(self, seconds: float) -> Metadata:
        """What is known of the frame at a moment of the film."""
        place = self.place(seconds)
        time = time_at(self.began, seconds)
        if isinstance(place, str):
            return Metadata(time=time, problem=place)
        return Metadata(
            position=place.position,
            heading=place.course if self.course else None,
            altitude=place.altitude,
            time=time,
            source=self.source,
        )


def time_at(began: datetime | None, seconds: float) -> datetime | None:
    """The time of a frame, to the millisecond."""
    if began is None:
        return None
    try:
        time = began + timedelta(seconds=seconds)
    except OverflowError:
        return None
    return time.replace(microsecond=round(time.microsecond, -3) % 1_000_000)


def way_of(film: Film, tracks: Sequence[Track], tracking: Tracking | None) -> Way:
    """Where a film was: as its own receiver says, or else by its time on `tracks`.

    A film that tells no more than where it began has a place for its first second. Raises
    PositionError where there is none of these, and for a film whose time is not on the tracks.
    """
    course = tracking is None or tracking.course
    max_gap = MAX_GAP if tracking is None else tracking.max_gap
    told = beginning_of(film.tags, film.duration, film.path.stem)
    # Whoever names a track knows of no better one, and exiftool takes long.
    own = own_gps(film, thorough=tracking is None)
    if own is not None:
        zone = None if tracking is None else tracking.zone
        began = own.began or (None if told is None else told.in_zone(zone))
        return Way((own.track,), 0.0, FILM, max_gap, course, began)
    if tracking is None:
        return _still(film, told)
    if told is None:
        raise PositionError(
            f"cannot place {film.name}: it tells neither where nor when it was taken, so the track "
            "is of no use; put the time at which it began into its name, such as "
            f"20260131_142500{film.path.suffix} (in UTC, or with --timezone)"
        )
    began = told.in_zone(tracking.zone) + timedelta(seconds=tracking.offset or 0.0)
    way = Way(tuple(tracks), began.timestamp(), SOURCE, max_gap, course, began)
    if not _is_on(way, film.duration):
        raise PositionError(f"cannot place {film.name}: {_refusal(way, told, film.duration)}")
    return way


def _still(film: Film, told: Beginning | None) -> Way:
    place = start_place(film.tags)
    if place is None:
        raise PositionError(
            f"cannot place {film.name}: it tells no way of its own; record a track beside it and "
            "name that (--track)"
        )
    fix = Track.of([Fix(0.0, place.lat, place.lon)])
    note = (
        f"{film.name} tells only where it began, so that is all that is taken of it; a track "
        "(--track) places the rest"
    )
    began = None if told is None else told.time
    return Way((fix,), 0.0, FILM, 2 * _STILL, False, began, (note,))


def _is_on(way: Way, duration: float) -> bool:
    return any(way.position(at) is not None for at in _looks(duration, way.tracks))


def _looks(duration: float, tracks: Sequence[Track]) -> list[float]:
    """Moments of a film, even ones where it does not tell how long it is."""
    longest = max(track.end - track.start for track in tracks)
    length = min(duration, 86_400.0 + longest)
    return [length * number / _LOOKS for number in range(_LOOKS + 1)]


def _refusal(way: Way, told: Beginning, duration: float) -> str:
    """Why no frame is on the track, and which time zone would put some there."""
    said = way.place(0.0)
    why = said if isinstance(said, str) else "its frames are not on the track"
    if told.stated:
        return f"{why}; give the track of that time, or correct its clock (--offset)"
    clock = way.ahead
    hours = [
        hour
        for hour in sorted(_HOURS, key=abs)
        if hour and any(is_reached(way.tracks, clock - 3600 * hour + at, way.max_gap)
                        for at in _looks(duration, way.tracks))
    ]  # fmt: skip
    if not hours:
        return f"{why}; give the track of that time, or correct its clock (--offset)"
    named = " or ".join(f"{'-' if h < 0 else '+'}{abs(h):02}:00" for h in hours[:_SHOWN])
    return f"{why}; if its clock showed local time, name the zone: --timezone {named} would fit"
