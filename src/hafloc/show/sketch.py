"""A small map, north up: the answer with its radius, and one candidate's place."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hafloc.geo import LocalFrame, Position
from hafloc.locate import Answer, Candidate
from hafloc.show.sheet import ACCENT, INK, letters

LAND = (236, 238, 233)
DOT = (125, 138, 146)
# With ACCENT told apart by colour-blind eyes, in lightness as well.
BEST = (11, 107, 93)
_WHITE = (255, 255, 255)
_NEAREST = 30.0  # metres from the middle to the map's edge, at least
_MARGIN = 1.3
_SHARP = 2  # drawn so many times larger, so that edges come out smooth
_TOUCH = 26.0  # pixels within which the marks of answer and candidate would hide each other
_VIEW = 24.0  # degrees to each side of a heading, a phone's field of view

Point = tuple[float, float]


def map_sketch(
    answer: Answer, candidate: Candidate, photos: Sequence[Position], size: tuple[int, int]
) -> Image.Image:
    """The map at `size` with the answer in its middle; `photos` of the database are dots.

    The answer is a pin, hollow where it is only a guess, its radius a circle, the candidate a
    disc with its rank and, where its heading is known, the field of view.
    """
    frame = LocalFrame(answer.position)
    (spot,) = frame.to_metres([candidate.position.lat], [candidate.position.lon])
    reach = max(answer.radius or 0.0, float(np.hypot(*spot)), _NEAREST) * _MARGIN
    sketch = _Sketch(size, reach)
    if photos:
        sketch.dots(frame.to_metres([p.lat for p in photos], [p.lon for p in photos]))
    if answer.radius is not None:
        sketch.circle(answer.radius)
    sketch.candidate(spot, candidate)
    sketch.pin(hollow=answer.found is False)
    sketch.scale_bar()
    sketch.north()
    return sketch.picture()


class _Sketch:
    """A canvas of `_SHARP` times the size; metres from the answer, east and north."""

    def __init__(self, size: tuple[int, int], reach: float) -> None:
        self._size = size
        self._image = Image.new("RGB", (size[0] * _SHARP, size[1] * _SHARP), LAND)
        self._draw = ImageDraw.Draw(self._image, "RGBA")
        self._middle = self._image.width / 2, self._image.height / 2
        self._scale = min(self._middle) / reach  # pixels a metre

    def dots(self, metres: NDArray[np.float64]) -> None:
        for east, north in metres:
            x, y = self._at(east, north)
            if -9 < x < self._image.width + 9 and -9 < y < self._image.height + 9:
                self._disc((x, y), 3, fill=DOT)

    def circle(self, radius: float) -> None:
        r = radius * self._scale
        x, y = self._middle
        box = (x - r, y - r, x + r, y + r)
        self._draw.ellipse(box, fill=(*BEST, 38), outline=BEST, width=2 * _SHARP)

    def candidate(self, spot: NDArray[np.float64], candidate: Candidate) -> None:
        x, y = self._at(*spot)
        if candidate.heading is not None:
            # Pillow turns clockwise from the east.
            middle, r = candidate.heading - 90, 34 * _SHARP
            box = (x - r, y - r, x + r, y + r)
            self._draw.pieslice(box, middle - _VIEW, middle + _VIEW, fill=(*ACCENT, 90))
        label = x, y
        if math.hypot(x - self._middle[0], y - self._middle[1]) < _TOUCH * _SHARP:
            label = x, y + _TOUCH * _SHARP
            self._draw.line((x, y, *label), fill=ACCENT, width=2 * _SHARP)
            self._disc((x, y), 4, fill=ACCENT)
        text = f"{candidate.rank:,}"
        self._disc(label, 9 + 3 * len(text), fill=ACCENT, outline=_WHITE)
        self._draw.text(label, text, fill=_WHITE, font=letters(14 * _SHARP), anchor="mm")

    def pin(self, *, hollow: bool) -> None:
        """A drop whose tip is the answer's position."""
        x, y = self._middle
        r = 10 * _SHARP
        inside, rim = (_WHITE, BEST) if hollow else (BEST, _WHITE)
        for grown, colour in ((2 * _SHARP, rim), (0, inside)):
            top = y - 22 * _SHARP
            self._draw.ellipse(
                (x - r - grown, top - r - grown, x + r + grown, top + r + grown), fill=colour
            )
            side = 0.85 * (r + grown)
            shoulder = top + 0.5 * r
            self._draw.polygon(
                ((x - side, shoulder), (x + side, shoulder), (x, y + grown)), fill=colour
            )
        self._disc((x, y - 22 * _SHARP), 4, fill=rim)

    def scale_bar(self) -> None:
        metres = round_step(110 * _SHARP / self._scale)
        left, foot = 12 * _SHARP, self._image.height - 12 * _SHARP
        right, up = left + metres * self._scale, foot - 7 * _SHARP
        self._draw.line(
            ((left, up), (left, foot), (right, foot), (right, up)), fill=INK, width=2 * _SHARP
        )
        text = f"{metres / 1000:,g} km" if metres >= 1000 else f"{metres:g} m"
        self._draw.text((left, up), text, fill=INK, font=letters(14 * _SHARP), anchor="ls")

    def north(self) -> None:
        x, y = 20 * _SHARP, 10 * _SHARP
        w, h = 7 * _SHARP, 22 * _SHARP
        notch = y + h - 5 * _SHARP
        self._draw.polygon(((x, y), (x + w, y + h), (x, notch), (x - w, y + h)), fill=INK)
        font = letters(14 * _SHARP)
        self._draw.text((x, y + h + 2 * _SHARP), "N", fill=INK, font=font, anchor="mt")

    def picture(self) -> Image.Image:
        return self._image.resize(self._size, Image.Resampling.LANCZOS)

    def _at(self, east: float, north: float) -> Point:
        return self._middle[0] + east * self._scale, self._middle[1] - north * self._scale

    def _disc(
        self,
        at: Point,
        radius: float,
        fill: tuple[int, int, int],
        outline: tuple[int, int, int] | None = None,
    ) -> None:
        r = radius * _SHARP
        box = (at[0] - r, at[1] - r, at[0] + r, at[1] + r)
        self._draw.ellipse(box, fill=fill, outline=outline, width=2 * _SHARP)


def round_step(metres: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten up to `metres`."""
    power = 10.0 ** math.floor(math.log10(metres))
    return next((n * power for n in (5, 2) if n * power <= metres), power)
