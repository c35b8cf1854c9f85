"""The plan of the demo city: streets on an uneven grid, façades, trees, lamps and parking bays."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hafloc.demo.atlas import ASPHALT, GRASS, MARKING, PAVING, Atlas, Texture, build_atlas
from hafloc.demo.facades import (
    TEXELS_PER_METRE,
    Generator,
    Style,
    draw_facade,
    draw_party_wall,
    random_style,
)
from hafloc.geo import LocalFrame, Position

# Point Nemo, the place in the ocean farthest from any land: no real street is near.
ORIGIN = Position(-48.8767, -123.3933)
GROUND_TEXELS_PER_METRE = 8.0
GROUND = 0  # the first texture of every atlas
_PARTY_WALLS = 4
BLOCK = (62.0, 54.0)  # metres between streets, before they are made uneven
_MARGIN = 45.0
_PAVEMENT = 3.2

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Street:
    """A straight stretch between two crossings or ends: metres east, north; `width` between
    the façades. `ends` tells for each end whether the street stops there."""

    start: tuple[float, float]
    end: tuple[float, float]
    width: float
    ends: tuple[bool, bool]

    @property
    def length(self) -> float:
        return math.dist(self.start, self.end)

    @property
    def along(self) -> tuple[float, float]:
        """Unit vector from start to end."""
        return (
            (self.end[0] - self.start[0]) / self.length,
            (self.end[1] - self.start[1]) / self.length,
        )

    def at(self, along: float, left: float) -> tuple[float, float]:
        """The place `along` metres from the start and `left` metres left of the middle."""
        east, north = self.along
        return (
            self.start[0] + along * east - left * north,
            self.start[1] + along * north + left * east,
        )

    @property
    def road(self) -> float:
        """Width of the carriageway."""
        return self.width - 2 * _PAVEMENT


@dataclass(frozen=True, slots=True, eq=False)
class City:
    """A city of seed `seed`: all that stays the same whatever the weather.

    Walls run from `wall_start` to `wall_end` `[M, 2]` (metres east, north of `frame`'s origin),
    left to right for who stands before them; `wall_height` `[M]` metres; `wall_texture` `[M]`
    counts in `atlas`, texture 0 being the ground with its lower left corner at `corner`.
    `trees` and `lamps` are `[N, 2]`; `bays` `[N, 3]` are parking bays: place and direction in
    radians counter-clockwise from east. `skyline` `[1440]` is the far horizon in degrees above
    the level, clockwise from north.
    """

    seed: int
    frame: LocalFrame
    streets: tuple[Street, ...]
    wall_start: Floats
    wall_end: Floats
    wall_height: Floats
    wall_texture: NDArray[np.int64]
    atlas: Atlas
    corner: tuple[float, float]
    extent: tuple[float, float]
    trees: Floats
    lamps: Floats
    bays: Floats
    skyline: Floats


def build_city(seed: int = 0, blocks: tuple[int, int] = (3, 2), origin: Position = ORIGIN) -> City:
    """Lay out and draw a city of `blocks` columns and rows around `origin`: the same for a seed.

    Raises ValueError for fewer than 2×2 blocks.
    """
    if min(blocks) < 2:
        raise ValueError(f"a city needs at least 2×2 blocks, not {blocks[0]}×{blocks[1]}")
    rng = np.random.default_rng([seed, 11])
    nodes = _nodes(blocks, rng)
    streets = _streets(nodes, rng)
    walls = _Walls()
    _blocks(nodes, streets, walls, rng)
    _closing_walls(streets, walls, rng)
    low = nodes.reshape(-1, 2).min(0) - _MARGIN
    high = nodes.reshape(-1, 2).max(0) + _MARGIN
    corner, extent = (
        (float(low[0]), float(low[1])),
        (
            float(high[0] - low[0]),
            float(high[1] - low[1]),
        ),
    )
    ground = _ground(list(streets.values()), corner, extent, rng)
    party = [(draw_party_wall(12.0, 34.0, rng), TEXELS_PER_METRE) for _ in range(_PARTY_WALLS)]
    facades = [(texture, TEXELS_PER_METRE) for texture in walls.textures]
    trees, lamps, bays = _furniture(list(streets.values()), rng)
    return City(
        seed=seed,
        frame=LocalFrame(origin),
        streets=tuple(streets.values()),
        wall_start=np.array(walls.start),
        wall_end=np.array(walls.end),
        wall_height=np.array(walls.height),
        wall_texture=np.array(walls.texture, np.int64),
        atlas=build_atlas([(ground, GROUND_TEXELS_PER_METRE), *party, *facades]),
        corner=corner,
        extent=extent,
        trees=trees,
        lamps=lamps,
        bays=bays,
        skyline=_skyline(rng),
    )


class _Walls:
    """Walls as they are put up, with the façades drawn for them."""

    def __init__(self) -> None:
        self.start: list[Floats] = []
        self.end: list[Floats] = []
        self.height: list[float] = []
        self.texture: list[int] = []
        self.textures: list[Texture] = []

    def facade(self, start: Floats, end: Floats, style: Style, rng: Generator) -> float:
        """Put up a façade; its body's height."""
        facade = draw_facade(float(np.hypot(*(end - start))), style, rng)
        self.textures.append(facade.texture)
        self._put(start, end, facade.height, _PARTY_WALLS + len(self.textures))
        return facade.body

    def party(self, start: Floats, end: Floats, height: float, rng: Generator) -> None:
        self._put(start, end, height, 1 + int(rng.integers(_PARTY_WALLS)))

    def _put(self, start: Floats, end: Floats, height: float, texture: int) -> None:
        self.start.append(start)
        self.end.append(end)
        self.height.append(height)
        self.texture.append(texture)


def _nodes(blocks: tuple[int, int], rng: Generator) -> Floats:
    """Crossings and outer corners `[columns + 1, rows + 1, 2]` in metres, around the origin."""
    columns, rows = blocks
    x = (np.arange(columns + 1) - columns / 2) * BLOCK[0] + rng.uniform(-5, 5, columns + 1)
    y = (np.arange(rows + 1) - rows / 2) * BLOCK[1] + rng.uniform(-4, 4, rows + 1)
    grid = np.stack(np.meshgrid(x, y, indexing="ij"), -1)
    return np.asarray(grid + rng.uniform(-2.5, 2.5, grid.shape))


# A stretch of street by its lower left node and its direction: 0 east, 1 north.
_Streets = dict[tuple[int, int, int], Street]


def _streets(nodes: Floats, rng: Generator) -> _Streets:
    columns, rows = nodes.shape[0] - 1, nodes.shape[1] - 1
    streets: _Streets = {}
    for j in range(1, rows):
        width = float(rng.uniform(13.5, 18))
        for i in range(columns):
            ends = (i == 0, i == columns - 1)
            streets[i, j, 0] = _street(nodes[i, j], nodes[i + 1, j], width, ends)
    for i in range(1, columns):
        width = float(rng.uniform(13.5, 18))
        for j in range(rows):
            ends = (j == 0, j == rows - 1)
            streets[i, j, 1] = _street(nodes[i, j], nodes[i, j + 1], width, ends)
    return streets


def _street(start: Floats, end: Floats, width: float, ends: tuple[bool, bool]) -> Street:
    (x0, y0), (x1, y1) = start.tolist(), end.tolist()
    return Street((x0, y0), (x1, y1), width, ends)


def _blocks(nodes: Floats, streets: _Streets, walls: _Walls, rng: Generator) -> None:
    for i in range(nodes.shape[0] - 1):
        for j in range(nodes.shape[1] - 1):
            ring = [nodes[i, j], nodes[i + 1, j], nodes[i + 1, j + 1], nodes[i, j + 1]]
            sides = [(i, j, 0), (i + 1, j, 1), (i, j + 1, 0), (i, j, 1)]
            widths = [streets[key].width / 2 if key in streets else 0.0 for key in sides]
            _block(_inset(ring, widths), [width > 0 for width in widths], walls, rng)


def _inset(ring: list[Floats], distances: list[float]) -> list[Floats]:
    """A counter-clockwise polygon's corners with side k moved inwards by distances[k]."""
    lines = []
    for k, distance in enumerate(distances):
        along = ring[(k + 1) % len(ring)] - ring[k]
        along = along / np.hypot(*along)
        lines.append((ring[k] + distance * np.array([-along[1], along[0]]), along))
    corners = []
    for k in range(len(ring)):
        (point, along), (other, across) = lines[k - 1], lines[k]
        steps = np.linalg.solve(np.stack([along, -across], 1), other - point)
        corners.append(point + steps[0] * along)
    return corners


def _block(ring: list[Floats], faces: list[bool], walls: _Walls, rng: Generator) -> None:
    """Houses along the sides that face a street; a corner house keeps its style around it."""
    corner_styles = [random_style(rng) for _ in ring]
    for k, faced in enumerate(faces):
        if not faced:
            continue
        # Counter-clockwise around the block is left to right for who stands in the street.
        start, end = ring[k], ring[(k + 1) % len(ring)]
        cuts = _cuts(float(np.hypot(*(end - start))), rng)
        styles = [random_style(rng) for _ in cuts[1:]]
        styles[0], styles[-1] = corner_styles[k], corner_styles[(k + 1) % len(ring)]
        # A row's bare end shows where the block's next side has no houses to cover it.
        bare = not faces[k - 1], not faces[(k + 1) % len(ring)]
        _row(start, end, cuts, styles, bare, walls, rng)


def _row(
    start: Floats,
    end: Floats,
    cuts: Floats,
    styles: list[Style],
    bare: tuple[bool, bool],
    walls: _Walls,
    rng: Generator,
) -> None:
    points = [start + (end - start) * cut for cut in cuts]
    bodies = [
        walls.facade(a, b, style, rng)
        for (a, b), style in zip(pairwise(points), styles, strict=True)
    ]
    along = (end - start) / np.hypot(*(end - start))
    inwards = np.array([-along[1], along[0]]) * 11.0
    for k, point in enumerate(points):
        if (k > 0 or bare[0]) and (k < len(bodies) or bare[1]):
            walls.party(point, point + inwards, max(bodies[max(k - 1, 0) : k + 1]), rng)


def _cuts(length: float, rng: Generator) -> Floats:
    """Where houses meet along a side, from 0 to 1."""
    count = max(2, round(length / 11.5))
    widths = rng.uniform(0.7, 1.35, count)
    return np.concatenate([[0.0], np.cumsum(widths) / widths.sum()])


def _closing_walls(streets: _Streets, walls: _Walls, rng: Generator) -> None:
    """A larger building across most streets' ends; through the others one sees far away."""
    for street in streets.values():
        for at_end, stops in enumerate(street.ends):
            if not stops or rng.random() < 0.3:
                continue
            style = random_style(rng)
            direction = 1 if at_end else -1
            where = street.length + 13.0 if at_end else -13.0
            half = street.width / 2 + 9.0
            left = np.array(street.at(where, half * direction))
            right = np.array(street.at(where, -half * direction))
            walls.facade(left, right, style, rng)
            for side in (left, right):
                back = 11.0 * direction * np.array(street.along)
                walls.party(side, side + back, style.body, rng)


def _ground(
    streets: list[Street], corner: tuple[float, float], extent: tuple[float, float], rng: Generator
) -> Texture:
    """The city from above: grass, pavements, carriageways, markings, crossings, patches."""
    size = (
        round(extent[0] * GROUND_TEXELS_PER_METRE),
        round(extent[1] * GROUND_TEXELS_PER_METRE),
    )
    plan = _Plan(size, corner)
    for street in streets:
        _pave(plan, street, PAVING, (176, 172, 164), street.width / 2 + 1.5)
    for street in streets:
        _pave(plan, street, PAVING, (120, 118, 114), street.road / 2 + 0.2)
    for street in streets:
        _pave(plan, street, ASPHALT, (92, 92, 96), street.road / 2)
    for street in streets:
        _mark(plan, street, rng)
    width, height = size
    texture = np.empty((height, width, 4), np.uint8)
    grain = rng.standard_normal((height, width), np.float32) * 6
    coarse = rng.normal(0.0, 7.0, (height // 30 + 2, width // 30 + 2)).astype(np.float32)
    grain += np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
    kind = np.asarray(plan.kind)
    slab = (np.arange(height)[:, None] % 6 == 0) | (np.arange(width)[None, :] % 6 == 0)
    grain -= 14 * (slab & (kind == PAVING))
    texture[..., :3] = np.clip(np.asarray(plan.image, np.float32) + grain[..., None], 0, 255)
    texture[..., 3] = kind
    return texture


class _Plan:
    """A drawing of the ground in metres east and north."""

    def __init__(self, size: tuple[int, int], corner: tuple[float, float]) -> None:
        self.image = Image.new("RGB", size, (104, 120, 74))
        self.kind = Image.new("L", size, GRASS)
        self.corner = corner
        self._draws = ImageDraw.Draw(self.image), ImageDraw.Draw(self.kind)

    def strip(
        self,
        street: Street,
        along: tuple[float, float],
        left: tuple[float, float],
        colour: tuple[int, int, int],
        kind: int,
    ) -> None:
        """A rectangle in a street's own directions."""
        corners = [street.at(along[a], left[b]) for a, b in ((0, 0), (1, 0), (1, 1), (0, 1))]
        flat = [
            (
                (x - self.corner[0]) * GROUND_TEXELS_PER_METRE,
                self.image.height - (y - self.corner[1]) * GROUND_TEXELS_PER_METRE,
            )
            for x, y in corners
        ]
        self._draws[0].polygon(flat, colour)
        self._draws[1].polygon(flat, kind)


def _pave(
    plan: _Plan, street: Street, kind: int, colour: tuple[int, int, int], half: float
) -> None:
    before, after = (13.0 if stops else half * 0.98 for stops in street.ends)
    plan.strip(street, (-before, street.length + after), (-half, half), colour, kind)


def _mark(plan: _Plan, street: Street, rng: Generator) -> None:
    white, half = (222, 220, 212), street.road / 2
    first, last = 12.0, street.length - 12.0
    for x in np.arange(first + 4, last - 5, 5.0):
        plan.strip(street, (float(x), float(x) + 2.4), (-0.07, 0.07), white, MARKING)
    for left in (-half + 2.1, half - 2.1):
        for x in np.arange(first + 2, last - 2, 5.4):
            plan.strip(street, (float(x), float(x) + 0.12), (left, math.copysign(half, left)),
                       white, MARKING)  # fmt: skip
    for middle, stops in zip((first, last), street.ends, strict=True):
        if not stops:
            for left in np.arange(-half + 0.4, half - 0.5, 1.0):
                plan.strip(street, (middle - 1.5, middle + 1.5),
                           (float(left), float(left) + 0.5), white, MARKING)  # fmt: skip
    for _ in range(5):
        x, left = float(rng.uniform(first, last)), float(rng.uniform(-half, half - 1.5))
        tone = int(rng.integers(70, 112))
        long, wide = rng.uniform(0.6, 5.0), rng.uniform(0.5, 1.5)
        plan.strip(street, (x, x + float(long)), (left, left + float(wide)), (tone, tone, tone + 3),
                   ASPHALT)  # fmt: skip


def _furniture(streets: list[Street], rng: Generator) -> tuple[Floats, Floats, Floats]:
    """Trees and lamps on the pavements, bays along the kerbs."""
    trees, lamps, bays = [], [], []
    for street in streets:
        kerb = street.road / 2
        for side in (-1, 1):
            leafy = rng.random() < 0.6
            turn = math.atan2(street.along[1], street.along[0]) + (math.pi if side > 0 else 0.0)
            kept = np.arange(16.6, street.length - 10.4, 5.4)
            bays += [(*street.at(float(x), side * (kerb - 1.05)), turn) for x in kept]
            kept = np.arange(16.0 + 4 * (side > 0), street.length - 12, 22.0)
            lamps += [street.at(float(x), side * (kerb + 0.5)) for x in kept]
            kept = np.arange(21.0 + 3 * (side > 0), street.length - 14, 11.0)
            kept = kept[rng.random(len(kept)) < 0.75 * leafy] + rng.uniform(-1, 1)
            trees += [street.at(float(x), side * (kerb + 0.9)) for x in kept]
    return np.array(trees).reshape(-1, 2), np.array(lamps), np.array(bays)


def _skyline(rng: Generator) -> Floats:
    """Hills all around, and the towers of a far town."""
    angle = np.arange(1440) * 2 * math.pi / 1440
    hills = np.full(1440, 2.4)
    for waves in range(1, 14):
        hills += rng.normal(0, 1.5 / waves**0.9) * np.sin(waves * angle + rng.uniform(0, 7))
    hills = np.maximum(hills, 0.6)
    for _ in range(26):
        at, wide = int(rng.normal(int(rng.integers(3)) * 430, 60)), int(rng.integers(3, 9))
        places = np.arange(at, at + wide) % 1440
        hills[places] = np.maximum(hills[places], rng.uniform(3.0, 8.0))
    return np.asarray(hills)
