"""Where sun and street lamps reach: shadows on walls and on the ground, pools of lamp light."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hafloc.demo.city import City
from hafloc.demo.conditions import Floats
from hafloc.demo.rays import FAR, meet

SHADOW_STEPS = 24  # places along a wall where its shadow's height is known
_TEXELS = 2.0  # a metre, of the shadows and lamp light on the ground
_TREE = (1.9, 4.5)  # radius and height of a crown in metres
Sun = tuple[float, float, float]


@lru_cache(maxsize=2)
def shadow_heights(city: City, sun: Sun) -> Floats:
    """How high the shadow of other buildings reaches at places along each wall `[M, steps]`."""
    if sun[2] <= 0:
        return np.full((len(city.wall_start), SHADOW_STEPS), FAR, np.float32)
    part = (np.arange(SHADOW_STEPS) + 0.5) / SHADOW_STEPS
    wall = city.wall_end - city.wall_start
    places = city.wall_start[:, None] + part[None, :, None] * wall[:, None]
    flat = np.hypot(sun[0], sun[1])
    towards = np.broadcast_to(np.array(sun[:2]) / flat, (places.size // 2, 2))
    reach, _ = meet(places.reshape(-1, 2), towards, city.wall_start, city.wall_end)
    heights = (city.wall_height[None] - reach * sun[2] / flat).max(1)
    return np.asarray(heights.reshape(len(wall), SHADOW_STEPS), np.float32)


def shade_index(city: City, places: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of places in the maps of light on the ground."""
    width, height = _shade_size(city)
    flat = ((places - city.corner) * _TEXELS).astype(np.int64)
    return np.clip(height - 1 - flat[:, 1], 0, height - 1), np.clip(flat[:, 0], 0, width - 1)


def _shade_size(city: City) -> tuple[int, int]:
    return round(city.extent[0] * _TEXELS), round(city.extent[1] * _TEXELS)


@lru_cache(maxsize=2)
def sunlight(city: City, sun: Sun) -> Floats:
    """1 where the sun reaches the ground, 0 in the shadows of walls and trees."""
    size = _shade_size(city)
    image = Image.new("L", size, 255)
    draw = ImageDraw.Draw(image)
    away = -np.array(sun[:2]) / max(sun[2], 0.02)

    def flat(points: NDArray[np.float64]) -> list[tuple[float, float]]:
        moved = (points - city.corner) * _TEXELS
        return [(float(x), size[1] - float(y)) for x, y in moved]

    walls = zip(city.wall_start, city.wall_end, city.wall_height, strict=True)
    for start, end, height in walls:
        draw.polygon(flat(np.array([start, end, end + away * height, start + away * height])), 0)
    turn = np.linspace(0, 2 * math.pi, 12)
    ring = np.stack([np.cos(turn), np.sin(turn)], -1) * 1.9
    for tree in city.trees:
        draw.polygon(flat(tree + away * 4.5 + ring), 90)
    return np.asarray(image, np.float32) / np.float32(255)


@lru_cache(maxsize=2)
def lamp_light(city: City) -> Floats:
    """How brightly the street lamps light the ground, about 1 under a lamp."""
    width, height = _shade_size(city)
    east = city.corner[0] + (np.arange(width) + 0.5) / _TEXELS
    north = city.corner[1] + (height - np.arange(height) - 0.5) / _TEXELS
    total = np.zeros((height, width))
    for x, y in city.lamps:
        square = (east - x)[None, :] ** 2 + (north - y)[:, None] ** 2
        total += 14.0 / (14.0 + square) * np.exp(-square / 400)
    return total.astype(np.float32)
