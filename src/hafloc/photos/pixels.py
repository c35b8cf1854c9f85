"""From any picture that Pillow opens to upright RGB pixels of the wanted size."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms

from hafloc.photos.exif import Exif, orientation
from hafloc.photos.photo import Image

BACKGROUND = (255, 255, 255)  # what transparent photos are laid on: white, as browsers show them
TRANSPOSING = (5, 6, 7, 8)
# From so many times the wanted size on, pixels are averaged first, to so many times of it.
_HUGE, _GAP = 32, 4

# Pillow, or the decoder behind it, turns these upright itself when their pixels are loaded.
_TURNED_BY_DECODER = ("TIFF", "HEIF")
_TURN = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class Reduced:
    """An image decoded at a reduced size: its own size, and the part of the pixels that shows it.

    Of a size that the reduction does not divide, the last pixels show what lies beyond the edge
    too: whatever the encoder filled its blocks with (python-pillow/Pillow#3419).
    """

    original: tuple[int, int]
    box: tuple[float, float, float, float]


def turn_of(image: Pillow.Image, exif: Exif, size: tuple[int, int]) -> int:
    """Which EXIF orientation (1 to 8) is still to be applied to the pixels of an image."""
    if image.format in _TURNED_BY_DECODER:
        return 1
    if image.format == "JXL":
        # The codestream holds its orientation, and the decoder applies it; but of a repacked JPEG
        # it hands out the JPEG.
        return orientation(exif, size) if getattr(image, "jpeg", False) else 1
    if image.format == "AVIF":
        # Pillow writes the container's own orientation, which is never stale, into this; where it
        # is absent `getexif` would take what the XMP says, which no viewer applies.
        own = Pillow.Exif()
        own.load(image.info.get("exif") or b"")
        return orientation(Exif(dict(own), {}, {}), size)
    return orientation(exif, size)


def upright(
    image: Pillow.Image, turn: int, longer_side: int | None, reduced: Reduced | None = None
) -> Image:
    """RGB `H×W×3` of a loaded image, turned, with a longer side of at most `longer_side`.

    `reduced` tells of an image that was decoded smaller than it is.
    """
    rgb = _to_rgb(image)
    target = fitting(rgb.size if reduced is None else reduced.original, longer_side)
    if target != rgb.size:
        box = None if reduced is None else reduced.box
        if box is None and max(rgb.size) > _HUGE * max(target):
            rgb, box = _coarser(rgb, target)
        rgb = rgb.resize(target, Pillow.Resampling.LANCZOS, box)
    if turn in _TURN:
        rgb = rgb.transpose(_TURN[turn])
    return np.array(rgb)


def _coarser(
    image: Pillow.Image, target: tuple[int, int]
) -> tuple[Pillow.Image, tuple[float, float, float, float]]:
    """An image averaged to some times the wanted size, and the part of it that shows all.

    Lanczos over thousands of pixels of a strip takes half a minute, averages a moment.
    """
    width, height = image.size
    across = max(1, width // (_GAP * target[0]))
    down = max(1, height // (_GAP * target[1]))
    return image.reduce((across, down)), (0, 0, width / across, height / down)


def fitting(size: tuple[int, int], longer_side: int | None) -> tuple[int, int]:
    """`size` with its aspect, reduced until its longer side is at most `longer_side`."""
    if longer_side is None or max(size) <= longer_side:
        return size
    scale = longer_side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _to_rgb(image: Pillow.Image) -> Pillow.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return Pillow.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        return on_background(image)
    if image.mode == "LAB":
        return _from_lab(image)
    return image.convert("RGB")


def on_background(image: Pillow.Image) -> Pillow.Image:
    """An image with transparency as RGB, laid on BACKGROUND."""
    # Pillow converts premultiplied grey to RGBA by way of LA only.
    layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    below = Pillow.new("RGBA", layer.size, BACKGROUND)
    return Pillow.alpha_composite(below, layer).convert("RGB")


def _from_lab(image: Pillow.Image) -> Pillow.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    assert converted is not None, "only in place gives None"
    return converted


def _to_8_bits(values: NDArray[Any]) -> Image:
    """Grey of more than 8 bits: integers by 16 bits, fractions by 1 or 255, else by their range."""
    whole = np.issubdtype(values.dtype, np.integer)
    values = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    full = next((end for end in ((65_535.0,) if whole else (1.0, 255.0)) if high <= end), None)
    if low >= 0 and full is not None:
        low, high = 0.0, full
    scaled = (values - low) * (255.0 / ((high - low) or 1.0))
    return np.rint(scaled).clip(0, 255).astype(np.uint8)
