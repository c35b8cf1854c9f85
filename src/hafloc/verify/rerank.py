"""From a query's most similar photos to evidence: compared, verified, ranked by the rule."""

from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from hafloc.description import LocalFeatures
from hafloc.prefetch import share_out
from hafloc.verify.evidence import Evidence, Sizes
from hafloc.verify.geometry import NOTHING, Verified, verify
from hafloc.verify.matching import match_rows, unit_rows
from hafloc.verify.rule import Rule, shipped_rule

# Features of a query and of a candidate that are to be compared.
Beside = tuple[LocalFeatures | None, LocalFeatures | None]

# Of the distance to the second best key point; higher than with finer features, since geometry
# sorts the matches afterwards.
RATIO = 0.9


def weigh(
    ids: Sequence[int],
    similarities: Sequence[float],
    queries: Sequence[Sequence[LocalFeatures | None]],
    candidates: Sequence[LocalFeatures | None],
    *,
    rule: Rule | None = None,
) -> list[Evidence]:
    """Evidence on a query's K most similar photos, strongest first, equals by similarity.

    `ids`, `similarities` and `candidates` belong together, best first; `queries` are the features
    of the query that each is compared with, at one size or several: the clearest geometry counts,
    and the first of equals. A candidate without features, or where the query has none, is judged by
    its similarity alone.
    """
    beside = [
        (query, candidate)
        for some, candidate in zip(queries, candidates, strict=True)
        for query in some
    ]
    compared = iter(zip(beside, compare_each(beside), strict=True))
    clearest = [max(islice(compared, len(some)), key=_clearness) for some in queries]
    verified = [item for _, item in clearest]
    return rank(ids, similarities, verified, [sizes_of(*pair) for pair, _ in clearest], rule=rule)


def _clearness(compared: tuple[Beside, Verified | None]) -> float:
    item = compared[1]
    return -1.0 if item is None else item.significance


def sizes_of(query: LocalFeatures | None, candidate: LocalFeatures | None) -> Sizes | None:
    """The sizes of two photos that are compared; None where one has no features."""
    return None if query is None or candidate is None else (query.size, candidate.size)


def rank(
    ids: Sequence[int],
    similarities: Sequence[float],
    verified: Sequence[Verified | None],
    sizes: Sequence[Sizes | None],
    *,
    rule: Rule | None = None,
) -> list[Evidence]:
    """`weigh` with what `compare` said of each candidate already known."""
    strengths = (rule or shipped_rule()).strengths(similarities, verified)
    return by_strength(ids, similarities, verified, sizes, strengths)


def compare(
    query: LocalFeatures | None, candidates: Sequence[LocalFeatures | None]
) -> list[Verified | None]:
    """What geometry says of each of K candidates; None where there was nothing to compare."""
    return compare_each([(query, candidate) for candidate in candidates])


def compare_each(pairs: Sequence[Beside]) -> list[Verified | None]:
    """`compare` with features of the query for each candidate."""
    # A query comes with each of its candidates, the same object.
    queries = {id(query): query for query, _ in pairs if query is not None}
    units = {key: unit_rows(query.descriptors) for key, query in queries.items()}

    def one(pair: Beside) -> Verified | None:
        query, candidate = pair
        if query is None or candidate is None:
            return None
        matches = match_rows(units[id(query)], unit_rows(candidate.descriptors), RATIO)
        return verify(query, candidate, matches)

    return share_out(one, pairs)


def by_strength(
    ids: Sequence[int],
    similarities: Sequence[float],
    verified: Sequence[Verified | None],
    sizes: Sequence[Sizes | None],
    strengths: NDArray[np.float64],
) -> list[Evidence]:
    """Evidence on K candidates of known strength `[K]`, strongest first, equals in their order."""
    columns = zip(ids, similarities, verified, sizes, strengths, strict=True)
    evidence = [_evidence(*column) for column in columns]
    return [evidence[i] for i in np.argsort(-strengths, kind="stable")]


def _evidence(
    id_: int, similarity: float, item: Verified | None, sizes: Sizes | None, strength: float
) -> Evidence:
    shown = NOTHING if item is None else item
    return Evidence(
        id=id_,
        similarity=float(similarity),
        matches=shown.matches,
        inliers=shown.inliers,
        geometry=shown.geometry,
        pairs=shown.pairs,
        strength=float(strength),
        verified=item is not None,
        sizes=sizes,
    )
