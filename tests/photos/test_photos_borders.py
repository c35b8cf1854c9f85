"""Borders of one colour around a photo are found; what the photo itself shows is never cut."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from hafloc.photos import Window, as_query
from hafloc.photos.borders import without_borders

LETTERS = ImageFont.load_default(size=14)


def scene(width: int = 240, height: int = 180, seed: int = 0) -> np.ndarray:
    """A photo without plain edges: blocks of random colours."""
    blocks = np.random.default_rng(seed).integers(30, 226, (9, 12, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC))


def framed(photo: np.ndarray, sides: tuple[int, int, int, int], colour: object) -> np.ndarray:
    """The photo with borders left of, above, right of and below it."""
    left, top, right, bottom = sides
    height, width = photo.shape[:2]
    whole = np.full((top + height + bottom, left + width + right, 3), colour, np.uint8)
    whole[top : top + height, left : left + width] = photo
    return whole


def as_jpeg(image: np.ndarray, quality: int = 90) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@given(
    sides=st.tuples(*[st.sampled_from([0, 24, 30, 40])] * 4).filter(any),
    colour=st.sampled_from([0, 255, (18, 90, 200)]),
    quality=st.sampled_from([None, 75, 85, 90, 95]),
)
@settings(max_examples=100)
def test_borders_on_any_sides_are_left_out(
    sides: tuple[int, int, int, int], colour: object, quality: int | None
) -> None:
    whole = framed(scene(), sides, colour)
    window = without_borders(as_jpeg(whole, quality) if quality else whole)
    left, top, _, _ = sides
    assert window is not None
    found = (window.left, window.top, window.right, window.bottom)
    # JPEG blurs the line by a few pixels.
    assert found == pytest.approx((left, top, left + 240, top + 180), abs=3 if quality else 0)


def test_bars_of_an_app_and_a_caption_are_left_out() -> None:
    # Given a screenshot: the clock, a blue bar with a name, a photo, what is said of it
    screen = framed(scene(240, 180), (0, 120, 0, 150), 255)
    image = Image.fromarray(screen)
    draw = ImageDraw.Draw(image)
    draw.text((8, 2), "12:41", font=LETTERS, fill="black")
    draw.rectangle((0, 24, 240, 70), fill=(24, 119, 242))
    draw.text((20, 36), "Photogram", font=LETTERS, fill="white")
    draw.text((20, 85), "somebody · San Francisco", font=LETTERS, fill=(20, 20, 20))
    for line in range(4):
        draw.text((8, 315 + 22 * line), "what a lovely day in town", font=LETTERS, fill="black")
    # Then only the photo is left
    assert without_borders(np.asarray(image)) == Window(0, 120, 240, 300)


def test_a_photo_without_borders_stays_whole() -> None:
    assert without_borders(scene()) is None


def sky(kind: str) -> np.ndarray:
    """A photo, half of it sky, snow or fog: plain, down to a skyline or to nothing sharp."""
    random = np.random.default_rng(1)
    photo = scene().copy()
    rows = np.arange(180)[:, None]
    roofs = np.repeat(random.integers(50, 110, 12), 20)[None]
    above = rows < roofs
    if kind == "night":
        photo[above] = 2
    elif kind == "overexposed":
        photo[above] = 255
    elif kind == "snow below":
        photo[above] = 255
        photo = photo[::-1]
    elif kind == "fog":
        share = np.clip((rows - 60) / 90, 0, 1)[..., None]
        photo = (210 * (1 - share) + photo * share).astype(np.uint8)
    elif kind == "noisy night":
        # Ends on one line, as behind a wall, yet no two pixels are alike.
        photo[:60] = np.clip(random.normal(16, 7, (60, 240, 3)), 0, 255)
    elif kind == "night above a roof":
        # Most are within what JPEG makes of one colour; what a program draws is purer.
        photo[:60] = np.clip(random.normal(8, 3, (60, 240, 1)), 0, 255)
    elif kind == "clear sky":
        blue = np.linspace(150, 250, 240)[None, :, None] * np.array([0.5, 0.7, 1.0])
        photo[:60] = blue.astype(np.uint8)
    return photo


@pytest.mark.parametrize(
    "kind",
    ["night", "overexposed", "snow below", "fog", "noisy night", "night above a roof", "clear sky"],
)
def test_plain_parts_of_a_photo_are_not_cut(kind: str) -> None:
    assert without_borders(sky(kind)) is None
    assert without_borders(as_jpeg(sky(kind))) is None


@pytest.mark.parametrize(
    "image", [np.zeros((60, 80, 3), np.uint8), np.full((3, 3, 3), 9, np.uint8)]
)
def test_a_picture_of_one_colour_is_left_as_it_is(image: np.ndarray) -> None:
    assert without_borders(image) is None


def test_a_picture_that_is_nearly_all_border_is_left_as_it_is() -> None:
    assert without_borders(framed(scene(40, 30), (200, 200, 200, 200), 0)) is None


def test_a_query_is_read_as_large_as_without_its_borders(tmp_path: Path) -> None:
    # Given a photo of 240 × 180 on a page of 480 × 720
    whole = framed(scene(), (120, 300, 120, 240), 255)
    file = tmp_path / "page.png"
    Image.fromarray(whole).save(file)
    # When it is read for a network that takes 240 pixels
    for given_as in (file, file.read_bytes(), io.BytesIO(file.read_bytes()), whole):
        photo = as_query(given_as, longer_side=240)
        # Then the photo has them all, as if it had come alone
        assert photo.window == Window(120, 300, 360, 480)
        assert (photo.width, photo.height) == (480, 720)
        assert photo.image.shape == (180, 240, 3)
        assert np.abs(photo.image.astype(int) - scene()).mean() < 1


def test_a_query_without_borders_is_read_as_any_photo() -> None:
    photo = as_query(scene(), longer_side=100)
    assert photo.window is None
    assert photo.image.shape == (75, 100, 3)


@pytest.mark.parametrize("seed", range(4))
def test_dark_things_beside_a_bar_are_never_cut_into(seed: int) -> None:
    # Given a night photo, dark on one side and at its foot, between black bars (HandBrake #2219)
    photo = (scene(seed=seed) * np.linspace(0, 1, 240)[None, :, None]).astype(np.uint8)
    photo[140:] //= 12
    window = without_borders(framed(photo, (0, 40, 0, 40), 0))
    # Then the bars may stay, but nothing that can be seen is lost
    lost = framed(photo, (0, 40, 0, 40), 0)
    if window is not None:
        lost[window.top : window.bottom, window.left : window.right] = 0
        assert (lost.max(axis=2) > 40).mean() < 0.001
