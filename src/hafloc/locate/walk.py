"""Photos of one walk help each other: whoever took one was near soon after.

A hidden Markov model. A photo's states are its own candidates and "not here"; nothing else can
come out, so no place is invented. Each state starts with its chance from the photo alone.
Between photos at places d metres and t seconds apart a pair of candidates counts

    (1 - STRAY) · k(d) / mean of k + STRAY,   k(d) = exp(-d² / 2σ²),   σ² = FIX² + (SPEED · t)²,

how much likelier a walker's two photos lie like that than two photos of the database drawn at
random, over whose distances the mean is taken. "Not here" on either side counts 1, for it says
nothing of the other photo. Photos more than PAUSE apart do not know of each other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hafloc.geo import LocalFrame, Position, distance

Floats = NDArray[np.float64]

# Metres a second of a person walking (Bohannon, Age and Ageing 1997: 1.3 to 1.5).
SPEED = 1.4
# Metres, per axis: two photos of one place, each off by its own position's error.
FIX = 30.0
# Seconds after which nothing is known any more: enough for a coffee, or a ride.
PAUSE = 600.0
# The chance that the next photo is anywhere: a bus, a wrong clock.
STRAY = 0.05
# Enough to know how common nearness is to a tenth, where it is as common as one in twenty.
PAIRS = 2_000
_SEED = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One photo of a walk, alone.

    `time` in seconds from any start; `positions` of its N candidates and their `chances` `[N]`
    of showing its place, together at most 1: the rest is that it shows none.
    """

    time: float
    positions: Sequence[Position]
    chances: Floats


def smooth(steps: Sequence[Step], random_distances: Floats) -> list[Floats]:
    """Each step's chances `[N]` given all others, by the forward-backward algorithm.

    `steps` are in the order of time; `random_distances` `[P]` are those of `draw_distances`. A
    step without a neighbour within PAUSE keeps its own.
    """
    if not steps:
        return []
    if any(after.time < before.time for before, after in pairwise(steps)):
        raise ValueError("the steps of a walk must be in the order of time")
    unary = [np.append(step.chances, max(0.0, 1 - step.chances.sum())) for step in steps]
    links = [_link(before, after, random_distances) for before, after in pairwise(steps)]
    forward = [unary[0]]
    for link, own in zip(links, unary[1:], strict=True):
        forward.append(_scaled(own * (forward[-1] @ link)))
    backward = [np.ones(len(unary[-1]))]
    for link, own in zip(reversed(links), reversed(unary[1:]), strict=True):
        backward.append(_scaled(link @ (own * backward[-1])))
    return [
        step.chances if alone else _normal(ahead * behind)[:-1]
        for step, alone, ahead, behind in zip(
            steps, _alone(steps), forward, reversed(backward), strict=True
        )
    ]


def draw_distances(positions: Sequence[Position]) -> Floats:
    """Metres between the two photos of PAIRS random pairs of a database; [0] of a single photo."""
    if len(positions) < 2:
        return np.zeros(1)
    random = np.random.default_rng(_SEED)
    first = random.integers(len(positions), size=PAIRS)
    second = (first + random.integers(1, len(positions), size=PAIRS)) % len(positions)
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    return np.array([distance(positions[a], positions[b]) for a, b in pairs])


def _alone(steps: Sequence[Step]) -> list[bool]:
    gaps = [math.inf, *(after.time - before.time for before, after in pairwise(steps)), math.inf]
    return [before > PAUSE and after > PAUSE for before, after in pairwise(gaps)]


def _link(before: Step, after: Step, random_distances: Floats) -> Floats:
    """How states of two steps in a row go together: `[N + 1, M + 1]`, "not here" last."""
    table = np.ones((len(before.positions) + 1, len(after.positions) + 1))
    seconds = after.time - before.time
    if seconds > PAUSE or 1 in table.shape:
        return table
    variance = FIX**2 + (SPEED * seconds) ** 2
    frame = LocalFrame(before.positions[0])
    here, there = (
        frame.to_metres([p.lat for p in step.positions], [p.lon for p in step.positions])
        for step in (before, after)
    )
    squares = ((here[:, None] - there[None]) ** 2).sum(axis=-1)
    usual = np.exp(-(random_distances**2) / (2 * variance)).mean()
    # No pair so near was drawn: at most one in as many as were.
    usual = max(float(usual), 1 / len(random_distances))
    table[:-1, :-1] = (1 - STRAY) * np.exp(-squares / (2 * variance)) / usual + STRAY
    return table


def _scaled(values: Floats) -> Floats:
    """Only ratios matter; long walks would leave the range of numbers."""
    return np.asarray(values / values.max())


def _normal(values: Floats) -> Floats:
    return np.asarray(values / values.sum())
