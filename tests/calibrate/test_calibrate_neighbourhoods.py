"""Neighbourhoods of queries, and promises judged by them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hafloc.calibrate import neighbourhoods
from hafloc.calibrate.neighbourhoods import MOST
from hafloc.calibrate.quality import promise
from hafloc.geo import Position

places = st.lists(st.builds(Position, st.floats(52.0, 52.01), st.floats(0.0, 0.01)), max_size=120)


@settings(max_examples=30)
@given(places)
def test_every_query_is_in_one_neighbourhood_of_bounded_size(positions: list[Position]) -> None:
    numbers = neighbourhoods(positions)
    assert numbers.shape == (len(positions),)
    counts = np.bincount(numbers)
    assert (counts > 0).all()
    assert max(counts, default=0) <= MOST


@settings(max_examples=30)
@given(places.filter(lambda some: len({(p.lat, p.lon) for p in some}) == len(some)))
def test_the_order_of_queries_does_not_matter(positions: list[Position]) -> None:
    def parts(some: list[Position]) -> set[frozenset[Position]]:
        numbers = neighbourhoods(some)
        return {
            frozenset(p for p, n in zip(some, numbers, strict=True) if n == number)
            for number in set(numbers.tolist())
        }

    assert parts(positions) == parts(positions[::-1])


def test_two_streets_are_not_mixed() -> None:
    streets = [Position(52.0 + street * 0.01, 0.00001 * i) for street in (0, 1) for i in range(15)]
    numbers = neighbourhoods(streets).tolist()
    assert not set(numbers[:15]) & set(numbers[15:])


def test_queries_of_one_spot_are_still_divided() -> None:
    assert len(set(neighbourhoods([Position(52.0, 0.0)] * 50).tolist())) >= 3


def test_a_promise_by_hand() -> None:
    # Five answers near each other of which four hold, five of which all do, one alone that fails.
    errors = np.array([1.0] * 4 + [9.0] + [1.0] * 5 + [9.0])
    numbers = np.array([4] * 5 + [7] * 5 + [9])
    kept = promise(errors, np.full(11, 5.0), numbers)
    assert kept.coverage == pytest.approx(9 / 11)
    assert (kept.worst, kept.best, kept.radius) == (0.8, 1.0, 5.0)
    # Neighbourhoods are drawn, not answers: three times the one that failed has nothing that holds.
    assert (kept.interval[0], kept.interval[1]) == (0.0, 1.0)


def test_nothing_is_promised_of_no_answers() -> None:
    kept = promise(np.array([]), np.array([]), np.array([], dtype=int))
    assert math.isnan(kept.coverage)
    assert math.isnan(kept.worst)
