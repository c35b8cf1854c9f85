"""Made-up trials: queries whose evidence is strong where the place is there, and weak else."""

import numpy as np

from hafloc.calibrate.fit import Trial
from hafloc.geo import Position
from hafloc.locate import Consensus

PLACE = Position(52.2, 0.1)


def consensus(strength: float, scale: float = 20.0) -> Consensus:
    return Consensus(PLACE, scale, (strength, 0.5, 1.0, 0.6, 0.0))


def draw(count: int, seed: int = 0, *, error: float = 10.0, apart: float = 3.0) -> list[Trial]:
    """Trials with errors exponential around `error` metres; strengths `apart` in the mean."""
    random = np.random.default_rng(seed)
    scales = random.uniform(20, 60, count)
    return [
        Trial(
            error=float(random.exponential(error) * scale / 20),
            first=0.0,
            here=consensus(float(random.normal(apart)), float(scale)),
            elsewhere=consensus(float(random.normal(0))),
            position=Position(*random.uniform((52.19, 0.09), (52.21, 0.11))),
        )
        for scale in scales
    ]
