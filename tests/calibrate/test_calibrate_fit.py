"""Radius and confidence from trials, and the promises they keep."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from trials import PLACE, consensus, draw

from hafloc.calibrate.fit import FEWEST, Trial, fit, fit_logistic
from hafloc.calibrate.quality import area_under_roc, calibration_error, cross_validate
from hafloc.errors import PositionError
from hafloc.index import CALIBRATION_FORMAT
from hafloc.locate import Calibration, Verdict, judge, read_calibrations, write_calibrations


def calibrated(scores: list[float]) -> Calibration:
    return Calibration(True, (1.0, 0.0, 0.0, 0.0, 0.0), -1.0, tuple(sorted(scores)), len(scores))


@pytest.mark.parametrize(
    ("count", "probability", "rank"),
    [
        (9, 0.9, 9),  # ⌈10 · 0.9⌉
        (10, 0.9, 10),  # ⌈9.9⌉
        (19, 0.9, 18),
        (99, 0.9, 90),
        (99, 0.5, 50),
        (8, 0.9, None),  # ⌈8.1⌉ = 9 > 8
        (0, 0.5, None),
        (19, 0.95, 19),
        (18, 0.95, None),
    ],
)
def test_the_radius_is_the_score_of_the_stated_rank_times_the_scale(
    count: int, probability: float, rank: int | None
) -> None:
    calibration = calibrated([float(k) for k in range(1, count + 1)])
    expected = None if rank is None else 20.0 * rank
    assert calibration.radius(consensus(1.0), probability) == expected


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, 1.1, math.nan])
def test_a_probability_that_cannot_be_promised_is_refused(probability: float) -> None:
    with pytest.raises(PositionError, match="cannot be promised"):
        calibrated([1.0] * 20).radius(consensus(1.0), probability)


def test_confidence_is_the_logistic_of_the_weighted_signs() -> None:
    # -1 + 1 · 3 = 2
    assert calibrated([]).confidence(consensus(3.0)) == pytest.approx(1 / (1 + math.exp(-2)))


def test_the_radius_holds_the_truth_as_often_as_promised() -> None:
    """Over many draws of 19 trials and one query the coverage is exactly 18/20."""
    random = np.random.default_rng(5)
    held = 0
    for _ in range(4_000):
        *scores, new = random.lognormal(size=20)
        held += new <= (calibrated(scores).radius(consensus(1.0, 1.0), 0.9) or 0)
    # Four standard errors of 4,000 draws: 0.019.
    assert held / 4_000 == pytest.approx(0.9, abs=0.019)


def test_a_cautious_radius_holds_in_the_worst_neighbourhoods() -> None:
    # Nine neighbourhoods of two scores, k and 10 k: their larger ones are 10 to 90, and the
    # ⌈10 · 0.9⌉-th of them is the largest; the plain radius takes the ⌈19 · 0.9⌉-th of all 18.
    scored = sorted((float(k * factor), k) for k in range(1, 10) for factor in (1, 10))
    calibration = replace(
        calibrated([]),
        scores=tuple(score for score, _ in scored),
        neighbourhoods=tuple(number for _, number in scored),
    )
    assert calibration.radius(consensus(1.0, 1.0), 0.9, cautious=True) == 90
    assert calibration.radius(consensus(1.0, 1.0), 0.9) == 90
    # In the middle: of each the smaller (⌈3 · 0.5⌉ = 2: the larger), of all the fifth of nine.
    assert calibration.radius(consensus(1.0, 1.0), 0.5, cautious=True) == 50
    assert calibration.radius(consensus(1.0, 1.0), 0.5) == 10


def test_a_cautious_radius_needs_neighbourhoods() -> None:
    one_place = replace(calibrated([1.0] * 30), neighbourhoods=(0,) * 30)
    assert one_place.radius(consensus(1.0), 0.9, cautious=True) is None
    assert calibrated([1.0] * 30).radius(consensus(1.0), 0.9, cautious=True) is None
    assert judge(consensus(3.0), one_place, cautious=True) == replace(
        judge(consensus(3.0), one_place), radius=None, probability=None
    )


def test_a_cautious_radius_keeps_its_promise_in_new_neighbourhoods() -> None:
    """19 neighbourhoods of 10 scores, each with its own spread, and a new one: in 90 % of draws
    the radius holds 9 of its 10 or more, where the plain one does in fewer."""
    random = np.random.default_rng(3)
    kept = {True: 0, False: 0}
    for _ in range(600):
        scores = random.lognormal(size=(20, 1)) * random.exponential(size=(20, 10))
        scored = sorted((float(s), n) for n in range(19) for s in scores[n])
        calibration = replace(
            calibrated([]),
            scores=tuple(score for score, _ in scored),
            neighbourhoods=tuple(number for _, number in scored),
        )
        for cautious in kept:
            radius = calibration.radius(consensus(1.0, 1.0), 0.9, cautious=cautious)
            kept[cautious] += (scores[19] <= (radius or 0)).sum() >= 9
    assert kept[True] / 600 >= 0.9 - 0.025  # two standard errors
    assert kept[False] / 600 < 0.8


def test_logistic_regression_finds_the_minimum_that_another_method_finds() -> None:
    random = np.random.default_rng(1)
    signs = random.normal(size=(200, 3)) * (1.0, 10.0, 0.1) + (0.0, 5.0, 2.0)
    odds = signs @ (1.0, 0.2, 8.0) - 17
    labels = (random.random(200) < 1 / (1 + np.exp(-odds))).astype(float)
    weights, bias = fit_logistic(signs, labels)

    standard = (signs - signs.mean(0)) / signs.std(0)

    def loss(at: np.ndarray) -> float:
        score = at[0] + standard @ at[1:]
        likelihood = (np.logaddexp(0, score) - labels * score).sum()
        return float(likelihood + 0.5 * (at[1:] ** 2).sum() + 0.5e-3 * at[0] ** 2)

    slow = minimize(loss, np.zeros(4), tol=1e-12).x
    assert weights == pytest.approx(slow[1:] / signs.std(0), rel=1e-3)
    assert bias == pytest.approx(slow[0] - (slow[1:] / signs.std(0)) @ signs.mean(0), rel=1e-3)


def test_labels_that_a_sign_separates_give_finite_weights() -> None:
    signs = np.array([[-1.0], [-2.0], [1.0], [2.0]])
    weights, bias = fit_logistic(signs, np.array([0.0, 0.0, 1.0, 1.0]))
    assert 0 < weights[0] < 10
    assert abs(bias) < 1e-6


def test_labels_of_one_kind_give_finite_weights() -> None:
    weights, bias = fit_logistic(np.array([[1.0], [2.0], [3.0]]), np.ones(3))
    assert np.isfinite([*weights, bias]).all()


def test_a_sign_that_points_the_wrong_way_or_never_changes_is_dropped() -> None:
    random = np.random.default_rng(0)
    labels = (random.random(300) < 0.5).astype(float)
    signs = np.column_stack([labels + random.normal(size=300), -labels, np.full(300, 7.0)])
    weights, _ = fit_logistic(signs, labels)
    assert weights[0] > 0
    assert weights[1:] == pytest.approx([0, 0])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 500))
def test_more_evidence_never_lowers_confidence(seed: int) -> None:
    calibration = fit(draw(40, seed), verified=True)
    assert min(calibration.weights) >= 0


def test_confidence_is_that_share_of_right_answers() -> None:
    calibration = fit(draw(2_000, 1), verified=True)
    held_out = draw(2_000, 2)
    confidences = np.array(
        [calibration.confidence(c) for t in held_out for c in (t.here, t.elsewhere) if c]
    )
    right = np.array([flag for t in held_out for flag in (t.error <= 50, False)])
    clear = np.array([flag for t in held_out for flag in (not 50 < t.error <= 100, True)])
    assert calibration_error(confidences[clear], right[clear]) < 0.04


def test_only_found_trials_make_the_radius() -> None:
    good = [Trial(5.0, 5.0, consensus(6.0), consensus(-6.0), PLACE) for _ in range(20)]
    lost = [Trial(800.0, 800.0, consensus(-6.0), consensus(-6.0), PLACE) for _ in range(10)]
    calibration = fit([*good, *lost], verified=True)
    assert calibration.scores == (5.0 / 20,) * 20
    assert calibration.queries == 30


@pytest.mark.parametrize(
    ("trials", "reason"),
    [
        (draw(FEWEST - 1, error=1.0), "only 8 of 8 queries are located right"),
        ([], "only 0 of 0 queries"),
        ([replace(t, elsewhere=None) for t in draw(30)], "only 0 of 30 queries leave any photo"),
        ([replace(t, error=500.0) for t in draw(30)], "only 0 of 30 queries are located right"),
        (
            [replace(t, error=e, elsewhere=t.here) for t in draw(30) for e in (5.0, 900.0)],
            r"only \d of 60 queries are found with confidence",
        ),
    ],
)
def test_trials_that_teach_too_little_are_refused_with_the_number_needed(
    trials: list[Trial], reason: str
) -> None:
    with pytest.raises(PositionError, match=reason) as refused:
        fit(trials, verified=False)
    assert "at least 9" in str(refused.value)


def test_a_calibration_survives_its_text() -> None:
    made = [fit(draw(50), verified=verified) for verified in (False, True)]
    assert read_calibrations(write_calibrations("abc", made), "abc") == tuple(made)


def test_a_calibration_of_another_checkpoint_is_not_used() -> None:
    text = write_calibrations("abc", [fit(draw(50), verified=True)])
    assert read_calibrations(text, "abd") == ()
    for other in (CALIBRATION_FORMAT - 1, 99):
        assert read_calibrations(json.dumps(json.loads(text) | {"format": other}), "abc") == ()


def damaged(**changes: object) -> str:
    content = json.loads(write_calibrations("abc", [fit(draw(50), verified=True)]))
    content["calibrations"][0] |= changes
    return json.dumps(content)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        f'{{"format": {CALIBRATION_FORMAT}, "checkpoint": "abc"}}',
        damaged(weights=[1.0]),
        damaged(bias="x"),
        damaged(scores=[None]),
        damaged(scores=[math.nan]),
        damaged(weights=None),
        damaged(neighbourhoods=[1, 2]),
        damaged(neighbourhoods=["here"]),
    ],
)
def test_a_damaged_calibration_is_refused(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"calibration|Expecting|could not convert|invalid literal"
    ):
        read_calibrations(text, "abc")


def test_cross_validation_covers_as_promised() -> None:
    found = cross_validate(draw(600, 3), verified=True)
    assert found is not None
    # Two standard errors of some 550 found answers.
    assert found.coverage == pytest.approx(0.9, abs=0.026)
    assert found.here.shape == found.elsewhere.shape == found.radii.shape == (600,)


def test_too_few_trials_are_not_cross_validated() -> None:
    assert cross_validate(draw(10, error=1.0, apart=9.0), verified=True) is None


def slow_area(positive: list[float], negative: list[float]) -> float:
    wins = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    return sum(wins) / len(wins)


numbers = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=12)


@given(numbers, numbers)
def test_the_area_under_the_curve_counts_pairs(
    positive: list[float], negative: list[float]
) -> None:
    fast = area_under_roc(np.array(positive), np.array(negative))
    assert fast == pytest.approx(slow_area(positive, negative))


def test_the_area_of_nothing_is_not_a_number() -> None:
    assert math.isnan(area_under_roc(np.array([]), np.array([1.0])))


def test_calibration_error_by_hand() -> None:
    # Bin 0.8 to 0.9: mean 0.85, right 0.5, two of four; bin 0.1 to 0.2: mean 0.15, right 0.
    confidences = np.array([0.82, 0.88, 0.12, 0.18])
    right = np.array([True, False, False, False])
    assert calibration_error(confidences, right) == pytest.approx(0.5 * 0.35 + 0.5 * 0.15)
    assert calibration_error(np.array([1.0]), np.array([True])) == 0


def test_a_verdict_of_a_found_place_has_a_radius() -> None:
    verdict = judge(consensus(3.0), calibrated([1.0] * 9), 0.9)
    assert verdict.found is True
    assert (verdict.radius, verdict.probability) == (20.0, 0.9)
    assert verdict.confidence == pytest.approx(1 / (1 + math.exp(-2)))


def test_a_place_that_is_not_found_has_no_radius() -> None:
    verdict = judge(consensus(0.0), calibrated([1.0] * 9), 0.9)
    assert verdict.found is False
    assert (verdict.radius, verdict.probability) == (None, None)
    assert verdict.confidence == pytest.approx(1 / (1 + math.exp(1)))


def test_too_few_trials_for_a_probability_leave_the_radius_unknown() -> None:
    verdict = judge(consensus(3.0), calibrated([1.0] * 9), 0.95)
    assert (verdict.found, verdict.radius, verdict.probability) == (True, None, None)


def test_without_a_calibration_only_the_position_is_known() -> None:
    assert judge(consensus(3.0), None) == Verdict(consensus(3.0).position)


def test_where_all_photos_show_one_place_the_radius_alone_is_learned() -> None:
    base = Calibration(True, (1.0, 0.0, 0.0, 0.0, 0.0), -1.0, (9.0,) * 50, 480, shipped=True)
    one_place = [Trial(5.0, 5.0, consensus(3.0), None, PLACE) for _ in range(40)]
    calibration = fit(one_place, verified=True, base=base)
    assert (calibration.weights, calibration.bias) == (base.weights, base.bias)
    assert calibration.scores == (5.0 / 20,) * 40
    assert not calibration.shipped


def test_the_confidence_of_a_base_stays_whatever_the_trials_would_teach() -> None:
    base = Calibration(True, (1.0, 0.0, 0.0, 0.0, 0.0), -1.0, (9.0,) * 50, 480, shipped=True)
    calibration = fit(draw(60, 4), verified=True, base=base)
    assert (calibration.weights, calibration.bias) == (base.weights, base.bias)
    assert len(calibration.scores) == sum(base.confidence(t.here) >= 0.5 for t in draw(60, 4))


def test_more_found_trials_can_be_asked_for() -> None:
    trials = [Trial(5.0, 5.0, consensus(6.0), consensus(-6.0), PLACE) for _ in range(29)]
    assert len(fit(trials, verified=True).scores) == 29
    with pytest.raises(PositionError, match="at least 30"):
        fit(trials, verified=True, least=30)


def test_a_verdict_says_whose_calibration_it_rests_on() -> None:
    own = calibrated([1.0] * 9)
    assert judge(consensus(3.0), own).calibration == "own"
    assert judge(consensus(3.0), replace(own, shipped=True)).calibration == "shipped"
    assert judge(consensus(3.0), None).calibration is None
