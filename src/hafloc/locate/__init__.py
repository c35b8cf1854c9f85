"""From a query to its answer: the nearest photos of the database and the position they give."""

from hafloc.index import Near
from hafloc.locate.answer import Answer, Candidate
from hafloc.locate.localizer import Localizer, Query, VectorMaker

__all__ = ["Answer", "Candidate", "Localizer", "Near", "Query", "VectorMaker"]
