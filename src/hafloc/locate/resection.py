"""A camera placed among points that others see: a start for the adjustment of all rays."""

import math

import cv2
import numpy as np

from hafloc.locate.adjustment import Floats, Rays
from hafloc.locate.camera import FOCAL, HEADING, NORTH, TILT, UP, directions, rotations

_FEWEST = 5  # points: three place a camera, a fourth chooses among four places, a fifth agrees
_SHARPEST = 2e-4  # the least eigenvalue of a crossing: rays that cross at 1°
_SIDE = 480.0  # pixels; OpenCV's tolerances are theirs
_TOLERANCE = 10.0
_ITERATIONS = 200
_LARGEST_TILT = 0.3


def among_crossings(cameras: Floats, rays: Rays) -> Floats | None:
    """The cameras with the query where it sees the points that two views or more see.

    `cameras` `[K, 9]` know where the views stand and look, and the query's focal length. None
    where there are too few points. By P3P and RANSAC (Gao et al. 2003) as OpenCV has it.
    """
    away = directions(cameras[rays.view], rotations(cameras)[rays.view], rays.own)
    # The point nearest to all rays: Σ (1 - d dᵀ) x = Σ (1 - d dᵀ) c.
    across = np.eye(3) - away[:, :, None] * away[:, None]
    matrix = np.add.reduceat(across, rays.first)
    through = np.einsum("mij,mj->mi", across, cameras[rays.view, : UP + 1])
    right = np.add.reduceat(through, rays.first)
    (sure,) = np.nonzero(np.linalg.eigvalsh(matrix)[:, 0] > _SHARPEST)
    if len(sure) < _FEWEST:
        return None
    points = np.linalg.solve(matrix[sure], right[sure, :, None])[..., 0]
    focal = _SIDE * math.exp(cameras[0, FOCAL])
    try:
        done, turn, move, inliers = cv2.solvePnPRansac(
            points,
            rays.query[sure] * _SIDE,
            np.diag([focal, focal, 1.0]),
            None,
            reprojectionError=_TOLERANCE,
            iterationsCount=_ITERATIONS,
            flags=cv2.SOLVEPNP_AP3P,
        )
    except cv2.error:
        return None
    if not done or inliers is None or len(inliers) < _FEWEST:
        return None
    rotation = np.asarray(cv2.Rodrigues(turn)[0], dtype=np.float64).T
    place, ahead = -rotation @ np.ravel(move), rotation[:, 2]
    if not np.isfinite(place).all():
        return None
    placed = cameras.copy()
    placed[0, : NORTH + 1] = place[:2]
    placed[0, HEADING] = math.atan2(ahead[0], ahead[1])
    placed[0, TILT] = np.clip(ahead[2], -_LARGEST_TILT, _LARGEST_TILT)
    return placed
