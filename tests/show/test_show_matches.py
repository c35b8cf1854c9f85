"""The picture of matches and its little map, looked at pixel by pixel."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from shown_answers import Held, answer, database

from hafloc.description import Description, KeyPoints
from hafloc.geo import LocalFrame, distance
from hafloc.locate import Comparison
from hafloc.show import map_sketch, match_picture
from hafloc.show.matches import MOST_LINES, chosen_pairs, facts_in_words
from hafloc.show.sheet import ACCENT
from hafloc.show.sketch import BEST, LAND, round_step
from hafloc.verify import Evidence, Geometry

NONE = np.zeros((0, 4), np.float32)
GREY = (90, 90, 90)
MAP = (400, 300)


class Eye:
    longer_side = 96

    def describe(self, image: NDArray[np.uint8]) -> Description:
        height, width = image.shape[:2]
        flat = np.ones(((height + 1) // 2, (width + 1) // 2), np.float32)
        points = KeyPoints(NONE[:, :2], np.zeros(0, np.float32), NONE)
        return Description(np.ones(4, np.float32) / 2, (width, height), {}, flat, points)


def evidence(pairs: NDArray[np.float32], matches: int = 300) -> Evidence:
    geometry: Geometry = "homography" if len(pairs) else ""
    sizes = ((96, 72), (72, 96))
    return Evidence(1, 0.9, matches, len(pairs), geometry, pairs, 3.0, True, sizes)


def compared(folder: Path, pairs: NDArray[np.float32]) -> Comparison:
    """A grey landscape query beside a grey upright photo."""
    records = database(folder, 1)
    said = answer(folder, records)
    Image.new("RGB", (96, 72), GREY).save(folder / "query.jpg")
    Image.new("RGB", (72, 96), GREY).save(folder / "0.jpg")
    return Comparison(said, said.candidates[0], evidence(pairs), folder / "0.jpg")


def drawn(folder: Path, pairs: NDArray[np.float32]) -> NDArray[np.int64]:
    picture = match_picture(compared(folder, pairs), Eye(), Held([], folder))
    return np.asarray(picture, dtype=np.int64)


def test_a_line_runs_from_key_point_to_key_point(tmp_path: Path) -> None:
    pairs = np.array([[0, 0, 71, 95], [47.5, 35.5, 35.5, 47.5]], np.float32)
    with_line = drawn(tmp_path, pairs)
    only_first = drawn(tmp_path, pairs[:1])
    # The photos' boxes: 640×480 from (20, 84), and 360×480 in the middle of one from (680, 84).
    start, end = (20 + 319.5, 84 + 239.5), (680 + 140 + 179.5, 84 + 239.5)
    changed = np.argwhere(np.abs(with_line - only_first).max(axis=2) > 40)
    below_head = changed[changed[:, 0] > 84]
    rows, columns = below_head[:, 0], below_head[:, 1]
    assert np.abs(rows - start[1]).max() <= 5
    assert columns.min() == pytest.approx(start[0], abs=5)
    assert columns.max() == pytest.approx(end[0], abs=5)


def test_lines_go_from_dark_above_to_light_below(tmp_path: Path) -> None:
    pairs = np.array([[10, 5, 10, 5], [10, 66, 10, 90]], np.float32)
    picture = drawn(tmp_path, pairs)
    x = 20 + round(10.5 * 640 / 96 - 0.5)
    above, below = (picture[84 + round((y + 0.5) * 480 / 72 - 0.5), x] for y in (5, 66))
    assert above.sum() + 200 < below.sum()


def test_photos_without_a_match_are_marked(tmp_path: Path) -> None:
    picture = drawn(tmp_path, NONE)
    middle = picture[84 + 240, 20 + 640 + 10 - 60]
    lined = drawn(tmp_path, np.array([[10, 5, 10, 5]], np.float32))
    assert tuple(middle) != tuple(lined[84 + 240, 20 + 640 + 10 - 60])
    assert facts_in_words(evidence(NONE, 12)).startswith("no match: none of 12 similar key points")


def test_facts_are_told_in_words() -> None:
    pairs = np.zeros((42, 4), np.float32)
    flat = evidence(pairs, 1300)
    assert facts_in_words(flat) == "42 of 1,300 matches agree with one plane (homography)"
    deep = dataclasses.replace(flat, geometry="fundamental")
    assert facts_in_words(deep).endswith("agree with one camera motion (fundamental matrix)")


@given(st.integers(0, 500), st.integers(2, 200))
def test_an_even_choice_of_pairs_keeps_top_and_bottom(count: int, most: int) -> None:
    pairs = np.random.default_rng(count).uniform(0, 90, (count, 4)).astype(np.float32)
    chosen = chosen_pairs(evidence(pairs), most)
    assert len(chosen) == min(count, most)
    assert (np.diff(chosen[:, 1]) >= 0).all()
    assert {tuple(pair) for pair in chosen} <= {tuple(pair) for pair in pairs}
    if count:
        assert chosen[0, 1] == pairs[:, 1].min()
        assert chosen[-1, 1] == pairs[:, 1].max()


def test_many_matches_are_drawn_in_part(tmp_path: Path) -> None:
    pairs = np.random.default_rng(1).uniform(5, 65, (MOST_LINES + 50, 4)).astype(np.float32)
    assert np.array_equal(
        drawn(tmp_path, pairs)[84:600], drawn(tmp_path, chosen_pairs(evidence(pairs)))[84:600]
    )


def test_a_query_without_a_file_cannot_be_drawn(tmp_path: Path) -> None:
    comparison = compared(tmp_path, NONE)
    nameless = dataclasses.replace(comparison.answer, file=None)
    with pytest.raises(ValueError, match="without a file"):
        match_picture(dataclasses.replace(comparison, answer=nameless), Eye(), Held([], tmp_path))


def coloured(picture: Image.Image, colour: tuple[int, int, int]) -> NDArray[np.float64]:
    """The middle (x, y) of what has a colour."""
    near = np.abs(np.asarray(picture, dtype=int) - colour).max(axis=2) < 12
    y, x = np.nonzero(near)
    assert len(x)
    return np.array([x.mean(), y.mean()])


@pytest.mark.parametrize(("east", "north"), [(100.0, 0.0), (0.0, 100.0), (-70.0, -70.0)])
def test_the_candidate_lies_where_it_is_seen_from_the_answer(
    tmp_path: Path, east: float, north: float
) -> None:
    said = answer(tmp_path, database(tmp_path, 1))
    place = LocalFrame(said.position).to_position(east, north)
    candidate = dataclasses.replace(said.candidates[0], position=place, heading=None)
    at = coloured(map_sketch(said, candidate, [], MAP), ACCENT)
    # The map reaches 1.3 times as far as the candidate, along its shorter side.
    scale = 150 / (1.3 * distance(said.position, place))
    assert at == pytest.approx([200 + east * scale, 150 - north * scale], abs=2)


def test_the_circle_has_the_radius_to_scale(tmp_path: Path) -> None:
    said = dataclasses.replace(answer(tmp_path, database(tmp_path, 1)), radius=80.0)
    row = np.asarray(map_sketch(said, said.candidates[0], [], MAP), dtype=int)[165]
    edge = np.flatnonzero(np.abs(row - BEST).max(axis=1) < 40)
    # Of 150 pixels to the edge, 1 / 1.3 are the radius; row 165 lies 15 below the middle.
    half = np.sqrt((150 / 1.3) ** 2 - 15**2)
    assert edge.min() == pytest.approx(200 - half, abs=2)
    assert edge.max() == pytest.approx(200 + half, abs=2)


def test_a_guess_is_a_hollow_pin_without_a_circle(tmp_path: Path) -> None:
    said = dataclasses.replace(answer(tmp_path, database(tmp_path, 1)), found=False)
    sure = dataclasses.replace(said, found=True)
    hollow, full = (
        np.asarray(map_sketch(one, one.candidates[0], [], MAP), dtype=int) for one in (said, sure)
    )
    assert hollow[150 - 22, 200 - 7].min() > 240
    assert np.abs(full[150 - 22, 200 - 7] - BEST).max() < 30
    assert tuple(hollow[20, 380]) == LAND


def test_photos_of_the_database_are_dots_and_far_ones_none(tmp_path: Path) -> None:
    said = answer(tmp_path, database(tmp_path, 1))
    frame = LocalFrame(said.position)
    alone = np.asarray(map_sketch(said, said.candidates[0], [], MAP), dtype=int)
    photos = [frame.to_position(25, 25), frame.to_position(9e4, 0)]
    with_dots = np.asarray(map_sketch(said, said.candidates[0], photos, MAP), dtype=int)
    y, x = np.nonzero(np.abs(with_dots - alone).max(axis=2) > 60)
    # 30 metres at least from the middle to the edge, and 1.3 times that on the map.
    scale = 150 / 39
    assert [x.mean(), y.mean()] == pytest.approx([200 + 25 * scale, 150 - 25 * scale], abs=1)


@given(st.floats(0.01, 1e6))
def test_a_scale_bar_is_a_round_number_as_long_as_fits(metres: float) -> None:
    step = round_step(metres)
    assert step <= metres * (1 + 1e-9) < 2.5 * step * (1 + 1e-9)
    assert f"{step:e}"[0] in "125"
