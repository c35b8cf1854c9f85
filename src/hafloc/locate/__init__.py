"""From a query to its answer: the nearest photos of the database and the position they give."""

from hafloc.index import Near
from hafloc.locate.answer import Answer, Candidate, in_words
from hafloc.locate.comparison import Comparison, compare_with
from hafloc.locate.localizer import Localizer, Query, VectorMaker

__all__ = [
    "Answer",
    "Candidate",
    "Comparison",
    "Localizer",
    "Near",
    "Query",
    "VectorMaker",
    "compare_with",
    "in_words",
]
