"""Where a camera stood: where the views of photos that show the same meet.

Two photos from different spots are adjusted together with the query, from several places to begin
with; then the others are taken in one by one, each only if it agrees with those before. What the
matches cannot tell stays as uncertain as it was beforehand, and the covariance says so.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hafloc.locate.adjustment import (
    NOISE,
    Prior,
    Rays,
    State,
    adjust,
    covariance,
    errors,
    gather,
    joined,
    with_first_depths,
)
from hafloc.locate.camera import (
    EAST,
    FOCAL,
    HEADING,
    NORTH,
    PARAMETERS,
    TILT,
    directions,
    rotations,
)

Floats = NDArray[np.float64]
_Found = tuple[State, float]

# Standard deviations of what is known of cameras beforehand, in the order of their parameters:
# how far a photo of the database is off alone (its place: `View.accuracy`) …
_ALONE = (0.0, 0.0, 0.3, 0.05, 0.03, 0.03, 0.03, 0.01, 0.02)
# … and together with all others, which one camera or car took; and how far a query is.
_TOGETHER = (0.0, 0.0, 0.0, 0.03, 0.1, 0.01, 0.25, 0.0, 0.1)
_QUERY = (0.0, 0.0, 0.3, math.pi, 0.12, 0.04, 0.3, 0.01, 0.1)
_USUAL_FOCAL = 0.8  # longer sides: between a telephone's 0.72 and a panorama's cut of 60°
_FOCALS = (0.6, 0.75, 0.95)  # tried where the query is placed among points
_APART = 2.0  # metres between spots, below which photos share one
_FEWEST = 8  # matches of a view
_MOST = 60
_VIEWS = 8
_PAIRS = 3
_GOOD = 3.0  # noises within which a match agrees
_AGREEING = 0.6  # of a view's matches
_PLACED = 5
_SIDE = 480.0
_ALIKE = 12.0  # between the costs of two solutions that are both possible


@dataclass(frozen=True, slots=True)
class View:
    """A database photo that shows what a query shows.

    `place` is metres east and north, `accuracy` the standard deviation of each; `heading` radians
    clockwise from north, None where unknown. `query` and `own` `[N, 2]` are the same N points in
    both photos, in longer sides right of and below the middle.
    """

    place: tuple[float, float]
    accuracy: float
    heading: float | None
    query: Floats
    own: Floats


@dataclass(frozen=True, slots=True)
class Standpoint:
    """Where a camera stood: metres east and north, their covariance `[2, 2]`, views it rests on."""

    place: tuple[float, float]
    covariance: Floats
    views: int


def where_views_meet(
    views: Sequence[View], centre: tuple[float, float], reach: float
) -> Standpoint | None:
    """Where the camera stood whose photo shows what the `views` show, strongest first.

    It is known to be about `reach` metres (standard deviation) from `centre`. None where the
    views do not say more than that: fewer than two spots, or no two that agree.
    """
    usable = [_thinned(view) for view in views if len(view.query) >= _FEWEST][:_VIEWS]
    for pair in _pairs(usable):
        found = _two(pair, centre, reach)
        if found is not None:
            return _grown(pair, [v for v in usable if v not in pair], found, centre, reach)
    return None


def _pairs(views: list[View]) -> list[list[View]]:
    pairs = sorted(itertools.combinations(range(len(views)), 2), key=lambda ij: (sum(ij), ij))
    apart = ([views[i], views[j]] for i, j in pairs
             if math.dist(views[i].place, views[j].place) >= _APART)
    return list(itertools.islice(apart, _PAIRS))


def _thinned(view: View) -> View:
    """At most `_MOST` matches, drawn anew the same way each time."""
    if len(view.query) <= _MOST:
        return view
    drawn = np.random.default_rng(0).permutation(len(view.query))[:_MOST]
    return View(view.place, view.accuracy, view.heading, view.query[drawn], view.own[drawn])


def _two(pair: list[View], centre: tuple[float, float], reach: float) -> list[_Found] | None:
    """Where the views of two photos meet: the best solution and others, best first."""
    rays, prior = _problem(pair, centre, reach)
    a, b = (np.array(view.place) for view in pair)
    places = [np.array(centre), a, b, (a + b) / 2]
    states = [_begun(pair, rays, prior, place) for place in places]
    states += [s for focal in _FOCALS if (s := _placed(rays, prior, focal)) is not None]
    found = sorted((adjust(s, rays, prior, 6) for s in states), key=lambda f: f[1])
    best = [adjust(s, rays, prior, 10) for s, _ in _distinct(found)[:2]]
    best.sort(key=lambda f: f[1])
    if agreement(best[0][0], rays).min() < _AGREEING:
        return None
    return best


def _distinct(found: list[_Found]) -> list[_Found]:
    kept: list[_Found] = []
    for state, value in found:
        if all(np.hypot(*(state.cameras[0, :2] - s.cameras[0, :2])) > 2 for s, _ in kept):
            kept.append((state, value))
    return kept


def _grown(views: list[View], others: list[View], found: list[_Found], centre, reach) -> Standpoint | None:
    rays, prior = _problem(views, centre, reach)
    state, alternative = found[0][0], found[1][0] if len(found) > 1 else None
    for view in others:
        more = [*views, view]
        more_rays, more_prior = _problem(more, centre, reach)
        tried, _ = adjust(_with(state, rays, view, more_rays, more_prior), more_rays, more_prior, 5)
        if agreement(tried, more_rays).min() >= _AGREEING:
            if alternative is not None:
                alternative = _with(alternative, rays, view, more_rays, more_prior)
            views, rays, prior, state = more, more_rays, more_prior, tried
    state, value = adjust(state, rays, prior, 12)
    uncertain = covariance(state, rays, prior)[:2, :2]
    if alternative is not None:
        other, other_value = adjust(alternative, rays, prior, 12)
        if other_value < value:
            state, other, value, other_value = other, state, other_value, value
            uncertain = covariance(state, rays, prior)[:2, :2]
        if other_value - value < _ALIKE:
            apart = state.cameras[0, :2] - other.cameras[0, :2]
            uncertain = uncertain + np.outer(apart, apart) / 2
    DIAG.update(good=agreement(state, rays), f=np.exp(state.cameras[:, FOCAL]), state=state, rays=rays, value=value, off=prior.off(state.cameras).reshape(-1, 9))
    return Standpoint(tuple(state.cameras[0, :2]), uncertain, len(views))
DIAG: dict = {}


def _with(state: State, rays: Rays, view: View, more: Rays, prior: Prior) -> State:
    new = prior.mean[-1:].copy()
    new[0, FOCAL:] = state.cameras[1:, FOCAL:].mean(axis=0)
    new[0, TILT] = state.cameras[1:, TILT].mean()
    if view.heading is None:
        new[0, HEADING] = state.cameras[0, HEADING] - _turn(view, state.cameras[0, FOCAL], new[0, FOCAL])
    return joined(state, rays, np.concatenate([state.cameras, new]), more)


def agreement(state: State, rays: Rays) -> Floats:
    """The share of each view's matches that agree: `[K]`."""
    good = (errors(state, rays) ** 2).sum(1) < (_GOOD * NOISE) ** 2
    return np.bincount(rays.view, good)[1:] / np.bincount(rays.view)[1:]


def _problem(views: list[View], centre: tuple[float, float], reach: float) -> tuple[Rays, Prior]:
    k = len(views) + 1
    mean = np.zeros((k, PARAMETERS))
    mean[:, FOCAL] = math.log(_USUAL_FOCAL)
    mean[0, :2] = centre
    spread = np.zeros((k, PARAMETERS, k, PARAMETERS))
    for p in range(PARAMETERS):
        spread[1:, p, 1:, p] = _TOGETHER[p] ** 2
        spread[0, p, 0, p] = _QUERY[p] ** 2
    for n, view in enumerate(views, start=1):
        mean[n, :2] = view.place
        mean[n, HEADING] = view.heading or 0.0
        for p in range(PARAMETERS):
            spread[n, p, n, p] += _ALONE[p] ** 2
        if view.heading is None:
            spread[n, HEADING, n, HEADING] += math.pi**2
    for p in (EAST, NORTH):
        spread[0, p, 0, p] = reach**2
        for n, view in enumerate(views, start=1):
            spread[n, p, n, p] = view.accuracy**2
    size = k * PARAMETERS
    return (
        gather([(view.query, view.own) for view in views]),
        Prior(mean, np.linalg.inv(spread.reshape(size, size))),
    )


def _turn(view: View, query_focal: float, own_focal: float) -> float:
    """By how much the query's heading seems to exceed a view's, were both at one spot."""
    here = np.arctan(view.query[:, 0] / math.exp(query_focal))
    return float(np.median(np.arctan(view.own[:, 0] / math.exp(own_focal)) - here))


def _begun(views: list[View], rays: Rays, prior: Prior, place: Floats) -> State:
    cameras = prior.mean.copy()
    cameras[0, :2] = place
    focal = math.log(_USUAL_FOCAL)
    headings = [(view.heading or 0.0) + _turn(view, focal, focal) for view in views]
    cameras[0, HEADING] = np.angle(np.exp(1j * np.array(headings)).sum())
    return with_first_depths(cameras, rays)


def _placed(rays: Rays, prior: Prior, focal: float) -> State | None:
    """The query placed among the points that two views see, if it sees enough of them."""
    cameras = prior.mean.copy()
    cameras[:, FOCAL] = math.log(focal)
    away = directions(cameras[rays.view], rotations(cameras)[rays.view], rays.own)
    across = np.eye(3) - away[:, :, None] * away[:, None]
    nearest = np.add.reduceat(across, rays.first)
    through = np.add.reduceat(np.einsum("mij,mj->mi", across, cameras[rays.view, :3]), rays.first)
    (sure,) = np.nonzero(np.linalg.eigvalsh(nearest)[:, 0] > 2e-4)
    if len(sure) < _PLACED:
        return None
    points = np.linalg.solve(nearest[sure], through[sure, :, None])[..., 0]
    inside = np.diag([_SIDE * focal, _SIDE * focal, 1.0])
    done, turn, move, inliers = cv2.solvePnPRansac(
        points, rays.query[sure] * _SIDE, inside, None,
        reprojectionError=10.0, iterationsCount=200, flags=cv2.SOLVEPNP_AP3P,
    )
    if not done or inliers is None or len(inliers) < _PLACED:
        return None
    rotation = cv2.Rodrigues(turn)[0].T
    ahead = rotation[:, 2]
    cameras[0, :2] = -(rotation @ move.ravel())[:2]
    cameras[0, HEADING] = math.atan2(ahead[0], ahead[1])
    cameras[0, TILT] = min(max(float(ahead[2]), -0.3), 0.3)
    return with_first_depths(cameras, rays)
