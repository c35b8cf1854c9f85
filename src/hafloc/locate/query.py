"""A query with its candidates, before anything is said of its place."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hafloc.errors import PhotoError
from hafloc.geo import Position
from hafloc.index import Record
from hafloc.locate.answer import Answer
from hafloc.locate.position import Consensus, agree
from hafloc.locate.trust import Verdict
from hafloc.locate.walk import Step
from hafloc.verify.evidence import Evidence

_LEAST = 1e-12  # chances nearer to 0 or 1 have no log-odds


@dataclass(frozen=True, slots=True)
class RankedQuery:
    """A query with its candidates, strongest first; the first `judged` decide on its place."""

    name: str
    records: list[Record]
    evidence: list[Evidence]
    judged: int
    duplicate_of: Record | None
    file: Path | None
    time: datetime | None

    @property
    def seconds(self) -> float:
        """The time in seconds from any start, the same for all photos of one clock."""
        assert self.time is not None, "checked when it was read"
        return (self.time - datetime(2000, 1, 1, tzinfo=self.time.tzinfo)).total_seconds()

    def positions(self) -> list[Position]:
        return [record.position for record in self.records[: self.judged]]

    def consensus(self) -> Consensus:
        return agree(self.positions(), self.evidence[: self.judged])

    def answer(self, verdict: Verdict, top: int) -> Answer:
        return Answer.from_hits(
            self.name,
            self.records[:top],
            [item.similarity for item in self.evidence[:top]],
            evidence=self.evidence[:top],
            verdict=verdict,
            duplicate_of=self.duplicate_of,
            file=self.file,
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
        )


def check_times(walk: Sequence[RankedQuery], found: RankedQuery) -> None:
    if found.time is None:
        raise PhotoError(
            f"cannot order {found.name}: its EXIF has no time; a walk needs one in every photo, "
            "so locate this one by itself"
        )
    zones = {time.tzinfo is None for time in (found.time, *(one.time for one in walk[:1])) if time}
    if len(zones) > 1:
        raise PhotoError(
            f"cannot order {found.name} and {walk[0].name}: only one of them tells its time zone; "
            "locate them as two walks"
        )
