"""What is known of one photo: its pixels, and where and when it was taken."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from hafloc.geo import Position
from hafloc.photos.gpano import Sphere
from hafloc.photos.parts import Part
from hafloc.photos.remote import PhotoFile

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where and when a photo was taken, as far as its EXIF, its XMP, a CSV or its name tells.

    `heading` is degrees clockwise from north, in [0, 360), from magnetic north where `magnetic`;
    `altitude` metres above the ellipsoid or sea level as the source means it; `time` is aware
    where the source gives UTC or an offset, else naive local. `source` says where the position
    came from: "exif", "xmp", "csv" or "name"; None without one. `problem` says why a position
    that the file holds is not used; beside a position, what speaks against it.
    `accuracy` is the position's error in metres (above 0) and `gps_status` "A" (the receiver was
    measuring) or "V" (it was not, so the position is an older one), both as the source of
    the position states them. `licence`, `producer` and `source_url` say under which terms and
    from whom a photo of others comes; None for one's own. `field_of_view` is the horizontal angle
    in degrees that a table states, 360 of a panorama.
    """

    position: Position | None = None
    heading: float | None = None
    altitude: float | None = None
    time: datetime | None = None
    source: str | None = None
    magnetic: bool = False
    problem: str | None = None
    accuracy: float | None = None
    gps_status: str | None = None
    licence: str | None = None
    producer: str | None = None
    source_url: str | None = None
    field_of_view: float | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """A part of an image in pixels: columns `left` up to `right`, rows `top` up to `bottom`,
    without the last."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top

    def of(self, image: Image) -> Image:
        return np.ascontiguousarray(image[self.top : self.bottom, self.left : self.right])

    def scaled(self, before: tuple[int, int], after: tuple[int, int]) -> "Window":
        """The same part where the whole has the (width, height) `after` in place of `before`."""
        across, down = after[0] / before[0], after[1] / before[1]
        return Window(
            round(self.left * across),
            round(self.top * down),
            round(self.right * across),
            round(self.bottom * down),
        )


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded photo: `image` is upright RGB `H×W×3` uint8, perhaps smaller than the original.

    `content` identifies the file's bytes (hex BLAKE2b, 16 bytes); `path` is None for photos
    that came as bytes or arrays. `width` and `height` are those of the upright original, and
    `window` is the part of it that `image` shows; None where that is all. `focal` is the focal
    length in longer sides of the image, where its file tells it and it is to be trusted.

    `sphere` is how a panorama lies around the camera, where its file tells, and `doubt` why one
    that calls itself a panorama is none. A `part` of a file is one of its `parts` views, of
    `width` and `height` in the panorama's own resolution; the metadata stay those of the file. It
    may also be a frame of a film: then the metadata are the frame's, and a 360° film's frame has
    `parts` views.
    """

    image: Image
    content: str
    metadata: Metadata
    path: PhotoFile | None = None
    width: int = 0
    height: int = 0
    window: Window | None = None
    focal: float | None = None
    sphere: Sphere | None = None
    doubt: str | None = None
    part: Part | None = None
    parts: int = 1

    def __post_init__(self) -> None:
        if not self.width or not self.height:
            object.__setattr__(self, "width", self.image.shape[1])
            object.__setattr__(self, "height", self.image.shape[0])
