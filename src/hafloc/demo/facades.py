"""Façades: each building draws its own from a style and a generator, so no two are alike."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hafloc.demo.atlas import GLASS, LIT, MATTE, NOTHING, SIGN, Texture

TEXELS_PER_METRE = 25.0
Colour = tuple[int, int, int]
Generator = np.random.Generator

_WALL_COLOURS: dict[str, list[Colour]] = {
    "brick": [(142, 74, 58), (168, 98, 70), (120, 62, 56), (186, 134, 92), (104, 70, 62)],
    "plaster": [
        (226, 206, 160), (214, 170, 140), (190, 204, 192), (232, 226, 214), (206, 186, 120),
        (176, 190, 208), (222, 180, 178), (196, 120, 92), (150, 172, 150),
    ],
    "stone": [(198, 188, 168), (176, 172, 162), (210, 196, 166), (160, 150, 138)],
    "panel": [(170, 172, 172), (142, 148, 150), (196, 190, 180), (120, 132, 128)],
    "glass": [(86, 116, 132), (96, 128, 124), (70, 92, 118), (112, 120, 124)],
}  # fmt: skip
_TRIMS: list[Colour] = [(240, 236, 226), (222, 212, 190), (92, 84, 78), (206, 200, 190)]
_FRAMES: list[Colour] = [(244, 242, 236), (60, 52, 48), (40, 76, 62), (110, 66, 42), (50, 62, 92)]
_ACCENTS: list[Colour] = [
    (178, 40, 44), (28, 92, 74), (34, 62, 122), (214, 158, 40), (92, 44, 92), (34, 34, 38),
    (206, 96, 44), (20, 116, 140),
]  # fmt: skip
_TRADES = [
    "BAKERY", "BOOKS", "CAFE", "FLORIST", "SHOES", "WINE", "RADIO", "TAILOR", "OPTICIAN",
    "HOTEL", "PHARMACY", "MUSIC", "TOYS", "BANK", "BARBER", "CLOCKS", "TEA", "BICYCLES",
    "GALLERY", "HATS", "GROCER", "PIANOS", "MAPS", "LAMPS",
]  # fmt: skip
_SYLLABLES = ["mar", "lo", "ven", "ti", "sol", "ka", "ber", "no", "dal", "ri", "quin", "os", "tel"]


@dataclass(frozen=True, slots=True)
class Style:
    """What the storeys and windows of one building look like; lengths in metres."""

    material: str
    wall: Colour
    trim: Colour
    frame: Colour
    accent: Colour
    floors: int
    storey: float
    ground: float
    bay: float
    window: tuple[float, float]
    window_kind: str
    ground_kind: str
    crown: str
    balconies: str
    shutters: bool
    bands: bool

    @property
    def body(self) -> float:
        """Height of the walls without what crowns them."""
        return self.ground + self.floors * self.storey


@dataclass(frozen=True, slots=True, eq=False)
class Facade:
    """A drawn façade: `texture` `H×W×4`, `body` the height of its solid part in metres."""

    texture: Texture
    body: float

    @property
    def height(self) -> float:
        return float(self.texture.shape[0] / TEXELS_PER_METRE)


def random_style(rng: Generator) -> Style:
    """A building as a street might have it."""
    material = str(rng.choice(list(_WALL_COLOURS), p=[0.27, 0.33, 0.2, 0.1, 0.1]))
    old = material in ("brick", "plaster", "stone")
    storey = float(rng.uniform(3.0, 4.0) if old else rng.uniform(2.8, 3.5))
    tall = {"brick": (2, 5), "plaster": (1, 5), "stone": (2, 5), "panel": (3, 7), "glass": (3, 8)}
    wide = float(rng.uniform(0.9, 1.5) if old else rng.uniform(1.4, 2.6))
    return Style(
        material=material,
        wall=_vary(_pick(rng, _WALL_COLOURS[material]), rng, 14),
        trim=_pick(rng, _TRIMS),
        frame=_pick(rng, _FRAMES),
        accent=_pick(rng, _ACCENTS),
        floors=int(rng.integers(*tall[material])),
        storey=storey,
        ground=float(rng.uniform(3.6, 4.8)),
        bay=wide + float(rng.uniform(0.9, 2.0) if old else rng.uniform(0.2, 1.0)),
        window=(wide, storey * float(rng.uniform(0.5, 0.68))),
        window_kind=str(rng.choice(["cross", "split", "arched", "plain", "pediment"])),
        ground_kind=str(rng.choice(["shop", "shop", "shop", "home", "arcade"])),
        crown=str(
            rng.choice(["cornice", "mansard", "gable", "balustrade", "parapet"] if old else
                       ["parapet", "setback"])
        ),
        balconies=str(rng.choice(["none", "none", "single", "row"])),
        shutters=bool(rng.random() < 0.3) and old,
        bands=bool(rng.random() < 0.5),
    )  # fmt: skip


def draw_facade(width: float, style: Style, rng: Generator) -> Facade:
    """Draw a façade `width` metres wide."""
    crown = {"cornice": 0.9, "mansard": 3.2, "gable": width * 0.32, "balustrade": 1.3}
    top = style.body + min(crown.get(style.crown, 1.0), 5.0)
    sheet = _Sheet(width, top, style.wall)
    _wall(sheet, style, rng)
    bays = max(1, int((width - 0.6) / style.bay))
    pitch = width / bays
    centres = [pitch * (i + 0.5) for i in range(bays)]
    for floor in range(style.floors):
        _storey(sheet, style, rng, style.ground + floor * style.storey, centres, pitch)
    _GROUND_FLOORS[style.ground_kind](sheet, style, rng, centres, pitch)
    _CROWNS[style.crown](sheet, style, rng)
    if style.floors > 1 and rng.random() < 0.25:
        _painted_sign(sheet, style, rng)
    return Facade(_weathered(sheet, rng), style.body)


def draw_party_wall(width: float, height: float, rng: Generator) -> Texture:
    """The blank side of a building, seen above its neighbour."""
    colour = _vary(_pick(rng, [(150, 118, 100), (176, 168, 156), (140, 132, 126)]), rng, 10)
    sheet = _Sheet(width, height, colour)
    if rng.random() < 0.5:
        sheet.paste_pattern(0, 0, width, height, _bricks(rng, sheet.size, colour))
    return _weathered(sheet, rng)


class _Sheet:
    """A drawing surface in metres: x right, y up from the pavement; colour and substance."""

    def __init__(self, width: float, height: float, colour: Colour) -> None:
        self.width, self.height = width, height
        self.size = (round(width * TEXELS_PER_METRE), round(height * TEXELS_PER_METRE))
        self.image = Image.new("RGB", self.size, colour)
        self.substance = Image.new("L", self.size, MATTE)
        self.draw = ImageDraw.Draw(self.image)
        self.kind = ImageDraw.Draw(self.substance)

    def box(self, x0: float, y0: float, x1: float, y1: float) -> tuple[int, int, int, int]:
        left, right = round(x0 * TEXELS_PER_METRE), round(x1 * TEXELS_PER_METRE) - 1
        upper = self.size[1] - round(y1 * TEXELS_PER_METRE)
        lower = self.size[1] - round(y0 * TEXELS_PER_METRE) - 1
        return left, upper, max(left, right), max(upper, lower)

    def rect(
        self, x0: float, y0: float, x1: float, y1: float, colour: Colour, kind: int = MATTE
    ) -> None:
        box = self.box(x0, y0, x1, y1)
        self.draw.rectangle(box, colour)
        self.kind.rectangle(box, kind)

    def disc(
        self, x0: float, y0: float, x1: float, y1: float, colour: Colour, kind: int = MATTE
    ) -> None:
        box = self.box(x0, y0, x1, y1)
        self.draw.ellipse(box, colour)
        self.kind.ellipse(box, kind)

    def polygon(self, points: list[tuple[float, float]], colour: Colour, kind: int = MATTE) -> None:
        flat = [(x * TEXELS_PER_METRE, self.size[1] - y * TEXELS_PER_METRE - 1) for x, y in points]
        self.draw.polygon(flat, colour)
        self.kind.polygon(flat, kind)

    def text(
        self, x: float, y: float, words: str, size: float, colour: Colour, kind: int = SIGN
    ) -> None:
        """Words centred on (x, y), `size` metres high."""
        font = ImageFont.load_default(max(8.0, size * TEXELS_PER_METRE))
        at = (x * TEXELS_PER_METRE, self.size[1] - y * TEXELS_PER_METRE)
        self.draw.text(at, words, colour, font=font, anchor="mm")
        self.kind.text(at, words, kind, font=font, anchor="mm")

    def paste_pattern(
        self, x0: float, y0: float, x1: float, y1: float, pattern: NDArray[np.uint8]
    ) -> None:
        left, upper, right, lower = self.box(x0, y0, x1, y1)
        part = pattern[: lower - upper + 1, : right - left + 1]
        self.image.paste(Image.fromarray(part), (left, upper))


def _pick(rng: Generator, colours: list[Colour]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _vary(colour: Colour, rng: Generator, amount: int) -> Colour:
    return _shade(colour, 1.0, tuple(rng.integers(-amount, amount + 1, 3).tolist()))


def _shade(colour: Colour, factor: float, shift: tuple[int, ...] = (0, 0, 0)) -> Colour:
    red, green, blue = (
        max(0, min(255, int(c * factor) + s)) for c, s in zip(colour, shift, strict=True)
    )
    return red, green, blue


def _wall(sheet: _Sheet, style: Style, rng: Generator) -> None:
    if style.material == "brick":
        pattern = _bricks(rng, sheet.size, style.wall)
        sheet.paste_pattern(0, 0, sheet.width, sheet.height, pattern)
    elif style.material == "stone":
        _courses(sheet, style.wall, 0.0, sheet.height, rng)
    elif style.material == "panel":
        for y in np.arange(style.ground, sheet.height, style.storey):
            sheet.rect(0, float(y), sheet.width, float(y) + 0.06, _shade(style.wall, 0.72))
    if style.material in ("plaster", "brick") and rng.random() < 0.5:
        for y in np.arange(0.2, style.body, 0.56):
            for x in (0.0, sheet.width - 0.45):
                sheet.rect(x, float(y), x + 0.45, float(y) + 0.4, style.trim)


def _bricks(rng: Generator, size: tuple[int, int], colour: Colour) -> NDArray[np.uint8]:
    width, height = size
    course = np.arange(height)[:, None] // 3
    brick = (np.arange(width)[None, :] + (course % 2) * 4) // 8
    tone = rng.normal(1.0, 0.11, (height // 3 + 1, width // 8 + 2))[course, brick]
    joint = (np.arange(height)[:, None] % 3 == 0) | (
        (np.arange(width)[None, :] + (course % 2) * 4) % 8 == 0
    )
    image = np.array(colour)[None, None, :] * tone[..., None]
    mortar = np.array(colour) * 0.5 + 95
    image[joint] = image[joint] * 0.55 + mortar * 0.45
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def _courses(sheet: _Sheet, colour: Colour, low: float, high: float, rng: Generator) -> None:
    """Ashlar: large blocks with dark joints."""
    rise, run = float(rng.uniform(0.36, 0.6)), float(rng.uniform(0.8, 1.4))
    for row, y in enumerate(np.arange(low, high, rise)):
        for x in np.arange(-(row % 2) * run / 2, sheet.width, run):
            tone = _shade(colour, float(rng.normal(1.0, 0.035)))
            sheet.rect(max(0.0, float(x)), float(y), float(x) + run, float(y) + rise, tone)
            edge = _shade(colour, 0.8)
            sheet.rect(max(0.0, float(x)), float(y), float(x) + 0.04, float(y) + rise, edge)
        sheet.rect(0, float(y), sheet.width, float(y) + 0.04, _shade(colour, 0.8))


def _storey(
    sheet: _Sheet, style: Style, rng: Generator, floor: float, centres: list[float], pitch: float
) -> None:
    if style.material == "glass":
        _curtain_wall(sheet, style, rng, floor)
        return
    if style.bands:
        sheet.rect(0, floor - 0.14, sheet.width, floor + 0.12, style.trim)
        sheet.rect(0, floor - 0.22, sheet.width, floor - 0.14, _shade(style.wall, 0.62))
    wide, high = style.window
    sill = floor + (style.storey - high) * 0.55
    for centre in centres:
        _window(sheet, style, rng, centre - wide / 2, sill, wide, high)
        if style.shutters:
            leaf = min(0.5, (pitch - wide) / 2 - 0.08)
            for x in (centre - wide / 2 - leaf, centre + wide / 2):
                _shutter(sheet, style, x, sill, leaf, high)
    if style.balconies == "row" and floor < style.ground + style.storey * 1.5:
        _railing(sheet, style, 0.4, sheet.width - 0.4, floor + 0.05)
    elif style.balconies == "single":
        for centre in centres[:: 2 if len(centres) > 3 else 1]:
            _railing(sheet, style, centre - wide / 2 - 0.3, centre + wide / 2 + 0.3, floor + 0.05)


def _glass(rng: Generator) -> tuple[Colour, int]:
    tone = float(rng.uniform(0.7, 1.25))
    return _shade((62, 76, 90), tone), LIT if rng.random() < 0.4 else GLASS


def _curtain_wall(sheet: _Sheet, style: Style, rng: Generator, floor: float) -> None:
    """Glass from side to side between thin bars."""
    step = style.bay / 2 + 0.4
    for x in np.arange(0, sheet.width, step):
        colour, kind = _glass(rng)
        tint = _shade(style.wall, colour[0] / 62)
        x0, x1 = float(x) + 0.06, min(sheet.width, float(x) + step)
        sheet.rect(x0, floor + 0.7, x1, floor + style.storey - 0.06, tint, kind)
        sheet.rect(x0, floor + 0.06, x1, floor + 0.64, _shade(style.wall, 0.6))
    sheet.rect(0, floor - 0.08, sheet.width, floor + 0.08, _shade(style.trim, 0.8))


def _window(
    sheet: _Sheet, style: Style, rng: Generator, x: float, y: float, wide: float, high: float
) -> None:
    rim = 0.14
    right, top = x + wide, y + high
    if style.window_kind == "arched":
        sheet.disc(x - rim, top - wide / 2 - rim, right + rim, top + wide / 2 + rim, style.trim)
    sheet.rect(x - rim, y - rim, right + rim, top + rim, style.trim)
    colour, kind = _glass(rng)
    if style.window_kind == "arched":
        sheet.disc(x, top - wide / 2, right, top + wide / 2, style.frame)
        sheet.disc(x + 0.08, top - wide / 2, right - 0.08, top + wide / 2 - 0.08, colour, kind)
    sheet.rect(x, y, right, top, style.frame)
    sheet.rect(x + 0.08, y + 0.08, right - 0.08, top - (style.window_kind != "arched") * 0.08,
               colour, kind)  # fmt: skip
    sheet.rect(x + 0.08, top - 0.24, right - 0.08, top - 0.08, _shade(colour, 0.5), kind)
    if rng.random() < 0.35:
        curtain = _shade((214, 206, 190), float(rng.uniform(0.6, 1.0)))
        drop = float(rng.uniform(0.2, 0.6)) * high
        sheet.rect(x + 0.08, top - drop, right - 0.08, top - 0.08, curtain, kind)
    _bars(sheet, style, x, y, wide, high)
    if style.window_kind == "pediment":
        middle = x + wide / 2
        roof = [(x - 0.3, top + 0.2), (right + 0.3, top + 0.2), (middle, top + 0.62)]
        sheet.polygon(roof, style.trim)
    sheet.rect(x - 0.22, y - 0.2, right + 0.22, y - 0.06, _shade(style.trim, 1.05))
    sheet.rect(x - 0.22, y - 0.3, right + 0.22, y - 0.2, _shade(style.wall, 0.6))


def _bars(sheet: _Sheet, style: Style, x: float, y: float, wide: float, high: float) -> None:
    if style.window_kind == "plain":
        return
    middle = x + wide / 2
    sheet.rect(middle - 0.04, y, middle + 0.04, y + high, style.frame)
    if style.window_kind == "split":
        for part in (1 / 3, 2 / 3):
            sheet.rect(x, y + high * part - 0.03, x + wide, y + high * part + 0.03, style.frame)
    else:
        sheet.rect(x, y + high * 0.66, x + wide, y + high * 0.66 + 0.08, style.frame)


def _shutter(sheet: _Sheet, style: Style, x: float, y: float, wide: float, high: float) -> None:
    sheet.rect(x, y, x + wide, y + high, style.accent)
    for slat in np.arange(y + 0.12, y + high - 0.1, 0.16):
        sheet.rect(x + 0.06, float(slat), x + wide - 0.06, float(slat) + 0.05,
                   _shade(style.accent, 0.66))  # fmt: skip


def _railing(sheet: _Sheet, style: Style, x0: float, x1: float, y: float) -> None:
    sheet.rect(x0 - 0.1, y - 0.55, x1 + 0.1, y - 0.12, _shade(style.wall, 0.55))
    sheet.rect(x0 - 0.1, y - 0.14, x1 + 0.1, y + 0.06, _shade(style.trim, 0.92))
    iron = (38, 38, 42)
    for x in np.arange(x0, x1, 0.2):
        sheet.rect(float(x), y, float(x) + 0.05, y + 0.95, iron)
    sheet.rect(x0, y + 0.9, x1, y + 1.0, iron)


def _name(rng: Generator) -> str:
    trade = _TRADES[int(rng.integers(len(_TRADES)))]
    if rng.random() < 0.35:
        return trade
    parts = rng.choice(_SYLLABLES, int(rng.integers(2, 4)))
    return f"{''.join(parts).upper()} {trade}"


def _shop(sheet: _Sheet, style: Style, rng: Generator, centres: list[float], pitch: float) -> None:
    """Shop windows under signs; a wide façade holds several shops."""
    shops = max(1, int(sheet.width / float(rng.uniform(5.5, 10.0))))
    wide = sheet.width / shops
    for i in range(shops):
        accent = style.accent if i == 0 else _pick(rng, _ACCENTS)
        _one_shop(sheet, style, rng, i * wide + 0.15, (i + 1) * wide - 0.15, accent)


def _one_shop(
    sheet: _Sheet, style: Style, rng: Generator, x0: float, x1: float, accent: Colour
) -> None:
    top = style.ground - 0.95
    sheet.rect(x0, 0, x1, style.ground - 0.2, _shade(accent, 0.6))
    door = float(rng.uniform(x0 + 0.3, x1 - 1.6))
    panes = np.linspace(x0 + 0.2, x1 - 0.1, max(2, round((x1 - x0) / 1.7)))
    for left, right in pairwise(panes.tolist()):
        colour, _ = _glass(rng)
        sheet.rect(left, 0.55, right - 0.1, top, _shade(colour, 0.9), LIT)
        for _ in range(int(rng.integers(2, 6))):
            x = float(rng.uniform(left, max(left + 0.02, right - 0.6)))
            goods = _vary(_pick(rng, _ACCENTS), rng, 40)
            high = float(rng.uniform(0.3, 1.1))
            sheet.rect(x, 0.6, x + float(rng.uniform(0.2, 0.45)), 0.6 + high, goods, LIT)
    sheet.rect(door, 0, door + 1.2, 2.5, _shade(accent, 0.9))
    sheet.rect(door + 0.16, 0.5, door + 1.04, 2.3, (58, 66, 74), LIT)
    light = sum(accent) > 380 or rng.random() < 0.2
    board = accent if not light else (236, 230, 214)
    ink = (246, 240, 224) if not light else (36, 34, 34)
    sheet.rect(x0, top, x1, top + 0.78, board, SIGN)
    words = _name(rng)
    size = min(0.62, (x1 - x0 - 0.4) / (0.68 * len(words)))
    sheet.text((x0 + x1) / 2, top + 0.39, words, size, ink)
    if rng.random() < 0.5:
        _awning(sheet, rng, x0, x1, top, accent)


def _awning(
    sheet: _Sheet, rng: Generator, x0: float, x1: float, top: float, accent: Colour
) -> None:
    drop, stripe = float(rng.uniform(0.7, 1.0)), float(rng.uniform(0.25, 0.6))
    sheet.rect(x0, top - drop - 0.4, x1, top - drop, _shade((60, 60, 64), 0.7))
    for i, x in enumerate(np.arange(x0, x1, stripe)):
        colour = accent if i % 2 else (238, 232, 220)
        right = min(x1, float(x) + stripe)
        sheet.rect(float(x), top - drop, right, top, colour)
        sheet.rect(float(x), top - drop, right, top - drop + 0.2, _shade(colour, 0.82))


def _home(sheet: _Sheet, style: Style, rng: Generator, centres: list[float], pitch: float) -> None:
    """A plinth, windows, and a front door with steps."""
    _courses(sheet, _shade(style.trim, 0.72), 0.0, 0.8, rng)
    wide, high = style.window
    entrance = int(rng.integers(len(centres)))
    for i, x in enumerate(centres):
        if i != entrance:
            size = (min(wide, pitch - 0.5), min(high, style.ground - 1.9))
            _window(sheet, style, rng, x - size[0] / 2, 1.25, *size)
            continue
        sheet.rect(x - 0.95, 0, x + 0.95, 3.2, style.trim)
        sheet.rect(x - 0.65, 0.3, x + 0.65, 2.5, style.accent)
        for part in (-0.5, 0.08):
            sheet.rect(x + part, 0.55, x + part + 0.42, 1.3, _shade(style.accent, 0.75))
            sheet.rect(x + part, 1.5, x + part + 0.42, 2.3, _shade(style.accent, 0.75))
        sheet.disc(x - 0.65, 2.2, x + 0.65, 3.0, (60, 70, 82), LIT)
        sheet.rect(x - 0.65, 2.45, x + 0.65, 2.55, style.trim)
        sheet.rect(x - 1.1, 0, x + 1.1, 0.3, (150, 148, 142))


def _arcade(
    sheet: _Sheet, style: Style, rng: Generator, centres: list[float], pitch: float
) -> None:
    """Arches of rusticated stone with dim shops behind."""
    _courses(sheet, _shade(style.trim, 0.85), 0.0, style.ground - 0.1, rng)
    count = max(2, round(sheet.width / float(rng.uniform(2.8, 4.0))))
    step = sheet.width / count
    for i in range(count):
        x0, x1 = i * step + step * 0.16, (i + 1) * step - step * 0.16
        arch = min(style.ground - 0.7, 3.4)
        spring = arch - (x1 - x0) / 2
        sheet.disc(x0 - 0.15, spring - (arch - spring), x1 + 0.15, arch + 0.15, style.trim)
        sheet.disc(x0, spring - (arch - spring), x1, arch, (50, 48, 50), LIT)
        sheet.rect(x0, 0, x1, spring, (50, 48, 50), LIT)
        sheet.rect(x0 + 0.25, 0.5, x1 - 0.25, 2.1, _shade((76, 84, 92), 0.9), LIT)
        sheet.rect((x0 + x1) / 2 - 0.06, 0, (x0 + x1) / 2 + 0.06, 2.1, style.frame)
    sheet.rect(0, style.ground - 0.3, sheet.width, style.ground, style.trim)


def _cornice(sheet: _Sheet, style: Style, rng: Generator) -> None:
    low = style.body
    sheet.rect(0, low - 0.35, sheet.width, low, _shade(style.wall, 0.6))
    sheet.rect(0, low, sheet.width, sheet.height, style.trim)
    for x in np.arange(0.1, sheet.width, 0.5):
        sheet.rect(float(x), low, float(x) + 0.22, low + 0.36, _shade(style.trim, 0.78))
    sheet.rect(0, low + 0.42, sheet.width, low + 0.5, _shade(style.trim, 0.7))
    sheet.rect(0, sheet.height - 0.16, sheet.width, sheet.height, _shade(style.trim, 1.05))


def _mansard(sheet: _Sheet, style: Style, rng: Generator) -> None:
    slate = _pick(rng, [(86, 92, 104), (104, 74, 64), (92, 100, 92), (132, 76, 58)])
    sheet.rect(0, style.body, sheet.width, sheet.height, (0, 0, 0), NOTHING)
    lean = 0.5
    roof = [(0.0, style.body), (sheet.width, style.body), (sheet.width - lean, sheet.height - 0.5),
            (lean, sheet.height - 0.5)]  # fmt: skip
    sheet.polygon(roof, slate)
    for y in np.arange(style.body + 0.2, sheet.height - 0.6, 0.24):
        inset = lean * (float(y) - style.body) / (sheet.height - style.body)
        sheet.rect(inset, float(y), sheet.width - inset, float(y) + 0.04, _shade(slate, 0.8))
    count = max(1, round(sheet.width / float(rng.uniform(2.6, 4.5))))
    for i in range(count):
        x = sheet.width * (i + 0.5) / count
        sheet.rect(x - 0.7, style.body + 0.4, x + 0.7, style.body + 2.0, style.trim)
        gable = [(x - 0.85, style.body + 2.0), (x + 0.85, style.body + 2.0),
                 (x, style.body + 2.55)]  # fmt: skip
        sheet.polygon(gable, _shade(style.trim, 0.85))
        sheet.rect(x - 0.45, style.body + 0.55, x + 0.45, style.body + 1.85, *_glass(rng))
    for _ in range(int(rng.integers(1, 3))):
        x = float(rng.uniform(0.8, sheet.width - 1.6))
        sheet.rect(x, sheet.height - 0.7, x + 0.8, sheet.height, (128, 84, 70))
    sheet.rect(0, style.body - 0.1, sheet.width, style.body + 0.25, style.trim)
    sheet.rect(0, style.body - 0.3, sheet.width, style.body - 0.1, _shade(style.wall, 0.6))


def _gable(sheet: _Sheet, style: Style, rng: Generator) -> None:
    """A stepped or a plain gable towards the street."""
    before = np.asarray(sheet.image).copy()
    sheet.rect(0, style.body, sheet.width, sheet.height, (0, 0, 0), NOTHING)
    middle, rise = sheet.width / 2, sheet.height - style.body
    shape = [(0.0, style.body), (sheet.width, style.body)]
    steps = int(rng.integers(1, 6))
    if steps == 1:
        shape.append((middle, sheet.height))
    else:
        right = []
        for i in range(steps):
            low, high = style.body + rise * i / steps, style.body + rise * (i + 1) / steps
            half = middle * (1 - i / steps)
            right += [(middle + half, low), (middle + half, high)]
        shape += right[1:] + [(2 * middle - x, y) for x, y in reversed(right)]
    mask = Image.new("L", sheet.size, 0)
    flat = [(x * TEXELS_PER_METRE, sheet.size[1] - y * TEXELS_PER_METRE - 1) for x, y in shape]
    ImageDraw.Draw(mask).polygon(flat, 255)
    sheet.image.paste(Image.fromarray(before), (0, 0), mask)
    sheet.substance.paste(MATTE, (0, 0, *sheet.size), _above(mask, sheet, style.body))
    sheet.disc(middle - 0.6, style.body + rise * 0.25, middle + 0.6, style.body + rise * 0.25 + 1.2,
               style.trim)  # fmt: skip
    colour, kind = _glass(rng)
    sheet.disc(middle - 0.45, style.body + rise * 0.25 + 0.15, middle + 0.45,
               style.body + rise * 0.25 + 1.05, colour, kind)  # fmt: skip


def _above(mask: Image.Image, sheet: _Sheet, y: float) -> Image.Image:
    """The part of a mask above y metres; below, the façade keeps its substances."""
    lower = sheet.size[1] - round(y * TEXELS_PER_METRE)
    ImageDraw.Draw(mask).rectangle((0, lower, *sheet.size), 0)
    return mask


def _balustrade(sheet: _Sheet, style: Style, rng: Generator) -> None:
    low = style.body
    sheet.rect(0, low, sheet.width, sheet.height, (0, 0, 0), NOTHING)
    sheet.rect(0, low - 0.3, sheet.width, low, _shade(style.wall, 0.62))
    sheet.rect(0, low, sheet.width, low + 0.4, style.trim)
    for x in np.arange(0.0, sheet.width, 0.36):
        sheet.rect(float(x), low, float(x) + 0.16, sheet.height, _shade(style.trim, 0.9))
    sheet.rect(0, sheet.height - 0.2, sheet.width, sheet.height, style.trim)
    for x in np.linspace(0.0, sheet.width - 0.5, max(2, round(sheet.width / 3.5))):
        sheet.rect(float(x), low, float(x) + 0.5, sheet.height, style.trim)


def _parapet(sheet: _Sheet, style: Style, rng: Generator) -> None:
    sheet.rect(0, sheet.height - 0.2, sheet.width, sheet.height, _shade(style.trim, 0.85))
    sheet.rect(0, sheet.height - 0.3, sheet.width, sheet.height - 0.2, _shade(style.wall, 0.6))


def _setback(sheet: _Sheet, style: Style, rng: Generator) -> None:
    """Machinery and railings on a flat roof."""
    sheet.rect(0, style.body, sheet.width, sheet.height, (0, 0, 0), NOTHING)
    x0 = float(rng.uniform(0.1, 0.4)) * sheet.width
    sheet.rect(x0, style.body, x0 + sheet.width * 0.4, sheet.height, _shade(style.wall, 0.7))
    sheet.rect(0, style.body, sheet.width, style.body + 0.25, _shade(style.trim, 0.85))


def _painted_sign(sheet: _Sheet, style: Style, rng: Generator) -> None:
    """A long board with a name between two storeys."""
    y = style.ground + style.storey * int(rng.integers(1, style.floors))
    words = _name(rng)
    half = min(sheet.width * 0.45, 0.3 * len(words))
    middle = sheet.width / 2
    sheet.rect(middle - half, y - 0.42, middle + half, y + 0.42, style.accent, SIGN)
    size = min(0.66, 2 * half / (0.68 * len(words)))
    sheet.text(middle, y, words, size, (246, 240, 226))


_GROUND_FLOORS = {"shop": _shop, "home": _home, "arcade": _arcade}
_CROWNS = {
    "cornice": _cornice,
    "mansard": _mansard,
    "gable": _gable,
    "balustrade": _balustrade,
    "parapet": _parapet,
    "setback": _setback,
}


def _weathered(sheet: _Sheet, rng: Generator) -> Texture:
    """Grain, stains and a darker foot over the drawing."""
    width, height = sheet.size
    grain = rng.normal(0.0, 5.0, (height, width)).astype(np.float32)
    coarse = rng.normal(0.0, 7.0, (height // 40 + 2, width // 40 + 2)).astype(np.float32)
    stains = np.asarray(Image.fromarray(coarse).resize(sheet.size, Image.Resampling.BILINEAR))
    metres = (height - np.arange(height, dtype=np.float32)) / TEXELS_PER_METRE
    foot = 1 - 0.25 * np.exp(-metres / 0.4)
    colour = (np.asarray(sheet.image, np.float32) + (grain + stains)[..., None]) * foot[
        :, None, None
    ]
    texture = np.empty((height, width, 4), np.uint8)
    texture[..., :3] = np.clip(colour, 0, 255)
    texture[..., 3] = np.asarray(sheet.substance)
    return texture
