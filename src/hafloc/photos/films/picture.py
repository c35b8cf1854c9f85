"""Turn a decoded frame of a film into an upright RGB image."""

from typing import TYPE_CHECKING

import numpy as np

from hafloc.photos.photo import Image
from hafloc.photos.pixels import fitting

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from hafloc.photos.films.film import Film

_PQ = 16  # SMPTE ST 2084, as ITU-T H.273 numbers transfer characteristics
# The constants m1, m2, c1, c2 and c3 of ST 2084.
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_WHITE = 203.0  # cd/m² of diffuse white (ITU-R BT.2408)
_SHARP_WIDTH = 320


def upright_size(film: "Film", frame: "VideoFrame") -> tuple[int, int]:
    """Width and height of a frame as players show it: square pixels, turned."""
    aspect = float(film.stream.sample_aspect_ratio or 1) or 1.0
    size = max(1, round(frame.width * aspect)), frame.height
    return size[::-1] if _turns(frame) % 2 else size


def picture(film: "Film", frame: "VideoFrame", longer_side: int | None) -> Image:
    """The frame as `H×W×3` uint8, scaled down until its longer side is at most `longer_side`.

    It is turned as the film says. Of interlaced frames one field is taken; deep colours come in 8
    bits, those of PQ with diffuse white as white.
    """
    import cv2

    turns = _turns(frame)
    size = upright_size(film, frame)
    width, height = fitting(size[::-1] if turns % 2 else size, longer_side)
    width, height = max(1, width), max(1, height)
    if frame.interlaced_frame:
        whole = frame.reformat(format="rgb24").to_ndarray()
        image = cv2.resize(whole[::2], (width, height), interpolation=cv2.INTER_AREA)
    else:
        smaller = frame.reformat(width, height, format="rgb24", interpolation="LANCZOS")
        image = smaller.to_ndarray()
    if frame.color_trc == _PQ:
        image = _from_pq()[image]
    return np.ascontiguousarray(np.rot90(image, turns), dtype=np.uint8)


def sharpness(frame: "VideoFrame") -> float:
    """How much fine detail a frame shows: the variance of its Laplacian, at a small size."""
    import cv2

    height = max(1, round(frame.height * _SHARP_WIDTH / frame.width))
    grey = frame.reformat(_SHARP_WIDTH, height, format="gray", interpolation="AREA").to_ndarray()
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def _turns(frame: "VideoFrame") -> int:
    """Quarter turns counterclockwise that make a frame upright."""
    return round(frame.rotation / 90) % 4


def _from_pq() -> Image:
    """A table from 8 bits of PQ to 8 bits of sRGB; what is brighter than white is white."""
    signal = (np.arange(256) / 255.0) ** (1 / _M2)
    light = 10_000 * (np.maximum(signal - _C1, 0) / (_C2 - _C3 * signal)) ** (1 / _M1)
    linear = np.clip(light / _WHITE, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(srgb * 255), np.uint8)
