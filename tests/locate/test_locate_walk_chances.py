"""Photos of one walk, smoothed."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hafloc.geo import LocalFrame, Position
from hafloc.locate.walk import FIX, PAIRS, PAUSE, SPEED, STRAY, Step, draw_distances, smooth

CENTRE = Position(52.2, 0.1)
# Photos of a database 1 km across: a pair in a hundred is near, the others far.
FAR = np.array([10.0, *[700.0] * 99])


def step(time: float, *candidates: tuple[float, float, float]) -> Step:
    """A photo whose candidates lie x, y metres from the centre and have these chances."""
    frame = LocalFrame(CENTRE)
    places = [frame.to_position(x, y) for x, y, _ in candidates]
    return Step(time, places, np.array([chance for *_, chance in candidates]))


def factor(metres: float, seconds: float, usual: np.ndarray = FAR) -> float:
    variance = FIX**2 + (SPEED * seconds) ** 2
    common = sum(math.exp(-(d**2) / (2 * variance)) for d in usual) / len(usual)
    kernel = math.exp(-(metres**2) / (2 * variance))
    return (1 - STRAY) * kernel / max(common, 1 / len(usual)) + STRAY


def by_enumeration(steps: list[Step], usual: np.ndarray) -> list[np.ndarray]:
    """The chances from all ways through the walk, one by one."""
    frame = LocalFrame(CENTRE)
    totals = [np.zeros(len(s.positions) + 1) for s in steps]
    for way in itertools.product(*(range(len(s.positions) + 1) for s in steps)):
        weight = 1.0
        places = []
        for s, state in zip(steps, way, strict=True):
            here = state < len(s.positions)
            weight *= s.chances[state] if here else 1 - s.chances.sum()
            p = s.positions[state] if here else None
            places.append(None if p is None else frame.to_metres([p.lat], [p.lon])[0])
        for (a, s), (b, t) in itertools.pairwise(zip(places, steps, strict=True)):
            if a is not None and b is not None and t.time - s.time <= PAUSE:
                weight *= factor(float(np.hypot(*(a - b))), t.time - s.time, usual)
        for total, state in zip(totals, way, strict=True):
            total[state] += weight
    return [total[:-1] / total.sum() for total in totals]


def test_a_photo_in_doubt_is_decided_by_its_neighbours() -> None:
    walk = [
        step(0, (0, 0, 0.9)),
        step(20, (900, 0, 0.5), (20, 0, 0.4)),
        step(40, (40, 0, 0.9)),
    ]
    found = smooth(walk, FAR)
    assert found[1][1] > 0.95
    assert found[1][0] < 0.05
    assert found[0][0] > 0.95


def test_two_photos_by_hand() -> None:
    # Ways: both here 0.5 · 0.5 · f; one of them 0.5 · 0.5 each; none 0.5 · 0.5.
    near = factor(0.0, 10.0)
    found = smooth([step(0, (0, 0, 0.5)), step(10, (0, 0, 0.5))], FAR)
    expected = (0.25 * near + 0.25) / (0.25 * near + 0.75)
    assert found[0] == pytest.approx([expected])
    assert found[1] == pytest.approx([expected])


def test_a_photo_far_from_its_neighbours_is_doubted() -> None:
    found = smooth([step(0, (0, 0, 0.9)), step(10, (5_000, 0, 0.6)), step(20, (0, 0, 0.9))], FAR)
    # The others speak against it as strongly as STRAY allows, and never more.
    assert 0.001 < found[1][0] < 0.1


def test_a_photo_without_neighbours_in_time_keeps_its_chances_exactly() -> None:
    walk = [
        step(0, (0, 0, 0.3)),
        step(PAUSE + 1, (0, 0, 0.37), (10, 0, 0.21)),
        step(2 * PAUSE + 2, (0, 0, 0.3)),
    ]
    for own, found in zip(walk, smooth(walk, FAR), strict=True):
        assert found.tolist() == own.chances.tolist()


def test_a_pause_parts_the_walk_in_two() -> None:
    first = [step(0, (0, 0, 0.5)), step(10, (0, 0, 0.5))]
    second = [step(20 + PAUSE, (9, 0, 0.5)), step(30 + PAUSE, (8, 0, 0.6))]
    together = smooth([*first, *second], FAR)
    apart = [*smooth(first, FAR), *smooth(second, FAR)]
    for a, b in zip(together, apart, strict=True):
        assert a == pytest.approx(b)


def test_a_photo_that_is_surely_elsewhere_stays_so() -> None:
    found = smooth([step(0, (0, 0, 0.9)), step(10, (0, 0, 0.0)), step(20, (0, 0, 0.9))], FAR)
    assert found[1].tolist() == [0.0]


def test_a_walk_of_many_photos_stays_within_the_range_of_numbers() -> None:
    walk = [step(10 * i, (10 * i, 0, 0.01), (5_000 + 900 * i, 0, 0.01)) for i in range(1_000)]
    found = np.array(smooth(walk, np.full(1_000, 1e6)))
    assert np.isfinite(found).all()
    assert found[:, 0].min() > 0.85  # the ends have one neighbour only


def test_photos_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="order of time"):
        smooth([step(5, (0, 0, 0.5)), step(4, (0, 0, 0.5))], FAR)


def test_no_photos_and_photos_without_candidates() -> None:
    assert smooth([], FAR) == []
    found = smooth([Step(0, [], np.zeros(0)), step(5, (0, 0, 0.5))], FAR)
    assert [len(chances) for chances in found] == [0, 1]
    assert found[1] == pytest.approx([0.5])


steps = st.lists(
    st.tuples(
        st.floats(0, 900),
        st.lists(
            st.tuples(st.floats(-300, 300), st.floats(-300, 300), st.floats(0, 0.3)),
            max_size=3,
        ),
    ),
    min_size=1,
    max_size=4,
)


@given(steps, st.sampled_from([0.0, 50.0, 1e6]))
@settings(max_examples=40)
def test_smoothing_agrees_with_the_enumeration_of_all_ways(
    drawn: list[tuple[float, list[tuple[float, float, float]]]], metres: float
) -> None:
    times = np.cumsum([gap for gap, _ in drawn])
    walk = [step(float(t), *places) for t, (_, places) in zip(times, drawn, strict=True)]
    usual = np.array([metres, 300.0, 2_000.0])
    for fast, slow in zip(smooth(walk, usual), by_enumeration(walk, usual), strict=True):
        assert fast == pytest.approx(slow, abs=1e-4)


def test_random_photos_of_the_database_count_one_on_average() -> None:
    # Candidates as far apart as random photos say nothing of the walk.
    usual = np.array([0.0, 40.0, 80.0, 400.0])
    factors = [factor(d, 30.0, usual) for d in usual]
    assert np.mean(factors) == pytest.approx(1.0)


def test_distances_are_those_of_pairs_of_different_photos() -> None:
    frame = LocalFrame(CENTRE)
    line = [frame.to_position(100 * i, 0) for i in range(5)]
    drawn = draw_distances(line)
    assert len(drawn) == PAIRS
    # Of 20 ordered pairs 8, 6, 4 and 2 are 100, 200, 300 and 400 m apart.
    shares = [np.mean(np.abs(drawn - metres) < 1) for metres in (100, 200, 300, 400)]
    assert shares == pytest.approx([0.4, 0.3, 0.2, 0.1], abs=0.04)
    assert draw_distances(line[:1]).tolist() == [0.0]
