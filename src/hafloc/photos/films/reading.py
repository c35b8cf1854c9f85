"""Read a film's frames as photos: those that a database is made of, and those of a query."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from hafloc.errors import OptionError, PhotoError, PositionError
from hafloc.photos import stored
from hafloc.photos.films.choosing import Every, moments
from hafloc.photos.films.clock import beginning_of
from hafloc.photos.films.film import Film, open_film
from hafloc.photos.films.frames import frame_photos, shots
from hafloc.photos.films.own_gps import own_gps
from hafloc.photos.films.way import Way, time_at, way_of
from hafloc.photos.photo import Metadata, Photo
from hafloc.photos.tracks.placing import Tracking
from hafloc.photos.tracks.track import Track

# Without a zone: frames of a film that tells no time are of one clock all the same.
_ANY_DAY = datetime(2000, 1, 1)
_TAIL = 1.0  # seconds that may be missing at a film's end without a word


@dataclass(frozen=True, slots=True)
class FilmPlan:
    """Which frames of a film are wanted: `times` in seconds from its first one, on a `way`."""

    path: Path
    times: tuple[float, ...]
    way: Way
    duration: float


@dataclass(slots=True)
class Decoded:
    """How far the decoding of a film came: seconds of its last frame."""

    until: float = 0.0
    frames: int = 0
    notes: list[str] = field(default_factory=list)


def plan_film(
    path: Path, every: Every, tracks: Sequence[Track], tracking: Tracking | None
) -> FilmPlan:
    """The frames of a film that a database is to have; nothing is decoded.

    Raises PositionError where nothing places them, PhotoError for what is no film.
    """
    with open_film(path) as film:
        way = way_of(film, tracks, tracking)
        times = moments(every, film.duration, way.position)
        if not times:
            said = way.place(0.0)
            raise PositionError(
                f"cannot place {film.name}: "
                f"{said if isinstance(said, str) else 'none of its frames is on its way'}"
            )
        return FilmPlan(path, tuple(times), way, film.duration)


def read_frames(
    plan: FilmPlan,
    times: Sequence[float],
    *,
    longer_side: int,
    views: int = 0,
    content: str = "",
    begun: bool = False,
    decoded: Decoded | None = None,
) -> Iterator[list[Photo]]:
    """The frames of a plan at some of its `times`, decoded one after the other: each a photo, or
    its `views`.

    `decoded` is told how far that came. Raises PhotoError where not one frame can be decoded,
    unless others were before (`begun`).
    """
    decoded = Decoded() if decoded is None else decoded
    with _decoding(plan.path, decoded, 0 if begun else len(times)) as film:
        for shot in shots(film, times):
            decoded.until, decoded.frames = shot.seconds, decoded.frames + 1
            said = plan.way.metadata(shot.seconds)
            if said.position is not None:
                yield frame_photos(film, shot, said, content, longer_side, views)
        end = min(plan.duration, times[-1]) if times else 0.0
        if decoded.frames and decoded.until < end - _TAIL:
            decoded.notes.append(
                f"{film.name} decodes only up to {decoded.until:.1f} of {plan.duration:.1f} "
                "seconds; the rest is left out"
            )


@dataclass(frozen=True, slots=True)
class Clip:
    """A film as a query: `times` of its frames, and `began` where it tells."""

    path: Path
    times: tuple[float, ...]
    began: datetime | None

    def photos(self, *, longer_side: int | None = None) -> Iterator[Photo]:
        """Its frames as photos that have no position. Raises as `read_frames` does."""
        decoded = Decoded()
        content = film_content(self.path)
        with _decoding(self.path, decoded, len(self.times)) as film:
            for shot in shots(film, self.times):
                decoded.frames += 1
                said = Metadata(time=time_at(self.began or _ANY_DAY, shot.seconds))
                yield from frame_photos(film, shot, said, content, longer_side, 0)


def open_clip(path: Path, every: Every) -> Clip:
    """The frames of a film that is to be located.

    Raises OptionError for metres where the film does not tell its way, PhotoError for what is no
    film.
    """
    with open_film(path) as film:
        own = own_gps(film) if every.metres is not None else None
        if every.metres is not None and own is None:
            raise OptionError(
                f"--every {every} needs a way, and {film.name} tells none; give seconds, such as 2s"
            )
        told = beginning_of(film.tags, film.duration, film.path.stem)
        began = None if told is None else told.time
        way = None if own is None else Way((own.track,)).position
        times = moments(every, film.duration, way)
        return Clip(path, tuple(times), began)


@contextmanager
def _decoding(path: Path, decoded: Decoded, wanted: int) -> Iterator[Film]:
    """An open film; complains where frames were wanted and none came."""
    with open_film(path) as film:
        yield film
        if wanted and not decoded.frames:
            raise PhotoError(
                f"cannot read {film.name}: none of its pictures can be decoded; it is damaged or "
                "encrypted, so give a copy that plays"
            )


def film_content(path: Path) -> str:
    """As `stored.content`; a film that has not changed meanwhile is read once."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise PhotoError(f"cannot read {stored.shown(path)}: {stored.reason(error)}") from error
    return _content(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _content(path: Path, size: int, modified: int) -> str:
    return stored.content(path)
