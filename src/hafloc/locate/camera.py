"""A camera that stands somewhere and looks somewhere, as numbers that can be estimated."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# The parameters of a camera, in this order: metres east, north and up; radians of the heading
# (clockwise from north), of the upward tilt and of the roll; the logarithm of the focal length and
# the image point on the axis, right and down of the middle, in longer sides of the image.
EAST, NORTH, UP, HEADING, TILT, ROLL, FOCAL, RIGHT, DOWN = range(9)
PARAMETERS = 9


def rotations(cameras: Floats) -> Floats:
    """`[K, 9]` cameras to `[K, 3, 3]`: columns right, down, ahead in metres east, north, up."""
    sin, cos = np.sin(cameras), np.cos(cameras)
    level, right = _level(cameras)
    up = np.array([0.0, 0.0, 1.0])
    sin_tilt, cos_tilt = sin[:, TILT, None], cos[:, TILT, None]
    ahead = cos_tilt * level + sin_tilt * up
    down = sin_tilt * level - cos_tilt * up
    sin_roll, cos_roll = sin[:, ROLL, None], cos[:, ROLL, None]
    return np.stack(
        [cos_roll * right + sin_roll * down, cos_roll * down - sin_roll * right, ahead], axis=2
    )


def axes(cameras: Floats, rotation: Floats) -> Floats:
    """About what heading, tilt and roll turn cameras: `[K, 3, 3]`, an axis a row."""
    _, right = _level(cameras)
    below = np.broadcast_to([0.0, 0.0, -1.0], right.shape)
    return np.stack([below, right, rotation[:, :, 2]], axis=1)


def directions(cameras: Floats, rotation: Floats, points: Floats) -> Floats:
    """Where `[M]` cameras look for image points `[M, 2]`: unit vectors `[M, 3]`."""
    inside = (points - cameras[:, RIGHT:]) / np.exp(cameras[:, FOCAL, None])
    away = np.einsum("mij,mj->mi", rotation[:, :, :2], inside) + rotation[:, :, 2]
    return np.asarray(away / np.linalg.norm(away, axis=1, keepdims=True))


def _level(cameras: Floats) -> tuple[Floats, Floats]:
    """Ahead and to the right in the level plane, `[K, 3]` each."""
    sin, cos, zero = np.sin(cameras[:, HEADING]), np.cos(cameras[:, HEADING]), 0 * cameras[:, 0]
    return np.stack([sin, cos, zero], axis=1), np.stack([cos, -sin, zero], axis=1)
