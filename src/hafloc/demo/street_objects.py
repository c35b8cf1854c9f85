"""Draws what stands in the streets over a picture of walls and ground, from far to near."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hafloc.demo.atlas import NOTHING, SIGN
from hafloc.demo.city import City
from hafloc.demo.conditions import LAMP_COLOUR, Conditions, Season, hazy
from hafloc.demo.objects import (
    CAR_COLOURS,
    Billboard,
    Mesh,
    car_mesh,
    draw_lamp,
    draw_person,
    draw_tree,
)
from hafloc.demo.pixel_class import PixelClass
from hafloc.demo.rays import Canvas, View

# Metres: nothing stands before the lens itself, and what is farther away is not drawn.
_NEAR, _SIGHT = 2.0, 120.0


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """Something at a place in the plan: a billboard, or a mesh turned by `turn` radians."""

    shows: PixelClass
    place: NDArray[np.float64]
    look: Billboard | Mesh
    turn: float = 0.0


def draw_objects(
    city: City, canvas: Canvas, conditions: Conditions, rng: np.random.Generator
) -> None:
    """Everything that stands in the streets, from far to near."""
    view = canvas.view
    things = [*_furniture(city, conditions), *_passers_by(view, conditions, rng)]
    ahead = [float(np.dot(thing.place - view.here, view.forward)) for thing in things]
    for k in sorted(range(len(things)), key=lambda k: -ahead[k]):
        if _NEAR < ahead[k] < _SIGHT:
            draw_thing(canvas, things[k], ahead[k])


def draw_thing(canvas: Canvas, thing: Thing, ahead: float) -> None:
    """One thing, `ahead` metres deep, where nothing nearer is drawn yet."""
    if isinstance(thing.look, Billboard):
        _draw_billboard(canvas, thing, ahead, thing.look)
    else:
        _draw_mesh(canvas, thing, thing.look)


def _furniture(city: City, conditions: Conditions) -> list[Thing]:
    """Trees, lamps, and cars in the bays that are taken."""
    trees = _trees(city.seed, conditions.season)
    things = [
        Thing(PixelClass.TREE, place, trees[i % len(trees)]) for i, place in enumerate(city.trees)
    ]
    things += [Thing(PixelClass.LAMP, place, _lamp()) for place in city.lamps]
    # Drawn for all bays, so that they do not depend on what the camera sees.
    rng = np.random.default_rng([conditions.seed, 6])
    taken = rng.random(len(city.bays)) < conditions.parked
    paints = rng.integers(len(CAR_COLOURS), size=len(city.bays))
    snowy = conditions.season is Season.SNOW
    for bay, paint in zip(city.bays[taken], paints[taken], strict=True):
        mesh = car_mesh(CAR_COLOURS[paint], snowy)
        things.append(Thing(PixelClass.CAR, bay[:2], mesh, float(bay[2])))
    return things


def _passers_by(view: View, conditions: Conditions, rng: np.random.Generator) -> list[Thing]:
    """People and cars somewhere before the camera."""
    things = []
    for _ in range(conditions.people):
        place = view.here + _in_view(view, rng.uniform(4.0, 16.0), rng.uniform(-0.5, 0.5))
        things.append(Thing(PixelClass.PERSON, place, draw_person(conditions.season, rng)))
    for _ in range(conditions.cars):
        place = view.here + _in_view(view, rng.uniform(6.0, 14.0), rng.uniform(-0.35, 0.35))
        paint = CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))]
        turn = float(rng.uniform(0, 2 * math.pi))
        things.append(Thing(PixelClass.CAR, place, car_mesh(paint, False), turn))
    return things


def _in_view(view: View, ahead: float, part: float) -> NDArray[np.float64]:
    """An offset `ahead` metres deep and `part` of the image's width right of its middle."""
    right = part * ahead * view.size[0] / view.focal
    east, north = view.forward
    return np.array([east * ahead + north * right, north * ahead - east * right])


@lru_cache(maxsize=8)
def _trees(seed: int, season: Season) -> tuple[Billboard, ...]:
    return tuple(draw_tree(season, np.random.default_rng([seed, i, 3])) for i in range(7))


@lru_cache(maxsize=1)
def _lamp() -> Billboard:
    return draw_lamp()


def _draw_billboard(canvas: Canvas, thing: Thing, ahead: float, board: Billboard) -> None:
    view, light = canvas.view, canvas.light
    east, north = view.forward
    offset = thing.place - view.here
    right = offset[0] * north - offset[1] * east
    scale = view.focal / ahead
    left_edge = view.centre[0] + (right - board.width / 2) * scale
    bottom = view.centre[1] + view.height * scale
    wide, high = board.width * scale, board.height * scale
    x0, x1 = max(0, math.ceil(left_edge)), min(view.size[0], math.ceil(left_edge + wide))
    y0, y1 = max(0, math.ceil(bottom - high)), min(view.size[1], math.ceil(bottom))
    if x0 >= x1 or y0 >= y1:
        return
    tall, broad = board.texture.shape[:2]
    rows = ((np.arange(y0, y1) - bottom + high) * (tall / high)).astype(np.int64)
    columns = ((np.arange(x0, x1) - left_edge) * (broad / wide)).astype(np.int64)
    part = board.texture[np.clip(rows, 0, tall - 1)[:, None], np.clip(columns, 0, broad - 1)]
    shown = (part[..., 3] != NOTHING) & (canvas.depth[y0:y1, x0:x1] > ahead)
    shade = light.ambient + light.direct * np.float32(0.5) + np.float32(0.12 * light.lamps)
    colour = part[shown][:, :3] * shade
    colour += (part[shown][:, 3] == SIGN)[:, None] * np.float32(light.lamps) * LAMP_COLOUR
    far = np.full(len(colour), ahead, np.float32)
    canvas.picture[y0:y1, x0:x1][shown] = hazy(colour, far, light)
    canvas.depth[y0:y1, x0:x1][shown] = ahead
    canvas.classes[y0:y1, x0:x1][shown] = thing.shows


def _draw_mesh(canvas: Canvas, thing: Thing, mesh: Mesh) -> None:
    """A mesh as flat-shaded polygons, hidden as a whole by what is nearer than its front."""
    view, light = canvas.view, canvas.light
    cosine, sine = math.cos(thing.turn), math.sin(thing.turn)
    turned = np.array([[cosine, -sine], [sine, cosine]])
    points = mesh.points[:, :2] @ turned.T + thing.place - view.here
    up = mesh.points[:, 2] - view.height
    east, north = view.forward
    ahead = points @ np.array([east, north])
    if ahead.min() < 0.4:
        return
    x = view.centre[0] + points @ np.array([north, -east]) / ahead * view.focal
    y = view.centre[1] - up / ahead * view.focal
    box = (max(0, math.floor(x.min())), max(0, math.floor(y.min())),
           min(view.size[0], math.ceil(x.max()) + 1),
           min(view.size[1], math.ceil(y.max()) + 1))  # fmt: skip
    if box[0] >= box[2] or box[1] >= box[3]:
        return
    normal = np.concatenate([mesh.normal[:, :2] @ turned.T, mesh.normal[:, 2:]], 1)
    corner = np.concatenate([points, up[:, None]], 1)[mesh.first[:-1]]
    towards = np.flatnonzero((corner * normal).sum(1) < 0)
    sunny = np.maximum(normal @ np.array(light.sun), 0)
    tones = mesh.colour * (
        light.ambient * (0.8 + 0.3 * normal[:, 2:]) + light.direct * sunny[:, None]
    )
    tones = np.minimum(tones + 0.1 * light.lamps * mesh.colour, 255).astype(int)
    outline = np.stack([x - box[0], y - box[1]], -1)
    polygons = [outline[mesh.first[f] : mesh.first[f + 1]].ravel().tolist() for f in towards]
    shown = _paste(canvas, box, float(ahead.min()), polygons, tones[towards].tolist())
    canvas.classes[box[1] : box[3], box[0] : box[2]][shown] = thing.shows


def _paste(
    canvas: Canvas,
    box: tuple[int, int, int, int],
    ahead: float,
    polygons: list[list[float]],
    tones: list[list[int]],
) -> NDArray[np.bool_]:
    """Draw polygons into a box of the picture where nothing is nearer than `ahead` metres.

    Returns where in the box that was.
    """
    part = slice(box[1], box[3]), slice(box[0], box[2])
    # The ground in front of a mesh is nearer than the mesh: leave it a metre.
    free = canvas.depth[part] > ahead - 1.0
    if not free.any():
        return free
    size = (box[2] - box[0], box[3] - box[1])
    image, mask = Image.new("RGB", size), Image.new("L", size)
    draw, kind = ImageDraw.Draw(image), ImageDraw.Draw(mask)
    for polygon, tone in zip(polygons, tones, strict=True):
        draw.polygon(polygon, tuple(tone))
        kind.polygon(polygon, 1)
    shown = (np.asarray(mask) > 0) & free
    colour = np.asarray(image)[shown].astype(np.float32)
    far = np.full(len(colour), ahead, np.float32)
    canvas.picture[part][shown] = hazy(colour, far, canvas.light)
    canvas.depth[part][shown] = ahead
    return shown
