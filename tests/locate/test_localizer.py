"""Locating photos in a small database."""

import gc
import io
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from located_photos import COLOURS, MODEL, PLACES, MeanColour, build, paint
from PIL import Image

from hafloc import describe
from hafloc.errors import CheckpointError, IndexFileError, PhotoError, PositionError
from hafloc.geo import Position
from hafloc.index import create_index, open_index
from hafloc.locate import Answer, Localizer, Near

REDDISH = (240, 40, 20)


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Localizer]:
    index = open_index(build(tmp_path))
    with Localizer(index, MeanColour()) as opened:
        yield opened


def test_a_photo_is_located_at_the_most_similar_one(city: Localizer, tmp_path: Path) -> None:
    query = paint(tmp_path / "query.png", REDDISH)
    answer = city.locate(query)
    assert answer.position == PLACES["red.png"]
    assert [c.path for c in answer.candidates] == ["red.png", "orange.png", "green.png", "blue.png"]
    assert answer.candidates[0].heading == 90
    assert (answer.query, answer.file) == (str(query), query)
    assert answer.duplicate_of is None


def test_path_text_bytes_picture_and_array_give_the_same_answer(
    city: Localizer, tmp_path: Path
) -> None:
    path = paint(tmp_path / "query.png", REDDISH)
    pixels = np.asarray(Image.open(path))
    with Image.open(path) as picture:
        queries = [path, str(path), path.read_bytes(), picture, pixels]
        answers = [city.locate(query) for query in queries]
    assert all(answer.candidates == answers[0].candidates for answer in answers)
    assert [answer.query for answer in answers[2:]] == ["query"] * 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV", "I;16", "F"])
def test_pictures_of_any_mode_are_located(city: Localizer, mode: str) -> None:
    assert city.locate(Image.new(mode, (50, 40))).candidates


def test_a_turned_picture_is_put_upright_by_its_exif(city: Localizer, tmp_path: Path) -> None:
    seen: list[tuple[int, ...]] = []

    class Watching(MeanColour):
        def vector(self, image: np.ndarray) -> np.ndarray:
            seen.append(image.shape)
            return super().vector(image)

    exif = Image.Exif()
    exif[0x0112] = 6
    memory = io.BytesIO()
    Image.new("RGB", (60, 40), REDDISH).save(memory, "JPEG", exif=exif)
    Localizer(city.index, Watching()).locate(Image.open(memory))
    assert seen == [(60, 40, 3)]


def test_top_limits_the_candidates(city: Localizer) -> None:
    assert len(city.locate(Image.new("RGB", (40, 40), REDDISH), top=2).candidates) == 2


def test_near_searches_only_there(city: Localizer) -> None:
    near = Near(PLACES["blue.png"], 500)
    answer = city.locate(Image.new("RGB", (40, 40), REDDISH), near=near)
    assert [c.path for c in answer.candidates] == ["blue.png"]


def test_a_query_of_the_database_is_told_so_and_still_listed(
    city: Localizer, tmp_path: Path
) -> None:
    answer = city.locate(tmp_path / "green.png")
    assert answer.duplicate_of is not None
    assert answer.duplicate_of.path == "green.png"
    assert answer.candidates[0].path == "green.png"


def test_a_renamed_copy_is_a_duplicate_too(city: Localizer, tmp_path: Path) -> None:
    data = (tmp_path / "blue.png").read_bytes()
    answer = city.locate(data)
    assert answer.duplicate_of is not None
    assert answer.duplicate_of.path == "blue.png"


def test_a_duplicate_outside_the_search_is_told_but_not_listed(
    city: Localizer, tmp_path: Path
) -> None:
    answer = city.locate(tmp_path / "green.png", near=Near(PLACES["blue.png"], 500))
    assert answer.duplicate_of is not None
    assert answer.duplicate_of.path == "green.png"
    assert answer.position == PLACES["blue.png"]


def test_no_photo_nearby_says_how_far_the_nearest_is(city: Localizer) -> None:
    # One degree of longitude on the equator's ellipsoid is 111,320 m; here at 52.2° N 68,372 m.
    with pytest.raises(PositionError, match=r"within 500 m of 52.2.*nearest is 68,\d{3} m away"):
        city.locate(Image.new("RGB", (40, 40)), near=Near(Position(52.2, -0.9), 500))


@pytest.mark.parametrize("radius", [0.0, -5.0, float("nan"), float("inf")])
def test_a_radius_that_is_none_is_refused(city: Localizer, radius: float) -> None:
    with pytest.raises(PositionError, match="not a positive number of metres"):
        city.locate(Image.new("RGB", (40, 40)), near=Near(PLACES["red.png"], radius))


def test_an_empty_index_is_refused_before_any_photo_is_read(tmp_path: Path) -> None:
    empty = create_index(tmp_path / "empty.gpkg", MODEL)
    with (
        Localizer(empty, MeanColour()) as city,
        pytest.raises(IndexFileError, match=r"empty\.gpkg: it holds no photos; add some"),
    ):
        city.locate_many(iter(["never read.jpg"]))


def test_one_bad_query_never_stops_the_others(city: Localizer, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    queries = [
        tmp_path / "red.png",
        broken,
        tmp_path / "missing.jpg",
        b"",
        np.zeros((40, 40, 7), np.uint8),
        Image.new("RGB", (40, 40), COLOURS["blue.png"]),
    ]
    results = list(city.locate_many(queries))
    assert [name for name, _ in results] == [
        *map(str, queries[:3]),
        "query 4",
        "query 5",
        "query 6",
    ]
    kinds = [type(result) for _, result in results]
    assert kinds == [Answer, PhotoError, PhotoError, PhotoError, PhotoError, Answer]
    assert str(results[3][1]).startswith("cannot read query 4: the file is empty")
    assert "shape (40, 40, 7)" in str(results[4][1])


def test_a_describer_that_refuses_an_image_is_told_with_the_query(city: Localizer) -> None:
    class Refusing(MeanColour):
        def vector(self, image: np.ndarray) -> np.ndarray:
            raise PhotoError("a side is below 32 pixels")

    with pytest.raises(PhotoError, match="cannot describe query: a side is below"):
        Localizer(city.index, Refusing()).locate(Image.new("RGB", (40, 40)))


def test_opening_without_the_recorded_checkpoint_says_how_to_name_it(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"its checkpoint 'colours' is not at hand.*file"):
        Localizer.open(build(tmp_path))


def opened_with(monkeypatch: pytest.MonkeyPatch, hash_: str) -> list[str]:
    asked: list[str] = []

    def load(model: str, **options: object) -> SimpleNamespace:
        asked.append(model)
        return SimpleNamespace(
            name="colours",
            hash=hash_,
            options="{}",
            dimension=3,
            longer_side=64,
            features=MeanColour().features,
        )

    monkeypatch.setattr(describe, "Describer", SimpleNamespace(open=load))
    return asked


def test_opening_takes_the_checkpoint_that_the_index_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = opened_with(monkeypatch, MODEL.hash)
    with Localizer.open(build(tmp_path)) as city:
        assert city.locate(tmp_path / "red.png").candidates[0].path == "red.png"
    assert asked == ["colours"]


def test_opening_with_another_checkpoint_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_with(monkeypatch, "f" * 16)
    with pytest.raises(IndexFileError, match="was made with checkpoint colours"):
        Localizer.open(build(tmp_path), "other.safetensors")


ODD = {
    "nothing": None,
    "a number": 7,
    "a list": [1, 2],
    "an empty name": "",
    "a name with a null": "a\0b.jpg",
    "a folder": Path(),
    "an address": "https://example.org/a.jpg",
    "bytes of a cut photo": b"\x89PNG\r\n\x1a\n\0\0",
    "an array of four dimensions": np.zeros((1, 40, 40, 3), np.uint8),
    "an array without pixels": np.zeros((0, 0, 3), np.uint8),
    "an array of text": np.array([["a"]]),
    "a file of text": io.StringIO("no photo"),
    "an image without pixels": Image.new("RGB", (0, 0)),
}


@pytest.mark.parametrize("query", ODD.values(), ids=ODD.keys())
def test_whatever_is_asked_is_answered_or_refused_in_one_line(city: Localizer, query: Any) -> None:
    with pytest.raises(PhotoError, match=r"^cannot (use|read) .+[^.]$") as refused:
        city.locate(query)
    assert "\n" not in str(refused.value)
    (_, first), (_, second) = city.locate_many([query, Image.new("RGB", (40, 40))])
    assert (type(first), type(second)) == (PhotoError, Answer)


def test_queries_are_taken_one_by_one_and_what_they_raise_comes_through(city: Localizer) -> None:
    taken: list[int] = []

    def queries() -> Iterator[Image.Image]:
        for number in range(3):
            taken.append(number)
            yield Image.new("RGB", (40, 40), REDDISH)
        raise RuntimeError("the camera was unplugged")

    answers = city.locate_many(queries())
    assert taken == []
    assert next(answers)[0] == "query 1"
    assert taken == [0]
    with pytest.raises(RuntimeError, match="unplugged"):
        list(answers)
    assert taken == [0, 1, 2]


@pytest.mark.parametrize("nothing", [[], (), iter([]), {}])
def test_no_queries_have_no_answers(city: Localizer, nothing: Any) -> None:
    assert list(city.locate_many(nothing)) == []
    assert city.locate_walk(nothing) == []


@pytest.mark.parametrize(
    "one",
    ["a.jpg", Path("a.jpg"), b"bytes", Image.new("RGB", (40, 40)), np.zeros((40, 40, 3), np.uint8)],
    ids=lambda one: type(one).__name__,
)
def test_one_query_where_several_are_expected_is_told(city: Localizer, one: Any) -> None:
    for locate in (city.locate_many, city.locate_walk):
        with pytest.raises(PhotoError, match="give a list of queries"):
            locate(one)


def test_a_place_without_photos_is_told_once_for_all_queries(city: Localizer) -> None:
    with pytest.raises(PositionError, match="the nearest is"):
        city.locate_many([Image.new("RGB", (40, 40))], near=Near(Position(10, 10), 500))


def test_an_error_of_the_index_on_one_query_stops_no_other(
    city: Localizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, calls = city.index.get, []

    def failing(ids: list[int]) -> Any:
        calls.append(ids)
        if len(calls) <= 3:
            raise IndexFileError("photo 3 is damaged; remove it")
        return get(ids)

    monkeypatch.setattr(city.index, "get", failing)
    photo = Image.new("RGB", (40, 40), REDDISH)
    results = [result for _, result in city.locate_many([photo, photo])]
    assert [type(result) for result in results] == [IndexFileError, Answer]


def test_a_photo_removed_while_it_was_searched_is_left_out(
    city: Localizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, calls = city.index.search, []

    def racing(*given: Any) -> Any:
        hits = search(*given)
        if not calls:
            with open_index(tmp_path / "colours.gpkg", write=True) as writer:
                writer.remove([int(hits.ids[0, 0])])
        calls.append(given)
        return hits

    monkeypatch.setattr(city.index, "search", racing)
    answer = city.locate(Image.new("RGB", (40, 40), REDDISH))
    assert [c.path for c in answer.candidates] == ["orange.png", "green.png", "blue.png"]


def test_a_localizer_that_nobody_uses_leaves_memory_at_once(tmp_path: Path) -> None:
    gc.collect()
    gc.disable()
    try:
        index = open_index(build(tmp_path))
        opened = Localizer(index, MeanColour())
        opened.locate(Image.new("RGB", (40, 40)))
        gone = weakref.ref(opened)
        del opened
        assert gone() is None
        index.close()
    finally:
        gc.enable()
