"""The common look of the pictures: paper, ink, letters, and photos fitted to panels."""

import io
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from hafloc.errors import OutputError
from hafloc.files import write_whole
from hafloc.photos import Image as Pixels

PAPER = (255, 255, 255)
INK = (28, 33, 38)
FAINT = (96, 104, 112)
BLANK = (226, 229, 232)
ACCENT = (201, 64, 28)
GAP = 20


@lru_cache(maxsize=8)
def letters(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own typeface, so that a picture looks the same on every machine."""
    return ImageFont.load_default(size)


def panel_size(size: tuple[int, int], longer_side: int) -> tuple[int, int]:
    """(width, height) scaled, up or down, to the longer side."""
    ratio = longer_side / max(size)
    return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))


def fitted(pixels: Pixels, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)


def shortened(draw: ImageDraw.ImageDraw, text: str, size: int, width: int) -> str:
    """`text` as it is where it fits `width` pixels, else with its middle left out."""
    font = letters(size)
    if draw.textlength(text, font=font) <= width:
        return text
    keep = len(text) - 1
    while keep > 2 and draw.textlength(_gapped(text, keep), font=font) > width:
        keep -= 1
    return _gapped(text, keep)


def _gapped(text: str, keep: int) -> str:
    return f"{text[: (keep + 1) // 2]}…{text[len(text) - keep // 2 :]}"


def check_png(path: Path) -> None:
    """Raises OutputError where a picture's name promises another format than it will have."""
    if path.suffix.lower() != ".png":
        raise OutputError(f"cannot write {path}: pictures are PNG; let the name end in .png")


def save_picture(path: Path, picture: Image.Image) -> None:
    """Write a picture as PNG, whole or not at all. Raises OutputError."""
    memory = io.BytesIO()
    picture.save(memory, "PNG", optimize=True)
    write_whole(path, memory.getvalue())
