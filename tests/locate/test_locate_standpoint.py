"""A camera is placed among known views of known points, and nowhere where they cannot tell."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hafloc.locate.standpoint import Standpoint, View, where_views_meet

Floats = NDArray[np.float64]
CENTRE, REACH = (0.0, 0.0), 6.0
NOISE = 0.003  # longer sides: 1.4 of 480 pixels


def project(points: Floats, place: tuple[float, float], heading: float, focal: float) -> Floats:
    """Where an upright camera sees points `[N, 3]`: `[N, 2]`, NaN where outside its image."""
    ahead, right = (
        np.array([math.sin(heading), math.cos(heading)]),
        np.array([math.cos(heading), -math.sin(heading)]),
    )
    offset = points[:, :2] - place
    deep = offset @ ahead
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = focal * np.stack([offset @ right, -points[:, 2]], axis=1) / deep[:, None]
    inside = (deep > 1) & (np.abs(seen) < [0.5, 0.375]).all(axis=1)
    return np.where(inside[:, None], seen, np.nan)


def street(rng: np.random.Generator) -> Floats:
    """Points on and before two rows of houses along the way from west to east."""
    along = rng.uniform(-45, 70, 1400)
    aside = rng.choice([-9.0, -7.5, 8.0, 9.5], 1400)
    return np.stack([along, aside, rng.uniform(-1.5, 8, 1400)], axis=1)


def views(
    rng: np.random.Generator,
    truth: tuple[float, float],
    places: list[tuple[float, float]],
    *,
    heading: float = math.pi / 2,
    focal: float = 0.75,
    wrong: float = 0.1,
    known: bool = True,
    most: int = 60,
) -> list[View]:
    """What cameras at `places` see of the street that one at `truth` sees too, `wrong` amiss."""
    points = street(rng)
    query = project(points, truth, heading + 0.1, focal)
    found = []
    for place in places:
        own = project(points, place, heading, 0.75)
        (both,) = np.nonzero(np.isfinite(query[:, 0]) & np.isfinite(own[:, 0]))
        both = rng.permutation(both)[:most]
        there = own[both] + rng.normal(0, NOISE, (len(both), 2))
        amiss = rng.random(len(both)) < wrong
        there[amiss] = rng.uniform(-0.37, 0.37, (int(amiss.sum()), 2))
        found.append(View(place, 1.5, heading if known else None, 0.05, query[both], there))
    return found


def squared_distance(found: Standpoint, truth: tuple[float, float]) -> float:
    """In standard deviations (Mahalanobis)."""
    off = np.array(found.place) - truth
    return float(off @ np.linalg.solve(found.covariance, off))


@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    east=st.floats(-5, 5),
    north=st.floats(-2, 2),
    focal=st.floats(0.65, 0.95),
)
def test_the_camera_stands_within_its_covariance_where_views_from_a_street_meet(
    seed: int, east: float, north: float, focal: float
) -> None:
    rng = np.random.default_rng(seed)
    places = [(-8.0, 0.8), (7.0, -1.0), (-15.0, -1.5)]
    seen = views(rng, (east, north), places, focal=focal)
    found = where_views_meet(seen, CENTRE, REACH)
    if found is not None:
        assert found.views >= 2
        # Two degrees of freedom: 1 in 90,000 beyond it, were errors normal and the model exact.
        assert squared_distance(found, (east, north)) < 23


@pytest.mark.parametrize("known", [True, False], ids=["headings known", "headings unknown"])
def test_most_cameras_are_placed_nearer_than_any_photo(known: bool) -> None:
    errors = []
    for seed in range(3 if known else 2):
        rng = np.random.default_rng(seed)
        truth = (float(rng.uniform(-3, 3)), float(rng.uniform(-1, 1)))
        seen = views(rng, truth, [(-7.5, 1.5), (7.5, -1.5), (-16.0, -1.0)], known=known)
        found = where_views_meet(seen, CENTRE, REACH)
        errors.append(math.inf if found is None else math.dist(found.place, truth))
    assert np.median(errors) < 2.5


@pytest.mark.parametrize(
    ("places", "why"),
    [
        ([(3.0, 1.0)], "a single photo"),
        ([(3.0, 1.0)] * 3, "several from one spot"),
        ([], "none"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_camera_is_placed_by(places: list[tuple[float, float]], why: str) -> None:
    seen = views(np.random.default_rng(0), (0.0, 0.0), places)
    assert where_views_meet(seen, CENTRE, REACH) is None


def test_no_camera_is_placed_by_too_few_matches() -> None:
    seen = views(np.random.default_rng(0), (0.0, 0.0), [(-8.0, 0.5), (7.0, -1.0)], most=9)
    assert where_views_meet(seen, CENTRE, REACH) is None


def test_no_camera_is_placed_by_photos_that_look_opposite_ways() -> None:
    rng = np.random.default_rng(0)
    one, other = views(rng, (0.0, 0.0), [(-8.0, 0.5), (7.0, -1.0)])
    turned = View(other.place, 1.5, -math.pi / 2, 0.05, other.query, other.own)
    assert where_views_meet([one, turned], CENTRE, REACH) is None


def test_no_camera_is_placed_by_matches_that_mean_nothing() -> None:
    rng = np.random.default_rng(0)
    seen = views(rng, (0.0, 0.0), [(-8.0, 0.5), (7.0, -1.0), (14.0, 1.0)], wrong=1.0)
    assert where_views_meet(seen, CENTRE, REACH) is None


def test_a_mirrored_photo_places_no_camera_surely_where_it_is_not() -> None:
    seen = [
        View(v.place, v.accuracy, v.heading, v.turned, v.query * [-1, 1], v.own)
        for v in views(np.random.default_rng(1), (0.0, 0.0), [(-8.0, 0.5), (7.0, -1.0)])
    ]
    found = where_views_meet(seen, CENTRE, REACH)
    assert found is None or squared_distance(found, (0.0, 0.0)) < 23


def test_what_is_far_away_does_not_say_where_the_camera_stands() -> None:
    # Given hills three kilometres off, seen from spots some metres apart
    rng = np.random.default_rng(2)
    hills = np.stack(
        [np.full(300, 3000.0), rng.uniform(-1800, 1800, 300), rng.uniform(0, 900, 300)], axis=1
    )
    query = project(hills, (2.0, 1.0), math.pi / 2, 0.75)
    seen = []
    for place in ((-6.0, 3.0), (8.0, -4.0)):
        own = project(hills, place, math.pi / 2, 0.75)
        (both,) = np.nonzero(np.isfinite(query[:, 0]) & np.isfinite(own[:, 0]))
        noisy = own[both] + rng.normal(0, NOISE, (len(both), 2))
        seen.append(View(place, 1.5, math.pi / 2, 0.05, query[both], noisy))
    assert where_views_meet(seen, CENTRE, REACH) is None


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((30, 2)),
        np.stack([np.linspace(-0.5, 0.5, 30), np.zeros(30)], axis=1),
        np.random.default_rng(4).uniform(-0.5, 0.5, (30, 2)),
    ],
    ids=["one point", "points on the horizon", "one photo at two places"],
)
@pytest.mark.parametrize("heading", [0.0, None], ids=["heading known", "heading unknown"])
def test_photos_that_show_no_parallax_place_no_camera(
    points: Floats, heading: float | None
) -> None:
    seen = [View(place, 1.5, heading, 0.05, points, points) for place in ((-8.0, 0.0), (7.0, 1.0))]
    assert where_views_meet(seen, CENTRE, REACH) is None


@pytest.mark.parametrize("focal", [0.1, 12.0], ids=["absurdly wide", "absurdly long"])
def test_an_absurd_focal_length_places_no_camera_surely_where_it_is_not(focal: float) -> None:
    rng = np.random.default_rng(3)
    one, other = views(rng, (1.0, 0.5), [(-8.0, 0.5), (7.0, -1.0)])
    scale = focal / 0.75
    seen = [
        View(v.place, v.accuracy, v.heading, v.turned, v.query * scale, v.own) for v in (one, other)
    ]
    found = where_views_meet(seen, CENTRE, REACH)
    assert found is None or squared_distance(found, (1.0, 0.5)) < 23


@pytest.mark.parametrize("off", [1.0, 1.5, 1 / 1.5], ids=["right", "too long", "too short"])
def test_a_told_focal_length_places_the_camera_no_surer_than_it_is(off: float) -> None:
    for seed in range(2):
        rng = np.random.default_rng(seed)
        truth = (float(rng.uniform(-4, 4)), float(rng.uniform(-1.5, 1.5)))
        seen = views(rng, truth, [(-8.0, 0.8), (7.0, -1.0), (-15.0, -1.5)])
        found = where_views_meet(seen, CENTRE, REACH, 0.75 * off)
        assert found is not None
        assert squared_distance(found, truth) < 12


def test_a_told_focal_length_that_no_view_bears_out_is_left_aside() -> None:
    seen = views(np.random.default_rng(1), (0.0, 0.0), [(-8.0, 0.8), (7.0, -1.0)])
    guessed = where_views_meet(seen, CENTRE, REACH)
    assert guessed is not None
    told = where_views_meet(seen, CENTRE, REACH, 9.0)
    assert told is not None
    assert told.place == guessed.place
