"""How well a calibration keeps its promises on queries that it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hafloc.calibrate.fit import ELSEWHERE, Trial, fit
from hafloc.calibrate.neighbourhoods import neighbourhoods
from hafloc.errors import PositionError
from hafloc.locate import PROBABILITY, REACH, THRESHOLD, Calibration

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]


# Found answers below which the share that a neighbourhood's radii hold says nothing.
_TELLING = 5
_DRAWS = 2_000


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What calibrations said of N trials that they were not fitted on.

    `here` and `elsewhere` are confidences `[N]`, with the query's place and without it (nan where
    nothing remained); `radii` `[N]` in metres are those of the answers with the place, found or
    not (inf where unknown), `cautious` `[N]` the cautious ones; `errors` `[N]` theirs from the
    truth; `neighbourhoods` `[N]` number those of the queries.
    """

    here: Floats
    elsewhere: Floats
    radii: Floats
    cautious: Floats
    errors: Floats
    neighbourhoods: Numbers

    @property
    def found(self) -> Flags:
        """Which answers say that the place is in the database, `[N]`."""
        return self.here >= THRESHOLD

    @property
    def coverage(self) -> float:
        """The share of found answers whose radius holds the truth; nan where none is found."""
        return coverage(self.errors[self.found], self.radii[self.found])

    @property
    def radius(self) -> float:
        """The median radius of found answers; nan where none is found."""
        return float(np.median(self.radii[self.found])) if self.found.any() else float("nan")

    def plain_and_cautious(self) -> tuple["Promise", "Promise"]:
        """How both kinds of radii were kept."""
        errors, numbers = self.errors[self.found], self.neighbourhoods[self.found]
        plain, cautious = (
            promise(errors, radii[self.found], numbers) for radii in (self.radii, self.cautious)
        )
        return plain, cautious

    def clear(self) -> tuple[Flags, Flags]:
        """Which answers with the place are clearly right or wrong, and which are right, `[N]`."""
        right = self.errors <= REACH
        return right | (self.errors > ELSEWHERE), right

    def judged(self) -> tuple[Floats, Flags]:
        """Confidences and whether the answer was right, of all answers with a clear truth.

        As in `calibration.fit`: with the place, right within REACH and wrong beyond ELSEWHERE;
        without it, wrong.
        """
        clear, is_right = self.clear()
        remained = np.isfinite(self.elsewhere)
        confidences = np.concatenate([self.here[clear], self.elsewhere[remained]])
        right = np.concatenate([is_right[clear], np.zeros(remained.sum(), bool)])
        return confidences, right


@dataclass(frozen=True, slots=True)
class Promise:
    """How radii were kept over found answers.

    `coverage` is the share that holds the truth, `interval` where it lies with 95 % by a bootstrap
    that draws neighbourhoods, for the answers of one are right and wrong together; `worst` and
    `best` are its extremes over single neighbourhoods of 5 or more found answers; `radius` is the
    median in metres. All nan where there is nothing to tell them from.
    """

    coverage: float
    interval: tuple[float, float]
    worst: float
    best: float
    radius: float


def promise(errors: Floats, radii: Floats, neighbourhoods: Numbers) -> Promise:
    """How radii `[N]` were kept by found answers' errors `[N]` in numbered neighbourhoods `[N]`."""
    if not len(errors):
        nan = float("nan")
        return Promise(nan, (nan, nan), nan, nan, nan)
    held, counts = _by_neighbourhood(errors <= radii, neighbourhoods)
    telling = counts >= _TELLING
    single = held[telling] / counts[telling] if telling.any() else np.array([np.nan])
    return Promise(
        coverage(errors, radii),
        interval(errors <= radii, neighbourhoods),
        float(single.min()),
        float(single.max()),
        float(np.median(radii)),
    )


def interval(flags: Flags, neighbourhoods: Numbers) -> tuple[float, float]:
    """Where the share of N ≥ 1 flags lies with 95 %, by a bootstrap that draws neighbourhoods."""
    held, counts = _by_neighbourhood(flags, neighbourhoods)
    drawn = np.random.default_rng(0).integers(0, len(counts), (_DRAWS, len(counts)))
    low, high = np.percentile(held[drawn].sum(1) / counts[drawn].sum(1), [2.5, 97.5])
    return float(low), float(high)


def _by_neighbourhood(flags: Flags, neighbourhoods: Numbers) -> tuple[Floats, Numbers]:
    """How many flags are set in each neighbourhood, and how many there are."""
    _, numbers = np.unique(neighbourhoods, return_inverse=True)
    held = np.bincount(numbers, weights=flags).astype(np.float64)
    return held, np.bincount(numbers).astype(np.int64)


def coverage(errors: Floats, radii: Floats) -> float:
    """The share of errors within their radii; nan where there are none."""
    return float((errors <= radii).mean()) if len(errors) else float("nan")


def cross_validate(
    trials: Sequence[Trial],
    *,
    verified: bool,
    probability: float = PROBABILITY,
    folds: int = 5,
    seed: int = 0,
) -> HeldOut | None:
    """Calibrate on all folds but one and answer that one; None where there are too few trials.

    Folds are of whole neighbourhoods: neighbours would tell each other's answers.
    """
    numbers = neighbourhoods([trial.position for trial in trials])
    fold = np.random.default_rng(seed).permutation(max(numbers, default=0) + 1)[numbers] % folds
    here, elsewhere, radii, cautious, errors = np.full((5, len(trials)), np.nan)
    said = HeldOut(here, elsewhere, radii, cautious, errors, numbers)
    for number in range(folds):
        try:
            calibration = fit(
                [trial for trial, own in zip(trials, fold, strict=True) if own != number],
                verified=verified,
            )
        except PositionError:
            return None
        own = np.flatnonzero(fold == number)
        part = try_out(calibration, [trials[int(i)] for i in own], probability=probability)
        for name in ("here", "elsewhere", "radii", "cautious", "errors"):
            getattr(said, name)[own] = getattr(part, name)
    return said


def try_out(
    calibration: Calibration, trials: Sequence[Trial], *, probability: float = PROBABILITY
) -> HeldOut:
    """What a calibration says of trials that it was not fitted on."""
    plain, cautious = (
        [calibration.radius(trial.here, probability, cautious=wide) for trial in trials]
        for wide in (False, True)
    )
    return HeldOut(
        here=np.array([calibration.confidence(trial.here) for trial in trials]),
        elsewhere=np.array(
            [
                np.nan if trial.elsewhere is None else calibration.confidence(trial.elsewhere)
                for trial in trials
            ]
        ),
        radii=np.array([np.inf if radius is None else radius for radius in plain]),
        cautious=np.array([np.inf if radius is None else radius for radius in cautious]),
        errors=np.array([trial.error for trial in trials]),
        neighbourhoods=neighbourhoods([trial.position for trial in trials]),
    )


def area_under_roc(positive: Floats, negative: Floats) -> float:
    """How often a positive ranks above a negative, ties counting half; nan where one is empty."""
    if not len(positive) or not len(negative):
        return float("nan")
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left")
    not_above = np.searchsorted(ordered, positive, "right")
    return float((below + not_above).mean() / (2 * len(negative)))


def calibration_error(confidences: Floats, right: Flags, bins: int = 10) -> float:
    """Expected calibration error: |mean confidence - share right|, averaged over equal bins of
    confidence by their numbers (Naeini, Cooper & Hauskrecht, AAAI 2015)."""
    number = np.minimum((confidences * bins).astype(int), bins - 1)
    gaps = np.bincount(number, weights=confidences - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidences))
