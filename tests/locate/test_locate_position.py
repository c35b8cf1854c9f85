"""Where candidates agree."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hafloc.geo import LocalFrame, Position, distance
from hafloc.locate import Calibration, judge
from hafloc.locate.position import FIX, REACH, SIGNS, Consensus, agree
from hafloc.verify import Evidence, shipped_rule

CENTRE = Position(52.2, 0.1)


def evidence(id_: int, strength: float, similarity: float = 0.5) -> Evidence:
    none = np.zeros((0, 4), np.float32)
    return Evidence(id_, similarity, 0, 0, "homography", none, strength)


def at(*places: tuple[float, float], centre: Position = CENTRE) -> list[Position]:
    """Positions some metres east and north of `centre`."""
    frame = LocalFrame(centre)
    return [frame.to_position(*place) for place in places]


def consensus(
    places: list[tuple[float, float]], strengths: list[float], centre: Position = CENTRE
) -> Consensus:
    found = [evidence(i, strength) for i, strength in enumerate(strengths)]
    return agree(at(*places, centre=centre), found)


def metres(found: Consensus, centre: Position = CENTRE) -> tuple[float, float]:
    ((x, y),) = LocalFrame(centre).to_metres([found.position.lat], [found.position.lon])
    return float(x), float(y)


def test_one_candidate_is_its_own_consensus() -> None:
    found = agree([CENTRE], [evidence(1, 2.0, 0.7)])
    assert found.position == CENTRE
    assert found.scale == FIX
    # ln(1 + 1 / (1 + e^-2))
    # With no other place among the candidates, it is ahead of what a stranger has: -9.
    assert found.signs == pytest.approx((2.0, math.log1p(0.880797), 11.0, 0.7, 0.0), rel=1e-6)


def test_similarity_that_geometry_does_not_confirm_is_no_sign() -> None:
    # Given a candidate that looks much alike and whose key points agree on nothing
    unconfirmed = replace(evidence(1, 9.0, 0.97), geometry="")
    # Then it is as good as even odds, and no more alike than a stranger
    strength, _, gap, similarity, _ = agree([CENTRE], [unconfirmed]).signs
    assert (strength, gap) == (0.0, 9.0)
    assert similarity == shipped_rule().usual.similarity
    # But where nothing was compared similarity is all there is
    alone = replace(unconfirmed, verified=False)
    assert agree([CENTRE], [alone]).signs[3] == 0.97


def test_two_equal_candidates_meet_under_the_kernel_of_the_first() -> None:
    # 30 m apart: kernel 1 and 1 - 0.36 = 0.64, so the mean lies 30 · 0.64 / 1.64 m from the first.
    found = consensus([(0, 0), (30, 0)], [1.0, 1.0])
    assert metres(found) == pytest.approx((30 * 0.64 / 1.64, 0), abs=1e-6)


def test_a_candidate_of_less_odds_pulls_less() -> None:
    # Odds 1 and ½, squared 4 : 1, times the kernel 0.64.
    found = consensus([(0, 0), (30, 0)], [0.0, -math.log(2)])
    assert metres(found) == pytest.approx((30 * 0.16 / 1.16, 0), abs=1e-6)


def test_photos_beyond_reach_do_not_pull() -> None:
    found = consensus([(0, 0), (REACH + 1, 0)], [1.0, 0.9])
    assert found.position == at((0, 0))[0]


def test_two_agreeing_candidates_outvote_a_stronger_one_elsewhere() -> None:
    # Squared odds 1 against 0.64 and 0.64 times a kernel of nearly 1.
    found = consensus([(500, 0), (0, 0), (5, 0)], [0.0, math.log(0.8), math.log(0.8)])
    x, y = metres(found)
    assert 2 < x < 3
    assert y == pytest.approx(0, abs=1e-6)


def test_a_sure_candidate_is_not_outvoted_by_many_weak_ones() -> None:
    crowd = [(500.0 + i, 0.0) for i in range(40)]
    found = consensus([(0, 0), *crowd], [8.0, *[1.0] * 40])
    assert found.position == at((0, 0))[0]


def test_doubt_between_two_places_widens_the_scale() -> None:
    sure = consensus([(0, 0), (300, 0)], [5.0, -5.0])
    torn = consensus([(0, 0), (300, 0)], [1.0, 1.0])
    assert sure.scale == pytest.approx(FIX, abs=0.1)
    # The mean distance from the position is 150 m.
    assert torn.scale == pytest.approx(math.hypot(FIX, 150), rel=1e-4)


def test_signs_tell_support_here_and_the_best_of_another_place() -> None:
    found = consensus([(0, 0), (10, 0), (200, 0), (900, 0)], [3.0, 1.0, 2.5, 2.0])
    signs = dict(zip(SIGNS, found.signs, strict=True))
    assert signs["strength"] == 3.0
    assert signs["gap"] == 0.5
    assert signs["support"] == pytest.approx(math.log(1 + 0.952574 + 0.731059), rel=1e-5)


def test_candidates_at_one_position_give_that_position_and_the_smallest_scale() -> None:
    found = consensus([(3, 4)] * 5, [1.0, 0.0, -1.0, 2.0, 0.5])
    assert metres(found) == pytest.approx((3, 4), abs=1e-6)
    assert found.scale == pytest.approx(FIX)


@pytest.mark.parametrize("centre", [Position(-17.0, 180.0), Position(10.0, -180.0)])
def test_candidates_on_both_sides_of_the_180th_meridian_meet_between(centre: Position) -> None:
    found = consensus([(-10, 0), (10, 0)], [0.0, 0.0], centre)
    assert distance(found.position, centre) < 3
    assert abs(abs(found.position.lon) - 180) < 1e-4


@pytest.mark.parametrize("other", [Position(-52.2, -179.9), Position(90, 0), Position(-90, 5)])
def test_a_candidate_on_the_other_side_of_the_earth_is_another_place(other: Position) -> None:
    found = agree([CENTRE, other], [evidence(1, 2.0), evidence(2, 1.0)])
    assert found.position == CENTRE
    assert math.isfinite(found.scale)
    assert found.scale > 100_000


def test_no_candidates_are_refused() -> None:
    with pytest.raises(ValueError, match="no candidates"):
        agree([], [])


places = st.lists(
    st.tuples(st.floats(-400, 400), st.floats(-400, 400), st.floats(-15, 15)),
    min_size=1,
    max_size=8,
)


@given(st.integers(0, 10_000))
def test_the_order_of_candidates_does_not_matter(seed: int) -> None:
    random = np.random.default_rng(seed)
    drawn = random.uniform(-1, 1, (6, 3)) * (200, 200, 5)
    order = random.permutation(6)
    first, second = (
        consensus([(x, y) for x, y, _ in rows], list(rows[:, 2])) for rows in (drawn, drawn[order])
    )
    assert distance(first.position, second.position) < 1e-3
    assert first.signs == pytest.approx(second.signs)


@given(places)
def test_the_consensus_lies_within_reach_of_a_candidate_and_among_them(
    drawn: list[tuple[float, float, float]],
) -> None:
    found = consensus([p[:2] for p in drawn], [p[2] for p in drawn])
    x, y = metres(found)
    apart = [math.hypot(x - p[0], y - p[1]) for p in drawn]
    assert min(apart) <= REACH + 1e-3
    assert min(p[0] for p in drawn) - 1e-3 <= x <= max(p[0] for p in drawn) + 1e-3
    assert min(p[1] for p in drawn) - 1e-3 <= y <= max(p[1] for p in drawn) + 1e-3
    assert found.scale >= FIX


def test_a_single_candidate_s_accuracy_is_the_consensus_s() -> None:
    assert agree([CENTRE], [evidence(1, 2.0)], [35.0]).accuracy == 35
    assert agree([CENTRE], [evidence(1, 2.0)], [None]).accuracy == 0
    assert agree([CENTRE], [evidence(1, 2.0)]).accuracy == 0


def test_accuracies_count_as_much_as_their_positions() -> None:
    # Shares 1 / 1.64 and 0.64 / 1.64, as of their positions; the third is beyond reach.
    found = agree(
        at((0, 0), (30, 0), (500, 0)),
        [evidence(1, 1.0), evidence(2, 1.0), evidence(3, 0.9)],
        [10.0, 50.0, 900.0],
    )
    assert found.accuracy == pytest.approx((10 + 0.64 * 50) / 1.64)


def test_a_radius_is_never_smaller_than_the_accuracy_of_the_positions() -> None:
    calibration = Calibration(False, (1.0, 0.0, 0.0, 0.0, 0.0), 0.0, tuple([0.5] * 30), 30)
    rough, fine = (agree([CENTRE], [evidence(1, 2.0)], [metres]) for metres in (65.0, 3.0))
    # Without it: the scale FIX times the score 0.5.
    assert judge(fine, calibration).radius == FIX * 0.5
    assert judge(rough, calibration).radius == 65
    assert judge(rough, calibration).probability == 0.9
