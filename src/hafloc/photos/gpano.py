"""Which photos are panoramas, and how their pixels lie on the sphere around the camera.

Source: Photo Sphere XMP Metadata, Google, 2014 (name space GPano).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hafloc.photos.tags import number, shown
from hafloc.photos.xmp import panorama_properties

# Panoramas are twice as wide as high; programs round, and cut lines off that codecs cannot hold.
_ASPECT = 0.02
# The share by which a photo that says nothing may miss 2:1 and still look like a panorama.
_EXACT = 0.003
# Pixels; a narrower one shows too little in each of its views.
_NARROWEST = 512


@dataclass(frozen=True, slots=True)
class Sphere:
    """Where the pixels of an equirectangular image lie, in degrees of the whole panorama.

    `left` is the longitude of the left edge, clockwise from the panorama's centre column, `top` the
    elevation of the upper edge; the image spans `wide` by `high` degrees. The camera that took it
    was tilted up by `pitch` and rolled clockwise by `roll`.
    """

    left: float = -180.0
    top: float = 90.0
    wide: float = 360.0
    high: float = 180.0
    pitch: float = 0.0
    roll: float = 0.0

    @property
    def is_closed(self) -> bool:
        """Whether the right edge meets the left one."""
        return self.wide >= 360.0


def sphere_of(packet: object, size: tuple[int, int]) -> Sphere | str | None:
    """How an image of `size` (width, height) lies on the sphere, as its XMP packet tells.

    None where it says of no equirectangular panorama; a text, where it does, says why it is none.
    """
    properties = _equirectangular(packet)
    if properties is None:
        return None
    numbers = {name: number(value) for name, value in properties.items()}
    try:
        left, top, wide, high = _extent(properties, numbers, size)
        pitch = _angle(properties, numbers, "PosePitchDegrees", 90)
        roll = _angle(properties, numbers, "PoseRollDegrees", 180)
        _angle(properties, numbers, "PoseHeadingDegrees", 360)
    except ValueError as error:
        return str(error)
    return Sphere(left, top, wide, high, pitch, roll)


def pose_of(packet: object) -> float | None:
    """Degrees clockwise from north of a panorama's centre column; None where it is not told."""
    properties = _equirectangular(packet)
    heading = None if properties is None else number(properties.get("PoseHeadingDegrees"))
    return heading % 360 if heading is not None and abs(heading) <= 360 else None


def assumed_sphere(size: tuple[int, int]) -> Sphere | None:
    """The whole sphere where an image of `size` (width, height) can show it: if it is 2:1."""
    return Sphere() if _is_twice(size[0], size[1], _ASPECT) else None


def looks_like_panorama(size: tuple[int, int]) -> bool:
    """Whether a photo that does not say so may be one, by its `size` (width, height)."""
    return size[0] >= _NARROWEST and _is_twice(size[0], size[1], _EXACT)


def _equirectangular(packet: object) -> Mapping[str, str] | None:
    properties = panorama_properties(packet)
    projection = properties.get("ProjectionType", "").strip().lower()
    return properties if projection == "equirectangular" else None


def _extent(
    properties: Mapping[str, str],
    numbers: Mapping[str, float | None],
    size: tuple[int, int],
) -> tuple[float, float, float, float]:
    names = (
        *("FullPanoWidthPixels", "FullPanoHeightPixels"),
        *("CroppedAreaImageWidthPixels", "CroppedAreaImageHeightPixels"),
        *("CroppedAreaLeftPixels", "CroppedAreaTopPixels"),
    )
    known = [numbers.get(name) for name in names]
    for name, value in zip(names, known, strict=True):
        if value is None and name in properties:
            raise ValueError(f"its {name} is {shown(properties[name])!r}")
    width, height, own_width, own_height, left, top = known
    # What is left out is all there is.
    own_width, own_height = own_width or width or size[0], own_height or height or size[1]
    width, height = width or own_width, height or own_height
    # A part lies in the middle if it is not said where.
    left = (width - own_width) / 2 if left is None else left
    top = (height - own_height) / 2 if top is None else top
    if not _is_twice(width, height, _ASPECT):
        raise ValueError(f"the whole is {width:,.0f} × {height:,.0f} pixels, not twice as wide")
    if min(own_width, own_height) <= 0 or not (
        -1 <= left <= width - own_width + 1 and -1 <= top <= height - own_height + 1
    ):
        raise ValueError(
            f"its part of {own_width:,.0f} × {own_height:,.0f} pixels at {left:,.0f}, {top:,.0f} "
            f"does not lie in the whole of {width:,.0f} × {height:,.0f}"
        )
    # It may have been scaled since, but evenly.
    if abs(math.log(size[0] * own_height / (size[1] * own_width))) > _ASPECT:
        raise ValueError(
            f"it has {size[0]:,} × {size[1]:,} pixels and says {own_width:,.0f} × {own_height:,.0f}"
        )
    across, down = 360 / width, 180 / height
    return left * across - 180, 90 - top * down, own_width * across, own_height * down


def _angle(
    properties: Mapping[str, str], numbers: Mapping[str, float | None], name: str, most: float
) -> float:
    value = numbers.get(name)
    if name not in properties:
        return 0.0
    if value is None or abs(value) > most:
        raise ValueError(f"its {name} is {shown(properties[name])!r}")
    return value


def _is_twice(width: float, height: float, tolerance: float) -> bool:
    return width > 0 and height > 0 and abs(math.log(width / (2 * height))) <= tolerance
