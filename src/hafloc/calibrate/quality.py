"""How well a calibration keeps its promises on queries that it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hafloc.calibrate.fit import ELSEWHERE, Trial, fit
from hafloc.errors import PositionError
from hafloc.locate import PROBABILITY, REACH, THRESHOLD, Calibration

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What calibrations said of N trials that they were not fitted on.

    `here` and `elsewhere` are confidences `[N]`, with the query's place and without it (nan where
    nothing remained); `radii` `[N]` in metres are those of the answers with the place, found or
    not (inf where unknown); `errors` `[N]` theirs from the truth.
    """

    here: Floats
    elsewhere: Floats
    radii: Floats
    errors: Floats

    @property
    def found(self) -> Flags:
        """Which answers say that the place is in the database, `[N]`."""
        return self.here >= THRESHOLD

    @property
    def coverage(self) -> float:
        """The share of found answers whose radius holds the truth; nan where none is found."""
        held = (self.errors <= self.radii)[self.found]
        return float(held.mean()) if len(held) else float("nan")

    @property
    def radius(self) -> float:
        """The median radius of found answers; nan where none is found."""
        return float(np.median(self.radii[self.found])) if self.found.any() else float("nan")

    def judged(self) -> tuple[Floats, Flags]:
        """Confidences and whether the answer was right, of all answers with a clear truth.

        As in `calibration.fit`: with the place, right within REACH and wrong beyond ELSEWHERE;
        without it, wrong.
        """
        clear = (self.errors <= REACH) | (self.errors > ELSEWHERE)
        remained = np.isfinite(self.elsewhere)
        confidences = np.concatenate([self.here[clear], self.elsewhere[remained]])
        right = np.concatenate([self.errors[clear] <= REACH, np.zeros(remained.sum(), bool)])
        return confidences, right


def cross_validate(
    trials: Sequence[Trial],
    *,
    verified: bool,
    probability: float = PROBABILITY,
    folds: int = 5,
    seed: int = 0,
) -> HeldOut | None:
    """Calibrate on all folds but one and answer that one; None where there are too few trials."""
    fold = np.random.default_rng(seed).permutation(len(trials)) % folds
    said = HeldOut(*np.full((4, len(trials)), np.nan))
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
        said.here[own], said.elsewhere[own] = part.here, part.elsewhere
        said.radii[own], said.errors[own] = part.radii, part.errors
    return said


def try_out(
    calibration: Calibration, trials: Sequence[Trial], *, probability: float = PROBABILITY
) -> HeldOut:
    """What a calibration says of trials that it was not fitted on."""
    radii = [calibration.radius(trial.here, probability) for trial in trials]
    return HeldOut(
        here=np.array([calibration.confidence(trial.here) for trial in trials]),
        elsewhere=np.array(
            [
                np.nan if trial.elsewhere is None else calibration.confidence(trial.elsewhere)
                for trial in trials
            ]
        ),
        radii=np.array([np.inf if radius is None else radius for radius in radii]),
        errors=np.array([trial.error for trial in trials]),
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
