"""Changes to training photos: view, light, camera, things in the way. Off in the paper's recipe."""

from collections.abc import Callable, Sequence
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFilter

from hafloc.photos import Image
from hafloc.train.recipe import Augmentation
from hafloc.train.things import paste_things

# What strength 1 means.
COLOUR = 0.6  # brightness, contrast, saturation and each primary change by at most e to the ± this
BLUR = 3.0  # largest radius in pixels
PERSPECTIVE = 0.15  # largest move of a corner, as a part of the side
ZOOM = 0.6  # most that is cut away, as a part of the side
OCCLUSION = 0.5  # largest side of the hidden box, as a part of the image's
COMPRESSION = 80  # how far JPEG's quality falls below 95

GREY = (124, 117, 104)  # ImageNet's mean colour: what the trunk sees as nothing
GAMMA = 2.2
# Night: light left of the day's, as an exponent of e; lamps and their size as a part of the width.
DUSK, LAMPS, LAMP_SIZE = (-3.2, -1.6), (1, 6), (0.02, 0.12)

Floats = NDArray[np.float32]
Change = Callable[[Pillow.Image, float, np.random.Generator], Pillow.Image]


def augment(image: Image, changes: Augmentation, seed: Sequence[int]) -> Image:
    """The photo `H×W×3`, changed; size and upright stay, and the same seed gives the same."""
    random = np.random.default_rng(seed)
    picture = Pillow.fromarray(image)
    steps: list[tuple[float, Change]] = [
        (changes.zoom, _zoom),
        (changes.perspective, _perspective),
        (changes.things, paste_things),
        (changes.colour, _colour),
        (changes.night, _night),
        (changes.blur, _blur),
        (changes.occlusion, _occlude),
        (changes.compression, _compress),
    ]
    for strength, step in steps:
        if strength:
            picture = step(picture, strength, random)
    return np.array(picture)


def _colour(picture: Pillow.Image, strength: float, random: np.random.Generator) -> Pillow.Image:
    """Gamma, contrast, saturation, then the primaries, each by a factor."""
    factors = np.exp(COLOUR * strength * random.uniform(-1, 1, 6)).astype(np.float32)
    x = _floats(picture) ** factors[0]
    x = (x - x.mean()) * factors[1] + x.mean()
    grey = x.mean(2, keepdims=True)
    x = (grey + (x - grey) * factors[2]) * factors[3:] ** 0.5
    return _picture(x)


def _night(picture: Pillow.Image, strength: float, random: np.random.Generator) -> Pillow.Image:
    """With a chance of `strength`: little light, of another colour, lamps that shine, noise."""
    if random.random() >= strength:
        return picture
    light = _floats(picture) ** GAMMA
    height, width = light.shape[:2]
    tint = random.uniform((0.9, 1.0, 0.4), (1.6, 1.0, 1.1))
    light = light * (np.exp(random.uniform(*DUSK)) * tint).astype(np.float32)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    for _ in range(random.integers(LAMPS[0], LAMPS[1] + 1)):
        y, x = random.uniform((0.1, 0.0), (0.8, 1.0)) * (height, width)
        size = random.uniform(*LAMP_SIZE) * width
        away = ((rows - y) ** 2 + (columns - x) ** 2)[..., None] / size**2
        colour = random.uniform((1.0, 0.6, 0.3), (1.0, 0.95, 0.8)) * random.uniform(0.2, 1.0)
        lit = random.uniform(0, 8) / (1 + away / 6)
        light = light * (1 + lit * colour) + np.exp(-3 * away) * colour
    exposed = light / (light + random.uniform(0.3, 1.0)) * random.uniform(1.0, 1.4)
    noise = random.normal(0, random.uniform(0.005, 0.05), exposed.shape)
    return _picture(np.clip(exposed, 0, 1) ** (1 / GAMMA) + noise)


def _floats(picture: Pillow.Image) -> Floats:
    """Values from 0 to 1, `H×W×3`."""
    return np.asarray(picture, np.float32) / np.float32(255)


def _picture(values: NDArray[np.floating]) -> Pillow.Image:
    return Pillow.fromarray((values.clip(0, 1) * 255).round().astype(np.uint8))


def _blur(picture: Pillow.Image, strength: float, random: np.random.Generator) -> Pillow.Image:
    return picture.filter(ImageFilter.GaussianBlur(BLUR * strength * random.uniform()))


def _compress(picture: Pillow.Image, strength: float, random: np.random.Generator) -> Pillow.Image:
    file = BytesIO()
    picture.save(file, "JPEG", quality=int(95 - COMPRESSION * strength * random.uniform()))
    return Pillow.open(file).convert("RGB")


def _zoom(picture: Pillow.Image, strength: float, random: np.random.Generator) -> Pillow.Image:
    """A part of the photo at its full size; the part's shape may differ a little."""
    kept = 1 - ZOOM * strength * random.uniform()
    stretch = np.exp(0.2 * strength * random.uniform(-1, 1))
    part = np.minimum(1, kept * np.array([stretch, 1 / stretch])) * picture.size
    left, top = random.uniform(0, 1, 2) * (picture.size - part)
    box = (left, top, left + part[0], top + part[1])
    return picture.resize(picture.size, Pillow.Resampling.BILINEAR, box=box)


def _perspective(
    picture: Pillow.Image, strength: float, random: np.random.Generator
) -> Pillow.Image:
    """Corners move inwards, so that no place of the result lies outside the photo."""
    width, height = picture.size
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    inwards = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    parts = random.uniform(0, PERSPECTIVE * strength, (4, 2))
    moved = (corners + inwards * parts * [width, height]).astype(np.float32)
    return picture.transform(
        picture.size,
        Pillow.Transform.PERSPECTIVE,
        cv2.getPerspectiveTransform(corners, moved).flatten()[:8].tolist(),
        Pillow.Resampling.BILINEAR,
    )


def _occlude(picture: Pillow.Image, strength: float, random: np.random.Generator) -> Pillow.Image:
    width, height = (
        max(1, int(side * OCCLUSION * strength * random.uniform())) for side in picture.size
    )
    left = int(random.integers(0, picture.width - width + 1))
    top = int(random.integers(0, picture.height - height + 1))
    picture = picture.copy()
    picture.paste(GREY, (left, top, left + width, top + height))
    return picture
