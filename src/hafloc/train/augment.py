"""Changes to training photos: colour, blur, perspective, occlusion. Off in the paper's recipe."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image as Pillow
from PIL import ImageEnhance, ImageFilter

from hafloc.photos import Image
from hafloc.train.recipe import Augmentation

# What strength 1 means.
COLOUR = 0.6  # largest change of brightness, contrast and saturation, as a part
BLUR = 3.0  # largest radius in pixels
PERSPECTIVE = 0.15  # largest move of a corner, as a part of the side
OCCLUSION = 0.5  # largest side of the hidden box, as a part of the image's

GREY = (124, 117, 104)  # ImageNet's mean colour: what the trunk sees as nothing


def augment(image: Image, changes: Augmentation, seed: Sequence[int]) -> Image:
    """The photo `H×W×3`, changed; size and upright stay, and the same seed gives the same."""
    random = np.random.default_rng(seed)
    picture = Pillow.fromarray(image)
    steps: list[tuple[float, Callable[[Pillow.Image, float, np.random.Generator], Pillow.Image]]]
    steps = [
        (changes.perspective, _perspective),
        (changes.colour, _colour),
        (changes.blur, _blur),
        (changes.occlusion, _occlude),
    ]
    for strength, step in steps:
        if strength:
            picture = step(picture, strength, random)
    return np.array(picture)


def _colour(picture: Pillow.Image, strength: float, random: np.random.Generator) -> Pillow.Image:
    for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = kind(picture).enhance(1 + COLOUR * strength * random.uniform(-1, 1))
    return picture


def _blur(picture: Pillow.Image, strength: float, random: np.random.Generator) -> Pillow.Image:
    return picture.filter(ImageFilter.GaussianBlur(BLUR * strength * random.uniform()))


def _perspective(
    picture: Pillow.Image, strength: float, random: np.random.Generator
) -> Pillow.Image:
    """Corners move inwards, so that no place of the result lies outside the photo."""
    width, height = picture.size
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * [width, height]
    inwards = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    moved = corners + inwards * random.uniform(0, PERSPECTIVE * strength, (4, 2)) * [width, height]
    return picture.transform(
        picture.size,
        Pillow.Transform.PERSPECTIVE,
        homography(corners, moved),
        Pillow.Resampling.BILINEAR,
    )


def homography(source: np.ndarray, target: np.ndarray) -> tuple[float, ...]:
    """The eight numbers (a … h) of the perspective that takes four points to four others.

    x' = (ax + by + c) / (gx + hy + 1), y' = (dx + ey + f) / (gx + hy + 1).
    """
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return tuple(float(number) for number in np.linalg.solve(np.array(rows, float), values))


def _occlude(picture: Pillow.Image, strength: float, random: np.random.Generator) -> Pillow.Image:
    width, height = (
        max(1, int(side * OCCLUSION * strength * random.uniform())) for side in picture.size
    )
    left = int(random.integers(0, picture.width - width + 1))
    top = int(random.integers(0, picture.height - height + 1))
    picture = picture.copy()
    picture.paste(GREY, (left, top, left + width, top + height))
    return picture
