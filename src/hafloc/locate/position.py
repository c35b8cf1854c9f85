"""One position from many candidates: the place that the strong ones agree on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hafloc.geo import LocalFrame, Position
from hafloc.locate.odds import expit
from hafloc.verify import Evidence, shipped_rule

Floats = NDArray[np.float64]

# Photos farther apart (metres) do not speak for each other: twice the field's usual tolerance.
REACH = 50.0
# The scale of a radius never rests on the candidates' agreement alone: phones among buildings
# fix a position to about this (metres).
FIX = 20.0
# By validation. With 1, and with chances in place of odds, doubtful neighbours pull too much on
# densely photographed streets; 4 is nearly the first hit alone.
_SHARPNESS = 2
# Log-odds beyond which a strength says nothing more.
_SURE = 12.0
# What the rule gives a random photo of another place: its median is -12, one in twenty has -7.
_STRANGER = -9.0
# Log-odds that the strongest has at most where its key points were compared and no geometry
# explains them; it then counts as no more similar than photos of other places are. A mirrored photo
# looks alike too, and so does another branch of a chain.
_UNCONFIRMED = 0.0


@dataclass(frozen=True, slots=True)
class Consensus:
    """Where a query's candidates agree, and how well.

    `scale` (metres, at least FIX) is the typical error that their disagreement suggests, up to
    a factor that only calibration knows. `signs`, named by SIGNS, tell a place in the database
    from one that is not; similarity that geometry should confirm and does not is no sign of it.
    `accuracy` (metres) bounds how far off the position may be because the candidates' own positions
    are, as far as their sources say; 0 where none does. `views` counts the photos whose views
    placed the camera; 0 where the candidates' own positions did, and `agreed_scale` is the scale
    of these, where views replaced it.
    """

    position: Position
    scale: float
    signs: tuple[float, ...]
    accuracy: float = 0.0
    views: int = 0
    agreed_scale: float | None = None


SIGNS = (
    "strength",  # log-odds of the strongest candidate
    "support",  # ln(1 + expected number of right candidates within REACH of the position)
    "gap",  # log-odds between the strongest candidate and the best one beyond REACH, or a stranger
    "similarity",  # of the strongest candidate
    "inliers",  # ln(1 + inliers) of the strongest candidate
)


def agree(
    positions: Sequence[Position],
    evidence: Sequence[Evidence],
    accuracies: Sequence[float | None] | None = None,
) -> Consensus:
    """The consensus of N candidates, N ≥ 1, in any order, each with its position.

    A candidate weighs as much as its odds of showing the query's place, squared: the strongest
    leads, and those nearly as strong pull it towards them. Around each, weights count by the
    kernel 1 - (distance / REACH)²; where their sum is largest is the place, and the mean under
    that kernel is the position. One candidate is its own consensus.

    `accuracies` are what the positions' sources say of their error in metres, None where they say
    nothing. The error of a weighted mean is at most the mean of the errors under the same weights
    (triangle inequality), and no less where they are shared, as those of photos from one receiver
    in one street are; so that mean is the consensus's `accuracy`. Positions of unknown accuracy
    count as exact in it: their usual error is what calibration has learned.
    """
    if not positions:
        raise ValueError("there are no candidates to agree")
    strengths = np.clip(np.array([item.strength for item in evidence]), -_SURE, _SURE)
    best = int(np.argmax(strengths))
    frame = LocalFrame(positions[best])
    places = frame.to_metres([p.lat for p in positions], [p.lon for p in positions])
    chances = expit(strengths)
    weights = np.exp(_SHARPNESS * (strengths - strengths[best]))
    apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    votes = np.maximum(0.0, 1 - (apart / REACH) ** 2) * weights
    chosen = int(np.argmax(votes.sum(axis=1)))
    shares = votes[chosen] / votes[chosen].sum()
    if np.count_nonzero(shares) == 1:
        position, centre = positions[chosen], places[chosen]
    else:
        centre = shares @ places
        position = frame.to_position(*centre)
    stated = np.array([known or 0.0 for known in accuracies or [None] * len(positions)])
    metres = np.hypot(*(places - centre).T)
    spread = float(weights @ metres / weights.sum())
    here = metres <= REACH
    support = math.log1p(float(chances[here].sum()))
    first = evidence[best]
    strongest, similarity = float(strengths[best]), float(first.similarity)
    if first.verified and not first.geometry:
        strongest = min(strongest, _UNCONFIRMED)
        similarity = min(similarity, shipped_rule().usual.similarity)
    # Where all candidates show one place, a stranger is what it has to be ahead of.
    gap = strongest - float(strengths[~here].max(initial=_STRANGER))
    signs = strongest, support, gap, similarity, math.log1p(first.inliers)
    return Consensus(position, math.hypot(FIX, spread), signs, float(shares @ stated))
