"""From a query to its answer: the nearest photos of the database and the position they give."""

from hafloc.index import Near
from hafloc.locate.answer import NOT_FITTED, Answer, Candidate, borders_in_words, in_words
from hafloc.locate.around import join_views
from hafloc.locate.comparison import Comparison, compare_with
from hafloc.locate.localizer import Localizer, Query
from hafloc.locate.meeting import sharpened
from hafloc.locate.position import REACH, SIGNS, Consensus, agree
from hafloc.locate.query import RERANK, RankedQuery
from hafloc.locate.trust import (
    PROBABILITY,
    THRESHOLD,
    Calibration,
    Verdict,
    check_probability,
    judge,
    read_calibrations,
    shipped_calibrations,
    write_calibrations,
)

__all__ = [
    "NOT_FITTED",
    "PROBABILITY",
    "REACH",
    "RERANK",
    "SIGNS",
    "THRESHOLD",
    "Answer",
    "Calibration",
    "Candidate",
    "Comparison",
    "Consensus",
    "Localizer",
    "Near",
    "Query",
    "RankedQuery",
    "Verdict",
    "agree",
    "borders_in_words",
    "check_probability",
    "compare_with",
    "in_words",
    "join_views",
    "judge",
    "read_calibrations",
    "sharpened",
    "shipped_calibrations",
    "write_calibrations",
]
