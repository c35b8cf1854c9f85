"""How far off an answer may be, and whether its place is there at all, learned from trials.

A trial is a query of known position, located twice: in the database as it is, and in the
database without any photo within ELSEWHERE of the query, where the only right answer is "not
here".
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import PositionError
from hafloc.geo import Position
from hafloc.locate.position import REACH, SIGNS, Consensus

Floats = NDArray[np.float64]

# Metres around a query within which no photo is left when its place is taken away.
ELSEWHERE = 100.0
# Below this confidence an answer says "not in this database".
THRESHOLD = 0.5
# With fewer found queries no finite radius holds with 90 %: ⌈(n + 1) · 0.9⌉ must not exceed n.
FEWEST = 9
# Below this the radius is that of one of the worst three queries: a wide guess.
FEW = 30
PROBABILITY = 0.9

# Grows whenever signs, scale or the strength of evidence change their meaning.
_FORMAT = 1
# Of the squared weights of standardised signs, beside the sum of log-likelihoods.
_PENALTY = 1.0
_STEPS = 100


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one query of known position.

    `error` is the distance in metres of the consensus `here`, with the database as it is, from
    the truth, and `first` that of the strongest candidate; `elsewhere` is the consensus without
    the query's place, None where nothing would remain.
    """

    error: float
    first: float
    here: Consensus
    elsewhere: Consensus | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """What trials taught of one checkpoint's answers.

    `verified` says whether candidates were verified by geometry. `weights` (one for each of
    SIGNS, none negative: more evidence never lowers confidence) and `bias` give the log-odds of
    the confidence; `scores` are error / scale of the found trials, ascending; `queries` counts
    all trials.
    """

    verified: bool
    weights: tuple[float, ...]
    bias: float
    scores: tuple[float, ...]
    queries: int

    def confidence(self, consensus: Consensus) -> float:
        """How likely the consensus is the query's place, in (0, 1).

        Calibrated for queries of which every second one's place is not in the database.
        """
        odds = self.bias + float(np.dot(self.weights, consensus.signs))
        return float(_sigmoid(np.array(odds)))

    def radius(self, consensus: Consensus, probability: float = PROBABILITY) -> float | None:
        """Metres around the position that hold the truth with `probability`; None if unknown.

        Split conformal prediction (Vovk, Gammerman & Shafer 2005; Lei et al. 2018): scale times
        the ⌈(n + 1) · probability⌉-th smallest of the n scores. What is guaranteed: over the
        draw of trials and query together, the truth lies within the radius at least that often
        among queries that are found (confidence ≥ THRESHOLD), if these are exchangeable with
        the trials that were found: same kind of photos, same database, same mixture. It holds on
        average over queries, not for each kind of them. The weights of the confidence, which
        decides what is found, come from the same trials; the guarantee treats them as given.
        None where n is too small for `probability`.
        """
        check_probability(probability)
        # Rounded: 0.9 · 10 must not come out above 9.
        rank = math.ceil(round((len(self.scores) + 1) * probability, 9))
        if rank > len(self.scores):
            return None
        return consensus.scale * self.scores[rank - 1]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one query: the answer's position, and how far it can be trusted.

    `radius` (metres) holds the truth with `probability`; both None where unknown or where the
    place is not `found`. `confidence` and `found` are None without a calibration.
    """

    position: Position
    radius: float | None = None
    probability: float | None = None
    confidence: float | None = None
    found: bool | None = None


def judge(
    consensus: Consensus,
    calibration: Calibration | None,
    probability: float = PROBABILITY,
    *,
    confidence: float | None = None,
) -> Verdict:
    """The verdict on a consensus, with a `confidence` from elsewhere where one is given.

    Raises PositionError where `probability` is none.
    """
    check_probability(probability)
    if calibration is None:
        return Verdict(consensus.position)
    if confidence is None:
        confidence = calibration.confidence(consensus)
    found = confidence >= THRESHOLD
    # The radius is calibrated on found answers; of others it says nothing.
    radius = calibration.radius(consensus, probability) if found else None
    return Verdict(
        consensus.position, radius, None if radius is None else probability, confidence, found
    )


def check_probability(probability: float) -> None:
    """Raises PositionError unless it lies strictly between 0 and 1."""
    if not 0 < probability < 1:
        raise PositionError(
            f"a probability of {probability:g} cannot be promised; give one such as 0.9"
        )


def fit(trials: Sequence[Trial], *, verified: bool) -> Calibration:
    """Learn a calibration from trials.

    Confidence is a logistic regression on the signs. An answer within REACH of the truth is
    right, one beyond ELSEWHERE wrong, one between is left out; every answer without the query's
    place is wrong. Raises PositionError where fewer than FEWEST answers are right, wrong, or
    found.
    """
    signs, labels = _examples(trials)
    for count, what, cure in (
        (int(labels.sum()), "are located right", "give more queries of places in the database"),
        (
            sum(trial.elsewhere is not None for trial in trials),
            f"leave any photo of the database beyond {ELSEWHERE:g} m",
            "add photos of other places to the database",
        ),
    ):
        _require(count, len(trials), what, cure)
    weights, bias = fit_logistic(signs, labels)
    unscored = Calibration(verified, tuple(weights.tolist()), bias, (), len(trials))
    scores = sorted(
        trial.error / trial.here.scale
        for trial in trials
        if unscored.confidence(trial.here) >= THRESHOLD
    )
    _require(len(scores), len(trials), "are found with confidence", "give more queries")
    return Calibration(verified, unscored.weights, bias, tuple(scores), len(trials))


def _require(count: int, queries: int, what: str, cure: str) -> None:
    if count < FEWEST:
        raise PositionError(
            f"cannot calibrate: only {count:,} of {queries:,} queries {what}, and a radius that "
            f"holds with {PROBABILITY:.0%} needs at least {FEWEST}; {cure}"
        )


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


def fit_logistic(signs: Floats, labels: Floats) -> tuple[Floats, float]:
    """Weights `[F]`, none negative, and bias of P(label = 1) from signs `[N, F]`, labels `[N]`.

    Logistic regression by damped Newton steps, the weights of the standardised signs held small
    by a quadratic penalty; a sign whose weight comes out negative is dropped.
    """
    mean, deviation = signs.mean(axis=0), signs.std(axis=0)
    used = deviation > 0
    weights = np.zeros(signs.shape[1])
    while True:
        standard = (signs[:, used] - mean[used]) / deviation[used]
        bias, *slopes = _newton(np.column_stack([np.ones(len(signs)), standard]), labels)
        weights[:] = 0.0
        weights[used] = slopes
        if (weights >= 0).all():
            break
        used &= weights > 0
    weights[used] /= deviation[used]
    return weights, float(bias - weights @ mean)


def _newton(rows: Floats, labels: Floats) -> Floats:
    """The coefficients `[F + 1]` that minimise the penalised loss; the first is not penalised."""
    penalty = np.full(rows.shape[1], _PENALTY)
    # Just enough that labels of one kind alone give a finite bias.
    penalty[0] = 1e-3

    def loss(at: Floats) -> float:
        odds = rows @ at
        return float((np.logaddexp(0, odds) - labels * odds).sum() + penalty @ at**2 / 2)

    found = np.zeros(rows.shape[1])
    for _ in range(_STEPS):
        chances = _sigmoid(rows @ found)
        gradient = rows.T @ (chances - labels) + penalty * found
        curvature = (rows.T * (chances * (1 - chances))) @ rows + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        while loss(found - step) > loss(found) and np.abs(step).max() > 1e-12:
            step /= 2
        found = found - step
        if np.abs(step).max() < 1e-9:
            break
    return found


def _sigmoid(odds: Floats) -> Floats:
    return np.asarray(np.exp(-np.logaddexp(0, -odds)))


def write_calibrations(checkpoint: str, calibrations: Sequence[Calibration]) -> str:
    """JSON text of the calibrations that belong to the checkpoint with this hash."""
    content = {
        "format": _FORMAT,
        "checkpoint": checkpoint,
        "signs": SIGNS,
        "calibrations": [asdict(calibration) for calibration in calibrations],
    }
    return json.dumps(content, indent=1)


def read_calibrations(text: str, checkpoint: str) -> tuple[Calibration, ...]:
    """What `write_calibrations` wrote; nothing where it is of another checkpoint or format.

    Raises ValueError where the text is damaged.
    """
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("a calibration is a JSON object")
    if content.get("format") != _FORMAT or content.get("checkpoint") != checkpoint:
        return ()
    try:
        return tuple(_calibration(item) for item in content["calibrations"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"the calibration lacks or garbles {error}") from error


def shipped_calibrations(checkpoint: str) -> tuple[Calibration, ...]:
    """Those that come with hafloc for the checkpoint with this hash; () for any other."""
    for file in (files("hafloc.nn") / "checkpoints").iterdir():
        if file.name.endswith(".calibration.json"):
            found = read_calibrations(file.read_text(encoding="utf-8"), checkpoint)
            if found:
                return found
    return ()


def _calibration(item: dict[str, Any]) -> Calibration:
    values = {field.name: item[field.name] for field in fields(Calibration)}
    weights = tuple(float(value) for value in values["weights"])
    scores = tuple(sorted(float(value) for value in values["scores"]))
    bias = float(values["bias"])
    if len(weights) != len(SIGNS) or not np.isfinite([*weights, *scores, bias]).all():
        raise ValueError(f"the calibration needs {len(SIGNS)} finite weights")
    return Calibration(bool(values["verified"]), weights, bias, scores, int(values["queries"]))
