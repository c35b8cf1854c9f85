"""One photo of the city: rays against walls and ground, then what stands in the streets.

The camera is upright, so all pixels of a column share one horizontal direction: a column meets
each wall once, and the wall's rows follow from its distance. All is drawn at twice the size and
averaged.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hafloc.demo.atlas import ASPHALT, GLASS, GRASS, LIT, MARKING, NOTHING, SIGN, Texture
from hafloc.demo.camera import Camera
from hafloc.demo.city import GROUND, City
from hafloc.demo.conditions import LAMP_COLOUR, Conditions, Floats, Light, Season, hazy, light_of
from hafloc.demo.pixel_class import PixelClass
from hafloc.demo.rays import FAR, SAMPLES, Canvas, blank, meet, view_of
from hafloc.demo.shade import SHADOW_STEPS, lamp_light, shade_index, shadow_heights, sunlight
from hafloc.demo.street_objects import draw_objects

_LAYERS = 7  # walls one behind the other that a column looks at
_SHOULDER = 175.0  # grey value from which bright light is held back


def render(city: City, camera: Camera, conditions: Conditions) -> NDArray[np.uint8]:
    """What `camera` sees of `city`: RGB `H×W×3`, the same for the same arguments."""
    rng = _chance(conditions)
    return _exposed(_drawn(city, camera, conditions, rng).picture, conditions, rng)


def render_classes(city: City, camera: Camera, conditions: Conditions) -> NDArray[np.uint8]:
    """What each pixel of the photo that `render` makes of the same arguments shows.

    `H×W` of PixelClass: what most of the pixel's samples show.
    """
    classes = _drawn(city, camera, conditions, _chance(conditions)).classes
    part = [classes[y::SAMPLES, x::SAMPLES] for y in range(SAMPLES) for x in range(SAMPLES)]
    votes = [np.sum([p == kind for p in part], axis=0) for kind in PixelClass]
    return np.asarray(np.argmax(votes, axis=0), np.uint8)


def _chance(conditions: Conditions) -> np.random.Generator:
    return np.random.default_rng([conditions.seed, 5])


def _drawn(city: City, camera: Camera, conditions: Conditions, rng: np.random.Generator) -> Canvas:
    canvas = blank(view_of(camera, city.frame), light_of(conditions))
    _draw_walls(city, canvas)
    _draw_ground(city, canvas, conditions.season)
    _draw_sky(city, canvas, conditions.cloudiness, rng)
    draw_objects(city, canvas, conditions, rng)
    return canvas


@dataclass(frozen=True, slots=True, eq=False)
class _Hits:
    """N samples that see a wall: which, metres along it and up, the depth, the plan position."""

    wall: NDArray[np.int64]
    right: Floats
    up: Floats
    far: Floats
    place: Floats


def _draw_walls(city: City, canvas: Canvas) -> None:
    view = canvas.view
    distance, along = meet(view.here, view.directions, city.wall_start, city.wall_end)
    order = np.argsort(distance, axis=1)[:, :_LAYERS]
    columns = np.arange(len(order))
    directions, here = view.directions.astype(np.float32), view.here.astype(np.float32)
    pending = np.ones(canvas.depth.shape, bool)
    for wall in order.T:
        metres = np.minimum(distance[columns, wall], FAR).astype(np.float32)
        high = (city.wall_height[wall] - view.height).astype(np.float32)
        inside = view.rows[:, None] <= high * view.focal / metres
        inside &= view.rows[:, None] >= -view.height * view.focal / metres
        inside &= pending & (metres < FAR)
        y, x = np.nonzero(inside)
        far = metres[x]
        up = np.float32(view.height) + view.rows[y] * far / np.float32(view.focal)
        right = along[columns, wall].astype(np.float32)[x]
        texel = city.atlas.sample(city.wall_texture[wall[x]], right, up, far / view.focal)
        solid = texel[:, 3] != NOTHING
        if not solid.all():
            y, x, right, up, far, texel = (p[solid] for p in (y, x, right, up, far, texel))
        hits = _Hits(wall[x], right, up, far, here + far[:, None] * directions[x])
        canvas.picture[y, x] = hazy(_lit_wall(city, canvas.light, hits, texel), far, canvas.light)
        canvas.depth[y, x] = far
        canvas.classes[y, x] = np.where(
            texel[:, 3] == SIGN, np.uint8(PixelClass.SIGN), np.uint8(PixelClass.FACADE)
        )
        pending[y, x] = False


def _lit_wall(city: City, light: Light, hits: _Hits, texel: Texture) -> Floats:
    wall = city.wall_end - city.wall_start
    length = np.hypot(wall[:, 0], wall[:, 1])
    facing = ((wall[:, 1] * light.sun[0] - wall[:, 0] * light.sun[1]) / length).astype(np.float32)
    scale = (SHADOW_STEPS / length).astype(np.float32)[hits.wall]
    step = np.minimum((hits.right * scale).astype(np.int64), SHADOW_STEPS - 1)
    edge = hits.up - shadow_heights(city, light.sun)[hits.wall, step]
    sunny = np.clip(edge, 0, 0.4) * np.maximum(facing * np.float32(3.1), 0)[hits.wall]
    # Walls that look different ways differ a little under an overcast sky too.
    turn = (0.94 + 0.06 * wall[:, 1] / length).astype(np.float32)[hits.wall]
    shade = light.ambient * turn[:, None] + light.direct * sunny[:, None]
    if light.lamps > 0:
        near = lamp_light(city)[shade_index(city, hits.place)]
        near = near * np.exp(-np.abs(hits.up - 3.0) / 5)
        shade += near[:, None] * LAMP_COLOUR * np.float32(light.lamps / 280)
    colour = texel[:, :3] * shade
    return _shining(colour, texel, light)


def _shining(colour: Floats, texel: Texture, light: Light) -> Floats:
    """Windows mirror the sky by day; at night some are lit, and so are signs."""
    kind = texel[:, 3]
    glass = np.flatnonzero((kind == GLASS) | (kind == LIT))
    mirrored = light.horizon * 0.5 + light.zenith * 0.25 - colour[glass] * 0.4
    colour[glass] += mirrored * np.float32(0.34 * (1 - light.lamps))
    if light.lamps > 0:
        lit, sign = np.flatnonzero(kind == LIT), np.flatnonzero(kind == SIGN)
        warm = LAMP_COLOUR * (0.55 + texel[lit, :1] / np.float32(500))
        colour[lit] += (warm - colour[lit]) * np.float32(light.lamps * 0.85)
        colour[sign] += texel[sign, :3] * np.float32(0.5 * light.lamps)
    return colour


def _draw_ground(city: City, canvas: Canvas, season: Season) -> None:
    view, light = canvas.view, canvas.light
    y, x = np.nonzero((view.rows < -0.5)[:, None] & (canvas.depth == FAR))
    far = np.float32(view.height * view.focal) / -view.rows[y]
    places = view.here.astype(np.float32) + far[:, None] * view.directions.astype(np.float32)[x]
    right, up = (places - np.array(city.corner, np.float32)).T
    footprint = far / np.float32(view.focal) * np.sqrt(np.maximum(far / view.height, 1))
    texel = city.atlas.sample(np.full(len(y), GROUND), right, up, footprint.astype(np.float32))
    beyond = (right < 0) | (up < 0) | (right > city.extent[0]) | (up > city.extent[1])
    colour = texel[:, :3].astype(np.float32)
    colour[beyond] = (104, 120, 74)
    _cover(colour, np.where(beyond, np.uint8(GRASS), texel[:, 3]), season)
    index = shade_index(city, places)
    shade = np.broadcast_to(light.ambient, colour.shape)
    if light.sun[2] > 0:
        direct = light.direct * np.float32(light.sun[2] ** 0.5 * 1.1)
        shade = shade + direct * sunlight(city, light.sun)[index][:, None]
    if light.lamps > 0:
        near = lamp_light(city)[index][:, None]
        shade = shade + near * LAMP_COLOUR * np.float32(light.lamps / 240)
    canvas.picture[y, x] = hazy(colour * shade, far, light)
    canvas.depth[y, x] = far
    canvas.classes[y, x] = PixelClass.ROAD


def _draw_sky(city: City, canvas: Canvas, cloudiness: float, rng: np.random.Generator) -> None:
    """Gradient, clouds and the far hills where nothing else is."""
    view, light = canvas.view, canvas.light
    clouds = _cloud_map(int(rng.integers(8)))
    y, x = np.nonzero(canvas.depth == FAR)
    degrees = np.degrees(np.arctan2(view.directions[:, 0], view.directions[:, 1])) % 360
    reach = np.hypot(view.directions[:, 0], view.directions[:, 1])
    rise = np.maximum(view.rows[y], 0) * (1 / (view.focal * reach)).astype(np.float32)[x]
    part = np.minimum(rise * np.float32(1.5), 1) ** np.float32(0.7)
    colour = light.horizon + (light.zenith - light.horizon) * part[:, None]
    across = (degrees * (clouds.shape[1] / 360)).astype(np.int64)[x]
    up = np.minimum((rise * 190).astype(np.int64), clouds.shape[0] - 1)
    thick = np.clip((clouds[up, across] - np.float32(1 - cloudiness * 1.3)) * 2, 0, 0.85)
    white = light.horizon * np.float32(0.55) + 115 * (light.ambient + light.direct * 0.7)
    colour += (np.minimum(white, 250) - colour) * thick[:, None]
    hills = np.interp(degrees, np.arange(1440) / 4, city.skyline, period=360)
    tops = np.tan(np.radians(hills)).astype(np.float32)
    far = light.horizon * 0.62 + np.array([70, 84, 92], np.float32) * light.ambient * 0.5
    colour[rise < tops[x]] = far
    canvas.picture[y, x] = colour


@lru_cache(maxsize=8)
def _cloud_map(number: int) -> Floats:
    """Smooth noise `[256, 1024]` between 0 and 1 that closes around the horizon."""
    rng = np.random.default_rng([number, 77])
    total = np.zeros((256, 1024), np.float32)
    for octave in range(2, 8):
        rows, columns = 2 ** (octave - 1), 2**octave
        noise = rng.random((rows + 1, columns)).astype(np.float32)
        wrapped = np.concatenate([noise, noise[:, :1]], 1)
        enlarged = Image.fromarray(wrapped).resize((1024, 256), Image.Resampling.BICUBIC)
        total += np.asarray(enlarged) * np.float32(0.62 ** (octave - 2))
    total -= total.min()
    return np.asarray(total / total.max())


def _cover(colour: Floats, kind: NDArray[np.uint8], season: Season) -> None:
    """Snow on the ground, thin where cars drive; leaves and faded grass in autumn."""
    if season is Season.SNOW:
        part = np.select(
            [kind == ASPHALT, kind == MARKING, kind == GRASS], [0.45, 0.45, 0.95], 0.82
        ).astype(np.float32)
        colour += part[:, None] * (np.array([226, 230, 238], np.float32) - colour)
    elif season in (Season.AUTUMN, Season.WINTER):
        dry = (kind == GRASS)[:, None] * np.float32(0.5)
        colour += dry * (np.array([142, 122, 78], np.float32) - colour)


def _exposed(
    picture: Floats, conditions: Conditions, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Average the samples, expose, roll bright values off as film does, add noise."""
    part = [picture[y::SAMPLES, x::SAMPLES] for y in range(SAMPLES) for x in range(SAMPLES)]
    mean = np.add.reduce(part) * np.float32(2.0**conditions.exposure / len(part))
    bright = mean > _SHOULDER
    room = np.float32(255 - _SHOULDER)
    mean[bright] = _SHOULDER + room * np.tanh((mean[bright] - _SHOULDER) / (room * 1.4))
    mean += rng.standard_normal(mean.shape, np.float32) * np.float32(conditions.noise)
    image: NDArray[np.uint8] = np.clip(mean + 0.5, 0, 255).astype(np.uint8)
    return image
