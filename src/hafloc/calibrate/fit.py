"""Learn radius and confidence from trials.

A trial is a query of known position, located twice: in the database as it is, and in the
database without any photo within ELSEWHERE of the query, where the only right answer is "not
here".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from hafloc.calibrate.neighbourhoods import neighbourhoods
from hafloc.errors import PositionError
from hafloc.geo import Position
from hafloc.locate import PROBABILITY, REACH, SIGNS, THRESHOLD, Calibration, Consensus

Floats = NDArray[np.float64]

# Metres around a query within which no photo is left when its place is taken away.
ELSEWHERE = 100.0
# With fewer found queries no finite radius holds with 90 %: ⌈(n + 1) · 0.9⌉ must not exceed n.
FEWEST = 9
# Below this the radius is that of one of the worst three queries: a wide guess.
FEW = 30
# Of the squared weights of standardised signs, beside the sum of log-likelihoods.
_PENALTY = 1.0


class TooFewTrialsError(PositionError):
    """Of `queries` only `count` are what `what` says, and `least` are needed."""

    def __init__(self, count: int, queries: int, what: str, cure: str, least: int) -> None:
        super().__init__(
            f"cannot calibrate: only {count:,} of {queries:,} queries {what}, and a radius "
            f"that holds with {PROBABILITY:.0%} needs at least {least}; {cure}"
        )
        self.count, self.queries, self.what, self.least = count, queries, what, least


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one query of known `position`.

    `error` is the distance in metres of the consensus `here`, with the database as it is, from
    the truth, and `first` that of the strongest candidate; `elsewhere` is the consensus without
    the query's place, None where nothing would remain.
    """

    error: float
    first: float
    here: Consensus
    elsewhere: Consensus | None
    position: Position


def fit(
    trials: Sequence[Trial],
    *,
    verified: bool,
    base: Calibration | None = None,
    least: int = FEWEST,
) -> Calibration:
    """Learn a calibration from trials.

    Confidence is a logistic regression on the signs. An answer within REACH of the truth is
    right, one beyond ELSEWHERE wrong, one between is left out; every answer without the query's
    place is wrong. With a `base` the confidence is its, and the radius alone is learned: whatever
    it is that calls an answer found, as long as it does not come from these trials, the radius
    holds for those that it calls so.

    Raises TooFewTrialsError where fewer than FEWEST answers are right, or wrong without a `base`,
    or fewer than `least` are found.
    """
    signs, labels = _examples(trials)
    right = int(labels.sum())
    _require(right, trials, "are located right", "give more queries of places in the database")
    if base is not None:
        weights, bias = base.weights, base.bias
    else:
        _require(
            sum(trial.elsewhere is not None for trial in trials),
            trials,
            f"leave any photo of the database beyond {ELSEWHERE:g} m",
            "add photos of other places to the database",
        )
        learned, bias = fit_logistic(signs, labels)
        weights = tuple(learned.tolist())
    unscored = Calibration(verified, weights, bias, (), len(trials))
    numbers = neighbourhoods([trial.position for trial in trials]).tolist()
    scored = sorted(
        (trial.error / trial.here.scale, number)
        for trial, number in zip(trials, numbers, strict=True)
        if unscored.confidence(trial.here) >= THRESHOLD
    )
    _require(len(scored), trials, "are found with confidence", "give more queries", least)
    return replace(
        unscored,
        scores=tuple(score for score, _ in scored),
        neighbourhoods=tuple(number for _, number in scored),
    )


def fit_kinds(
    plain: Sequence[Trial],
    verified: Sequence[Trial],
    *,
    bases: Mapping[bool, Calibration] | None = None,
    least: int = FEWEST,
) -> list[Calibration]:
    """One calibration for each kind of answers that teaches enough, verified ones last.

    `bases` are those of `fit`, by `verified`. Raises TooFewTrialsError where the usual answers,
    verified ones where there are any, do not teach enough.
    """
    calibrations = []
    for trials, is_verified in ((plain, False), (verified, True)):
        base = (bases or {}).get(is_verified)
        try:
            calibrations.append(fit(trials, verified=is_verified, base=base, least=least))
        except TooFewTrialsError:
            if is_verified == bool(verified):
                raise
    return calibrations


def _require(
    count: int, trials: Sequence[Trial], what: str, cure: str, least: int = FEWEST
) -> None:
    if count < least:
        raise TooFewTrialsError(count, len(trials), what, cure, least)


def _examples(trials: Sequence[Trial]) -> tuple[Floats, Floats]:
    """Signs `[N, F]` and whether the answer is right `[N]`, 0 or 1."""
    signs, labels = [], []
    for trial in trials:
        if trial.error <= REACH or trial.error > ELSEWHERE:
            signs.append(trial.here.signs)
            labels.append(float(trial.error <= REACH))
        if trial.elsewhere is not None:
            signs.append(trial.elsewhere.signs)
            labels.append(0.0)
    return np.array(signs).reshape(-1, len(SIGNS)), np.array(labels)


def fit_logistic(
    signs: Floats, labels: Floats, counts: Floats | None = None
) -> tuple[Floats, float]:
    """Weights `[F]`, none negative, and bias of P(label = 1) from signs `[N, F]`, labels `[N]`.

    `counts` `[N]` are how many examples each stands for, 1 where none are given.

    Logistic regression on standardised signs, their weights bounded below by 0 and held small by
    a quadratic penalty: a convex problem with one minimum. A sign that never changes weighs 0.
    """
    mean, deviation = signs.mean(axis=0), signs.std(axis=0)
    used = deviation > 0
    scale = np.where(used, deviation, 1.0)
    rows = np.column_stack([np.ones(len(signs)), np.where(used, (signs - mean) / scale, 0.0)])
    penalty = np.full(rows.shape[1], _PENALTY)
    counted = np.ones(len(labels)) if counts is None else counts
    # Just enough that labels of one kind alone give a finite bias.
    penalty[0] = 1e-3

    def loss(at: Floats) -> tuple[float, Floats]:
        odds = rows @ at
        value = counted @ (np.logaddexp(0, odds) - labels * odds) + penalty @ at**2 / 2
        return float(value), rows.T @ (counted * (expit(odds) - labels)) + penalty * at

    found = minimize(
        loss,
        np.zeros(rows.shape[1]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(None, None)] + [(0, None)] * signs.shape[1],
        options={"ftol": 1e-15, "gtol": 1e-8, "maxiter": 1_000},
    )
    bias, weights = found.x[0], found.x[1:] / scale
    return weights, float(bias - weights @ mean)
