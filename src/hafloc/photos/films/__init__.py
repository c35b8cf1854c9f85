"""Films: their frames as photos, placed by the film's own receiver or by a track."""

from hafloc.photos.films.choosing import EVERY, Every, parse_every
from hafloc.photos.films.film import is_film, require_reader
from hafloc.photos.films.frames import cut_frame, held_times, read_frame
from hafloc.photos.films.reading import (
    Clip,
    Decoded,
    FilmPlan,
    film_content,
    open_clip,
    plan_film,
    read_frames,
)
from hafloc.photos.films.subtitles import srt_beside

__all__ = [
    "EVERY",
    "Clip",
    "Decoded",
    "Every",
    "FilmPlan",
    "cut_frame",
    "film_content",
    "held_times",
    "is_film",
    "open_clip",
    "parse_every",
    "plan_film",
    "read_frame",
    "read_frames",
    "require_reader",
    "srt_beside",
]
