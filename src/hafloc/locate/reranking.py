"""From a query's most similar photos to evidence: compared, verified, ranked by the rule."""

import os
from collections.abc import Sequence

import numpy as np

from hafloc.locate.evidence import Evidence
from hafloc.locate.matching import match
from hafloc.locate.rule import Rule, shipped_rule
from hafloc.locate.verify import NOTHING, Verified, verify
from hafloc.nn import LocalFeatures

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
    verified = compare(query, candidates)
    strengths = (rule or shipped_rule()).strengths(similarities, verified)
    evidence = [
        _evidence(id_, float(similarity), item, float(strength))
        for id_, similarity, item, strength in zip(
            ids, similarities, verified, strengths, strict=True
        )
    ]
    return [evidence[i] for i in np.argsort(-strengths, kind="stable")]


def compare(
    query: LocalFeatures | None, candidates: Sequence[LocalFeatures | None]
) -> list[Verified | None]:
    """What geometry says of each of K candidates; None where there was nothing to compare."""
    found: list[Verified | None] = [None] * len(candidates)
    if query is None:
        return found
    present = [number for number, item in enumerate(candidates) if item is not None]
    features = [item for item in candidates if item is not None]
    threads = max(1, min(_MOST_THREADS, len(os.sched_getaffinity(0)), len(features)))
    checked = verify(query, features, match(query, features, RATIO), threads=threads)
    for number, item in zip(present, checked, strict=True):
        found[number] = item
    return found


def _evidence(id_: int, similarity: float, item: Verified | None, strength: float) -> Evidence:
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
    )
