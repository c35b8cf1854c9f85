"""What is said of one query: the position, and the database photos that speak for it."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from hafloc.geo import Position, distance
from hafloc.index import Record
from hafloc.locate.trust import SHIPPED, Verdict
from hafloc.photos import Frame, PhotoFile, View, Window, credit_in_words, split_name
from hafloc.verify import Evidence

# Degrees with seven decimals are exact to a centimetre.
_DEGREE_DECIMALS = 7
_UNIT_DECIMALS = 6
_METRE_DECIMALS = 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """A database photo proposed for a query; `rank` 1 is the strongest.

    `path` and `heading` (degrees clockwise from north, magnetic north where `magnetic`) are the
    record's, and so is what its source says of its position: `accuracy` in metres, and
    `gps_status`, "A" (valid) or "V" (the receiver warned). `similarity` is the dot product of the
    two unit vectors, in [-1, 1]; `feature_distance` their Euclidean distance, in [0, 2]; `metres`
    the distance from the answer's position. `inliers` of `matches` key points agree with one
    `geometry`, "homography" or "fundamental" ("" where none was found); all three are None where
    key points were not compared. `strength` is the log-odds of the learned rule that the candidate
    shows the query's place, None where there is no evidence. `licence`, `producer` and `source_url`
    are the record's: the credit of a photo of others. `query_view` is the view of a query that is
    a panorama in which the candidate was found.
    """

    rank: int
    id: int
    path: str
    position: Position
    heading: float | None
    similarity: float
    feature_distance: float
    metres: float
    inliers: int | None = None
    matches: int | None = None
    geometry: str | None = None
    strength: float | None = None
    magnetic: bool = False
    accuracy: float | None = None
    gps_status: str | None = None
    licence: str | None = None
    producer: str | None = None
    source_url: str | None = None
    query_view: View | None = None

    @property
    def credit(self) -> str:
        """Whose photo it is, in words; "" for one's own."""
        return credit_in_words(self.producer, self.licence, self.source_url)


@dataclass(frozen=True, slots=True)
class Answer:
    """Where a query was taken, and why.

    `query` names it, `file` is its photo's path where it came as one. `position` is where the
    candidates agree. Within `radius` metres of it lies the truth with `probability`;
    `confidence` (0 to 1) is how likely the position is the query's place, and `found` whether
    that is likely enough: where it is False the place is not in the database, as far as can be
    seen, and `position` is only the best guess. All four are None where nothing was calibrated,
    radius and probability also where the place is not found. The radius is never smaller than the
    accuracy of the positions that it rests on. `candidates` come best first, at least one.
    `duplicate_of` is the database photo whose file has the very bytes of the query; where it is
    among the candidates, the position is its own. `calibration` says what radius and confidence
    rest on: "own", learned on this database, or "shipped" with the checkpoint. `views` counts the
    photos whose views meet in the position; 0 where it is the candidates' own. `note` is what a
    person should know about how the answer came about, such as that a walk could not help it;
    mostly None. A `cautious` radius holds in the worst neighbourhoods too. `window` is the part of
    the query's picture that was looked at, in pixels of the upright original, where it has borders
    that were left out; else None. `heading` is where the camera looked, in degrees clockwise from
    north, where matches with photos of known heading tell; of a
    panorama, that of its centre column. `query_views` is in how many views a query that is a
    panorama was looked for; None for others.
    """

    query: str
    position: Position
    candidates: tuple[Candidate, ...]
    radius: float | None = None
    probability: float | None = None
    confidence: float | None = None
    found: bool | None = None
    duplicate_of: Record | None = None
    file: PhotoFile | None = None
    calibration: str | None = None
    note: str | None = None
    cautious: bool = False
    views: int = 0
    window: Window | None = None
    heading: float | None = None
    query_views: int | None = None
    # Of the candidates, in their order. Its arrays have no single truth value to compare.
    evidence: tuple[Evidence, ...] = field(default=(), compare=False, repr=False)

    @property
    def frame(self) -> Frame | None:
        """Which frame of a film the query is; None of all else."""
        part = None if self.file is None else split_name(self.query)[1]
        return part if isinstance(part, Frame) else None

    @classmethod
    def from_hits(
        cls,
        query: str,
        records: Sequence[Record],
        similarities: Sequence[float],
        *,
        evidence: Sequence[Evidence] = (),
        verdict: Verdict | None = None,
        duplicate_of: Record | None = None,
        file: PhotoFile | None = None,
        note: str | None = None,
        window: Window | None = None,
        heading: float | None = None,
        parts: Sequence[View] = (),
        query_views: int | None = None,
    ) -> "Answer":
        """The answer that the best photos give: at least one stored record, best first.

        `evidence`, where there is any, is that of the records. Without a verdict the position is
        the first record's. `parts` are the views of a panorama in which the records were found.
        """
        verdict = verdict or Verdict(records[0].position)
        # Of two photos that look the same, the query's own place is the duplicate's.
        own = duplicate_of if duplicate_of in records else None
        position, radius = verdict.position, verdict.radius
        if own is not None:
            position = own.position
            radius = radius and max(radius, own.accuracy or 0.0)
        known: Sequence[Evidence | None] = evidence or [None] * len(records)
        views: Sequence[View | None] = parts or [None] * len(records)
        candidates = tuple(
            replace(_candidate(rank, record, float(similarity), found, position), query_view=view)
            for rank, (record, similarity, found, view) in enumerate(
                zip(records, similarities, known, views, strict=True), start=1
            )
        )
        return cls(
            query,
            position,
            candidates,
            radius,
            verdict.probability,
            verdict.confidence,
            verdict.found,
            duplicate_of=duplicate_of,
            file=file,
            calibration=verdict.calibration,
            note=note,
            cautious=verdict.cautious,
            views=0 if own is not None else verdict.views,
            window=window,
            heading=heading,
            query_views=query_views,
            evidence=tuple(evidence),
        )

    @property
    def borrowed(self) -> bool:
        """Whether its radius was learned elsewhere: NOT_FITTED in words."""
        return self.radius is not None and self.calibration == SHIPPED

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON values.

        `query`; of a film's frame its `time_code` in seconds (missing for photos);
        `found` (null where unknown); `position` {`lat`, `lon`} in WGS84 degrees, only the
        best guess where `found` is false; `views`, how many photos' views meet there (0 where it is
        the candidates' own positions that agree); `query_views`, in how many views a panorama was
        looked for (null for other queries); `radius` (metres), `probability` and
        `confidence` (null where unknown); `calibration`, "own" of this database or "shipped" (null
        without one); `cautious`, whether the radius is meant to hold in the worst neighbourhoods;
        `duplicate_of` {`id`, `path`} or null; `note` (text or null); `window`, the part of the
        picture within its borders as {`left`, `top`, `right`, `bottom`} in pixels of the upright
        original, the last two just outside (null without borders); `heading` of the camera in
        degrees clockwise from north (null where matches do not tell it); `candidates`, best first,
        each with `rank`, `id`, `path`, `position`, `heading` (degrees or null), `magnetic` (whether
        that is from magnetic north), `accuracy` (metres, of its own position) and `gps_status`
        ("A", "V"; both null where its source says nothing), `similarity`, `feature_distance`,
        `metres` (from the answer's position), `inliers`, `matches` and `geometry` (null where key
        points were not compared), `strength` (null without evidence), `licence`, `producer` and
        `source_url`, the credit of a photo of others (null for one's own), and `query_view`, in
        which view of a panorama it was found (`heading` from the centre column, `pitch`,
        `field_of_view`; null for other queries).
        """
        duplicate = self.duplicate_of
        return {
            "query": self.query,
            **self._time_code(),
            "found": self.found,
            "position": _lat_lon(self.position),
            "views": self.views,
            "query_views": self.query_views,
            **self._trust(),
            "duplicate_of": duplicate and {"id": duplicate.id, "path": duplicate.path},
            "note": self.note,
            "window": self.window and asdict(self.window),
            "heading": _rounded(self.heading),
            "candidates": [
                {"rank": c.rank, "id": c.id, "path": c.path, "position": _lat_lon(c.position)}
                | _numbers(c)
                | {"query_view": c.query_view and asdict(c.query_view)}
                for c in self.candidates
            ],
        }

    def pairs_to_dict(self) -> dict[str, Any] | None:
        """The best candidate's inlier matches as JSON values; None where none were compared.

        `points`: [x, y, x, y] of each, in the query's and in the candidate's pixels (centres at
        integers) when these have the (width, height) of `query_size` and `candidate_size`; of a
        panorama, in those of the candidate's `query_view`.
        """
        if not self.evidence or self.evidence[0].sizes is None:
            return None
        query_size, candidate_size = self.evidence[0].sizes
        return {
            "query_size": list(query_size),
            "candidate_size": list(candidate_size),
            "points": [[round(float(v), 1) for v in pair] for pair in self.evidence[0].pairs],
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
            **self._time_code(),
            "found": self.found,
            "views": self.views,
            "query_views": self.query_views,
            **self._trust(),
            "heading": _rounded(self.heading),
            "duplicate_of": duplicate and duplicate.path,
            "note": self.note,
        }
        candidates = (
            {"kind": "candidate", "query": self.query, "rank": c.rank, "id": c.id, "path": c.path}
            | _numbers(c)
            | {"query_view": c.query_view and asdict(c.query_view)}
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

    def _time_code(self) -> dict[str, float]:
        return {} if self.frame is None else {"time_code": self.frame.time}

    def _trust(self) -> dict[str, float | str | bool | None]:
        return {
            "radius": self.radius and round(self.radius, _METRE_DECIMALS),
            "probability": self.probability,
            "confidence": self.confidence and round(self.confidence, _UNIT_DECIMALS),
            "calibration": self.calibration,
            "cautious": self.cautious,
        }


NOT_FITTED = "not fitted to this database"


def in_words(answer: Answer) -> str:
    """The position and how far it can be trusted, or that the place is not in the database."""
    if answer.found is False:
        return f"not in this database (confidence {answer.confidence:.2f})"
    known = []
    if answer.radius is not None:
        share = 100 * (answer.probability or 0)
        everywhere = ", in the worst neighbourhoods too" if answer.cautious else ""
        known.append(f"within {answer.radius:,.0f} m ({share:g} %{everywhere})")
    if answer.confidence is not None:
        known.append(f"confidence {answer.confidence:.2f}")
    if answer.views:
        known.append(f"from {answer.views} photos' views")
    if answer.heading is not None:
        known.append(f"looking {direction_in_words(answer.heading)}")
    if answer.borrowed:
        known.append(NOT_FITTED)
    return f"{answer.position}  {', '.join(known)}".rstrip()


def direction_in_words(heading: float) -> str:
    """Degrees and the nearest of eight points of the compass, such as "93° (east)"."""
    names = ("north", "north-east", "east", "south-east",
             "south", "south-west", "west", "north-west")  # fmt: skip
    return f"{round(heading) % 360}° ({names[round(heading / 45) % 8]})"


def borders_in_words(answer: Answer) -> str | None:
    """That borders of the picture were left out; None where there were none."""
    window = answer.window
    if window is None:
        return None
    width, height = window.size
    return (
        f"borders left out: {width:,} × {height:,} pixels from {window.left:,}, {window.top:,} "
        "are taken for the photo"
    )


def _candidate(
    rank: int, record: Record, similarity: float, evidence: Evidence | None, answer: Position
) -> Candidate:
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
        inliers=evidence.inliers if evidence and evidence.verified else None,
        matches=evidence.matches if evidence and evidence.verified else None,
        geometry=evidence.geometry if evidence and evidence.verified else None,
        strength=evidence.strength if evidence else None,
        magnetic=record.magnetic,
        accuracy=record.accuracy,
        gps_status=record.gps_status,
        licence=record.licence,
        producer=record.producer,
        source_url=record.source_url,
    )


def _numbers(candidate: Candidate) -> dict[str, float | str | None]:
    return {
        "heading": candidate.heading,
        "magnetic": candidate.magnetic,
        "accuracy": candidate.accuracy and round(candidate.accuracy, _METRE_DECIMALS),
        "gps_status": candidate.gps_status,
        "similarity": round(candidate.similarity, _UNIT_DECIMALS),
        "feature_distance": round(candidate.feature_distance, _UNIT_DECIMALS),
        "metres": round(candidate.metres, _METRE_DECIMALS),
        "inliers": candidate.inliers,
        "matches": candidate.matches,
        "geometry": candidate.geometry,
        "strength": None if candidate.strength is None else round(candidate.strength, 4),
        "licence": candidate.licence,
        "producer": candidate.producer,
        "source_url": candidate.source_url,
    }


def _rounded(heading: float | None) -> float | None:
    return None if heading is None else round(heading, 1) % 360


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
