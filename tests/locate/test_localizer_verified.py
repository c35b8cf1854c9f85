"""Locating with key points: stored or from files, and photos that nothing can be seen in."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hafloc.describe import Describer
from hafloc.geo import Position
from hafloc.index import build_index, open_index
from hafloc.locate import Answer, Localizer

PHOTOS = 6


def wall(seed: int) -> Image.Image:
    """A wall of random blocks, sharp enough for corners; unlike any other seed's."""
    blocks = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((192, 144), Image.Resampling.BICUBIC)


def view(seed: int, x: int = 0, y: int = 0) -> Image.Image:
    return wall(seed).crop((x, y, x + 160, y + 120))


@pytest.fixture(scope="module")
def describer(tiny_checkpoint: Path) -> Describer:
    return Describer.open(tiny_checkpoint)


def build(folder: Path, describer: Describer, *, photos: int = PHOTOS, local: bool = True) -> Path:
    (folder / "photos").mkdir()
    rows = ["image,lat,lon"]
    for seed in range(photos):
        view(seed).save(folder / "photos" / f"{seed}.png")
        rows.append(f"{seed}.png,{52 + seed / 1000},0.1")
    (folder / "photos" / "positions.csv").write_text("\n".join(rows))
    build_index(folder / "walls.gpkg", describer, folder / "photos", local=local)
    return folder / "walls.gpkg"


def first_verified(answer: Answer) -> str:
    """The strongest candidate with key points: to an untrained network all photos are alike, so
    one without them may stand anywhere."""
    return next(c.path for c in answer.candidates if c.inliers is not None)


@pytest.fixture
def walls(tmp_path: Path, describer: Describer) -> Iterator[Localizer]:
    index = open_index(build(tmp_path, describer))
    with Localizer(index, describer) as opened:
        yield opened


def test_another_view_of_a_wall_is_confirmed_by_its_key_points(walls: Localizer) -> None:
    answer = walls.locate(view(3, 12, 9))
    first, second = answer.candidates[:2]
    assert first.path == "photos/3.png"
    assert first.geometry == "homography"
    assert first.inliers is not None
    assert second.inliers is not None
    assert first.inliers >= 20 > 2 * second.inliers
    # The wall has moved by the crop's offset.
    pairs = answer.evidence[0].pairs
    assert np.median(pairs[:, 2:] - pairs[:, :2], axis=0) == pytest.approx([12, 9], abs=1)


@pytest.mark.parametrize("wanted", [1, 2], ids=["as large as it is read", "twice as large"])
def test_matches_of_a_screenshot_lie_where_its_file_has_them(
    walls: Localizer, tmp_path: Path, wanted: int
) -> None:
    # Given a view of a wall on a black page, 30 pixels from its left and 70 from its top
    photo = view(3, 12, 9).resize((160 * wanted, 120 * wanted), Image.Resampling.BICUBIC)
    page = Image.new("RGB", (230 * wanted, 250 * wanted))
    page.paste(photo, (30 * wanted, 70 * wanted))
    page.save(tmp_path / "page.png")
    # When it is located
    answer = walls.locate(tmp_path / "page.png")
    # Then the page's borders are left out, and its matches lie on the page
    assert answer.window is not None
    assert answer.window.size == pytest.approx((160 * wanted, 120 * wanted), abs=4)
    assert answer.to_dict()["window"]["top"] == pytest.approx(70 * wanted, abs=3)
    assert answer.candidates[0].path == "photos/3.png"
    here, there = np.hsplit(answer.evidence[0].pairs, 2)
    on_photo = (here + 0.5) / wanted - (30.5, 70.5)
    assert np.median(there - on_photo, axis=0) == pytest.approx([12, 9], abs=1)
    pairs = answer.pairs_to_dict()
    assert pairs is not None
    assert pairs["query_size"] == [230 * wanted, 250 * wanted]


def test_stored_key_points_need_no_files(walls: Localizer, tmp_path: Path) -> None:
    for file in (tmp_path / "photos").glob("*.png"):
        file.unlink()
    answer = walls.locate(view(2, 5, 5))
    assert answer.candidates[0].path == "photos/2.png"
    assert all(candidate.inliers is not None for candidate in answer.candidates)


def test_without_stored_key_points_they_come_from_the_files(
    tmp_path: Path, describer: Describer
) -> None:
    # Given an index without key points, one file gone, one changed and one damaged
    path = build(tmp_path, describer, local=False)
    (tmp_path / "photos" / "0.png").unlink()
    wall(99).save(tmp_path / "photos" / "1.png")
    (tmp_path / "photos" / "2.png").write_bytes(b"no photo")
    with open_index(path) as index:
        assert index.info().verifiable == 0
        # When a photo is located
        answer = Localizer(index, describer).locate(view(4, 8, 8))
        # Then the files that are there confirm it, and the others stay unverified
        unverified = {c.path for c in answer.candidates if c.inliers is None}
        assert unverified == {f"photos/{n}.png" for n in range(3)}
        assert first_verified(answer) == "photos/4.png"


def test_features_from_files_are_those_that_are_stored(
    tmp_path: Path, walls: Localizer, describer: Describer
) -> None:
    (record,) = walls.index.get([5])
    (stored,) = walls.index.local_features([5])
    (computed,) = walls.candidates.local_features([dataclasses.replace(record, id=99)])
    assert stored is not None
    assert computed is not None
    assert np.array_equal(stored.descriptors, computed.descriptors)
    assert np.allclose(stored.xy, computed.xy, atol=0.01)


def test_features_from_a_file_are_made_once_until_the_file_changes(
    tmp_path: Path, describer: Describer
) -> None:
    class Counting:
        longer_side = describer.longer_side
        made = 0

        def features(self, image: np.ndarray, **wanted: bool) -> Any:
            self.made += 1
            return describer.features(image, **wanted)

    # Given an index without key points, one file of it damaged
    path = build(tmp_path, describer, local=False)
    damaged = tmp_path / "photos" / "1.png"
    whole = damaged.read_bytes()
    damaged.write_bytes(b"no photo")
    eye = Counting()
    with Localizer(open_index(path), eye) as walls:
        # When photos are located, each wall is described once beside the queries
        for _ in range(3):
            assert first_verified(walls.locate(view(4, 8, 8))) == "photos/4.png"
        assert eye.made == 3 + PHOTOS - 1
        # And the damaged one is looked at again when it is whole
        damaged.write_bytes(whole)
        first = walls.locate(view(1, 8, 8)).candidates[0]
        assert (first.path, first.inliers is not None) == ("photos/1.png", True)


def test_rerank_0_compares_nothing(walls: Localizer) -> None:
    answer = walls.locate(view(3, 12, 9), rerank=0)
    assert {candidate.inliers for candidate in answer.candidates} == {None}
    similarities = [candidate.similarity for candidate in answer.candidates]
    assert similarities == sorted(similarities, reverse=True)


def test_only_the_first_are_compared_and_stay_in_front(walls: Localizer) -> None:
    answer = walls.locate(view(3, 12, 9), rerank=2)
    assert [c.inliers is not None for c in answer.candidates] == [True] * 2 + [False] * 4


def test_a_wish_that_is_none_is_refused(walls: Localizer) -> None:
    with pytest.raises(ValueError, match="rerank is -1"):
        walls.locate(view(3), rerank=-1)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (120, 160, 200)])
def test_a_photo_of_one_colour_confirms_nothing(
    walls: Localizer, colour: tuple[int, int, int]
) -> None:
    answer = walls.locate(Image.new("RGB", (160, 120), colour))
    assert {candidate.inliers for candidate in answer.candidates} == {0}


def test_a_mirrored_photo_is_not_confirmed(walls: Localizer) -> None:
    mirrored = view(3).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    answer = walls.locate(mirrored)
    assert max(candidate.inliers or 0 for candidate in answer.candidates) <= 10


def test_a_photo_of_the_database_is_confirmed_whole(walls: Localizer, tmp_path: Path) -> None:
    answer = walls.locate(tmp_path / "photos" / "1.png")
    first = answer.candidates[0]
    assert answer.duplicate_of is not None
    assert first.path == "photos/1.png"
    assert first.inliers == first.matches


@pytest.mark.parametrize("photos", [1, 2])
def test_small_databases_are_enough(tmp_path: Path, describer: Describer, photos: int) -> None:
    with open_index(build(tmp_path, describer, photos=photos)) as index:
        answer = Localizer(index, describer).locate(view(0, 6, 6))
    assert answer.candidates[0].path == "photos/0.png"
    assert answer.position == Position(52.0, 0.1)
    assert len(answer.candidates) == photos
