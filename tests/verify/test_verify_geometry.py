"""Geometry on made-up matches: found where it is, refused where it cannot be."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import product

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import MIRROR, OBLIQUE, SIZE, deep_pair, features, plane_pair, spread, warp

from hafloc.description import LocalFeatures
from hafloc.verify import geometry
from hafloc.verify.geometry import (
    FUNDAMENTAL_TOLERANCE,
    HOMOGRAPHY_TOLERANCE,
    Verified,
    _scales_plausibly,
    _significance,
    verify,
    verify_points,
)
from hafloc.verify.matching import match


def verified(query: LocalFeatures, candidate: LocalFeatures) -> Verified:
    return verify(query, candidate, match(query, candidate, 0.9))


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(0, 60))
def test_a_plane_is_recovered_among_wrong_matches(seed: int, wrong: int) -> None:
    found = verified(*plane_pair(seed, right=60, wrong=wrong))
    assert 50 <= found.inliers <= 66
    assert found.significance > 20
    moved = warp(OBLIQUE, found.pairs[:, :2].astype(float))
    errors = np.linalg.norm(moved - found.pairs[:, 2:], axis=1)
    assert np.median(errors) < 1.5
    assert (errors < 12).mean() > 0.9


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_depth_is_explained_by_a_fundamental_matrix(seed: int) -> None:
    found = verified(*deep_pair(seed, right=120, wrong=20))
    assert found.geometry == "fundamental"
    assert found.inliers >= 80


def test_a_plane_alone_is_a_homography() -> None:
    kinds = [verified(*plane_pair(seed, right=40, wrong=20)).geometry for seed in range(20)]
    assert kinds.count("homography") >= 18


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(0, 300))
def test_wrong_matches_alone_are_nearly_never_significant(seed: int, count: int) -> None:
    found = verified(*plane_pair(seed, right=0, wrong=count))
    assert found.significance < 3


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_a_mirrored_photo_is_refused(seed: int) -> None:
    found = verified(*plane_pair(seed, right=100, wrong=0, matrix=MIRROR))
    assert found.geometry == ""
    assert (found.inliers, found.significance, found.spread) == (0, 0.0, 0.0)
    assert found.matches >= 95


def test_an_identical_photo_is_explained_whole() -> None:
    query, _ = plane_pair(0, right=200, wrong=0)
    found = verified(query, query)
    assert found.inliers == found.matches == 200
    assert found.spread > 0.6


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_few_matches_say_nothing(count: int) -> None:
    found = verified(*plane_pair(0, right=count, wrong=0))
    assert (found.geometry, found.inliers) == ("", 0)


@pytest.mark.parametrize("kind", ["one place", "one line"])
def test_points_that_fix_no_geometry_are_refused(kind: str) -> None:
    random = np.random.default_rng(0)
    rows = random.standard_normal((60, 64))
    along = random.uniform(30, 300, (60, 1)) if kind == "one line" else np.full((60, 1), 100.0)
    xy = np.hstack([along, along / 2 + 40]) + random.normal(0, 0.3, (60, 2))
    found = verified(features(xy, rows), features(xy + 5, rows))
    assert (found.geometry, found.inliers) == ("", 0)


def test_all_key_points_drawn_into_one_are_refused() -> None:
    random = np.random.default_rng(0)
    rows = random.standard_normal((80, 64))
    wide = features(spread(random, 80), rows)
    point = features(np.full((80, 2), 200.0) + random.normal(0, 0.5, (80, 2)), rows)
    assert verified(wide, point).geometry == ""
    assert verified(point, wide).geometry == ""


def test_the_result_is_the_same_again_and_in_threads() -> None:
    query, _ = plane_pair(0, right=80, wrong=40)
    candidates = [plane_pair(seed, right=80, wrong=40)[1] for seed in (0, 0, 1, 2)]
    cv2.setRNGSeed(7)
    first = [verified(query, candidate) for candidate in candidates]
    cv2.setRNGSeed(8)
    with ThreadPoolExecutor(3) as pool:
        second = list(pool.map(lambda candidate: verified(query, candidate), candidates))
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.pairs, b.pairs)
        assert (a.geometry, a.significance, a.spread) == (b.geometry, b.significance, b.spread)


def long_searches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of matches for which a fundamental matrix is looked for at length."""
    asked: list[int] = []
    fit = geometry._fit_fundamental

    def told(here: geometry.Floats, there: geometry.Floats, side: int) -> geometry.Flags:
        asked.append(len(here))
        return fit(here, there, side)

    monkeypatch.setattr(geometry, "_fit_fundamental", told)
    return asked


def test_unrelated_photos_need_no_long_search(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = long_searches(monkeypatch)
    for seed in range(20):
        verified(*plane_pair(seed, right=0, wrong=40))
    assert len(asked) <= 4


def test_what_a_plane_explains_needs_no_long_search(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = long_searches(monkeypatch)
    for seed in range(20):
        assert verified(*plane_pair(seed, right=80, wrong=20)).geometry == "homography"
    assert len(asked) <= 4


@pytest.mark.parametrize("pair", [plane_pair, deep_pair])
def test_the_short_search_leaves_out_next_to_nothing_that_matters(
    pair: Callable[..., tuple[LocalFeatures, LocalFeatures]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given scenes in which a geometry is hard to find: planes, and depth that no plane explains
    pairs = [
        pair(seed, right=right, wrong=wrong)
        for seed, (right, wrong) in enumerate(product((15, 30, 45, 60), (20, 40, 60)))
    ]
    short = [verified(*both).significance for both in pairs]
    # When each is searched for at length
    monkeypatch.setattr(geometry, "_may_explain_more", lambda *_: True)
    long = [verified(*both).significance for both in pairs]
    # Then no more is found than before, but for a fiftieth
    assert all(one <= other for one, other in zip(short, long, strict=True))
    assert sum(short) >= 0.98 * sum(long) > 100


def test_a_mirror_that_a_plane_explains_has_both_geometries_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a homography that is found but not sound
    asked = long_searches(monkeypatch)
    monkeypatch.setattr(geometry, "_is_sound", lambda *_: False)
    verified(*plane_pair(0, right=80, wrong=20))
    # Then the fundamental matrix is looked for all the same
    assert len(asked) == 1


@pytest.mark.parametrize("times", [1, 2, 4])
def test_points_that_once_ended_opencv_are_survived(times: int) -> None:
    # Given the matches of opencv/opencv#19639, three of them onto one place, and copies of these
    here = [(941, 890), (596, 940), (898, 941), (894, 933), (586, 938), (902, 933), (887, 935)]
    there = [(1416, 806), (1157, 852), (1380, 855), (1378, 843), (1145, 849)] + [(1378, 843)] * 2
    left, right = (np.array(points * times, np.float64) for points in (here, there))
    found = verify_points(left, right, ((1920, 1080), (1920, 1080)))
    assert found.significance >= 0
    assert found.matches == 7 * times


def test_opencvs_number_of_threads_is_left_alone() -> None:
    before = cv2.getNumThreads()
    verified(*plane_pair(0, right=50, wrong=50))
    assert cv2.getNumThreads() == before


def test_a_fit_that_fails_inside_opencv_is_no_geometry(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise cv2.error("(-215:Assertion failed) !model.empty()")

    monkeypatch.setattr(cv2, "findFundamentalMat", fail)
    assert verified(*plane_pair(0, right=60, wrong=20)).geometry == "homography"
    monkeypatch.setattr(cv2, "findHomography", fail)
    assert verified(*plane_pair(0, right=60, wrong=20)).geometry == ""


@given(st.integers(12, 300), st.integers(6, 300), st.sampled_from(["homography", "fundamental"]))
def test_significance_is_that_of_exact_arithmetic(matches: int, found: int, kind: str) -> None:
    found = min(found, matches)
    fewest, sample = (6, 4) if kind == "homography" else (10, 7)
    inliers = np.arange(matches) < found
    value = _significance(kind, inliers, SIZE)  # type: ignore[arg-type]
    if found < fewest:
        assert value == 0
        return
    width, height = SIZE
    if kind == "homography":
        area = math.pi * (HOMOGRAPHY_TOLERANCE * width) ** 2
    else:
        area = 2 * FUNDAMENTAL_TOLERANCE * width * math.hypot(width, height)
    chance = Fraction(area / (width * height))
    tests = max(matches - sample, 1) * math.comb(matches, found) * math.comb(found, sample)
    expected = tests * chance ** (found - sample)
    exact = math.log10(expected.denominator) - math.log10(expected.numerator)
    assert value == pytest.approx(max(0.0, exact), abs=1e-6)


@settings(max_examples=40)
@given(st.lists(st.floats(-1, 1), min_size=8, max_size=8))
def test_scales_are_those_of_small_steps(numbers: list[float]) -> None:
    a, b, c, d, e, f, g, h = numbers
    matrix = np.array([[1 + a, b, 50 * c], [d, 1 + e, 50 * f], [g / 2000, h / 2000, 1.0]])
    places = np.array([[40.0, 60.0], [300.0, 200.0]])
    kept = _scales_plausibly(matrix, places)
    for place, plausible in zip(places, kept, strict=True):
        steps = [
            (warp(matrix, (place + step)[None])[0] - warp(matrix, (place - step)[None])[0]) / 2e-4
            for step in (np.array([1e-4, 0]), np.array([0, 1e-4]))
        ]
        jacobian = np.array(steps).T
        scales = np.linalg.svd(jacobian, compute_uv=False)
        edge = min(abs(scales[0] - 6), abs(scales[1] - 1 / 6), abs(np.linalg.det(jacobian)))
        if edge > 1e-3:
            expected = np.linalg.det(jacobian) > 0 and scales[0] < 6 and scales[1] > 1 / 6
            assert plausible == expected
