"""Cut an equirectangular panorama into perspective views that are level with the horizon."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hafloc.photos.gpano import Sphere
from hafloc.photos.parts import View
from hafloc.photos.photo import Image

Floats = NDArray[np.floating[Any]]

VIEWS = 8  # a choice so far: docs/panoramas.md tells what was measured
# Width by height of a view.
_ASPECT = 4 / 3
# Of a view's height: one of which less can be seen is left out.
_LEAST_HEIGHT = 0.5
_ROWS, _COLUMNS = 97, 33


def views_of(sphere: Sphere, count: int = VIEWS) -> list[View]:
    """`count` views all round, as far as the panorama shows them; perhaps none of them.

    Raises ValueError for fewer than one.
    """
    if count < 1:
        raise ValueError(f"a panorama cannot be cut into {count} views")
    around = [View(k * 360 / count) for k in range(count)]
    return [view for view in around if _visible(sphere, view) >= _LEAST_HEIGHT]


def view_size(sphere: Sphere, size: tuple[int, int], view: View) -> tuple[int, int]:
    """Width and height in pixels of a view of a panorama of `size`, at the latter's resolution."""
    width = 2 * _half_width(view) * size[0] / math.radians(sphere.wide)
    share = _visible(sphere, view)
    return max(1, round(width)), max(1, round(width / _ASPECT * share))


def needed_side(sphere: Sphere, size: tuple[int, int], view: View, longer_side: int) -> int:
    """The longer side of a panorama of `size` that views with this `longer_side` can be cut from.

    In their middle, views then have its resolution.
    """
    wide = longer_side * math.radians(sphere.wide) / (2 * _half_width(view))
    return max(1, round(max(size) / size[0] * wide))


def cut(image: Image, sphere: Sphere, view: View, size: tuple[int, int]) -> Image:
    """The view of an equirectangular `image` in `size` (width, height) pixels: RGB `H×W×3`."""
    # Only now: an index is looked into without it.
    import cv2

    width, height = size
    columns, rows = np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2
    scale = 2 * _half_width(view) / width
    x, y = _pixels(sphere, view, columns * scale, rows * scale, image.shape)
    # Rows end at the poles, and columns at the edges of a part; a whole turn closes.
    y = y.clip(0, image.shape[0] - 1)
    if sphere.is_closed:
        image = np.concatenate([image[:, -2:], image, image[:, :2]], axis=1)
        x = x + 2
    else:
        x = x.clip(0, image.shape[1] - 1)
    found = cv2.remap(
        image,
        x.astype(np.float32),
        y.astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(found, np.uint8)


def outline(sphere: Sphere, view: View, size: tuple[int, int], points: int = 64) -> Floats:
    """The edge of a view in the pixels of its panorama of `size`, `[4 * points, 2]` all round."""
    half = _half_width(view)
    high = half / _ASPECT * _visible(sphere, view)
    along = np.linspace(-1, 1, points)
    one = np.ones(points)
    edge = np.concatenate(
        [np.stack(side, axis=1) for side in
         ((along, -one), (one, along), (-along, one), (-one, -along))]
    ) * (half, high)  # fmt: skip
    return _placed(sphere, view, edge, size)


def in_panorama(
    sphere: Sphere, view: View, points: Floats, cut_size: tuple[int, int], size: tuple[int, int]
) -> Floats:
    """Pixels `[N, 2]` of a view of `cut_size` as pixels of its panorama of `size`."""
    middle = (np.array(cut_size) - 1) / 2
    return _placed(sphere, view, (points - middle) * (2 * _half_width(view) / cut_size[0]), size)


def _half_width(view: View) -> float:
    """Of the view's image, where its axis is 1 long."""
    return math.tan(math.radians(view.field_of_view) / 2)


@lru_cache(maxsize=256)
def _visible(sphere: Sphere, view: View) -> float:
    """The share of a view's height, around its middle, that the panorama shows; 0 of a view that
    goes beyond its sides."""
    half = _half_width(view)
    rows = np.linspace(-1, 1, _ROWS) * half / _ASPECT
    x, y = _pixels(sphere, view, np.linspace(-half, half, _COLUMNS), rows, (180, 360, 3))
    shown: NDArray[np.bool_] = np.asarray((y >= -1) & (y <= 180))
    if not sphere.is_closed:
        shown &= (x >= -1) & (x <= 360)
    complete: NDArray[np.bool_] = np.asarray(shown.all(axis=1))
    both: NDArray[np.bool_] = np.asarray(complete & complete[::-1])
    middle = _ROWS // 2
    missing = np.flatnonzero(np.logical_not(both[middle:]))
    return 1.0 if not len(missing) else max(0.0, float(missing[0] - 1) / middle)


def _placed(sphere: Sphere, view: View, points: Floats, size: tuple[int, int]) -> Floats:
    """Places `[N, 2]` right of and below a view's axis, which is 1 long, in the panorama."""
    rays = np.column_stack([points, np.ones(len(points))]) @ _turn(sphere, view).T
    return np.stack(_on_sphere(sphere, rays, (size[1], size[0], 3)), axis=-1)


def _pixels(
    sphere: Sphere, view: View, columns: Floats, rows: Floats, shape: tuple[int, ...]
) -> tuple[Floats, Floats]:
    """Where the view's `[H]` rows and `[W]` columns lie in a panorama of a shape: x and y."""
    turn = _turn(sphere, view)
    # A row's part and a column's add up.
    rays = (
        columns[None, :, None] * turn[:, 0] + rows[:, None, None] * turn[:, 1] + turn[:, 2]
    )  # fmt: skip
    return _on_sphere(sphere, rays, shape)


def _on_sphere(sphere: Sphere, rays: Floats, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    right, down, ahead = rays[..., 0], rays[..., 1], rays[..., 2]
    longitude = np.degrees(np.arctan2(right, ahead))
    elevation = np.degrees(np.arctan2(-down, np.hypot(right, ahead)))
    # From the middle of the image, so that what lies beside a part goes to its nearer side.
    middle = sphere.left + sphere.wide / 2
    off = (longitude - middle + 180) % 360 - 180
    x = (off / sphere.wide + 0.5) * shape[1] - 0.5
    y = (sphere.top - elevation) / sphere.high * shape[0] - 0.5
    return x, y


def _turn(sphere: Sphere, view: View) -> Floats:
    """From right, down and ahead in the view to the same of the camera that took the panorama."""
    camera = _pitch(sphere.pitch) @ _roll(sphere.roll)
    return np.asarray(camera.T @ _heading(view.heading) @ _pitch(view.pitch))


def _heading(degrees: float) -> Floats:
    sin, cos = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])


def _pitch(degrees: float) -> Floats:
    sin, cos = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def _roll(degrees: float) -> Floats:
    sin, cos = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
