"""What stands in the streets: trees, lamps and people as billboards, cars as small meshes."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hafloc.demo.atlas import MATTE, NOTHING, SIGN, Texture
from hafloc.demo.conditions import Season

Generator = np.random.Generator
Colour = tuple[int, int, int]
_LEAVES: dict[Season, list[Colour]] = {
    Season.SUMMER: [(74, 112, 48), (92, 124, 58), (60, 98, 52)],
    Season.AUTUMN: [(196, 124, 40), (174, 82, 34), (206, 162, 62)],
}
CAR_COLOURS: list[Colour] = [
    (188, 190, 194), (36, 38, 42), (236, 236, 234), (132, 30, 34), (40, 62, 104), (96, 102, 106),
    (58, 88, 74), (196, 160, 70),
]  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Billboard:
    """A picture `H×W×4` that always faces the camera; `width` and `height` in metres."""

    texture: Texture
    width: float
    height: float


def draw_tree(season: Season, rng: Generator) -> Billboard:
    """A street tree, its crown made of many tufts lit from above."""
    size = (220, 320)
    image, mask = Image.new("RGB", size), Image.new("L", size, NOTHING)
    draw, kind = ImageDraw.Draw(image), ImageDraw.Draw(mask)
    bark = (74, 62, 52)
    tips: list[tuple[float, float]] = []
    _branch(draw, kind, rng, (110.0, 320.0), -math.pi / 2, 105.0, 13.0, bark, tips)
    if season in _LEAVES:
        palette = _LEAVES[season]
        base = palette[int(rng.integers(len(palette)))]
        around = [tips[int(i)] for i in rng.integers(len(tips), size=520)]
        tufts = np.array(around) + rng.normal(0, 15, (520, 2))
        for x, y in tufts[np.argsort(-tufts[:, 1])]:
            light = 1.25 - (y / 320) * 0.9 + float(rng.normal(0, 0.12))
            tone = tuple(max(0, min(255, int(c * light))) for c in base)
            radius = float(rng.uniform(3, 9))
            box = (x - radius, y - radius, x + radius, y + radius * 0.8)
            draw.ellipse(box, tone)
            kind.ellipse(box, MATTE)
    elif season is Season.SNOW:
        for x, y in tips:
            box = (x - 5, y - 4, x + 5, y + 2)
            draw.ellipse(box, (238, 240, 246))
            kind.ellipse(box, MATTE)
    high = float(rng.uniform(6.0, 8.5))
    return Billboard(_joined(image, mask), high * size[0] / size[1], high)


def _branch(
    draw: ImageDraw.ImageDraw,
    kind: ImageDraw.ImageDraw,
    rng: Generator,
    start: tuple[float, float],
    angle: float,
    length: float,
    thick: float,
    bark: Colour,
    tips: list[tuple[float, float]],
) -> None:
    end = (start[0] + length * math.cos(angle), start[1] + length * math.sin(angle))
    draw.line([start, end], bark, max(1, round(thick)))
    kind.line([start, end], MATTE, max(1, round(thick)))
    if thick < 4.5:
        tips.append(end)
    if thick < 1.6:
        return
    for side in (-1, 1) if thick < 8 else (-1, 0, 1):
        turn = side * float(rng.uniform(0.25, 0.6)) + float(rng.normal(0, 0.12))
        shrink = float(rng.uniform(0.62, 0.82))
        _branch(draw, kind, rng, end, angle + turn, length * shrink * 0.8, thick * 0.62, bark,
                tips)  # fmt: skip


def draw_lamp() -> Billboard:
    """A lamp post; its lantern shines at night."""
    image, mask = Image.new("RGB", (40, 260)), Image.new("L", (40, 260), NOTHING)
    draw, kind = ImageDraw.Draw(image), ImageDraw.Draw(mask)
    iron = (48, 54, 52)
    for box in ((18, 40, 21, 260), (15, 215, 24, 260), (12, 36, 27, 40), (13, 4, 26, 9)):
        draw.rectangle(box, iron)
        kind.rectangle(box, MATTE)
    draw.polygon([(12, 10), (27, 10), (24, 36), (15, 36)], (236, 226, 190))
    kind.polygon([(12, 10), (27, 10), (24, 36), (15, 36)], SIGN)
    return Billboard(_joined(image, mask), 0.72, 4.7)


def draw_person(season: Season, rng: Generator) -> Billboard:
    """Somebody standing or walking by."""
    image, mask = Image.new("RGB", (70, 180)), Image.new("L", (70, 180), NOTHING)
    draw, kind = ImageDraw.Draw(image), ImageDraw.Draw(mask)
    bright = rng.integers(30, 210, 3).tolist()
    grey = sum(bright) // 3
    coat = ((bright[0] + grey) // 2, (bright[1] + grey) // 2, (bright[2] + grey) // 2)
    dark = (max(0, coat[0] - 30), max(0, coat[1] - 30), max(0, coat[2] - 30))
    tone = int(rng.integers(26, 90))
    stride = float(rng.uniform(2, 12))
    skin = (int(rng.integers(110, 226)),) * 3
    skin = (skin[0], int(skin[0] * 0.78), int(skin[0] * 0.64))
    trousers, hair = (tone, tone, tone + 14), (tone // 2 + 14, tone // 2, tone // 2 - 4)
    long = 128 if season in (Season.WINTER, Season.SNOW) else 98
    shapes: list[tuple[list[tuple[float, float]], Colour]] = [
        ([(24, 92), (36, 92), (34 - stride, 178), (24 - stride, 178)], trousers),
        ([(34, 92), (47, 92), (48 + stride, 178), (38 + stride, 178)], trousers),
        ([(18, 46), (24, 38), (17, 96), (9, 94)], dark),
        ([(52, 46), (46, 38), (54, 96), (62, 94)], dark),
        ([(22, 36), (48, 36), (53, 50), (50, long), (20, long), (17, 50)], coat),
        ([(31, 26), (40, 26), (40, 38), (31, 38)], skin),
    ]
    for points, colour in shapes:
        draw.polygon(points, colour)
        kind.polygon(points, MATTE)
    for head, colour in (((25, 4, 46, 30), hair), ((27, 10, 44, 31), skin)):
        draw.ellipse(head, colour)
        kind.ellipse(head, MATTE)
    high = float(rng.uniform(1.58, 1.9))
    return Billboard(_joined(image, mask), high * 70 / 180, high)


def _joined(image: Image.Image, mask: Image.Image) -> Texture:
    return np.dstack([np.asarray(image), np.asarray(mask)])


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Flat polygons in metres (forward, left, up), to be drawn in this order with those that
    look away left out: face f has the points `[first[f]:first[f + 1]]`, a unit `normal` and a
    `colour`."""

    points: NDArray[np.float64]
    first: NDArray[np.int64]
    normal: NDArray[np.float64]
    colour: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Face:
    """A flat polygon `[N, 3]` in metres (forward, left, up) with its outward normal."""

    points: NDArray[np.float64]
    normal: NDArray[np.float64]
    colour: Colour


# Side views, front to the right, counter-clockwise: (forward, up) in metres.
_BODY = [(-2.1, 0.28), (2.1, 0.28), (2.15, 0.66), (1.95, 0.8), (0.9, 0.92), (-1.7, 0.95),
         (-2.12, 0.86)]  # fmt: skip
_CABIN = [(-1.85, 0.93), (1.0, 0.91), (0.3, 1.42), (-1.1, 1.46)]
_WINDOWS = [[(-1.5, 0.97), (-0.35, 0.96), (-0.35, 1.37), (-1.0, 1.38)],
            [(-0.25, 0.96), (0.78, 0.95), (0.24, 1.36), (-0.25, 1.37)]]  # fmt: skip
_GLASS: Colour = (40, 48, 56)
_TYRE: Colour = (26, 26, 28)


@lru_cache(maxsize=32)
def car_mesh(colour: Colour, snowy: bool) -> Mesh:
    """A car on its wheels, and first the dark ground under it."""
    faces = _car_faces(colour, (232, 236, 242) if snowy else colour)
    return Mesh(
        points=np.concatenate([face.points for face in faces]),
        first=np.cumsum([0, *(len(face.points) for face in faces)]),
        normal=np.array([face.normal for face in faces]),
        colour=np.array([face.colour for face in faces], float),
    )


def _car_faces(colour: Colour, top: Colour) -> list[_Face]:
    under = np.array([(-2.2, -0.95, 0.01), (2.2, -0.95, 0.01), (2.2, 0.95, 0.01),
                      (-2.2, 0.95, 0.01)])  # fmt: skip
    faces = [_Face(under, np.array([0.0, 0.0, 1.0]), (30, 30, 32))]
    faces += [*_extruded(_BODY, 0.86, colour, top, colour)]
    faces += _extruded(_CABIN, 0.74, colour, top, _GLASS)
    for left in (-1, 1):
        for outline in _WINDOWS:
            faces.append(_side(outline, 0.745 * left, _GLASS))
        for axle in (-1.3, 1.35):
            for radius, tone in ((0.33, _TYRE), (0.19, (120, 122, 126))):
                turn = np.linspace(0, 2 * math.pi, 14)[:-1]
                ring = [(axle + radius * math.cos(t), 0.33 + radius * math.sin(t)) for t in turn]
                faces.append(_side(ring, 0.87 * left, tone))
        for forward, tone in ((2.17, (240, 238, 220)), (-2.14, (150, 24, 26))):
            lamp = [(forward, 0.35 * left, 0.6), (forward, 0.8 * left, 0.6),
                    (forward, 0.8 * left, 0.75), (forward, 0.35 * left, 0.75)]  # fmt: skip
            normal = np.array([math.copysign(1.0, forward), 0.0, 0.0])
            faces.append(_Face(np.array(lamp), normal, tone))
    return faces


def _side(outline: list[tuple[float, float]], left: float, colour: Colour) -> _Face:
    points = np.array([(forward, left, up) for forward, up in outline])
    return _Face(points, np.array([0.0, math.copysign(1.0, left), 0.0]), colour)


def _extruded(
    profile: list[tuple[float, float]], half: float, sides: Colour, tops: Colour, slants: Colour
) -> list[_Face]:
    """A profile drawn out to both sides; flat parts get `tops`, steep ones `slants`."""
    faces = []
    for (x0, z0), (x1, z1) in zip(profile, profile[1:] + profile[:1], strict=True):
        normal = np.array([z1 - z0, 0.0, x0 - x1])
        normal = normal / np.hypot(normal[0], normal[2])
        points = np.array([(x0, half, z0), (x1, half, z1), (x1, -half, z1), (x0, -half, z0)])
        faces.append(_Face(points, normal, tops if normal[2] > 0.9 else slants))
    return [*faces, _side(profile, half, sides), _side(profile, -half, sides)]
