"""Which photos of a database must not answer one of its own."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hafloc.calibrate.visits import STANDPOINT, VISIT, one_a_standpoint, taken_together
from hafloc.geo import LocalFrame, Position
from hafloc.index import Record

FRAME = LocalFrame(Position(52.2, 0.1))
NOON = datetime(2024, 5, 31, 12, 0)


def photo(id_: int, east: float, time: datetime | None = None, content: str = "") -> Record:
    place = FRAME.to_position(east, 0.0)
    return Record(f"{id_}.jpg", content or str(id_), place, 40, 40, "csv", time=time, id=id_)


def minutes(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def test_one_photo_stands_for_its_standpoint() -> None:
    photos = [photo(0, 0.0), photo(1, 1.5), photo(2, 3.0), photo(3, 30.0), photo(4, 30.0)]
    # The third is near the second, which stands for nothing itself.
    assert [record.id for record in one_a_standpoint(photos)] == [0, 2, 3]
    assert one_a_standpoint([]) == []


def test_headings_of_one_panorama_and_frames_of_one_film_are_together() -> None:
    headings = [photo(number, 0.0) for number in range(4)]
    frames = [photo(4, 1.0), photo(5, STANDPOINT + 0.1)]
    assert taken_together(headings[0], [*headings, *frames]) == {0, 1, 2, 3, 4}


def test_a_copy_of_the_file_is_together_wherever_it_is_said_to_lie() -> None:
    own = photo(0, 0.0, content="same")
    assert taken_together(own, [own, photo(1, 60.0, content="same")]) == {0, 1}


def test_a_burst_is_together_with_its_photo_where_the_place_was_visited_again() -> None:
    own, next_shot = photo(0, 0.0, NOON), photo(1, 8.0, minutes(0.1))
    later = photo(2, 9.0, minutes(60))
    assert taken_together(own, [own, next_shot, later]) == {0, 1}


def test_the_only_visit_to_a_place_answers_for_it() -> None:
    own, next_shot = photo(0, 0.0, NOON), photo(1, 8.0, minutes(0.1))
    # Another visit, but to another place: 60 m away.
    far = photo(2, 60.0, minutes(60))
    assert taken_together(own, [own, next_shot, far]) == {0}


def test_another_visit_counts_only_beside_the_standpoint() -> None:
    # A table may give all photos of a place one position, whenever they were taken.
    own, same_row, next_shot = photo(0, 0.0, NOON), photo(1, 0.0, minutes(60)), photo(2, 8.0, NOON)
    assert taken_together(own, [own, same_row, next_shot]) == {0, 1}


def test_clocks_that_cannot_be_compared_say_nothing_of_visits() -> None:
    own = photo(0, 0.0, NOON)
    zoned = photo(1, 8.0, NOON.replace(tzinfo=UTC))
    timeless = photo(2, 9.0)
    later = photo(3, 10.0, minutes(60))
    assert taken_together(own, [own, zoned, timeless, later]) == {0}


times = st.none() | st.floats(0, 3 * VISIT).map(lambda seconds: NOON + timedelta(seconds=seconds))


@given(st.lists(st.tuples(st.floats(-90, 90), times), min_size=1, max_size=8))
def test_a_photo_is_together_with_itself_and_what_remains_was_not_at_its_standpoint(
    places: list[tuple[float, datetime | None]],
) -> None:
    around = [photo(id_, east, time) for id_, (east, time) in enumerate(places)]
    together = taken_together(around[0], around)
    assert 0 in together
    remaining = [record for record in around if record.id not in together]
    assert all(abs(places[record.id or 0][0] - places[0][0]) > 1.99 for record in remaining)
