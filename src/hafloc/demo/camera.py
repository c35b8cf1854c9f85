"""A pinhole camera that stands upright at a known place, and where it sees a point."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hafloc.geo import LocalFrame, Position


@dataclass(frozen=True, slots=True)
class Camera:
    """An upright camera, its lens shifted rather than tilted, so that walls stay vertical.

    `heading` is degrees clockwise from north, `field_of_view` the horizontal angle in degrees,
    `height` metres above the street, `size` (width, height) in pixels; `rise` moves the horizon
    down from the middle by this part of the image's height.
    """

    position: Position
    heading: float
    field_of_view: float = 68.0
    height: float = 1.65
    size: tuple[int, int] = (480, 360)
    rise: float = 0.2

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return self.size[0] / 2 / math.tan(math.radians(self.field_of_view) / 2)

    @property
    def centre(self) -> tuple[float, float]:
        """The pixel in which the camera sees straight ahead; its row is the horizon."""
        width, height = self.size
        return (width - 1) / 2, (height - 1) / 2 + self.rise * height

    @property
    def forward(self) -> tuple[float, float]:
        """Unit vector (east, north) of the heading."""
        angle = math.radians(self.heading)
        return math.sin(angle), math.cos(angle)


def project(camera: Camera, frame: LocalFrame, points: ArrayLike) -> NDArray[np.float64]:
    """Where the camera sees points `[N, 3]` (metres east, north, up in `frame`).

    Returns `[N, 3]`: x, y in pixels (centres at integers) and the depth along the axis in
    metres; points with a depth of zero or less are behind the camera and have x = y = NaN.
    """
    here = frame.to_metres(camera.position.lat, camera.position.lon)[0]
    east, north = camera.forward
    offset = np.atleast_2d(np.asarray(points, float)) - [*here, camera.height]
    depth = offset[:, 0] * east + offset[:, 1] * north
    right = offset[:, 0] * north - offset[:, 1] * east
    scale = camera.focal / np.where(depth > 0, depth, np.nan)
    x, y = camera.centre
    return np.stack([x + right * scale, y - offset[:, 2] * scale, depth], axis=-1)
