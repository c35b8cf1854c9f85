"""Where the network looks: the photo under its levels' heat maps, as in the paper's Fig. 1."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from hafloc.description import Description
from hafloc.photos import Image as Pixels
from hafloc.show.sheet import FAINT, GAP, INK, PAPER, fitted, letters, panel_size

# Perceptually uniform, dark to light, and told apart by colour-blind eyes.
COLOUR_MAP = "inferno"
# The heat runs from the median (cold: half the photo is unimportant) to just below the maximum,
# so that a single hot place does not darken all others.
COLD, HOT = 50.0, 99.5
_BLUR = 160  # the panel's longer side over the blur's radius: speckle goes, places stay
_COLDEST_ALPHA, _HOTTEST_ALPHA = 0.45, 0.85
_CAPTION = 34
_LEGEND = 40
_LEVEL_PANEL = 560
_TITLES = {"low": "low level · edges", "mid": "mid level · parts", "high": "high level · objects"}


class Described(Protocol):
    """What a heat map needs of a description: the image's (width, height)."""

    @property
    def size(self) -> tuple[int, int]: ...


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    picture: Image.Image


def attention(image: Pixels, description: Description) -> Image.Image:
    """The photo and the fused heat map above the heat maps of its levels, with captions.

    `image` `H×W×3` uint8 is the described photo, at any size. A level's heat is each place's
    contribution to its pooled vector: under "gem" its share of Σ (m F)^p, under "sum" its score.
    The fused heat is `description.attention`, the levels weighted by λ. Each map is scaled by its
    own percentiles, COLD to HOT.
    """
    height, width = image.shape[:2]
    small = panel_size((width, height), _LEVEL_PANEL)
    levels = [
        _Panel(_TITLES.get(name, name), overlay(image, level.contribution, description, small))
        for name, level in description.levels.items()
    ]
    # Two panels above as wide together as the levels below, or as large as those without any.
    columns = max(2, len(levels))
    large_width = (columns * small[0] + (columns - 2) * GAP) // 2
    large = (large_width, max(1, round(large_width * small[1] / small[0])))
    above = [
        _Panel("photo", fitted(image, large)),
        _Panel("all levels fused", overlay(image, description.attention, description, large)),
    ]
    return _composed([above, levels] if levels else [above])


def overlay(
    image: Pixels, heat: NDArray[np.float32], description: Described, size: tuple[int, int]
) -> Image.Image:
    """`heat` `[h, w]` on the half-resolution grid in colours over the grey photo, at `size`."""
    warmth = _upsampled(heat, description.size, size)
    colours = colormaps[COLOUR_MAP](warmth)[..., :3]
    grey = np.asarray(fitted(image, size).convert("L"), dtype=np.float64)[..., np.newaxis] / 255
    alpha = (_COLDEST_ALPHA + (_HOTTEST_ALPHA - _COLDEST_ALPHA) * warmth)[..., np.newaxis]
    mixed = grey * (1 - alpha) + colours * alpha
    return Image.fromarray(np.rint(mixed * 255).astype(np.uint8))


def heat_layer(
    heat: NDArray[np.float32], described: tuple[int, int], size: tuple[int, int]
) -> Image.Image:
    """`heat` `[h, w]` alone, RGBA, to be laid over the photo at `size`: as opaque as it is hot.

    `described` is the (width, height) of the image on whose half-resolution grid it lies.
    """
    warmth = _upsampled(heat, described, size)
    layer = colormaps[COLOUR_MAP](warmth)
    layer[..., 3] = warmth * _HOTTEST_ALPHA
    return Image.fromarray(np.rint(layer * 255).astype(np.uint8))


def _upsampled(
    heat: NDArray[np.float32], described: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.float64]:
    """The heat in [0, 1] at `size`, smooth."""
    cold, hot = np.percentile(heat, (COLD, HOT))
    # Nothing stands out of a flat map, and a map hot in under half a percent has its maximum.
    hot = hot if hot > cold else heat.max()
    scaled = np.clip((heat - cold) / (hot - cold), 0, 1) if hot > cold else np.zeros_like(heat)
    # The grid's last row and column reach beyond a photo of odd sides.
    box = (0.0, 0.0, described[0] / 2, described[1] / 2)
    grid = Image.fromarray(np.rint(scaled * 255).astype(np.uint8))
    smooth = grid.resize(size, Image.Resampling.BICUBIC, box=box)
    blurred = smooth.filter(ImageFilter.GaussianBlur(max(size) / _BLUR))
    return np.asarray(blurred, dtype=np.float64) / 255


def _composed(rows: list[list[_Panel]]) -> Image.Image:
    width = max(sum(panel.picture.width + GAP for panel in row) for row in rows) + GAP
    height = sum(row[0].picture.height + _CAPTION + GAP for row in rows) + GAP + _LEGEND
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    top = GAP
    for row in rows:
        left = GAP
        for panel in row:
            sheet.paste(panel.picture, (left, top))
            caption = left, top + panel.picture.height + 6
            draw.text(caption, panel.title, fill=INK, font=letters(20))
            left += panel.picture.width + GAP
        top += row[0].picture.height + _CAPTION + GAP
    _draw_legend(sheet, draw, top)
    return sheet


def _draw_legend(sheet: Image.Image, draw: ImageDraw.ImageDraw, top: int) -> None:
    steps = colormaps[COLOUR_MAP](np.linspace(0, 1, 240))[:, :3]
    bar = np.broadcast_to(np.rint(steps * 255).astype(np.uint8), (16, 240, 3))
    left = GAP
    for part in ("ignored", None, "decisive"):
        if part is None:
            sheet.paste(Image.fromarray(np.ascontiguousarray(bar)), (left, top + 5))
            left += 240 + 12
            continue
        draw.text((left, top), part, fill=FAINT, font=letters(18))
        left += round(draw.textlength(part, font=letters(18))) + 12
