"""From a query's most similar photos to evidence: compared, verified, ranked by the rule."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from hafloc.description import LocalFeatures
from hafloc.verify.evidence import Evidence, Size
from hafloc.verify.geometry import NOTHING, Verified, verify
from hafloc.verify.matching import match
from hafloc.verify.rule import Rule, shipped_rule

# Of the distance to the second best key point; higher than with finer features, since geometry
# sorts the matches afterwards.
RATIO = 0.9
# Fits share the cores, but there is nothing to gain from more than a few.
_MOST_THREADS = 4


def weigh(
    ids: Sequence[int],
    similarities: Sequence[float],
    query: LocalFeatures | None,
    candidates: Sequence[LocalFeatures | None],
    *,
    rule: Rule | None = None,
) -> list[Evidence]:
    """Evidence on a query's K most similar photos, strongest first, equals by similarity.

    `ids`, `similarities` and `candidates` belong together, best first. A candidate without
    features, or all of them where the query has none, is judged by its similarity alone.
    """
    sizes = [
        None if query is None or candidate is None else (query.size, candidate.size)
        for candidate in candidates
    ]
    return rank(ids, similarities, compare(query, candidates), sizes, rule=rule)


def rank(
    ids: Sequence[int],
    similarities: Sequence[float],
    verified: Sequence[Verified | None],
    sizes: Sequence[tuple[Size, Size] | None],
    *,
    rule: Rule | None = None,
) -> list[Evidence]:
    """`weigh` with what `compare` said of each candidate already known."""
    strengths = (rule or shipped_rule()).strengths(similarities, verified)
    evidence = [
        _evidence(id_, float(similarity), item, float(strength), pair)
        for id_, similarity, item, strength, pair in zip(
            ids, similarities, verified, strengths, sizes, strict=True
        )
    ]
    return [evidence[i] for i in np.argsort(-strengths, kind="stable")]


def compare(
    query: LocalFeatures | None, candidates: Sequence[LocalFeatures | None]
) -> list[Verified | None]:
    """What geometry says of each of K candidates; None where there was nothing to compare."""
    if query is None:
        return [None] * len(candidates)

    def one(candidate: LocalFeatures | None) -> Verified | None:
        if candidate is None:
            return None
        return verify(query, candidate, match(query, candidate, RATIO))

    # numpy's and OpenCV's loops leave Python's lock, so threads share the cores.
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        return list(pool.map(one, candidates))


def _evidence(
    id_: int,
    similarity: float,
    item: Verified | None,
    strength: float,
    sizes: tuple[Size, Size] | None,
) -> Evidence:
    shown = NOTHING if item is None else item
    return Evidence(
        id=id_,
        similarity=similarity,
        matches=shown.matches,
        inliers=shown.inliers,
        geometry=shown.geometry,
        pairs=shown.pairs,
        strength=strength,
        verified=item is not None,
        sizes=sizes,
    )
