"""Metrics against hand-worked cases and slow implementations written from the definitions."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hafloc.errors import EvaluationError
from hafloc.measure import recall


def rows(*values: int) -> recall.Ints:
    return np.array(values, dtype=np.int64)


def slow_ap(ranked: Sequence[int], positives: set[int], junk: set[int]) -> float:
    """compute_ap.cpp, line by line."""
    old_recall, old_precision, ap = 0.0, 1.0, 0.0
    intersection = seen = 0
    for item in ranked:
        if item in junk and item not in positives:
            continue
        if item in positives:
            intersection += 1
        recall = intersection / len(positives)
        precision = intersection / (seen + 1.0)
        ap += (recall - old_recall) * ((old_precision + precision) / 2.0)
        old_recall, old_precision = recall, precision
        seen += 1
    return ap


@st.composite
def ranked_lists(draw: st.DrawFn) -> tuple[list[int], set[int], set[int]]:
    n = draw(st.integers(1, 30))
    ranked = draw(st.permutations(range(n)))[: draw(st.integers(1, n))]
    kinds = draw(st.lists(st.sampled_from("pjn"), min_size=n, max_size=n))
    positives = {i for i, kind in enumerate(kinds) if kind == "p"} | {0}
    junk = {i for i, kind in enumerate(kinds) if kind == "j"}
    return list(ranked), positives, junk


@given(ranked_lists())
def test_average_precision_agrees_with_the_original_loop(
    case: tuple[list[int], set[int], set[int]],
) -> None:
    ranked, positives, junk = case
    ours = recall.average_precision(rows(*ranked), rows(*positives), rows(*junk))
    assert ours == pytest.approx(slow_ap(ranked, positives, junk), abs=1e-12)


@given(ranked_lists(), st.integers(1, 12))
def test_precision_at_k_agrees_with_counting_by_hand(
    case: tuple[list[int], set[int], set[int]], k: int
) -> None:
    ranked, positives, junk = case
    kept = [item for item in ranked if item not in junk or item in positives]
    places = [place for place, item in enumerate(kept, 1) if item in positives]
    ranks = recall.positive_ranks(rows(*ranked), rows(*positives), rows(*junk))
    assert [int(rank) + 1 for rank in ranks] == places
    if places:
        capped = min(places[-1], k)
        expected = sum(place <= capped for place in places) / capped
        assert recall.precision_at(ranks, k) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ranked", "positives", "junk", "expected"),
    [
        ((7, 8, 9), (7,), (), 1.0),
        # second place: (0 + 1/2) / 2
        ((8, 7, 9), (7,), (), 0.25),
        # the junk in front is deleted
        ((8, 7, 9), (7,), (8,), 1.0),
        # (1 + 1)/2 · 1/2 + (1/2 + 2/3)/2 · 1/2
        ((1, 5, 2), (1, 2), (), 0.5 + 7 / 24),
        # one of two never found
        ((1, 5, 6), (1, 2), (), 0.5),
        # the query, row 3, in its own list: a hit where it is a positive, nothing where junk
        ((3, 5, 1), (1, 3), (), 0.5 + 7 / 24),
        ((3, 5, 1), (1,), (3,), 0.25),
    ],
)
def test_average_precision_of_small_lists_is_what_paper_and_pencil_give(
    ranked: tuple[int, ...],
    positives: tuple[int, ...],
    junk: tuple[int, ...],
    expected: float,
) -> None:
    assert recall.average_precision(rows(*ranked), rows(*positives), rows(*junk)) == (
        pytest.approx(expected)
    )


def test_a_query_without_positives_has_no_average_precision_and_does_not_count() -> None:
    assert math.isnan(recall.average_precision(rows(1, 2), rows()))
    score = recall.score_retrieval(np.array([[0, 1], [1, 0]]), [rows(0), rows()])
    assert score.mean_ap == 1.0
    assert score.precision_at == {1: 1.0, 5: 1.0, 10: 1.0}
    assert math.isnan(score.each[1])


def test_a_query_whose_positives_the_list_lacks_counts_as_zero() -> None:
    score = recall.score_retrieval(np.array([[0, 1], [1, 0]]), [rows(0), rows(5)])
    assert score.mean_ap == 0.5
    assert score.precision_at[1] == 0.5


def test_precision_at_k_is_capped_at_the_last_positive() -> None:
    # Positives at places 1 and 3 of the list: at 10, two of the first three.
    assert recall.precision_at(rows(0, 2), 10) == pytest.approx(2 / 3)
    assert recall.precision_at(rows(0, 2), 2) == 0.5


def test_recall_counts_queries_without_positives_in_its_denominator() -> None:
    hits = recall.find_hits(
        np.array([[4, 2, 0], [1, 3, 2], [0, 1, 2]]), [rows(0, 2), rows(), rows(0)]
    )
    assert hits.tolist() == [[False, True, True], [False] * 3, [True, False, False]]
    assert recall.first_hits(hits).tolist() == [1, 3, 0]
    assert recall.hit_counts(hits, 5).tolist() == [1, 2, 2, 2, 2]
    assert recall.recall_curve(hits, 2).tolist() == pytest.approx([1 / 3, 2 / 3])


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 10_000))
def test_recall_agrees_with_looking_through_each_list(q: int, k: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    ranking = np.stack([random.permutation(12)[:k] for _ in range(q)])
    positives = [np.flatnonzero(random.random(12) < 0.2) for _ in range(q)]
    curve = recall.recall_curve(recall.find_hits(ranking, positives), 10)
    for n in range(1, 11):
        found = sum(
            bool(set(ranked[:n].tolist()) & set(good.tolist()))
            for ranked, good in zip(ranking, positives, strict=True)
        )
        assert curve[n - 1] == pytest.approx(found / q)


def test_empty_places_of_a_ranking_are_no_hits() -> None:
    assert not recall.find_hits(np.array([[-1, -1]]), [rows(0, 3)]).any()


def test_a_threshold_curve_by_hand_with_a_tie() -> None:
    # Scores 0.9 right, 0.8 right and wrong (a tie, answered together), 0.5 right; 0.1 wrong.
    curve = recall.threshold_curve(
        np.array([0.8, 0.5, 0.9, 0.8, 0.1]), np.array([True, True, True, False, False])
    )
    assert curve.thresholds.tolist() == [0.9, 0.8, 0.5, 0.1]
    assert curve.recall.tolist() == pytest.approx([0.2, 0.4, 0.6, 0.6])
    assert curve.precision.tolist() == pytest.approx([1, 2 / 3, 3 / 4, 3 / 5])
    assert curve.area == pytest.approx(0.2 + 0.2 * 2 / 3 + 0.2 * 3 / 4)
    assert curve.sure_recall == 0.2


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=20),
)
def test_a_threshold_curve_agrees_with_trying_every_threshold(
    answers: list[tuple[int, bool]],
) -> None:
    scores = np.array([score for score, _ in answers], dtype=float)
    correct = np.array([right for _, right in answers])
    curve = recall.threshold_curve(scores, correct)
    slow = []
    for threshold in sorted(set(scores), reverse=True):
        kept = [right for score, right in answers if score >= threshold]
        slow.append((threshold, sum(kept) / len(answers), sum(kept) / len(kept)))
    assert list(zip(curve.thresholds, curve.recall, curve.precision, strict=True)) == [
        pytest.approx(point) for point in slow
    ]
    assert curve.sure_recall == max([r for _, r, p in slow if p == 1.0], default=0.0)


def test_no_right_answer_at_full_confidence_means_no_sure_recall() -> None:
    curve = recall.threshold_curve(np.array([0.9, 0.1]), np.array([False, True]))
    assert curve.sure_recall == 0.0


def test_scores_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(EvaluationError, match="NaN"):
        recall.threshold_curve(np.array([0.1, math.nan]), np.array([True, False]))


def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(EvaluationError, match="no query has a positive"):
        recall.score_retrieval(np.array([[0, 1]]), [rows()])
    with pytest.raises(EvaluationError):
        recall.recall_curve(np.zeros((0, 3), dtype=bool), 5)


def test_an_interval_agrees_with_drawing_queries_one_by_one() -> None:
    random = np.random.default_rng(3)
    values = np.column_stack([random.random(40) < 0.8, random.random(40)]).astype(float)
    values[::7, 1] = np.nan
    low, high = recall.bootstrap_interval(values, seed=5)
    drawn = np.random.default_rng(11)
    means = np.array(
        [np.nanmean(values[drawn.integers(40, size=40)], axis=0) for _ in range(4_000)]
    )
    assert low == pytest.approx(np.percentile(means, 2.5, axis=0), abs=0.02)
    assert high == pytest.approx(np.percentile(means, 97.5, axis=0), abs=0.02)
    assert ((low < np.nanmean(values, axis=0)) & (np.nanmean(values, axis=0) < high)).all()


def test_an_interval_of_many_queries_is_that_of_the_normal_distribution() -> None:
    values = np.zeros((2_000, 1))
    values[:1_560] = 1.0
    low, high = recall.bootstrap_interval(values)
    half = 1.96 * (0.78 * 0.22 / 2_000) ** 0.5
    assert [low[0], high[0]] == pytest.approx([0.78 - half, 0.78 + half], abs=0.002)


def test_an_interval_is_the_same_again_and_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((30, 2))
    whole = recall.bootstrap_interval(values)
    monkeypatch.setattr(recall, "_TABLE", 1_000)
    assert np.array_equal(whole, recall.bootstrap_interval(values))


def test_what_is_the_same_for_every_query_has_no_width() -> None:
    low, high = recall.bootstrap_interval(np.ones((5, 1)))
    assert low == high == 1.0


def test_no_queries_have_no_interval() -> None:
    with pytest.raises(EvaluationError, match="nothing can be scored"):
        recall.bootstrap_interval(np.empty((0, 1)))


def test_each_querys_precisions_are_kept_and_make_the_mean() -> None:
    ranking = np.array([[0, 1, 2], [2, 0, 1], [0, 1, 2]])
    score = recall.score_retrieval(ranking, [rows(1), rows(2), rows()], ks=(1, 2))
    assert score.each_precision_at[1][:2].tolist() == [0.0, 1.0]
    assert score.each_precision_at[2][:2].tolist() == [0.5, 1.0]
    assert np.isnan(score.each_precision_at[1][2])
    assert score.precision_at == {1: 0.5, 2: 0.75}
