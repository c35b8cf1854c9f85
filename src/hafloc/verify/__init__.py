"""Whether two photos show the same place: key points matched, geometry fitted, evidence weighed."""

from hafloc.verify.evidence import Evidence, Geometry, Sizes
from hafloc.verify.geometry import NOTHING, Verified, verify, verify_points
from hafloc.verify.matcher import LONGER_SIDE, Matcher, Pairs, open_matcher
from hafloc.verify.matching import Matches, match, match_rows
from hafloc.verify.rank_pairs import Compared, Look, compare_looks, strengths_of, weigh_compared
from hafloc.verify.rerank import compare, rank, sizes_of, weigh
from hafloc.verify.rule import (
    CUES,
    PLAIN_CUES,
    Rule,
    Usual,
    Weights,
    read_cues,
    read_rule,
    shipped_rule,
)

__all__ = [
    "CUES",
    "LONGER_SIDE",
    "NOTHING",
    "PLAIN_CUES",
    "Compared",
    "Evidence",
    "Geometry",
    "Look",
    "Matcher",
    "Matches",
    "Pairs",
    "Rule",
    "Sizes",
    "Usual",
    "Verified",
    "Weights",
    "compare",
    "compare_looks",
    "match",
    "match_rows",
    "open_matcher",
    "rank",
    "read_cues",
    "read_rule",
    "shipped_rule",
    "sizes_of",
    "strengths_of",
    "verify",
    "verify_points",
    "weigh",
    "weigh_compared",
]
