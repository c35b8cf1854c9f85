"""One adjustment of all rays between a query and photos of known position (bundle adjustment).

After Triggs, McLauchlan, Hartley & Fitzgibbon, "Bundle Adjustment — A Modern Synthesis" (2000),
with two turns. What is known beforehand enters as observations of its own: where the database's
photos stand and look, how wide and tilted photos usually are. And a point is where the query sees
it, at an inverse depth: one number a point, which is eliminated, and 0 is infinitely far.
Levenberg and Marquardt's steps; what fits badly counts less and less (Cauchy).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hafloc.locate.camera import FOCAL, HEADING, PARAMETERS, RIGHT, ROLL, UP, axes, rotations

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

# Of a match, in longer sides: 2.4 of 480 pixels, what key points of a half-size grid are good for.
NOISE = 0.005
_AGREES = 3.0  # noises within which a match agrees
_TAIL = 2.0  # noises from which on a match counts less and less
# Inverse depths (1/m) of what photos of streets show: mean and standard deviation. The latter is
# five times the true one, since what one photo shows is near or far together.
_USUAL, _SPREAD = 0.06, 0.3
_DEPTHS = (200.0, 60.0, 30.0, 18.0, 12.0, 8.0, 5.0)  # metres, tried to begin with
_FARTHEST, _CLOSEST = 1e-4, 1e2  # 1/m: steps that go wrong must not run away
_FOCALS = (-4.0, 4.0)
_NEAREST = 0.02  # parts of a point's depth: what lies behind a camera is seen far outside
_DAMPING, _EASIER, _HARDER, _TRIES = 1e-2, 8.0, 8.0, 4


@dataclass(frozen=True, slots=True)
class Rays:
    """M matches of N points: `point[m]` is seen in view `view[m]` (from 1) at `own[m]`.

    `query` `[N, 2]` is where the query, camera 0, sees the points. Sorted by point.
    """

    query: Floats
    point: Numbers
    view: Numbers
    own: Floats

    @property
    def first(self) -> Numbers:
        """The first match of each point."""
        return np.flatnonzero(np.diff(self.point, prepend=-1))


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of `[K, 9]` cameras: their `mean` and the `precision` `[9 K, 9 K]` of it."""

    mean: Floats
    precision: Floats

    def off(self, cameras: Floats) -> Floats:
        """By how much cameras differ from the mean, headings by the shorter turn: `[9 K]`."""
        apart = cameras - self.mean
        apart[:, HEADING] = (apart[:, HEADING] + np.pi) % (2 * np.pi) - np.pi
        return apart.ravel()


@dataclass(frozen=True, slots=True)
class State:
    """What is estimated: cameras `[K, 9]` and the points' inverse depths `[N]` (1/m)."""

    cameras: Floats
    inverse: Floats


@dataclass(frozen=True, slots=True)
class _Normal:
    """Normal equations: of the cameras, of the depths, and what is mixed between them."""

    matrix: Floats
    right: Floats
    mixed: Floats
    depths: Floats
    depths_right: Floats


def gather(matches: Sequence[tuple[Floats, Floats]]) -> Rays:
    """Rays from each view's matches: where the query `[N, 2]` and the view `[N, 2]` see them."""
    points, point = np.unique(np.concatenate([q for q, _ in matches]), axis=0, return_inverse=True)
    order = np.argsort(point.ravel(), kind="stable")
    view = np.repeat(np.arange(1, len(matches) + 1), [len(q) for q, _ in matches])
    own = np.concatenate([o for _, o in matches])
    return Rays(points, point.ravel()[order], view[order], own[order])


def errors(state: State, rays: Rays) -> Floats:
    """How far from each match its point is seen: `[M, 2]`, in longer sides."""
    return _project(state, rays).errors


def with_first_depths(cameras: Floats, rays: Rays) -> State:
    """The cameras with each point at the depth, of a few, that its matches like best."""
    costs = []
    for depth in _DEPTHS:
        apart = errors(State(cameras, np.full(len(rays.query), 1 / depth)), rays)
        # Wide: cameras to begin with are far off.
        costs.append(np.add.reduceat(np.log1p((apart**2).sum(1) / (8 * NOISE) ** 2), rays.first))
    return State(cameras, 1 / np.array(_DEPTHS)[np.argmin(costs, axis=0)])


def agreement(state: State, rays: Rays) -> Floats:
    """The share of each view's matches that its camera agrees with: `[K - 1]`."""
    near = (errors(state, rays) ** 2).sum(1) < (_AGREES * NOISE) ** 2
    return np.bincount(rays.view, near)[1:] / np.bincount(rays.view)[1:]


def with_more(state: State, rays: Rays, cameras: Floats, more: Rays) -> State:
    """The state with `cameras` and the points of `more` rays: those it knows keep their depths."""
    fresh = with_first_depths(cameras, more)
    known = dict(zip(map(tuple, rays.query.tolist()), state.inverse.tolist(), strict=True))
    points = zip(map(tuple, more.query.tolist()), fresh.inverse.tolist(), strict=True)
    return State(cameras, np.array([known.get(point, depth) for point, depth in points]))


def cost(state: State, rays: Rays, prior: Prior) -> float:
    """Minus twice the logarithm of how probable the state is, up to a constant."""
    squares = (errors(state, rays) ** 2).sum(1) / NOISE**2
    off = prior.off(state.cameras)
    usual = ((state.inverse - _USUAL) / _SPREAD) ** 2
    matches = _TAIL**2 * np.log1p(squares / _TAIL**2).sum()
    return float(matches + off @ prior.precision @ off + usual.sum())


def adjust(state: State, rays: Rays, prior: Prior, steps: int) -> tuple[State, float]:
    """The state after at most `steps` better ones, and its cost."""
    damping, best = _DAMPING, cost(state, rays, prior)
    for _ in range(steps):
        normal = _linearised(state, rays, prior)
        for _ in range(_TRIES):
            tried = _moved(state, normal, damping)
            found = cost(tried, rays, prior)
            if found < best:
                break
            damping *= _HARDER
        else:
            return state, best
        gain, state, best = best - found, tried, found
        damping /= _EASIER
        if gain < 1e-2 + 1e-5 * best:
            break
    return state, best


def covariance(state: State, rays: Rays, prior: Prior) -> Floats:
    """Of the query's parameters, as far as matches and prior tell: `[9, 9]`.

    An inverse depth that is no larger than its own error says nothing of the place, yet would
    count as if it did, point by point; so its square counts less its variance.
    """
    unsure = 1 / _linearised(state, rays, prior).depths
    inverse = np.sqrt(np.maximum(state.inverse**2 - unsure, _FARTHEST**2))
    normal = _linearised(State(state.cameras, inverse), rays, prior)
    reduced = normal.matrix - normal.mixed.T @ (normal.mixed / normal.depths[:, None])
    return np.asarray(np.linalg.inv(reduced)[:PARAMETERS, :PARAMETERS])


def _moved(state: State, normal: _Normal, damping: float) -> State:
    depths = normal.depths * (1 + damping)
    shared = normal.mixed / depths[:, None]
    matrix = normal.matrix + damping * np.diag(np.diag(normal.matrix)) - normal.mixed.T @ shared
    cameras = np.linalg.solve(matrix, normal.right - shared.T @ normal.depths_right)
    inverse = state.inverse + (normal.depths_right - normal.mixed @ cameras) / depths
    moved = state.cameras + cameras.reshape(state.cameras.shape)
    moved[:, FOCAL] = np.clip(moved[:, FOCAL], *_FOCALS)
    return State(moved, np.clip(inverse, _FARTHEST, _CLOSEST))


def _linearised(state: State, rays: Rays, prior: Prior) -> _Normal:
    seen = _project(state, rays)
    by_query, by_view, by_depth = _derivatives(state, rays, seen)
    squares = (seen.errors**2).sum(1) / NOISE**2
    root = (1 / np.sqrt(1 + squares / _TAIL**2) / NOISE)[:, None]
    apart, by_depth = seen.errors * root, by_depth * root
    jacobian = np.zeros((len(rays.view), 2, *state.cameras.shape))
    jacobian[:, :, 0] = by_query * root[..., None]
    jacobian[np.arange(len(rays.view)), :, rays.view] = by_view * root[..., None]
    rows = jacobian.reshape(2 * len(rays.view), -1)
    off = prior.precision @ prior.off(state.cameras)
    both = (by_depth[..., None] * rows.reshape(len(rays.view), 2, -1)).sum(1)
    first = rays.first
    return _Normal(
        matrix=rows.T @ rows + prior.precision,
        right=-(rows.T @ apart.ravel()) - off,
        mixed=np.add.reduceat(both, first, axis=0),
        depths=np.add.reduceat((by_depth**2).sum(1), first) + _SPREAD**-2,
        depths_right=-np.add.reduceat((by_depth * apart).sum(1), first)
        - (state.inverse - _USUAL) / _SPREAD**2,
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """Rays on their way from the query to the views: see `_project`."""

    rotation: Floats
    directions: Floats
    offsets: Floats
    between: Floats
    deep: Floats
    flat: Floats
    focal: Floats
    errors: Floats


def _project(state: State, rays: Rays) -> _Seen:
    """Each point from the query into the view: its direction from both, and where it is seen.

    Lengths do not count in a projection, so the offset from the view is divided by the depth.
    """
    cameras, view = state.cameras, rays.view
    rotation = rotations(cameras)
    inside = (rays.query - cameras[0, RIGHT:]) / np.exp(cameras[0, FOCAL])
    directions = inside @ rotation[0, :, :2].T + rotation[0, :, 2]
    between = cameras[0, : UP + 1] - cameras[view, : UP + 1]
    offsets = directions[rays.point] + state.inverse[rays.point, None] * between
    own = np.einsum("mji,mj->mi", rotation[view], offsets)
    deep = np.maximum(own[:, 2], _NEAREST)
    flat = own[:, :2] / deep[:, None]
    focal = np.exp(cameras[view, FOCAL])
    seen = focal[:, None] * flat + cameras[view, RIGHT:]
    return _Seen(rotation, directions, offsets, between, deep, flat, focal, seen - rays.own)


def _derivatives(state: State, rays: Rays, seen: _Seen) -> tuple[Floats, Floats, Floats]:
    """Of the errors: by the query and by the view, `[M, 2, 9]`, and by the depth, `[M, 2]`."""
    cameras, view = state.cameras, rays.view
    turned = seen.rotation[view].transpose(0, 2, 1)
    by_offset = (turned[:, :2] - seen.flat[..., None] * turned[:, 2:]) * (
        (seen.focal / seen.deep)[:, None, None]
    )
    about = axes(cameras, seen.rotation)
    moves = np.zeros((len(rays.query), 3, PARAMETERS))
    spun = np.cross(about[:1], seen.directions[:, None])
    moves[:, :, HEADING : ROLL + 1] = spun.transpose(0, 2, 1)
    moves[:, :, FOCAL] = seen.rotation[0, :, 2] - seen.directions
    moves[:, :, RIGHT:] = -seen.rotation[0, :, :2] / np.exp(cameras[0, FOCAL])
    by_query = by_offset @ moves[rays.point]
    by_query[:, :, : UP + 1] = by_offset * state.inverse[rays.point, None, None]
    by_view = np.zeros_like(by_query)
    by_view[:, :, : UP + 1] = -by_query[:, :, : UP + 1]
    spun = np.cross(about[view], seen.offsets[:, None])
    by_view[:, :, HEADING : ROLL + 1] = -by_offset @ spun.transpose(0, 2, 1)
    by_view[:, :, FOCAL] = seen.focal[:, None] * seen.flat
    by_view[:, :, RIGHT:] = np.eye(2)
    return by_query, by_view, np.einsum("mij,mj->mi", by_offset, seen.between)
