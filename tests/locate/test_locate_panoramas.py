"""Photos found in panoramas, panoramas located by all their views, and where cameras looked."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from spheres import write, xmp

from hafloc.describe import Describer
from hafloc.errors import IndexFileError, PhotoError
from hafloc.geo import Position
from hafloc.index import Part, Record, build_index, cut_part, open_index
from hafloc.locate import Answer, Comparison, Localizer, compare_with, in_words
from hafloc.locate.heading import heading_of, turn_of
from hafloc.photos import Cutting, Sphere, View, read_part, split_name
from hafloc.photos.panorama import cut
from hafloc.show import candidate_sheet, match_picture, write_map
from hafloc.show.sheet import ACCENT
from hafloc.show.thumbnails import Thumbnails
from hafloc.verify import Evidence

HEADING = 30.0
WIDTH = 600


def texture(seed: int) -> np.ndarray:
    """A sphere of random blocks: no two directions look alike."""
    blocks = np.random.default_rng(seed).integers(0, 256, (30, 60, 3), dtype=np.uint8)
    picture = Image.fromarray(np.concatenate([blocks] * 3, axis=1))
    wide = picture.resize((3 * WIDTH, WIDTH // 2), Image.Resampling.BICUBIC)
    return np.array(wide)[:, WIDTH : 2 * WIDTH]


def turned(seed: int, degrees: float) -> np.ndarray:
    """The same sphere, seen by a camera that is turned clockwise."""
    return np.roll(texture(seed), -round(degrees / 360 * WIDTH), axis=1)


@pytest.fixture(scope="module")
def describer(tiny_checkpoint: Path) -> Describer:
    return Describer.open(tiny_checkpoint)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory, describer: Describer) -> Path:
    """Two panoramas, 100 km apart."""
    folder = tmp_path_factory.mktemp("city")
    for seed in range(2):
        packet = xmp(PoseHeadingDegrees=HEADING)
        write(folder / "photos" / f"{seed}.jpg", texture(seed), packet, lat=48 + seed)
    build_index(folder / "city.gpkg", describer, folder / "photos")
    return folder


@pytest.fixture(scope="module")
def localizer(city: Path, describer: Describer) -> Iterator[Localizer]:
    with Localizer(open_index(city / "city.gpkg"), describer) as opened:
        yield opened


@pytest.fixture(scope="module")
def query(city: Path) -> Path:
    """The second panorama, seen by a camera that is turned by 100 degrees."""
    return write(city / "query.jpg", turned(1, 100), xmp())


@pytest.fixture(scope="module")
def located(localizer: Localizer, query: Path) -> Answer:
    return localizer.locate(query, top=8)


def off(angle: float | None, expected: float) -> float:
    assert angle is not None
    return abs((angle - expected + 180) % 360 - 180)


def test_a_photo_is_found_in_the_view_that_shows_it_and_its_heading_told(
    localizer: Localizer,
) -> None:
    image = cut(texture(1), Sphere(), View(130, 0, 65), (160, 120))

    answer = localizer.locate(image)

    best = answer.candidates[0]
    assert split_name(best.path)[0] == "photos/1.jpg"
    assert off(best.heading, HEADING + 130) <= 22.5
    assert answer.position.lat == pytest.approx(49)
    # The focal length of a bare array is unknown: some degrees.
    assert off(answer.heading, HEADING + 130) < 4


def test_a_panorama_is_located_by_all_its_views_as_one(located: Answer) -> None:
    answer = located

    assert {split_name(one.path)[0] for one in answer.candidates} == {"photos/1.jpg"}
    assert answer.position.lat == pytest.approx(49)
    # Of the centre column.
    assert off(answer.heading, HEADING + 100) < 1.5
    for one in answer.candidates:
        assert one.query_view is not None
        assert off(one.heading, HEADING + 100 + one.query_view.heading) <= 46
    assert answer.note == "located by 8 views of the panorama together"
    told = answer.to_dict()
    assert told["candidates"][0]["query_view"]["field_of_view"] == 75
    assert told["query_views"] == 8
    assert told["heading"] == pytest.approx(answer.heading, abs=0.06)
    assert answer.to_geojson()["features"][0]["properties"]["heading"] == told["heading"]


def test_a_bare_image_is_a_panorama_where_that_is_assumed(localizer: Localizer) -> None:
    answer = localizer.locate(turned(0, -50), cutting=Cutting(3, assume=True))

    assert off(answer.heading, HEADING - 50) < 1.5
    assert answer.candidates[0].query_view is not None


def test_key_points_that_are_not_stored_come_from_the_view_alone(
    city: Path, describer: Describer, tmp_path: Path
) -> None:
    two = Cutting(2)
    build_index(tmp_path / "bare.gpkg", describer, city / "photos", local=False, cutting=two)
    image = cut(texture(1), Sphere(), View(0), (160, 120))

    with Localizer(open_index(tmp_path / "bare.gpkg"), describer) as opened:
        answer = opened.locate(image)

    found = {one.path.rpartition("/")[2]: one.inliers or 0 for one in answer.candidates}
    assert found["1.jpg#view=0"] > 3 * found["1.jpg#view=180"]


@pytest.fixture
def comparison(localizer: Localizer, query: Path) -> Comparison:
    return compare_with(localizer, query, cutting=Cutting(3))


def test_the_picture_of_matches_has_the_cuts_and_both_panoramas_marked(
    comparison: Comparison, localizer: Localizer, describer: Describer
) -> None:
    picture = np.asarray(match_picture(comparison, describer, localizer.index)).astype(int)

    # Two strips of 640 × 320 with a caption and a gap more than flat photos have.
    bottom = picture[-(320 + 34 + 20) : -(34 + 20)]
    marked = (bottom == ACCENT).all(axis=2)
    assert marked[:, :660].sum() > 200
    assert marked[:, 680:].sum() > 200
    # The view's outline spans its 75 degrees of 640 pixels and no half of the sphere: its columns.
    for left in (20, 680):
        columns = np.flatnonzero(marked[:, left : left + 640].any(axis=0))
        assert 75 / 360 * 640 * 0.9 < len(columns) < 320


def test_a_photo_beyond_the_candidates_is_compared_with_the_best_view(
    localizer: Localizer, query: Path
) -> None:
    compared = compare_with(localizer, query, "photos/1.jpg#view=90", cutting=Cutting(3))

    # 90 degrees of theirs are 350 of ours, nearest to our view at 0.
    assert compared.candidate.query_view == View(0)
    assert compared.file.name == "1.jpg"


@pytest.mark.parametrize("called", ["photos/1.jpg", "1.jpg"])
def test_a_panorama_is_compared_by_the_name_of_its_file(
    localizer: Localizer, query: Path, called: str
) -> None:
    compared = compare_with(localizer, query, called)

    assert split_name(compared.candidate.path)[0] == "photos/1.jpg"
    assert compared.candidate.rank == 1


def test_a_panorama_that_is_no_candidate_is_compared_by_its_path_on_the_disk(
    localizer: Localizer, city: Path
) -> None:
    image = cut(texture(1), Sphere(), View(130, 0, 65), (160, 120))
    Image.fromarray(image).save(city / "one.png")
    name = str(city / "photos" / "0.jpg")
    assert split_name(compare_with(localizer, city / "one.png", name).candidate.path)[0] == (
        "photos/0.jpg"
    )


def test_a_name_that_no_photo_or_several_have_is_refused(
    city: Path, describer: Describer, query: Path, tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        write(tmp_path / folder / "1.jpg", texture(1)[:, :400], lat=48)
    build_index(tmp_path / "two.gpkg", describer, tmp_path)
    with Localizer(open_index(tmp_path / "two.gpkg"), describer) as opened:
        with pytest.raises(IndexFileError, match=r"2 photos named 1.jpg: a/1.jpg, b/1.jpg; give"):
            compare_with(opened, query, "1.jpg")
        with pytest.raises(IndexFileError, match=r"has no photo x/1.jpg"):
            compare_with(opened, query, "x/1.jpg")


def test_matches_with_a_photo_of_a_shared_index_are_shown_by_its_small_picture(
    city: Path, describer: Describer, query: Path, tmp_path: Path
) -> None:
    cut_part(city / "city.gpkg", tmp_path / "part.gpkg", Part(thumbnails=True))
    cut_part(city / "city.gpkg", tmp_path / "bare.gpkg", Part())

    with (
        Localizer(open_index(tmp_path / "bare.gpkg"), describer) as opened,
        pytest.raises(PhotoError, match="is gone; put it back"),
    ):
        compare_with(opened, query, cutting=Cutting(3))
    with Localizer(open_index(tmp_path / "part.gpkg"), describer) as opened:
        compared = compare_with(opened, query, cutting=Cutting(3))
        picture = match_picture(compared, describer, opened.index)

    assert compared.small is not None
    assert compared.evidence.inliers > 0
    # The query's panorama is shown, and none beside it.
    bottom = np.asarray(picture)[-(320 + 34 + 20) : -(34 + 20)].astype(int)
    assert (bottom[:, :660] == ACCENT).all(axis=2).any()
    assert not (bottom[:, 680:] == ACCENT).all(axis=2).any()


def test_the_map_page_and_the_sheet_show_the_cut(
    localizer: Localizer, city: Path, tmp_path: Path, located: Answer, query: Path
) -> None:
    answer = located

    write_map(tmp_path / "map.html", [answer], localizer.index)
    sheet = candidate_sheet(answer, localizer.paths)

    thumbnails = Thumbnails(480, 10**7)
    first = answer.candidates[0]
    view = split_name(first.path)[1]
    thumbnails.of(city / "photos" / "1.jpg", view)
    thumbnails.of(query, first.query_view)
    page = (tmp_path / "map.html").read_text()
    assert all(uri in page for uri in thumbnails.uris)
    assert len(set(thumbnails.uris)) == 2
    # A cut is 4:3, a panorama 2:1: 240 and 160 of 320 pixels.
    shown = read_part(city / "photos" / "1.jpg", view, longer_side=640).image
    assert sheet.height > 240
    panel = np.asarray(sheet)[20 : 20 + 240, 360 : 360 + 320].astype(int)
    expected = np.asarray(Image.fromarray(shown).resize((320, 240), Image.Resampling.LANCZOS))
    assert np.abs(panel - expected).mean() < 3


def matched(turn: float, move: tuple[float, float], seed: int, own: float = 0.5) -> Evidence:
    """Points that two cameras see, the query of 75 degrees and a photo of 90 by default; the query
    is turned and moved."""
    random = np.random.default_rng(seed)
    points = random.uniform((-8, -3, 6), (8, 3, 25), (400, 3))
    s, c = math.sin(math.radians(turn)), math.cos(math.radians(turn))
    # The query's camera is turned clockwise, so that points move to its left.
    away = points - (move[0], 0, move[1])
    query = np.stack([c * away[:, 0] - s * away[:, 2], away[:, 1],
                      s * away[:, 0] + c * away[:, 2]], axis=1)  # fmt: skip
    seen = []
    for xyz, focal in ((query, 0.6516), (points, own)):
        seen.append(xyz[:, :2] / xyz[:, 2:] * focal * 640 + (319.5, 239.5))
    both = np.concatenate(seen, axis=1)
    inside = (query[:, 2] > 1) & (both > 0).all(axis=1) & (both < (640, 480) * 2).all(axis=1)
    pairs = both[inside][:150].astype(np.float32)
    return Evidence(1, 0.9, 200, len(pairs), "fundamental", pairs, 5.0, True,
                    ((640, 480), (640, 480)))  # fmt: skip


@given(st.floats(-35, 35), st.floats(-2, 2), st.floats(-2, 2), st.integers(0, 99))
def test_a_turn_is_told_whatever_lies_between_two_standpoints(
    turn: float, right: float, ahead: float, seed: int
) -> None:
    found = turn_of(matched(turn, (right, ahead), seed), 0.6516, 0.5)

    assert found == pytest.approx(turn, abs=1.5)


def record(path: str, heading: float | None, *, magnetic: bool = False, lat: float = 48) -> Record:
    return Record(path, "c", Position(lat, 16), 640, 480, "exif", heading, magnetic=magnetic)


def test_the_heading_is_that_of_the_most_matches() -> None:
    right, wrong = matched(20, (1, 0), 1, 0.7), matched(-30, (1, 0), 2, 0.7)
    records = [record("a.jpg", 350), record("b.jpg", 355), record("c.jpg", 350)]

    found = heading_of(Position(48, 16), records, [right, right, wrong], 0.6516)

    # 350 + 20 and 355 + 20, by focal lengths that are not quite theirs.
    assert off(found, 12.5) < 5


@pytest.mark.parametrize(
    "one",
    [record("a.jpg", None), record("a.jpg", 10, magnetic=True), record("a.jpg", 10, lat=48.01)],
    ids=["without a heading", "by a compass", "elsewhere"],
)
def test_a_candidate_that_cannot_tell_tells_no_heading(one: Record) -> None:
    assert heading_of(Position(48, 16), [one], [matched(0, (1, 0), 1)]) is None


def test_two_candidates_that_contradict_each_other_tell_no_heading() -> None:
    seen = matched(0, (1, 0), 1)
    records = [record("a.jpg", 10), record("b.jpg", 100)]

    assert heading_of(Position(48, 16), records, [seen, seen]) is None


def test_an_answer_says_where_the_camera_looked() -> None:
    answer = Answer("q", Position(48, 16), (), heading=93.4)

    assert in_words(answer) == "48.000000, 16.000000  looking 93° (east)"
    assert "looking" not in in_words(Answer("q", Position(48, 16), ()))
