"""The learned rule: from similarity and geometry to the log-odds that a candidate is right.

Two logistic models, fitted by `benchmarks/answers.py --fit` on photos with known partners and kept
in `rule.json`: one for candidates whose key points were compared, one for those that only their
similarity speaks for.

How far a candidate is ahead of the others says much in a large database and nothing in one of a
single photo. So the others are never taken for less than an unrelated photo usually shows: one
that stands alone is ahead of that, and strong geometry counts however few photos there are.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from hafloc.verify.geometry import Verified

Floats = NDArray[np.float64]

FORMAT = 2
CUES = (
    "similarity",
    "lead",  # similarity less the best of the other candidates, or an unrelated photo's
    "significance",  # ln(1 + significance) of the geometry
    "prominence",  # that less the best of the other candidates, or 0
    "matches",  # ln(1 + matches)
    "majority",  # that less the best of the other candidates, or an unrelated photo's
    "inliers",  # ln(1 + inliers)
    "share",  # of the matches that are inliers
    "spread",  # how much of the photos the inliers take
)
PLAIN_CUES = CUES[:2]


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic model: log-odds = bias + cues · weights."""

    bias: float
    weights: tuple[float, ...]

    def log_odds(self, cues: Floats) -> Floats:
        """`[K, S]` to `[K]`."""
        # Row by row: a matrix product may round equal rows differently, and ties would turn.
        return np.asarray(self.bias + (cues * np.array(self.weights)).sum(axis=1))


@dataclass(frozen=True, slots=True)
class Usual:
    """What a photo of another place usually shows: its `similarity`, and ln(1 + `matches`).

    Its geometry is none.
    """

    similarity: float
    matches: float


@dataclass(frozen=True, slots=True)
class Rule:
    """`verified` reads CUES, `plain` PLAIN_CUES alone, both with what is `usual` of strangers."""

    verified: Weights
    plain: Weights
    usual: Usual

    def strengths(
        self, similarities: Sequence[float], verified: Sequence[Verified | None]
    ) -> Floats:
        """Log-odds `[K]` of a query's K candidates; None marks those that were not compared."""
        cues = read_cues(similarities, verified, self.usual)
        compared = np.array([item is not None for item in verified], dtype=bool)
        plain = self.plain.log_odds(cues[:, : len(PLAIN_CUES)])
        return np.where(compared, self.verified.log_odds(cues), plain)


def read_cues(
    similarities: Sequence[float], verified: Sequence[Verified | None], usual: Usual
) -> Floats:
    """The cues of a query's K candidates, `[K, len(CUES)]`."""
    similarity = np.array(similarities, dtype=np.float64)
    significance = np.log1p([0.0 if item is None else item.significance for item in verified])
    rest = [
        (math.log1p(item.inliers), item.inliers / max(item.matches, 1), item.spread)
        if item is not None
        else (0.0, 0.0, 0.0)
        for item in verified
    ]
    matches = np.log1p([0 if item is None else item.matches for item in verified])
    columns = [similarity, _lead(similarity, usual.similarity)]
    columns += [significance, _lead(significance, 0.0), matches, _lead(matches, usual.matches)]
    return np.column_stack([*columns, np.array(rest, dtype=np.float64).reshape(-1, 3)])


def _lead(values: Floats, usual: float) -> Floats:
    """Each value less the largest of the others, these being at least `usual`."""
    others = np.full(len(values), usual)
    if len(values) > 1:
        first = int(np.argmax(values))
        others[:] = values[first]
        others[first] = np.delete(values, first).max()
    return np.asarray(values - np.maximum(others, usual), dtype=np.float64)


@cache
def shipped_rule() -> Rule:
    """The rule that comes with hafloc."""
    return read_rule((files("hafloc.verify") / "rule.json").read_text(encoding="utf-8"))


def read_rule(text: str) -> Rule:
    """A rule from JSON as `benchmarks/answers.py --fit` writes it."""
    content = json.loads(text)
    if content["format"] != FORMAT:
        raise ValueError(f"the rule has format {content['format']}, not {FORMAT}; fit it anew")
    verified, plain = (
        Weights(content[name]["bias"], tuple(content[name]["weights"][sign] for sign in cues))
        for name, cues in (("verified", CUES), ("plain", PLAIN_CUES))
    )
    usual = content["usual"]
    return Rule(verified, plain, Usual(float(usual["similarity"]), float(usual["matches"])))
