"""Candidates compared by a matcher of any name, and ranked by what chance does not explain.

The learned rule speaks for hafloc's own key points alone. Of any other matcher it is known only how
improbable its geometry is by chance, so candidates are ordered by that and by similarity, and
nothing is said of how sure the first one is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import reason_of
from hafloc.prefetch import share_out
from hafloc.verify.evidence import Evidence, Size, Sizes
from hafloc.verify.geometry import NOTHING, Verified, verify_points
from hafloc.verify.matcher import Matcher, Pairs
from hafloc.verify.rerank import by_strength

Floats = NDArray[np.float64]

# Significance at which a geometry speaks neither for nor against a candidate: one chance in 10^4.
_EVEN = 4.0
# Log-odds by ln(1 + significance), and by standard deviations of similarity below the best.
_BY_GEOMETRY = 3.0
_BY_SIMILARITY = 1.0


@dataclass(frozen=True, slots=True)
class Look:
    """What a matcher keeps of one image, and the image's (width, height)."""

    seen: Any
    size: Size


@dataclass(frozen=True, slots=True)
class Compared:
    """What a matcher says of a query's candidates.

    `verified` is None where there was nothing to compare; `failures` are the reasons, of one line,
    for which pairs count as no match.
    """

    verified: tuple[Verified | None, ...]
    failures: tuple[str, ...]


def compare_looks(
    matcher: Matcher, query: Look | None, candidates: Sequence[Look | None]
) -> Compared:
    """What geometry says of each candidate's matches with the query."""
    if query is None:
        return Compared((None,) * len(candidates), ())

    def one(candidate: Look | None) -> Verified | str | None:
        if candidate is None:
            return None
        # Others' code may raise anything.
        try:
            pairs = matcher.match(query.seen, candidate.seen)
        except Exception as error:
            return reason_of(error)[:200]
        checked = _checked(pairs)
        if isinstance(checked, str):
            return checked
        return verify_points(checked.here, checked.there, (query.size, candidate.size))

    found = share_out(one, candidates)
    return Compared(
        tuple(NOTHING if isinstance(item, str) else item for item in found),
        tuple(item for item in found if isinstance(item, str)),
    )


def weigh_compared(
    ids: Sequence[int],
    similarities: Sequence[float],
    verified: Sequence[Verified | None],
    sizes: Sequence[Sizes | None],
) -> list[Evidence]:
    """Evidence on K candidates, strongest first, equals by similarity."""
    strengths = strengths_of(similarities, verified)
    return by_strength(ids, similarities, verified, sizes, strengths)


def strengths_of(similarities: Sequence[float], verified: Sequence[Verified | None]) -> Floats:
    """What orders K candidates, `[K]`, on the scale of log-odds but not calibrated."""
    similarity = np.array(similarities, dtype=np.float64)
    significance = np.array([0.0 if item is None else item.significance for item in verified])
    behind = similarity - similarity.max(initial=-np.inf)
    spread = float(similarity.std()) if len(similarity) else 0.0
    # Networks differ in how far apart their similarities lie; rounding is no difference.
    scaled = behind / spread if spread > 1e-9 else np.zeros(len(similarity))
    by_geometry = np.log1p(significance) - np.log1p(_EVEN)
    return np.asarray(_BY_GEOMETRY * by_geometry + _BY_SIMILARITY * scaled, dtype=np.float64)


def _checked(pairs: Pairs) -> Pairs | str:
    """The pairs as finite places, or what is wrong with them."""
    try:
        here, there = (np.asarray(p, dtype=np.float64) for p in (pairs.here, pairs.there))
    except (AttributeError, TypeError, ValueError):
        return "it returned no places"
    if here.size == 0 and there.size == 0:
        none = np.zeros((0, 2))
        return Pairs(none, none)
    if here.ndim != 2 or here.shape[1] != 2 or here.shape != there.shape:
        return f"it returned places of the shapes {here.shape} and {there.shape}"
    finite = np.isfinite(here).all(1) & np.isfinite(there).all(1)
    return Pairs(here[finite], there[finite])
