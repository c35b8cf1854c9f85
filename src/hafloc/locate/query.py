"""What is asked, and a query with its candidates before anything is said of its place."""

import math
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import PositionError
from hafloc.geo import Position
from hafloc.index import Near, Record
from hafloc.locate.answer import Answer
from hafloc.locate.framed import Framed
from hafloc.locate.heading import heading_of
from hafloc.locate.meeting import sharpened
from hafloc.locate.odds import expit
from hafloc.locate.position import Consensus, agree
from hafloc.locate.trust import Verdict, check_probability
from hafloc.locate.walk import Step
from hafloc.photos import CUTTING, Cutting, PhotoFile, View
from hafloc.verify import Evidence

# Most similar photos that are verified by default: benchmarks/results/verification.md compares.
RERANK = 50
_LEAST = 1e-12  # chances nearer to 0 or 1 have no log-odds


@dataclass(frozen=True, slots=True)
class Wanted:
    """How queries are to be answered: see `Localizer.locate`."""

    top: int
    near: Near | None
    rerank: int
    probability: float
    cautious: bool = False
    cutting: Cutting = CUTTING

    def check(self) -> None:
        """Raises ValueError for a number of photos that is none, PositionError for the rest."""
        if self.top < 1:
            raise ValueError(f"top is {self.top}; ask for at least 1 photo")
        if self.rerank < 0:
            raise ValueError(f"rerank is {self.rerank}; give a number of photos, or 0 for none")
        check_probability(self.probability)
        near = self.near
        if near is not None and not (math.isfinite(near.radius) and near.radius > 0):
            raise PositionError(
                f"the search radius {near.radius:g} is not a positive number of metres; "
                "give one such as 500"
            )


@dataclass(frozen=True, slots=True)
class RankedQuery:
    """A query with its candidates, strongest first; the first `judged` decide on its place.

    `note` is what a person should know about how it was answered. `framed` is where in its picture
    the photo lies, None where it is all of it; the evidence is that of the photo. `focal` is its
    focal length in longer sides, None where unknown. Of a panorama, `parts` are the views that the
    candidates were compared with, `query_views` how many views there were.
    """

    name: str
    records: list[Record]
    evidence: list[Evidence]
    judged: int
    duplicate_of: Record | None
    file: PhotoFile | None
    time: datetime | None
    note: str | None = None
    framed: Framed | None = None
    focal: float | None = None
    parts: tuple[View, ...] | None = None
    query_views: int | None = None

    @property
    def seconds(self) -> float:
        """The time in seconds from any start, the same for all photos of one clock."""
        assert self.time is not None, "only photos with a time form a walk"
        return (self.time - datetime(2000, 1, 1, tzinfo=self.time.tzinfo)).total_seconds()

    def positions(self) -> list[Position]:
        return [record.position for record in self.records[: self.judged]]

    def consensus(self) -> Consensus:
        """Where the candidates agree, or, where that is surer, where their views meet."""
        records, evidence = self.records[: self.judged], self.evidence[: self.judged]
        accuracies = [record.accuracy for record in records]
        agreed = agree(self.positions(), evidence, accuracies)
        if self.parts is None:
            return sharpened(agreed, records, evidence, self.focal)
        # Only those of one view share a camera: that of the strongest candidate.
        view = self.parts[0]
        same = [i for i in range(len(records)) if self.parts[i] == view]
        return sharpened(
            agreed, [records[i] for i in same], [evidence[i] for i in same], view.focal
        )

    def answer(self, verdict: Verdict, top: int) -> Answer:
        evidence = self.evidence[:top]
        if self.framed is not None:
            evidence = [self.framed.in_picture(item) for item in evidence]
        return Answer.from_hits(
            self.name,
            self.records[:top],
            [item.similarity for item in evidence],
            evidence=evidence,
            verdict=verdict,
            duplicate_of=self.duplicate_of,
            file=self.file,
            note=self.note,
            window=None if self.framed is None else self.framed.window,
            heading=self._heading(verdict),
            parts=() if self.parts is None else self.parts[:top],
            query_views=self.query_views,
        )

    def _heading(self, verdict: Verdict) -> float | None:
        if verdict.found is False:
            return None
        judged = slice(self.judged)
        parts = None if self.parts is None else self.parts[judged]
        return heading_of(
            verdict.position, self.records[judged], self.evidence[judged], self.focal, parts
        )

    def step(self, verdict: Verdict) -> Step:
        """This photo alone, as the walk begins with it."""
        strengths = np.array([item.strength for item in self.evidence[: self.judged]])
        odds = np.exp(strengths - strengths.max())
        confidence = verdict.confidence
        if confidence is None:
            confidence = float(expit(strengths.max()))
        return Step(self.seconds, self.positions(), confidence * odds / odds.sum())

    def with_chances(self, chances: NDArray[np.float64]) -> "RankedQuery":
        """The same candidates, as likely as `chances` `[judged]` say, ordered anew."""
        bounded = np.clip(chances, _LEAST, 1 - _LEAST)
        strengths = np.log(bounded / (1 - bounded))
        order = np.argsort(-strengths, kind="stable")
        rest = slice(self.judged, None)
        return replace(
            self,
            records=[*(self.records[i] for i in order), *self.records[rest]],
            evidence=[
                *(replace(self.evidence[i], strength=float(strengths[i])) for i in order),
                *self.evidence[rest],
            ],
            parts=None
            if self.parts is None
            else (*(self.parts[i] for i in order), *self.parts[rest]),
        )
