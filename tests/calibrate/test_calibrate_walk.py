"""Photos of one walk, located together."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from numbered_places import MODEL, ByNumber, build, draw, where

from hafloc import calibrate
from hafloc.errors import PhotoError
from hafloc.geo import distance
from hafloc.index import open_index
from hafloc.locate import Answer, Localizer

START = datetime(2024, 5, 31, 12, 0)


class Silent:
    def start(self, step: str, total: int) -> None: ...

    def advance(self, done: int) -> None: ...


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibrated street of 40 places, two minutes' walk from each other."""
    path = build(tmp_path_factory.mktemp("street"), places=40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Localizer, "open", open_)
        calibrate.calibrate(path, progress=Silent())
    return path


def open_(path: Path, model: object = None, *, device: str = "cpu") -> Localizer:
    return Localizer(open_index(path, model=MODEL), ByNumber())


@pytest.fixture
def street(path: Path) -> Iterator[Localizer]:
    with open_(path) as opened:
        yield opened


def answers(located: list[tuple[str, Answer | PhotoError]]) -> list[Answer]:
    found = [answer for _, answer in located]
    assert all(isinstance(answer, Answer) for answer in found)
    return [answer for answer in found if isinstance(answer, Answer)]


def later(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def test_a_photo_between_two_places_is_where_the_walk_was(
    street: Localizer, tmp_path: Path
) -> None:
    torn = draw(tmp_path, 30, 5, other=6, time=later(2))
    walk = [
        draw(tmp_path, 5, 5, time=later(0)),
        torn,
        draw(tmp_path, 7, 5, time=later(4)),
    ]
    alone = street.locate(torn)
    assert distance(alone.position, where(30, 0)) < 30
    together = answers(street.locate_walk(walk))
    assert [answer.query for answer in together] == [str(file) for file in walk]
    assert distance(together[1].position, where(6, 0)) < 30
    assert together[1].candidates[0].path.startswith("006")
    assert (together[1].confidence or 0) > (alone.confidence or 1)


def test_a_walk_never_makes_a_radius_smaller(street: Localizer, tmp_path: Path) -> None:
    walk = [draw(tmp_path, place, 5, time=later(2 * place)) for place in range(4, 12)]
    radii = []
    for file, together in zip(walk, answers(street.locate_walk(walk)), strict=True):
        alone = street.locate(file)
        assert alone.radius is not None
        assert together.radius is not None
        assert together.confidence != alone.confidence
        radii.append((alone.radius, together.radius))
    assert all(after >= before for before, after in radii)


def test_a_photo_far_away_in_time_is_answered_as_if_alone(
    street: Localizer, tmp_path: Path
) -> None:
    torn = draw(tmp_path, 30, 5, other=6, time=later(60))
    walk = [draw(tmp_path, 5, 5, time=later(0)), torn, draw(tmp_path, 7, 5, time=later(120))]
    assert answers(street.locate_walk(walk))[1] == street.locate(torn)


def test_no_position_is_invented(street: Localizer, tmp_path: Path) -> None:
    # The photo between shows none of the database's places.
    walk = [
        draw(tmp_path, 5, 5, time=later(0)),
        draw(tmp_path, 200, 5, time=later(2)),
        draw(tmp_path, 7, 5, time=later(4)),
    ]
    between = answers(street.locate_walk(walk))[1]
    assert between.found is False
    assert min(distance(between.position, c.position) for c in between.candidates) < 30


def test_times_decide_the_order_and_answers_come_in_the_order_of_the_queries(
    street: Localizer, tmp_path: Path
) -> None:
    times = {5: 0, 30: 2, 7: 4}
    files = {n: draw(tmp_path, n, 5, 6 if n == 30 else None, later(t)) for n, t in times.items()}
    mixed = answers(street.locate_walk([files[7], files[30], files[5]]))
    ordered = answers(street.locate_walk([files[5], files[30], files[7]]))
    assert mixed == [ordered[2], ordered[1], ordered[0]]


def test_a_photo_without_a_time_is_refused_in_one_line(street: Localizer, tmp_path: Path) -> None:
    walk = [draw(tmp_path, 5, 5, time=later(0)), draw(tmp_path, 6, 5)]
    with pytest.raises(PhotoError, match=r"cannot order .*006_5\.png: its EXIF has no time"):
        street.locate_walk(walk)


def test_clocks_with_and_without_a_time_zone_are_refused(street: Localizer, tmp_path: Path) -> None:
    aware = later(1).replace(tzinfo=UTC)
    walk = [draw(tmp_path, 5, 5, time=later(0)), draw(tmp_path, 6, 5, time=aware)]
    with pytest.raises(PhotoError, match="only one of them tells its time zone"):
        street.locate_walk(walk)


def test_an_unreadable_photo_stops_no_walk(street: Localizer, tmp_path: Path) -> None:
    words = tmp_path / "words.png"
    words.write_text("no photo")
    heard: list[int] = []
    located = street.locate_walk(
        [draw(tmp_path, 5, 5, time=later(0)), words], progress=heard.append
    )
    assert [type(answer) for _, answer in located] == [Answer, PhotoError]
    assert heard == [1, 2]


def test_a_walk_of_no_photos_is_empty(street: Localizer) -> None:
    assert street.locate_walk([]) == []
