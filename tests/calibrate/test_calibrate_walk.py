"""Photos of one walk, located together."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from numbered_places import MODEL, ByNumber, build, draw, where

from hafloc import calibrate
from hafloc.errors import HaflocError, PhotoError
from hafloc.geo import distance
from hafloc.index import GeoPackageIndex, open_index
from hafloc.locate import Answer, Localizer
from hafloc.locate.walk_photos import FEWER, NO_TIME

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


def open_(path: Path, model: object = None, **options: object) -> Localizer:
    return Localizer(open_index(path, model=MODEL), ByNumber())


@pytest.fixture
def street(path: Path) -> Iterator[Localizer]:
    with open_(path) as opened:
        yield opened


def answers(located: list[tuple[str, Answer | HaflocError]]) -> list[Answer]:
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


def test_a_photo_without_a_time_is_answered_on_its_own_and_stops_no_walk(
    street: Localizer, tmp_path: Path
) -> None:
    timed = [draw(tmp_path, place, 5, time=later(2 * place)) for place in (5, 6, 7)]
    untimed = draw(tmp_path, 9, 5)
    together = answers(street.locate_walk([timed[0], untimed, *timed[1:]]))
    alone = street.locate(untimed)
    assert together[1] == replace(alone, note=NO_TIME)
    assert [together[i] for i in (0, 2, 3)] == answers(street.locate_walk(timed))
    assert {answer.note for answer in answers(street.locate_walk(timed))} == {None}


def test_clocks_with_and_without_a_time_zone_help_their_like(
    street: Localizer, tmp_path: Path
) -> None:
    # Given two walks, of which one camera tells its time zone, mixed with each other
    plain = [draw(tmp_path, place, 5, time=later(2 * place)) for place in (5, 6, 7)]
    zoned = [
        draw(tmp_path, place, 5, time=later(2 * place).replace(tzinfo=UTC)) for place in (20, 21)
    ]
    # When they are located together, they are answered as two walks
    together = answers(street.locate_walk([plain[0], zoned[0], *plain[1:], zoned[1]]))
    assert [together[i] for i in (0, 2, 3)] == answers(street.locate_walk(plain))
    # And the fewer ones say that most of the walk could not help them
    apart = answers(street.locate_walk(zoned))
    assert [together[1], together[4]] == [replace(answer, note=FEWER[True]) for answer in apart]


def test_the_same_photo_twice_in_a_walk_is_answered_twice(
    street: Localizer, tmp_path: Path
) -> None:
    photo = draw(tmp_path, 5, 5, time=later(0))
    first, second = answers(street.locate_walk([photo, photo]))
    assert (first.query, first.position) == (second.query, second.position)


def test_a_walk_asks_for_a_sample_of_the_database_and_not_for_all_of_it(
    street: Localizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def streamed(self: object, bbox: object = None) -> None:
        raise AssertionError("all records were read")

    monkeypatch.setattr(GeoPackageIndex, "iterate", streamed)
    walk = [draw(tmp_path, place, 5, time=later(2 * place)) for place in (5, 6)]
    assert len(answers(street.locate_walk(walk))) == 2


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
