"""Locating with a matcher of any name: ranked by it, careful in what is said, told what failed."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from hafloc.description import ImageFeatures
from hafloc.geo import Position
from hafloc.index import ModelInfo, Record, create_index, open_index
from hafloc.locate import Localizer, compare_with
from hafloc.photos import content
from hafloc.verify import Pairs, open_matcher

SIZE = (320, 240)
Image = NDArray[np.uint8]


class Grey:
    """A network that hardly tells photos apart."""

    longer_side = 64

    def vector(self, image: Image) -> NDArray[np.float32]:
        mean = image.mean() / 255
        return np.array([1, 0.01 * mean], np.float32) / np.float32(np.hypot(1, 0.01 * mean))

    def features(self, image: Image, *, local: bool = True, regions: bool = True) -> ImageFeatures:
        return ImageFeatures(self.vector(image))


def facade(seed: int) -> Pillow.Image:
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (24, 32, 3)).astype(np.uint8)
    return Pillow.fromarray(small).resize(SIZE, Pillow.Resampling.BICUBIC)


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """Six façades, 1 km apart."""
    records = []
    for place in range(6):
        path = tmp_path / f"{place}.png"
        facade(place).save(path)
        position = Position(52 + place / 100, 0.1)
        records.append(Record(f"{place}.png", content(path), position, *SIZE, "csv"))
    describer = Grey()
    vectors = np.stack([describer.vector(np.asarray(facade(place))) for place in range(6)])
    with create_index(tmp_path / "city.gpkg", ModelInfo("grey", "0", "{}", 2)) as index:
        index.add(records, vectors)
    return tmp_path / "city.gpkg"


@pytest.fixture
def query(tmp_path: Path) -> Path:
    """Façade 4 from a little nearer, in a folder of its own."""
    (tmp_path / "queries").mkdir()
    path = tmp_path / "queries" / "new.png"
    facade(4).crop((20, 10, 310, 230)).resize(SIZE).save(path)
    return path


def opened(city: Path, matcher: Any) -> Localizer:
    return Localizer(open_index(city), Grey(), matcher=matcher)


@pytest.mark.parametrize("wanted", [None, "1.png"], ids=["the best", "one that does not match"])
def test_one_photo_is_held_against_a_query_by_the_matcher(
    city: Path, query: Path, wanted: str | None
) -> None:
    with opened(city, open_matcher("sift")) as localizer:
        found = compare_with(localizer, query, wanted)
        assert found.candidate.path == (wanted or "4.png")
        assert (found.evidence.inliers > 30) == (wanted is None)
        # As large as the matcher sees them, which is larger than the network does.
        assert found.evidence.sizes == (SIZE, SIZE)


def test_a_photo_beyond_the_verified_ones_is_held_against_a_query_too(
    city: Path, query: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hafloc.locate.comparison.RERANK", 1)
    with opened(city, open_matcher("sift")) as localizer:
        shown = localizer.locate(query, top=6).candidates
        last = compare_with(localizer, query, shown[-1].path)
        assert last.candidate.path == shown[-1].path
        assert last.evidence.verified


def test_the_photo_that_matches_comes_first_and_nothing_is_promised(
    city: Path, query: Path
) -> None:
    with opened(city, open_matcher("sift")) as localizer:
        answer = localizer.locate(query)
        best = answer.candidates[0]
        assert best.path == "4.png"
        assert best.inliers is not None
        assert best.inliers > 30
        assert (answer.radius, answer.confidence, answer.found, answer.calibration) == (None,) * 4
        assert answer.note == "confidence is not calibrated for the matcher sift"
        assert localizer.troubles == []
        pairs = answer.pairs_to_dict()
        assert pairs is not None
        assert pairs["query_size"] == list(SIZE)


def test_a_candidate_whose_file_is_gone_is_judged_by_similarity_and_told_once(
    city: Path, query: Path
) -> None:
    (city.parent / "4.png").unlink()
    facade(9).save(city.parent / "2.png")
    with opened(city, open_matcher("sift")) as localizer:
        for _ in range(2):
            answer = localizer.locate(query)
            by_path = {one.path: one for one in answer.candidates}
            assert by_path["4.png"].inliers is None
            assert by_path["2.png"].inliers is None
            assert by_path["1.png"].inliers is not None
        (line,) = localizer.troubles
        assert line.startswith("2 candidates were judged by similarity alone")


class Failing:
    """A matcher that fails on the photos, or on the pairs, that it is told to."""

    name = "failing"

    def __init__(self, *, on_photo: bool) -> None:
        self.on_photo = on_photo

    def look(self, image: Image) -> Image:
        if self.on_photo:
            raise RuntimeError("out of\nmemory")
        return image

    def match(self, query: Image, candidate: Image) -> Pairs:
        raise RuntimeError("no key points")


@pytest.mark.parametrize(
    ("on_photo", "reason"), [(True, "out of memory"), (False, "no key points")]
)
def test_a_matcher_that_fails_leaves_similarity_and_is_told(
    city: Path, query: Path, on_photo: bool, reason: str
) -> None:
    with opened(city, Failing(on_photo=on_photo)) as localizer:
        answer = localizer.locate(query)
        assert len(answer.candidates) == 6
        assert answer.found is None
        (line,) = localizer.troubles
        assert line.endswith(reason)


def test_without_reranking_the_matcher_is_not_asked(city: Path, query: Path) -> None:
    with opened(city, Failing(on_photo=True)) as localizer:
        assert localizer.locate(query, rerank=0).note is None
        assert localizer.troubles == []


def test_a_walk_is_located_with_a_matcher(city: Path, query: Path) -> None:
    with opened(city, open_matcher("orb")) as localizer:
        ((_, answer),) = localizer.locate_walk([query])
        assert not isinstance(answer, Exception)
        assert answer.radius is None


def test_a_localizer_takes_its_matcher_to_another_process(city: Path, query: Path) -> None:
    with opened(city, open_matcher("sift")) as localizer:
        again = pickle.loads(pickle.dumps(localizer))
    with again:
        assert again.locate(query).candidates[0].path == "4.png"
