"""The heat maps and the sheet of candidates, looked at pixel by pixel."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from shown_answers import answer, database

from hafloc.description import Description, KeyPoints, LevelDescription
from hafloc.index import PhotoPaths
from hafloc.show import attention, candidate_sheet, save_picture
from hafloc.show.attention import overlay
from hafloc.show.pictures import PANEL
from hafloc.show.sheet import ACCENT, GAP, panel_size

NO_POINTS = KeyPoints(
    np.zeros((0, 2), np.float32), np.zeros(0, np.float32), np.zeros((0, 4), np.float32)
)
VECTOR = np.array([1, 0, 0, 0], np.float32)


def described(
    size: tuple[int, int], scores: dict[str, NDArray[np.float32]], fused: NDArray[np.float32]
) -> Description:
    levels = {
        name: LevelDescription(VECTOR, score, np.full_like(score, 0.5), score)
        for name, score in scores.items()
    }
    return Description(VECTOR, size, levels, fused, NO_POINTS)


def bump(size: tuple[int, int], at: tuple[float, float]) -> NDArray[np.float32]:
    """A score that peaks at pixel `at` (x, y) of a photo of `size`, on the half grid."""
    width, height = size
    y, x = np.mgrid[: (height + 1) // 2, : (width + 1) // 2]
    score = np.exp(-((2 * x + 0.5 - at[0]) ** 2 + (2 * y + 0.5 - at[1]) ** 2) / (2 * 12.0**2))
    return (score / score.sum()).astype(np.float32)


def brightest(picture: Image.Image) -> tuple[float, float]:
    """The middle (x, y) of the hottest pixels."""
    light = np.asarray(picture.convert("L"), dtype=float)
    y, x = np.nonzero(light >= light.max() - 3)
    return float(x.mean()), float(y.mean())


@settings(deadline=None, max_examples=25)
@given(st.integers(120, 201), st.integers(120, 201), st.floats(0.25, 0.75), st.floats(0.25, 0.75))
def test_the_heat_peak_lies_where_the_score_peaks(
    width: int, height: int, across: float, down: float
) -> None:
    peak = across * (width - 1), down * (height - 1)
    heat = bump((width, height), peak)
    image = np.full((height, width, 3), 90, np.uint8)
    shown = (3 * width, 3 * height)
    x, y = brightest(overlay(image, heat, described((width, height), {}, heat), shown))
    # Pixel centres are integers: x of the photo lies at 3 (x + ½) - ½ of the picture.
    assert x == pytest.approx(3 * peak[0] + 1, abs=5)
    assert y == pytest.approx(3 * peak[1] + 1, abs=5)


def test_the_last_column_of_an_odd_photo_is_half_a_place_wide() -> None:
    # 33 pixels are 16½ places: place 12 covers pixels 24 and 25, of 330 shown 240 to 259.
    heat = np.zeros((17, 17), np.float32)
    heat[12, 12] = 1
    image = np.full((33, 33, 3), 90, np.uint8)
    shown = overlay(image, heat, described((33, 33), {}, heat), (330, 330))
    assert brightest(shown) == pytest.approx((249.5, 249.5), abs=2)


def test_a_larger_photo_than_the_described_one_shows_the_same_place_hot() -> None:
    heat = bump((160, 120), (40, 90))
    image = np.full((480, 640, 3), 90, np.uint8)
    x, y = brightest(overlay(image, heat, described((160, 120), {}, heat), (640, 480)))
    assert (x, y) == pytest.approx((161.5, 361.5), abs=7)


def test_photo_and_fused_heat_stand_above_the_three_levels() -> None:
    size = (160, 120)
    places = {"low": (40.0, 30.0), "mid": (120.0, 30.0), "high": (40.0, 90.0)}
    image = np.full((120, 160, 3), 90, np.uint8)
    scores = {name: bump(size, at) for name, at in places.items()}
    picture = attention(image, described(size, scores, bump(size, (120.0, 90.0))))
    # Levels of 560×420 side by side; above them two panels as wide together.
    assert picture.width == 3 * 560 + 4 * GAP
    large = 850, 638
    photo = picture.crop((GAP, GAP, GAP + large[0], GAP + large[1]))
    assert np.unique(np.asarray(photo)).tolist() == [90]
    left = 2 * GAP + large[0]
    x, y = brightest(picture.crop((left, GAP, left + large[0], GAP + large[1])))
    assert (x / large[0], y / large[1]) == pytest.approx((0.75, 0.75), abs=0.02)
    top = GAP + large[1] + 34 + GAP
    for i, (across, down) in enumerate(places.values()):
        left = GAP + i * (560 + GAP)
        x, y = brightest(picture.crop((left, top, left + 560, top + 420)))
        assert (x / 560, y / 420) == pytest.approx((across / 160, down / 120), abs=0.02)


def test_the_heat_is_what_a_place_adds_to_the_vector_and_not_its_score() -> None:
    size = (160, 120)
    both = bump(size, (40, 60)) + bump(size, (120, 60))
    left, right = bump(size, (40, 60)), bump(size, (120, 60))
    level = LevelDescription(VECTOR, right, np.ones_like(both), left)
    description = Description(VECTOR, size, {"low": level}, right, NO_POINTS, both)
    picture = attention(np.full((120, 160, 3), 90, np.uint8), description)
    top = picture.height - 40 - GAP - 34 - 420
    low = np.asarray(picture.crop((GAP, top, GAP + 560, top + 420)).convert("L"), dtype=float)
    assert low[210, 140] > 2 * low[210, 420]
    # And the fused one shows both, though the scores see the right one alone.
    assert description.attention is both


def test_a_flat_map_is_evenly_cold() -> None:
    flat = np.full((60, 80), 1 / 4800, np.float32)
    image = np.full((120, 160, 3), 90, np.uint8)
    shown = np.asarray(overlay(image, flat, described((160, 120), {}, flat), (160, 120)))
    assert (shown == shown[0, 0]).all()


def test_one_hot_place_alone_is_still_seen() -> None:
    lone = np.zeros((60, 80), np.float32)
    lone[30, 40] = 1
    image = np.full((120, 160, 3), 90, np.uint8)
    shown = overlay(image, lone, described((160, 120), {}, lone), (160, 120))
    assert brightest(shown) == pytest.approx((80.5, 60.5), abs=2)


def test_a_network_without_levels_gets_photo_and_heat_alone() -> None:
    heat = bump((120, 160), (60, 80))
    picture = attention(np.zeros((160, 120, 3), np.uint8), described((120, 160), {}, heat))
    assert picture.width == 2 * 420 + 3 * GAP


def test_the_sheet_shows_the_framed_query_and_its_first_candidates(tmp_path: Path) -> None:
    records = database(tmp_path, 7)
    colours = [(10 + 30 * i, 120, 200) for i in range(7)]
    for record, colour in zip(records, colours, strict=True):
        Image.new("RGB", (96, 64), colour).save(tmp_path / record.path)
    sheet = candidate_sheet(answer(tmp_path, records), PhotoPaths(tmp_path))
    assert sheet.width == GAP + 6 * (PANEL + GAP)
    assert sheet.getpixel((GAP + 1, GAP + 1)) == ACCENT
    for i in range(5):
        middle = GAP + (i + 1) * (PANEL + GAP) + PANEL // 2, GAP + 100
        assert sheet.getpixel(middle) == pytest.approx(colours[i], abs=4)


def test_upright_and_wide_photos_stand_on_one_line(tmp_path: Path) -> None:
    records = database(tmp_path, 1)
    Image.new("RGB", (60, 120), (200, 40, 40)).save(tmp_path / "0.jpg")
    sheet = candidate_sheet(answer(tmp_path, records), PhotoPaths(tmp_path))
    foot = GAP + PANEL - 1
    middle = GAP + PANEL + GAP + PANEL // 2
    assert sheet.getpixel((middle, foot - 1)) == pytest.approx((200, 40, 40), abs=4)
    assert sheet.getpixel((middle, GAP + 1)) == pytest.approx((200, 40, 40), abs=4)
    assert sheet.getpixel((GAP + 2, foot)) == ACCENT
    assert sheet.getpixel((GAP + 2, GAP + 20)) == (255, 255, 255)


def test_gone_photos_are_blank_and_a_query_from_memory_is_shown(tmp_path: Path) -> None:
    records = database(tmp_path, 1)
    from_memory = dataclasses.replace(answer(tmp_path, records), file=None)
    (tmp_path / "0.jpg").unlink()
    query = np.full((64, 96, 3), (20, 200, 20), np.uint8)
    sheet = candidate_sheet(from_memory, PhotoPaths(tmp_path), query=query)
    assert sheet.getpixel((GAP + PANEL // 2, GAP + PANEL // 3)) == (20, 200, 20)
    assert sheet.getpixel((GAP + PANEL + GAP + 10, GAP + PANEL // 2)) == (226, 229, 232)


def test_a_picture_is_saved_as_png(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", Image.new("RGB", (5, 4), (1, 2, 3)))
    with Image.open(tmp_path / "a.png") as saved:
        assert (saved.format, saved.size, saved.getpixel((0, 0))) == ("PNG", (5, 4), (1, 2, 3))


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(50, 600))
def test_a_panel_keeps_the_aspect_and_reaches_its_longer_side(w: int, h: int, side: int) -> None:
    width, height = panel_size((w, h), side)
    assert max(width, height) == side
    assert abs(min(width, height) - max(1, side * min(w, h) / max(w, h))) <= 0.5 + 1e-9
