"""How well a network finds places: exact search, who is near whom, and scores of rankings."""

from hafloc.measure.exact_search import search
from hafloc.measure.neighbours import neighbour_pairs, rows_around, rows_within
from hafloc.measure.recall import (
    ThresholdCurve,
    bootstrap_interval,
    drop_rows,
    find_hits,
    first_hits,
    hit_counts,
    keep_rows,
    recall_curve,
    score_retrieval,
    threshold_curve,
)

__all__ = [
    "ThresholdCurve",
    "bootstrap_interval",
    "drop_rows",
    "find_hits",
    "first_hits",
    "hit_counts",
    "keep_rows",
    "neighbour_pairs",
    "recall_curve",
    "rows_around",
    "rows_within",
    "score_retrieval",
    "search",
    "threshold_curve",
]
