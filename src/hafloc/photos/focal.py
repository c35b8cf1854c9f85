"""How wide a photo's view is, as its EXIF tells: the focal length in longer sides of the image."""

import math

from PIL import ExifTags

from hafloc.photos.tags import Directories, number

# The diagonal of the film that equivalent focal lengths refer to (CIPA DCG-001), millimetres.
_FILM_DIAGONAL = math.hypot(36, 24)
# Longer sides of sensors that there are, millimetres: a small telephone's, a large camera's.
_SENSORS = (2.5, 60.0)
# Longer sides of the image: a fish-eye lens has less, a telescope more.
_SHORTEST, _LONGEST = 0.3, 12.0
# Units of ExifIFD 0xA210 in millimetres; 1 is none, and 4 and 5 are not in the standard.
_UNITS = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
# Zooms are written as 1 or 0 where there was none, by some with rounding.
_NO_ZOOM = 1.01


def focal_length(exif: Directories, size: tuple[int, int]) -> float | None:
    """The focal length in longer sides of the image of `size` (width, height), as it is stored.

    From FocalLengthIn35mmFilm, or from FocalLength and the size of the sensor where EXIF tells its
    pixels a unit of length. None where either is missing or absurd, after digital zoom, and where
    the image has not the size that the camera gave it: it may have been cut.
    """
    base, tags = ExifTags.Base, exif.detail
    sides = [number(tags.get(tag)) for tag in (base.ExifImageWidth, base.ExifImageHeight)]
    zoom = number(tags.get(base.DigitalZoomRatio)) or 1.0
    if sorted(side or 0.0 for side in sides) != sorted(size) or not 0 < zoom <= _NO_ZOOM:
        return None
    equivalent = number(tags.get(base.FocalLengthIn35mmFilm)) or 0.0
    if equivalent > 0:
        focal = equivalent / _FILM_DIAGONAL * math.hypot(*size) / max(size)
    else:
        focal = (number(tags.get(base.FocalLength)) or 0.0) / (_sensor(exif, size) or math.inf)
    return focal if _SHORTEST <= focal <= _LONGEST else None


def _sensor(exif: Directories, size: tuple[int, int]) -> float | None:
    """The longer side of the sensor in millimetres."""
    base, tags = ExifTags.Base, exif.detail
    unit = _UNITS.get(int(number(tags.get(base.FocalPlaneResolutionUnit)) or 2))
    resolution = number(tags.get(base.FocalPlaneXResolution)) or 0.0
    if unit is None or resolution <= 0:
        return None
    side = max(size) / resolution * unit
    return side if _SENSORS[0] <= side <= _SENSORS[1] else None
