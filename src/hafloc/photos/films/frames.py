"""Decode the wanted frames of a film one after the other, never more of it than that."""

import bisect
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hafloc.errors import PhotoError
from hafloc.photos.films.film import Film, open_film
from hafloc.photos.films.picture import picture, sharpness, upright_size
from hafloc.photos.gpano import Sphere, assumed_sphere
from hafloc.photos.panorama import cut, needed_side, view_size, views_of
from hafloc.photos.parts import Frame, View
from hafloc.photos.photo import Metadata, Photo
from hafloc.photos.pixels import fitting

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# Seconds before and after a wanted moment in which the sharpest frame is taken
# (benchmarks/results/video.json); the place is that frame's own.
AROUND = 0.12
_LEAP = 8.0  # seconds that are not decoded but leapt over
_SAME = 0.6e-3  # seconds; names hold milliseconds


@dataclass(frozen=True, slots=True)
class Shot:
    """A decoded frame: which of the wanted moments it stands for, and its own `seconds`."""

    number: int
    seconds: float
    frame: "VideoFrame"


def shots(film: Film, wanted: Sequence[float], around: float = AROUND) -> Iterator[Shot]:
    """The frame for each of the `wanted` moments, in their order, as far as the film decodes.

    Of the frames within `around` seconds of a moment it is the sharpest; where there is none, the
    one that is on display then. No frame stands for two moments.
    """
    spans = _spans(wanted, around)
    number, taken = 0, -1.0
    best: tuple[float, float, VideoFrame] | None = None
    shown: tuple[float, VideoFrame] | None = None
    frames = film.frames()
    at, leapt = 0.0, -1
    while number < len(wanted):
        if wanted[number] - at > _LEAP and leapt < number:
            frames, leapt = film.frames_from(wanted[number] - 2 * spans[number]), number
        found = next(frames, None)
        at = math.inf if found is None else found[0]
        while number < len(wanted) and at > wanted[number] + spans[number] + 1e-6:
            # Behind the last one that decodes nothing is shown.
            chosen = best[1:] if best is not None else shown if found is not None else None
            if chosen is not None and chosen[0] > taken + _SAME:
                taken = chosen[0]
                yield Shot(number, *chosen)
            number, best = number + 1, None
        if found is None:
            return
        shown = found
        if number < len(wanted) and at >= wanted[number] - spans[number] - 1e-6:
            fine = sharpness(found[1]) if spans[number] else -abs(at - wanted[number])
            if best is None or fine > best[0]:
                best = fine, *found


def held_times(wanted: Sequence[float], held: Sequence[float]) -> dict[float, float]:
    """Times of frames that are `held`, each with the wanted moment that it stands for."""
    found: dict[float, float] = {}
    ordered = sorted(held)
    for moment, span in zip(wanted, _spans(wanted, AROUND), strict=True):
        at = bisect.bisect_left(ordered, moment - span - _SAME)
        near = [time for time in ordered[at : at + 2] if time <= moment + span + _SAME]
        if near:
            found[near[0]] = moment
    return found


def _spans(wanted: Sequence[float], around: float) -> list[float]:
    """Seconds to either side of each moment, so that none reaches into its neighbour's."""
    gaps = [after - before for before, after in itertools.pairwise(wanted)]
    left, right = [math.inf, *gaps], [*gaps, math.inf]
    return [min(around, 0.45 * min(sides)) for sides in zip(left, right, strict=True)]


def frame_photos(
    film: Film, shot: Shot, metadata: Metadata, content: str, longer_side: int | None, views: int
) -> list[Photo]:
    """A frame as a photo of `longer_side`, or, with `views` and twice as wide as high, cut into
    them as a panorama is."""
    size = upright_size(film, shot.frame)
    sphere = assumed_sphere(size) if views else None
    around = views_of(sphere, views) if sphere is not None else []
    if sphere is None or not around:
        image = picture(film, shot.frame, longer_side)
        part = Frame(shot.seconds)
        return [Photo(image, content, metadata, film.path, *size, part=part)]
    side = max(size) if longer_side is None else max(
        needed_side(sphere, size, view, longer_side) for view in around
    )  # fmt: skip
    whole = picture(film, shot.frame, side)
    whole_photo = Photo(whole, content, metadata, film.path, *size, sphere=sphere)
    return [cut_frame(whole_photo, shot.seconds, view, longer_side, len(around)) for view in around]


def cut_frame(
    whole: Photo, seconds: float, view: View, longer_side: int | None, parts: int = 1
) -> Photo:
    """One view of a 360° film's frame, whose `sphere` is known."""
    assert whole.sphere is not None, "a 360° film's frame"
    size = view_size(whole.sphere, (whole.width, whole.height), view)
    width, height = fitting(size, longer_side)
    image = cut(whole.image, whole.sphere, view, (max(1, width), max(1, height)))
    return Photo(
        image,
        whole.content,
        whole.metadata,
        whole.path,
        *size,
        focal=view.focal * size[0] / max(size),
        sphere=whole.sphere,
        part=Frame(seconds, view),
        parts=parts,
    )


def read_frame(
    path: Path, part: Frame, *, longer_side: int | None, content: str = "", asked: bool = False
) -> Photo:
    """One frame of a film by its time, whole also where the part is a view of it.

    The time is one that somebody `asked` for, or else that of a frame that was there once. Its
    `sphere` is known where there is a view. Raises PhotoError where the film cannot be read, or is
    over before that time, MissingExtraError without PyAV.
    """
    last = None
    with open_film(path) as film:
        for seconds, frame in film.frames_from(max(0.0, part.time - _SAME)):
            last = seconds
            if seconds < part.time - _SAME:
                continue
            size = upright_size(film, frame)
            sphere = None if part.view is None else assumed_sphere(size) or Sphere()
            side = longer_side
            if sphere is not None and part.view is not None and longer_side is not None:
                side = needed_side(sphere, size, part.view, longer_side)
            image = picture(film, frame, side)
            return Photo(
                image, content, Metadata(), path, *size, sphere=sphere, part=Frame(seconds)
            )
        named = f"cannot read {film.name}{part.fragment}"
        if not asked:
            raise PhotoError(
                f"{named}: the film has no frame there any more; run `hafloc index build` again"
            )
        if last is None:
            raise PhotoError(f"{named}: no frame can be decoded there; name an earlier one")
        raise PhotoError(
            f"{named}: the film's last frame is at {last:,.1f} seconds; name an earlier one"
        )
