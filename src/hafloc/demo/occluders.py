"""Cut-outs of what moves or hides in a street: cars, people and trees with soft outlines."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hafloc.demo.camera import Camera
from hafloc.demo.city import ORIGIN
from hafloc.demo.conditions import Conditions, Floats, Season, light_of
from hafloc.demo.objects import CAR_COLOURS, Billboard, Mesh, car_mesh, draw_person, draw_tree
from hafloc.demo.pixel_class import PixelClass
from hafloc.demo.rays import blank, view_of
from hafloc.demo.street_objects import Thing, draw_thing
from hafloc.geo import LocalFrame

_SEASONS = tuple(Season)
_DRAWN = 300  # sides in pixels of the picture in which a thing is drawn, before it is made smaller
_FEET = 0.85  # where in that picture it stands


@dataclass(frozen=True, slots=True, eq=False)
class Occluder:
    """A cut-out `picture` `H×W×4`: RGB by daylight and how far each pixel hides what is behind,
    0 to 255; cropped to its outline, and standing on its lowest row. `shows` is CAR, PERSON or
    TREE; `height` is the picture's in metres."""

    shows: PixelClass
    picture: NDArray[np.uint8]
    height: float


def draw_occluders(count: int, seed: int = 0, longest: int = 160) -> list[Occluder]:
    """`count` cut-outs, cars, people and trees in turn, their longest side `longest` pixels.

    Cars come in all colours, from all sides and with snow on some; people and trees of all
    seasons. The same seed gives the same, and a longer list begins with the shorter one.
    """
    kinds = (PixelClass.CAR, PixelClass.PERSON, PixelClass.TREE)
    return [
        _drawn(kinds[i % 3], np.random.default_rng([seed, i, 21]), longest) for i in range(count)
    ]


def _drawn(shows: PixelClass, rng: np.random.Generator, longest: int) -> Occluder:
    """One thing alone before a camera, cut out."""
    season = _SEASONS[int(rng.integers(len(_SEASONS)))]
    ahead, eye = float(rng.uniform(6.5, 14.0)), float(rng.uniform(1.4, 2.2))
    look: Billboard | Mesh
    if shows is PixelClass.CAR:
        look = car_mesh(CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))], season is Season.SNOW)
        across, near = 7.0, ahead - 2.0
    else:
        look = (draw_person if shows is PixelClass.PERSON else draw_tree)(season, rng)
        across, near = 1.25 * look.height, ahead
    camera = Camera(
        ORIGIN,
        heading=0.0,
        field_of_view=math.degrees(2 * math.atan(across / 2 / ahead)),
        height=eye,
        size=(_DRAWN, _DRAWN),
        rise=_FEET - 0.5 - eye / across * ahead / near,
    )
    conditions = Conditions(
        sun_azimuth=float(rng.uniform(0, 360)),
        sun_elevation=float(rng.uniform(10, 50)),
        cloudiness=float(rng.uniform(0, 1)),
    )
    canvas = blank(view_of(camera, LocalFrame(ORIGIN)), light_of(conditions))
    place = canvas.view.here + np.array([0.0, ahead])
    draw_thing(canvas, Thing(shows, place, look, float(rng.uniform(0, 2 * math.pi))), ahead)
    shown = canvas.classes == shows
    rows = int(np.ptp(np.flatnonzero(shown.any(1)))) + 1
    picture = _cut_out(canvas.picture, shown, longest)
    return Occluder(shows, picture, rows * across / canvas.view.size[1])


def _cut_out(colours: Floats, shown: NDArray[np.bool_], longest: int) -> NDArray[np.uint8]:
    """What is shown, cropped to it and made smaller; an outline's pixels are covered in part."""
    y, x = (np.flatnonzero(shown.any(axis)) for axis in (1, 0))
    part = slice(y[0], y[-1] + 1), slice(x[0], x[-1] + 1)
    covered = shown[part].astype(np.float32)
    shrink = longest / max(covered.shape)
    size = max(1, round(covered.shape[1] * shrink)), max(1, round(covered.shape[0] * shrink))
    alpha = _smaller(covered, size)
    # Black around the thing must not darken its outline: only what shows counts.
    bands = [_smaller(colours[part][..., k] * covered, size) for k in range(3)]
    rgb = np.stack(bands, -1) / np.maximum(alpha, np.float32(1 / 255))[..., None]
    rgba = np.dstack([rgb.clip(0, 255), alpha * 255])
    return np.asarray(np.rint(rgba), np.uint8)


def _smaller(band: Floats, size: tuple[int, int]) -> Floats:
    return np.asarray(Image.fromarray(band).resize(size, Image.Resampling.BOX))
