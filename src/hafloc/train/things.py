"""Pastes cars, people and trees into training photos, so that what moves learns to be ignored."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hafloc.demo import PixelClass, draw_occluders

MOST = 6  # things in a photo at strength 1
# How often each kind comes, and how far it stands: metres.
_KINDS = (PixelClass.CAR, PixelClass.PERSON, PixelClass.TREE)
_OFTEN = (0.45, 0.35, 0.2)
_FAR = {PixelClass.CAR: (6.0, 25.0), PixelClass.PERSON: (3.5, 16.0), PixelClass.TREE: (6.0, 25.0)}
# The camera that a photo is taken to have: focal length as a part of the longer side, the horizon
# as a part of the height, and the eye above the street in metres.
_FOCAL, _HORIZON, _EYE = (0.7, 1.1), (0.55, 0.75), 1.6
_AT_THE_SIDE = 0.3  # trees stand in this part of the width, left or right
_DAYLIGHT = 115.0  # grey value of a well exposed photo: what the cut-outs are lit for
_BRIGHTEST = 1.3
_KEPT, _LONGEST = 120, 240  # cut-outs, pixels


def paste_things(picture: Image.Image, strength: float, random: np.random.Generator) -> Image.Image:
    """The picture with at most MOST · `strength` things standing in it, as bright as it is.

    Sizes and feet follow from one camera drawn for the photo; trees stand at its sides.
    """
    count = int(random.integers(0, int(np.ceil(MOST * strength)) + 1))
    focal = random.uniform(*_FOCAL) * max(picture.size)
    horizon = random.uniform(*_HORIZON) * picture.height
    kinds = [_KINDS[int(k)] for k in random.choice(len(_KINDS), count, p=_OFTEN)]
    far = [float(np.exp(random.uniform(*np.log(_FAR[kind])))) for kind in kinds]
    light = _light(picture)
    result = picture.copy()
    for k in sorted(range(count), key=lambda k: -far[k]):
        cut_out, height = _drawn(kinds[k], random)
        scale = height * focal / far[k] / cut_out.height
        size = (max(1, round(cut_out.width * scale)), max(1, round(cut_out.height * scale)))
        thing = cut_out.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0).point(light)
        middle = _across(kinds[k], random) * picture.width
        feet = horizon + _EYE * focal / far[k]
        result.paste(thing, (round(middle - size[0] / 2), round(feet) - size[1]), thing)
    return result


def _drawn(kind: PixelClass, random: np.random.Generator) -> tuple[Image.Image, float]:
    """One of the cut-outs, perhaps mirrored, and its height in metres."""
    known = _cut_outs()[kind]
    image, height = known[int(random.integers(len(known)))]
    mirrored = random.random() < 0.5
    return (image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image), height


def _across(kind: PixelClass, random: np.random.Generator) -> float:
    """Where a thing's middle stands, as a part of the width; it may be cut by the edge."""
    if kind is not PixelClass.TREE:
        return float(random.uniform(-0.05, 1.05))
    inwards = float(random.uniform(-0.05, _AT_THE_SIDE))
    return inwards if random.random() < 0.5 else 1 - inwards


def _light(picture: Image.Image) -> NDArray[np.uint8]:
    """What becomes of a daylight cut-out's values in a photo: `[4 · 256]`, alpha as it is."""
    mean = np.asarray(picture.reduce(8)).reshape(-1, 3).mean(0).clip(1)
    grey = mean.mean()
    # A photo's tint is in part that of what it shows, so that things take half of it.
    gain = np.minimum(grey / _DAYLIGHT, _BRIGHTEST) * (mean / grey) ** 0.5
    table = np.arange(256) * np.append(gain, 1.0)[:, None]
    return np.asarray(table.clip(0, 255).round(), np.uint8).ravel()


@lru_cache(maxsize=1)
def _cut_outs() -> dict[PixelClass, list[tuple[Image.Image, float]]]:
    """Drawn when first asked for, which takes about two seconds."""
    known: dict[PixelClass, list[tuple[Image.Image, float]]] = {kind: [] for kind in _KINDS}
    for occluder in draw_occluders(_KEPT, seed=22, longest=_LONGEST):
        known[occluder.shows].append((Image.fromarray(occluder.picture, "RGBA"), occluder.height))
    return known
