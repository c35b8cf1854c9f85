"""Which of many photos of a street are fetched."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hafloc.geo import LocalFrame, Position, distance, heading_difference
from hafloc.sources import StreetPhoto, choose

FRAME = LocalFrame(Position(48.2, 16.37))


def at(east: float, name: str = "", **facts: object) -> StreetPhoto:
    place = FRAME.to_position(east, 0.0)
    photo = StreetPhoto(name or f"{east:06.1f}", place, "http://x/1.jpg", "http://x/1", "walk")
    return replace(photo, **{"heading": 90.0, "field_of_view": 70.0, **facts})  # type: ignore[arg-type]


def names(photos: list[StreetPhoto]) -> list[str]:
    return [photo.id for photo in photos]


def test_of_photos_nearer_than_the_spacing_one_is_taken() -> None:
    street = [at(metres) for metres in (0, 3, 7, 9, 12, 30)]
    assert names(choose(street, every=8)) == ["0000.0", "0009.0", "0030.0"]


def test_what_looks_another_way_is_another_photo() -> None:
    spot = [at(0, "east"), at(1, "also east", heading=100.0), at(0, "west", heading=270.0)]
    assert sorted(names(choose(spot, every=8))) == ["also east", "west"]


def test_a_panorama_looks_every_way_but_is_no_flat_photo() -> None:
    spot = [
        at(0, "flat"),
        at(0, "pano", field_of_view=360.0),
        at(1, "pano, turned", field_of_view=360.0, heading=270.0),
    ]
    assert names(choose(spot, every=8)) == ["flat", "pano"]


def test_what_is_held_is_chosen_again_though_another_came_between() -> None:
    # Given a street of which every second photo was fetched
    first = choose([at(10.0 * i) for i in range(10)], every=15)
    # When a photo was added at its beginning, which would shift all others
    street = [at(-5, "new"), *(at(10.0 * i) for i in range(10))]
    again = choose(street, every=15, held=frozenset(names(first)))
    # Then the same ones are chosen
    assert set(names(first)) <= set(names(again))


def test_at_most_so_many_are_spread_over_the_whole_street() -> None:
    street = [
        at(10.0 * i, f"{i:03d}", time=datetime(2024, 5, 1, 12, i, tzinfo=UTC)) for i in range(60)
    ]
    chosen = names(choose(street, most=6))
    assert chosen == ["000", "010", "020", "030", "040", "050"]
    again = choose(street, most=8, held=frozenset(chosen))
    assert len(again) == 8
    assert set(chosen) <= set(names(again))


@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from([0, 40, 90, 180])), max_size=40),
    st.integers(1, 20),
)
def test_what_is_left_out_has_a_chosen_one_beside_it_and_no_two_chosen_are_alike(
    places: list[tuple[int, int]], every: int
) -> None:
    street = [
        at(east, f"{i:02d}", heading=float(heading)) for i, (east, heading) in enumerate(places)
    ]
    chosen = choose(street, every=every)

    def alike(a: StreetPhoto, b: StreetPhoto) -> bool:
        near = distance(a.position, b.position) < every - 1e-3
        return near and float(heading_difference(a.heading or 0, b.heading or 0)) <= 45

    assert not any(alike(a, b) for i, a in enumerate(chosen) for b in chosen[:i])
    for photo in street:
        near = [one for one in chosen if distance(one.position, photo.position) < every + 1e-3]
        assert photo in chosen or near


@pytest.mark.parametrize("most", [1, 3])
def test_fewer_than_the_most_are_all_taken(most: int) -> None:
    assert len(choose([at(0)], most=most)) == 1
    assert choose([], every=8, most=most) == []
