"""Rotations of cameras as other programs write them, and the headings that follow."""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# A camera that looks nearly straight down or up has no heading.
_LEVEL = 0.3  # of a unit vector


def rotation_of_vector(vector: Floats) -> Floats:
    """The matrix `[3, 3]` of an angle-axis vector (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross)


def rotation_of_quaternion(w: float, x: float, y: float, z: float) -> Floats | None:
    """The matrix of a unit quaternion, scalar first; None where it is none."""
    length = math.sqrt(w * w + x * x + y * y + z * z)
    if not 0.5 < length < 2:  # NaN as well
        return None
    w, x, y, z = w / length, x / length, y / length, z / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def heading_of(turning: Floats) -> float | None:
    """Where a camera looks, in degrees clockwise from north, by its rotation from a world of east,
    north and up into x right, y down, z ahead; None where it looks up or down."""
    east, north, _ = (float(part) for part in turning[2])
    if math.hypot(east, north) < _LEVEL:
        return None
    return math.degrees(math.atan2(east, north)) % 360
