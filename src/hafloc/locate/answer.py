"""What is said of one query: the position, and the database photos that speak for it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hafloc.geo import Position, distance
from hafloc.index import Record

# Degrees with seven decimals are exact to a centimetre.
_DEGREE_DECIMALS = 7
_UNIT_DECIMALS = 6
_METRE_DECIMALS = 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """A database photo proposed for a query; `rank` 1 is the most similar.

    `path` and `heading` (degrees clockwise from north) are the record's; `similarity` is the
    dot product of the two unit vectors, in [-1, 1]; `feature_distance` their Euclidean
    distance, in [0, 2]; `metres` the distance from the answer's position.
    """

    rank: int
    id: int
    path: str
    position: Position
    heading: float | None
    similarity: float
    feature_distance: float
    metres: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Where a query was taken, and why.

    `query` names it, `file` is its photo's path where it came as one. `position` is that of the
    most similar photo. `radius` (metres) and `confidence` (0 to 1) are None: similarity alone
    cannot say how far off the position may be, nor whether the place is in the database at all.
    `candidates` come best first, at least one. `duplicate_of` is the database photo whose file
    has the very bytes of the query; where it is among the candidates, the position is its own.
    """

    query: str
    position: Position
    candidates: tuple[Candidate, ...]
    radius: float | None = None
    confidence: float | None = None
    duplicate_of: Record | None = None
    file: Path | None = None

    @classmethod
    def from_hits(
        cls,
        query: str,
        records: Sequence[Record],
        similarities: Sequence[float],
        *,
        duplicate_of: Record | None = None,
        file: Path | None = None,
    ) -> "Answer":
        """The answer that the most similar photos give: at least one stored record, best first."""
        # Of two photos that look the same, the query's own place is the duplicate's.
        own = duplicate_of if duplicate_of in records else None
        position = (own or records[0]).position
        candidates = tuple(
            _candidate(rank, record, float(similarity), position)
            for rank, (record, similarity) in enumerate(
                zip(records, similarities, strict=True), start=1
            )
        )
        return cls(query, position, candidates, duplicate_of=duplicate_of, file=file)

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON values.

        `query`; `position` {`lat`, `lon`} in WGS84 degrees; `radius` and `confidence` (null
        where unknown); `duplicate_of` {`id`, `path`} or null; `candidates`, best first, each
        with `rank`, `id`, `path`, `position`, `heading` (degrees or null), `similarity`,
        `feature_distance` and `metres` (from the answer's position).
        """
        duplicate = self.duplicate_of
        return {
            "query": self.query,
            "position": _lat_lon(self.position),
            "radius": self.radius,
            "confidence": self.confidence,
            "duplicate_of": duplicate and {"id": duplicate.id, "path": duplicate.path},
            "candidates": [
                {"rank": c.rank, "id": c.id, "path": c.path, "position": _lat_lon(c.position)}
                | _numbers(c)
                for c in self.candidates
            ],
        }

    def to_geojson(self) -> dict[str, Any]:
        """The answer and its candidates as an RFC 7946 FeatureCollection, longitude first.

        The property `kind` is "answer" (first) or "candidate"; the other properties have the
        names of `to_dict`.
        """
        duplicate = self.duplicate_of
        answer = {
            "kind": "answer",
            "query": self.query,
            "radius": self.radius,
            "confidence": self.confidence,
            "duplicate_of": duplicate and duplicate.path,
        }
        candidates = (
            {"kind": "candidate", "query": self.query, "rank": c.rank, "id": c.id, "path": c.path}
            | _numbers(c)
            for c in self.candidates
        )
        return {
            "type": "FeatureCollection",
            "features": [
                _point(self.position, answer),
                *(
                    _point(c.position, properties)
                    for c, properties in zip(self.candidates, candidates, strict=True)
                ),
            ],
        }


def _candidate(rank: int, record: Record, similarity: float, answer: Position) -> Candidate:
    if record.id is None:
        raise ValueError(f"the record of {record.path} has no id; store it in an index first")
    return Candidate(
        rank=rank,
        id=record.id,
        path=record.path,
        position=record.position,
        heading=record.heading,
        similarity=similarity,
        # For unit vectors |a - b|² = 2 - 2 a·b; rounding may bring a·b above 1.
        feature_distance=math.sqrt(max(0.0, 2 - 2 * similarity)),
        metres=distance(record.position, answer),
    )


def _numbers(candidate: Candidate) -> dict[str, float | None]:
    return {
        "heading": candidate.heading,
        "similarity": round(candidate.similarity, _UNIT_DECIMALS),
        "feature_distance": round(candidate.feature_distance, _UNIT_DECIMALS),
        "metres": round(candidate.metres, _METRE_DECIMALS),
    }


def _lat_lon(position: Position) -> dict[str, float]:
    return {
        "lat": round(position.lat, _DEGREE_DECIMALS),
        "lon": round(position.lon, _DEGREE_DECIMALS),
    }


def _point(position: Position, properties: dict[str, Any]) -> dict[str, Any]:
    place = _lat_lon(position)
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [place["lon"], place["lat"]]},
        "properties": properties,
    }
