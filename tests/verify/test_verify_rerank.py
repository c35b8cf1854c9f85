"""Evidence on candidates: what counts, what is left alone, what cannot be compared."""

import numpy as np
import pytest
from scenes import MIRROR, features, plane_pair, spread

from hafloc.description import LocalFeatures
from hafloc.verify.geometry import NOTHING, Verified
from hafloc.verify.rerank import compare, weigh
from hafloc.verify.rule import CUES, PLAIN_CUES, Rule, Usual, Weights, read_cues, shipped_rule


def seen(significance: float, inliers: int = 30, matches: int = 60) -> Verified:
    pairs = np.zeros((inliers, 4), np.float32)
    return Verified(matches, matches, "homography", pairs, significance, 0.25)


def test_a_candidate_with_the_same_facade_comes_before_more_similar_ones() -> None:
    query, right = plane_pair(1, right=150, wrong=50)
    others = [plane_pair(seed, right=0, wrong=200)[0] for seed in (2, 3, 4)]
    found = weigh([10, 11, 12, 13], [0.61, 0.60, 0.59, 0.55], [[query]] * 4, [*others, right])
    assert found[0].id == 13
    assert found[0].inliers > 100
    assert found[0].pairs.shape == (found[0].inliers, 4)
    assert found[0].strength > 0 > found[1].strength
    assert all(item.verified for item in found)


def test_a_sure_first_place_is_left_alone_where_geometry_finds_little() -> None:
    query = plane_pair(1, right=150, wrong=50)[0]
    others = [plane_pair(seed, right=0, wrong=200)[0] for seed in range(2, 8)]
    found = weigh(range(6), [0.9, 0.4, 0.4, 0.39, 0.39, 0.38], [[query]] * 6, others)
    assert found[0].id == 0


def test_without_key_points_similarity_alone_orders_the_candidates() -> None:
    candidate = plane_pair(1, right=50, wrong=0)[1]
    for query, candidates in ((None, [candidate] * 3), (candidate, [None] * 3)):
        found = weigh([7, 8, 9], [0.5, 0.4, 0.3], [[query]] * 3, candidates)
        assert [item.id for item in found] == [7, 8, 9]
        assert not any(item.verified for item in found)
        assert {(item.matches, item.inliers, item.geometry) for item in found} == {(0, 0, "")}
        strengths = [item.strength for item in found]
        assert strengths == sorted(strengths, reverse=True)


def test_a_candidate_that_cannot_be_compared_does_not_stop_the_others() -> None:
    query, right = plane_pair(1, right=150, wrong=50)
    found = weigh([1, 2, 3], [0.6, 0.5, 0.5], [[query]] * 3, [None, right, None])
    assert found[0].id == 2
    assert [item.verified for item in found] == [True, False, False]


def test_identical_duplicates_keep_the_order_of_the_search() -> None:
    query, right = plane_pair(1, right=150, wrong=50)
    found = weigh([5, 3, 4], [0.6, 0.6, 0.6], [[query]] * 3, [right, right, right])
    assert [item.id for item in found] == [5, 3, 4]
    assert len({item.strength for item in found}) == 1


def test_a_photo_of_one_colour_is_weighed_without_a_crash() -> None:
    blank = LocalFeatures(np.zeros((0, 2), np.float32), np.zeros((0, 64), np.int8), (480, 360))
    other = plane_pair(1, right=50, wrong=0)[1]
    for query, candidates in ((blank, [other, blank]), (other, [blank, blank])):
        found = weigh([1, 2], [0.3, 0.2], [[query]] * 2, candidates)
        assert [item.inliers for item in found] == [0, 0]
        assert all(np.isfinite(item.strength) and item.strength < 0 for item in found)


def test_a_mirrored_photo_of_the_place_is_not_confirmed() -> None:
    query, mirrored = plane_pair(1, right=150, wrong=0, matrix=MIRROR)
    (found,) = weigh([1], [0.5], [[query]], [mirrored])
    assert (found.inliers, found.geometry) == (0, "")


def test_repeated_facades_of_another_street_are_not_confirmed() -> None:
    # Given two blocks with the same window again and again, at unlike places
    random = np.random.default_rng(0)
    window = random.standard_normal((1, 64))
    query, other = (
        features(spread(random, 150), window + random.normal(0, 0.05, (150, 64))) for _ in range(2)
    )
    found = compare(query, [other])[0]
    assert found is not None
    assert found.significance < 3


@pytest.mark.parametrize("count", [1, 2])
def test_databases_of_one_and_two_photos_are_enough(count: int) -> None:
    query, right = plane_pair(1, right=150, wrong=50)
    found = weigh(range(count), [0.5, 0.4][:count], [[query]] * count, [right, None][:count])
    assert found[0].id == 0


def test_signs_are_those_worked_by_hand() -> None:
    cues = read_cues([0.5, 0.8, 0.6], [seen(np.expm1(2.0)), NOTHING, None], Usual(0.1, 0.0))
    assert np.allclose(cues[:, 0], [0.5, 0.8, 0.6])
    assert np.allclose(cues[:, 1], [0.5 - 0.8, 0.8 - 0.6, 0.6 - 0.8])
    assert np.allclose(cues[:, 2], [2, 0, 0])
    assert np.allclose(cues[:, 3], [2, -2, -2])
    assert np.allclose(cues[:, 4], [np.log(61), 0, 0])
    assert np.allclose(cues[:, 5], [np.log(61), -np.log(61), -np.log(61)])
    assert np.allclose(cues[:, 6], [np.log(31), 0, 0])
    assert np.allclose(cues[:, 7], [0.5, 0, 0])
    assert np.allclose(cues[:, 8], [0.25, 0, 0])


def test_a_single_candidate_is_ahead_of_what_strangers_show() -> None:
    usual = Usual(0.125, float(np.log(4)))
    lead, prominence, majority = read_cues([0.5], [seen(np.expm1(2.0))], usual)[0, [1, 3, 5]]
    assert lead == 0.5 - 0.125
    assert prominence == pytest.approx(2.0)
    assert majority == pytest.approx(np.log(61) - np.log(4))


def test_rivals_weaker_than_strangers_give_no_more_lead() -> None:
    cues = read_cues([0.5, 0.05], [seen(3.0), NOTHING], Usual(0.125, 3.0))
    assert cues[:, 1].tolist() == pytest.approx([0.375, -0.45])


def test_without_candidates_there_are_no_cues() -> None:
    assert read_cues([], [], Usual(0.1, 3.0)).shape == (0, len(CUES))


def test_the_rule_uses_the_plain_model_for_what_was_not_compared() -> None:
    verified = Weights(1.0, (0.0,) * (len(CUES) - 1) + (4.0,))
    rule = Rule(verified, Weights(-1.0, (2.0, 0.0)), Usual(0.0, 0.0))
    strengths = rule.strengths([0.5, 0.25], [seen(3.0), None])
    assert strengths.tolist() == [1 + 4 * 0.25, -1 + 2 * 0.25]


def test_the_shipped_rule_believes_more_evidence_more() -> None:
    rule = shipped_rule()
    weak, strong = (
        rule.strengths([0.4, 0.4], [seen(s, n), NOTHING]) for s, n in ((1, 8), (60, 90))
    )
    assert strong[0] > weak[0]
    plain = [rule.plain.log_odds(np.array([[s, 0.0]]))[0] for s in (0.2, 0.4, 0.8)]
    assert plain == sorted(plain)
    assert len(rule.plain.weights) == len(PLAIN_CUES)
    assert min(*rule.verified.weights, *rule.plain.weights) >= 0


def test_strong_geometry_counts_alone_and_a_stranger_stays_one() -> None:
    rule = shipped_rule()
    usual = rule.usual
    matches = round(np.expm1(usual.matches))
    (right,) = rule.strengths([0.5], [seen(60.0, inliers=51, matches=70)])
    (wrong,) = rule.strengths(
        [usual.similarity], [Verified(matches, 40, "", NOTHING.pairs, 0.0, 0.0)]
    )
    assert right > 2
    assert wrong < -5
