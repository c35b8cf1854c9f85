"""The rays of a camera through the plan of a city, and where they meet its walls."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hafloc.demo.camera import Camera
from hafloc.demo.conditions import Floats, Light
from hafloc.demo.pixel_class import PixelClass
from hafloc.geo import LocalFrame

SAMPLES = 2  # samples a pixel, in each direction
FAR = 1e6  # the depth of the sky in metres


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A camera in metres and samples: column directions `[W, 2]` are scaled so that a distance
    along them is the depth; `rows` `[H]` are samples above the horizon."""

    here: NDArray[np.float64]
    forward: tuple[float, float]
    height: float
    focal: float
    centre: tuple[float, float]
    size: tuple[int, int]
    directions: NDArray[np.float64]
    rows: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """A picture in the making, in samples: `picture` `[H, W, 3]` from 0 to 255, `depth` `[H, W]`
    metres, FAR where nothing was drawn, and `classes` `[H, W]`, the PixelClass of each."""

    view: View
    light: Light
    picture: Floats
    depth: Floats
    classes: NDArray[np.uint8]


def blank(view: View, light: Light) -> Canvas:
    """A black canvas that shows sky everywhere."""
    width, height = view.size
    return Canvas(
        view,
        light,
        np.zeros((height, width, 3), np.float32),
        np.full((height, width), FAR, np.float32),
        np.full((height, width), PixelClass.SKY, np.uint8),
    )


def view_of(camera: Camera, frame: LocalFrame) -> View:
    width, height = (side * SAMPLES for side in camera.size)
    focal = camera.focal * SAMPLES
    # A sample's centre lies at (k + 0.5) / 2 - 0.5 pixels.
    x, y = ((c + 0.5) * SAMPLES - 0.5 for c in camera.centre)
    east, north = camera.forward
    right = (np.arange(width) - x) / focal
    directions = np.stack([east + right * north, north - right * east], -1)
    return View(
        here=frame.to_metres(camera.position.lat, camera.position.lon)[0],
        forward=(east, north),
        height=camera.height,
        focal=focal,
        centre=(x, y),
        size=(width, height),
        directions=directions,
        rows=(y - np.arange(height)).astype(np.float32),
    )


def meet(
    origin: NDArray[np.float64],
    directions: NDArray[np.float64],
    start: NDArray[np.float64],
    end: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where N rays from one or N origins meet M walls: multiples of the direction and metres
    along the wall, both `[N, M]`; infinite where they miss."""
    origins = np.broadcast_to(origin, directions.shape)
    wall = end - start
    length = np.hypot(wall[:, 0], wall[:, 1])
    offset = start[None] - origins[:, None]
    cross = directions[:, None, 0] * wall[None, :, 1] - directions[:, None, 1] * wall[None, :, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = (offset[..., 0] * wall[:, 1] - offset[..., 1] * wall[:, 0]) / cross
        part = (
            offset[..., 0] * directions[:, None, 1] - offset[..., 1] * directions[:, None, 0]
        ) / cross
    missed = ~((reach > 0.05) & (part >= 0) & (part <= 1))
    reach[missed] = np.inf
    part[missed] = 0
    return reach, part * length
