"""Whether two photos show the same place: key points matched, geometry fitted, evidence weighed."""

from hafloc.verify.evidence import Evidence, Geometry
from hafloc.verify.geometry import NOTHING, Verified, verify
from hafloc.verify.matching import Matches, match, match_rows
from hafloc.verify.rerank import compare, rank, weigh
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
    "NOTHING",
    "PLAIN_CUES",
    "Evidence",
    "Geometry",
    "Matches",
    "Rule",
    "Usual",
    "Verified",
    "Weights",
    "compare",
    "match",
    "match_rows",
    "rank",
    "read_cues",
    "read_rule",
    "shipped_rule",
    "verify",
    "weigh",
]
