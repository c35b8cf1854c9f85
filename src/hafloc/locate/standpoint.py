"""Where a camera stood: where the views of photos that show what it saw meet.

Two photos from different spots are adjusted together with the query, from several places to begin
with; then the others are taken in one by one, each only if it agrees with those before. What the
matches cannot tell stays as uncertain as it was beforehand, and the covariance says so.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hafloc.locate.adjustment import (
    Floats,
    Prior,
    Rays,
    State,
    adjust,
    agreement,
    covariance,
    gather,
    with_first_depths,
    with_more,
)
from hafloc.locate.camera import EAST, FOCAL, HEADING, NORTH, PARAMETERS, TILT
from hafloc.locate.resection import among_crossings

_Solution = tuple[State, float]

# Standard deviations of what is known of cameras beforehand, in the order of their parameters (the
# places and headings of photos come with them): how far a photo of the database is off alone …
_ALONE = (0.0, 0.0, 0.3, 0.0, 0.03, 0.03, 0.03, 0.01, 0.02)
# … and together with all others, which one camera or car took; and how far a query is.
_TOGETHER = (0.0, 0.0, 0.0, 0.03, 0.1, 0.01, 0.25, 0.0, 0.1)
_QUERY = (0.0, 0.0, 0.3, math.pi, 0.12, 0.04, 0.3, 0.01, 0.1)
# In longer sides: telephones have 0.72, panoramas are cut to 60° or 90°, 0.87 or 0.5.
_USUAL_FOCAL = 0.8
_FOCALS = (0.6, 0.75, 0.95)
# How far off, as a logarithm, an EXIF's is: whole millimetres, and makers that mean the width where
# the standard means the diagonal.
_TOLD = 0.06
# Factors of it beyond which not the focal length is unusual but the solution is wrong.
_LARGEST_FACTOR = 1.9
_LARGEST_QUERY_FACTOR = 3.5
_LARGEST_TOLD_FACTOR = 1.2
_FARTHEST = 2.5  # times what is known beforehand, beyond which it is another place
_TELLING = 0.5  # of what is known beforehand: views that leave it less sure say too little
_APART = 2.0  # metres, below which two photos share a spot
_FEWEST, _MOST = 10, 60  # matches of a view: fewer place no camera, more only take time
_VIEWS = 8
_PAIRS = 3  # to begin with, until one agrees
_WIDEST = 1.3  # radians between headings of photos that a third one shows a part of
_AGREEING = 0.6  # of a view's matches
_ROUGH, _FINE = 6, 12  # steps
_ALIKE = 12.0  # between the costs of two solutions that are both possible


@dataclass(frozen=True, slots=True)
class View:
    """A database photo that shows what a query shows.

    `place` is metres east and north, `accuracy` the standard deviation of each; `heading` radians
    clockwise from north, None where unknown, and `turned` its standard deviation. `query` and
    `own` `[N, 2]` are the same N points in both photos, in longer sides right of and below the
    middle.
    """

    place: tuple[float, float]
    accuracy: float
    heading: float | None
    turned: float
    query: Floats
    own: Floats


@dataclass(frozen=True, slots=True)
class Standpoint:
    """Where a camera stood: metres east and north, their covariance `[2, 2]`, views it rests on."""

    place: tuple[float, float]
    covariance: Floats
    views: int

    @property
    def deviation(self) -> float:
        """The standard deviation along the axis that is least sure, in metres."""
        return math.sqrt(float(np.linalg.eigvalsh(self.covariance)[-1]))


@dataclass(frozen=True, slots=True)
class _Known:
    """Where the query is beforehand: about `reach` metres (standard deviation) from `centre`; and
    its `focal` length, where its file tells it."""

    centre: tuple[float, float]
    reach: float
    focal: float | None = None


@dataclass(frozen=True, slots=True)
class _Problem:
    views: tuple[View, ...]
    known: _Known
    rays: Rays
    prior: Prior

    @classmethod
    def of(cls, views: Sequence[View], known: _Known) -> "_Problem":
        rays = gather([(view.query, view.own) for view in views])
        return cls(tuple(views), known, rays, _prior(views, known))

    def adjust(self, state: State, steps: int) -> _Solution:
        return adjust(state, self.rays, self.prior, steps)

    def agrees(self, state: State) -> bool:
        return bool(agreement(state, self.rays).min() >= _AGREEING)


def where_views_meet(
    views: Sequence[View],
    centre: tuple[float, float],
    reach: float,
    focal: float | None = None,
) -> Standpoint | None:
    """Where the camera stood whose photo shows what the `views`, strongest first, show.

    It is known to be about `reach` metres (standard deviation) from `centre`, and to have the
    `focal` length in longer sides, where that is given; one that the views contradict, as those of
    a photo that was cut may, is left aside. None where there are no views from two spots that
    agree, or where they agree on a place much farther off or a focal length that no camera has, or
    leave the place nearly as unsure as it was.
    """
    told = None if focal is None else _meet(views, _Known(centre, reach, focal))
    return told or _meet(views, _Known(centre, reach))


def _meet(views: Sequence[View], known: _Known) -> Standpoint | None:
    usable = [_thinned(view) for view in views if len(view.query) >= _FEWEST][:_VIEWS]
    for pair in itertools.islice(_pairs(usable), _PAIRS):
        problem = _Problem.of([usable[i] for i in pair], known)
        solutions = _begin(problem)
        if problem.agrees(solutions[0][0]):
            others = [view for i, view in enumerate(usable) if i not in pair]
            return _settle(*_grow(problem, solutions, others))
    return None


def _thinned(view: View) -> View:
    """With at most _MOST of its matches, the same each time."""
    if len(view.query) <= _MOST:
        return view
    drawn = np.random.default_rng(0).permutation(len(view.query))[:_MOST]
    return View(
        view.place, view.accuracy, view.heading, view.turned, view.query[drawn], view.own[drawn]
    )


def _pairs(views: Sequence[View]) -> Iterator[tuple[int, int]]:
    """Views from two spots, strong ones first."""
    for i, j in sorted(itertools.combinations(range(len(views)), 2), key=sum):
        apart = math.dist(views[i].place, views[j].place)
        if apart >= _APART and _look_alike(views[i], views[j]):
            yield i, j


def _look_alike(a: View, b: View) -> bool:
    """Whether two photos look so nearly the same way that a third can show what both show."""
    if a.heading is None or b.heading is None:
        return True
    return math.cos(a.heading - b.heading) > math.cos(_WIDEST + a.turned + b.turned)


def _begin(problem: _Problem) -> list[_Solution]:
    """Where the views of two photos meet: the best solution, and another if there is one."""
    spots = [np.array(view.place) for view in problem.views]
    places = [np.array(problem.known.centre), *spots, (spots[0] + spots[1]) / 2]
    cameras = [
        _placed(problem, place, heading) for place in places for heading in _headings(problem.views)
    ]
    states = [with_first_depths(start, problem.rays) for start in cameras]
    found = [problem.adjust(state, _ROUGH) for state in [*states, *_among_crossings(problem)]]
    return sorted((problem.adjust(s, _FINE) for s in _distinct(found)), key=lambda item: item[1])


def _among_crossings(problem: _Problem) -> list[State]:
    """Starts that need no guess of the query's place, as far as the views' headings are known."""
    if any(view.heading is None for view in problem.views):
        return []
    tried = (_with_focal(problem, focal) for focal in _FOCALS)
    placed = (among_crossings(cameras, problem.rays) for cameras in tried)
    return [with_first_depths(c, problem.rays) for c in placed if c is not None]


def _distinct(found: Sequence[_Solution]) -> list[State]:
    """The best two that stand apart."""
    best: list[State] = []
    for state, _ in sorted(found, key=lambda item: item[1]):
        if all(_metres(state, other) > _APART for other in best):
            best.append(state)
    return best[:2]


def _grow(
    problem: _Problem, solutions: list[_Solution], others: Sequence[View]
) -> tuple[_Problem, list[State]]:
    """The problem with each other view that agrees, and its solutions so far."""
    states = [state for state, _ in solutions]
    for view in others:
        if not all(_look_alike(view, other) for other in problem.views):
            continue
        more = _Problem.of([*problem.views, view], problem.known)
        tried, _ = more.adjust(_joined(problem, states[0], more), _ROUGH)
        if more.agrees(tried):
            rest = [_joined(problem, state, more) for state in states[1:]]
            problem, states = more, [tried, *rest]
    return problem, states


def _settle(problem: _Problem, states: Sequence[State]) -> Standpoint | None:
    """The best solution; another that is nearly as good makes it less sure."""
    if len(problem.views) > 2:
        rough = [problem.adjust(s, _ROUGH) for s in (*states, *_among_crossings(problem))]
        states = _distinct(rough)
    solved = sorted((problem.adjust(s, _FINE) for s in states), key=lambda item: item[1])
    state, cost = solved[0]
    if not problem.agrees(state) or not _is_plausible(state, problem.known.focal):
        return None
    uncertain = covariance(state, problem.rays, problem.prior)[: NORTH + 1, : NORTH + 1]
    for other, value in solved[1:]:
        if value - cost < _ALIKE:
            apart = other.cameras[0, : NORTH + 1] - state.cameras[0, : NORTH + 1]
            uncertain = uncertain + np.outer(apart, apart) / 2
    east, north = state.cameras[0, : NORTH + 1].tolist()
    if not np.isfinite([east, north, *uncertain.ravel()]).all():
        return None
    if math.dist((east, north), problem.known.centre) > _FARTHEST * problem.known.reach:
        return None
    found = Standpoint((east, north), uncertain, len(problem.views))
    return found if found.deviation <= _TELLING * problem.known.reach else None


def _is_plausible(state: State, told: float | None) -> bool:
    off = np.abs(state.cameras[:, FOCAL] - math.log(_USUAL_FOCAL))
    query, photos = math.log(_LARGEST_QUERY_FACTOR), math.log(_LARGEST_FACTOR)
    if told is not None:
        off[0] = abs(state.cameras[0, FOCAL] - math.log(told))
        query = math.log(_LARGEST_TOLD_FACTOR)
    return bool(off[0] < query and off[1:].max() < photos)


def _metres(a: State, b: State) -> float:
    return float(np.hypot(*(a.cameras[0, : NORTH + 1] - b.cameras[0, : NORTH + 1])))


def _prior(views: Sequence[View], known: _Known) -> Prior:
    count = len(views) + 1
    mean = np.zeros((count, PARAMETERS))
    mean[:, FOCAL] = math.log(_USUAL_FOCAL)
    mean[0, : NORTH + 1] = known.centre
    spread = np.zeros((count, PARAMETERS, count, PARAMETERS))
    number = np.arange(PARAMETERS)
    spread[1:, number, 1:, number] = np.square(_TOGETHER)[:, None, None]
    spread[0, number, 0, number] = np.square(_QUERY)
    spread[0, [EAST, NORTH], 0, [EAST, NORTH]] = known.reach**2
    if known.focal is not None:
        mean[0, FOCAL] = math.log(known.focal)
        spread[0, FOCAL, 0, FOCAL] = _TOLD**2
    for n, view in enumerate(views, start=1):
        mean[n, : NORTH + 1] = view.place
        mean[n, HEADING] = view.heading or 0.0
        alone = np.square(_ALONE)
        alone[: NORTH + 1] = view.accuracy**2
        alone[HEADING] = (math.pi if view.heading is None else view.turned) ** 2
        spread[n, number, n, number] += alone
    size = count * PARAMETERS
    return Prior(mean, np.asarray(np.linalg.inv(spread.reshape(size, size)), dtype=np.float64))


def _headings(views: Sequence[View]) -> list[float]:
    """The query's heading, as the views' have it; all round where these are unknown."""
    told = [view.heading + _turn(view, _USUAL_FOCAL) for view in views if view.heading is not None]
    if not told:
        return [k * math.pi / 4 for k in range(8)]
    return [math.atan2(sum(map(math.sin, told)), sum(map(math.cos, told)))]


def _turn(view: View, focal: float) -> float:
    """By how much the query's heading seems to exceed the view's, were both on one spot."""
    turns = np.arctan(view.own[:, 0] / focal) - np.arctan(view.query[:, 0] / focal)
    return float(np.median(turns))


def _placed(problem: _Problem, place: Floats, heading: float) -> Floats:
    """Cameras as they are beforehand, but the query at a place and with a heading."""
    cameras = _with_focal(problem, _USUAL_FOCAL)
    cameras[0, : NORTH + 1] = place
    cameras[0, HEADING] = heading
    for n, view in enumerate(problem.views, start=1):
        if view.heading is None:
            cameras[n, HEADING] = heading - _turn(view, _USUAL_FOCAL)
    return cameras


def _with_focal(problem: _Problem, focal: float) -> Floats:
    """Cameras as they are beforehand, but with a focal length, the query's where it is told."""
    changed = problem.prior.mean.copy()
    changed[:, FOCAL] = math.log(focal)
    if problem.known.focal is not None:
        changed[0, FOCAL] = math.log(problem.known.focal)
    return changed


def _joined(problem: _Problem, state: State, more: _Problem) -> State:
    """A solution of a problem as the start of one with one view more."""
    view, camera = more.views[-1], more.prior.mean[-1].copy()
    camera[[TILT, *range(FOCAL, PARAMETERS)]] = state.cameras[1:].mean(axis=0)[
        [TILT, *range(FOCAL, PARAMETERS)]
    ]
    if view.heading is None:
        camera[HEADING] = state.cameras[0, HEADING] - _turn(view, math.exp(camera[FOCAL]))
    cameras = np.concatenate([state.cameras, camera[None]])
    return with_more(state, problem.rays, cameras, more.rays)
