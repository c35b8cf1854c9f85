"""Things pasted into training photos."""

import numpy as np
from PIL import Image

from hafloc.train.things import MOST, paste_things


def _pasted(grey: int, seed: int, strength: float = 1.0) -> np.ndarray:
    plain = Image.new("RGB", (200, 150), (grey, grey, grey))
    return np.asarray(paste_things(plain, strength, np.random.default_rng(seed))).astype(int)


def test_a_number_of_things_up_to_the_strength_is_pasted() -> None:
    shares = [(_pasted(110, seed) != 110).any(-1).mean() for seed in range(30)]
    # Some photos have none, the fullest keep some background.
    assert min(shares) == 0
    assert 0.2 < max(shares) < 0.95
    few = [(_pasted(110, seed, 1 / MOST) != 110).any(-1).mean() for seed in range(30)]
    assert np.mean(few) < np.mean(shares) / 2


def test_things_in_a_dark_photo_are_dark() -> None:
    seeds = range(12)
    bright, dark = ([_pasted(grey, seed) for seed in seeds] for grey in (115, 20))
    for day, night in zip(bright, dark, strict=True):
        changed = (day != 115).any(-1) & (night != 20).any(-1)
        if changed.any():
            assert night[changed].mean() / day[changed].mean() < 0.3


def test_the_top_of_a_photo_is_free_of_cars_and_people() -> None:
    # Trees alone reach so high, and they stand at the sides.
    middle = [_pasted(110, seed)[:15, 85:115] for seed in range(25)]
    assert np.mean([(part != 110).any() for part in middle]) < 0.2
