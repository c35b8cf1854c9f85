"""One page that shows answers on a map beside their photos, in any browser, without internet."""

import base64
import hashlib
import html
import json
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from hafloc.errors import OutputError
from hafloc.files import write_whole
from hafloc.index import GeoIndex
from hafloc.locate import Answer, Candidate, in_words
from hafloc.show.dots import chosen_photos
from hafloc.show.matches import chosen_pairs
from hafloc.show.thumbnails import Thumbnails
from hafloc.verify import Evidence

# Sharp while there are few photos, small enough to send by mail when there are many.
_SIDES = ((120, 480), (400, 320), (1_500, 220))
_SMALLEST_SIDE = 140
MAX_PHOTO_BYTES = 24_000_000
# Lines drawn between a query and a candidate: about a kilobyte.
_MOST_LINES = 60
# Dots on the map: about 60 bytes each, and a second for an old telephone to draw.
MOST_DOTS = 10_000


def write_map(path: Path | str, answers: Sequence[Answer], index: GeoIndex) -> None:
    """Write the answers as one HTML page with the photos of their `index` as dots on a map.

    The page holds all it needs: photos as thumbnails (at most MAX_PHOTO_BYTES together, best ranks
    first), styles and script; its own policy forbids it to load anything. Of more than MOST_DOTS
    photos in the index, it shows those around the answers and a sample of the others, and says so.
    A photo that cannot be read has a placeholder that says why. The file is written whole or not
    at all. Raises OutputError, and IndexFileError where the index fails.
    """
    target = Path(path)
    # Before the photos are read, which takes its time.
    if not target.parent.is_dir():
        raise OutputError(
            f"cannot write {target}: there is no folder {target.parent}; make it first"
        )
    write_whole(target, _page(answers, index).encode())


def _page(answers: Sequence[Answer], index: GeoIndex) -> str:
    style, script = _part("map.css"), _part("map.js")
    content = _content(answers, index)
    return Template(_part("map.html")).substitute(
        policy=_policy(style, script),
        style=style,
        script=script,
        # Within a script element only "<" can end it or open a comment.
        content=json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace(
            "<", "\\u003c"
        ),
        rows="\n".join(_row(answer) for answer in answers),
    )


def _part(name: str) -> str:
    return (files("hafloc.show") / "page" / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy: this style, this script, photos from the page itself."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _content(answers: Sequence[Answer], index: GeoIndex) -> dict[str, Any]:
    shown = {c.path for answer in answers for c in answer.candidates}
    number = len(shown) + len(answers)
    side = next((side for most, side in _SIDES if number <= most), _SMALLEST_SIDE)
    thumbnails = Thumbnails(side, MAX_PHOTO_BYTES)
    pictures: dict[tuple[int, int], int | str] = {}
    # Of a panorama, the view that was compared.
    beside: dict[tuple[int, int], int | str] = {}
    # Rank by rank, so that the bound on bytes cuts off the least similar photos.
    for rank in range(max((len(answer.candidates) for answer in answers), default=-1) + 1):
        for i, answer in enumerate(answers):
            if rank == 0:
                pictures[i, 0] = thumbnails.of(answer.file, answer.frame)
            elif rank <= len(answer.candidates):
                candidate = answer.candidates[rank - 1]
                pictures[i, rank] = thumbnails.of_photo(index, candidate)
                if candidate.query_view is not None:
                    beside[i, rank] = thumbnails.of(answer.file, candidate.query_view)
    dots = chosen_photos(index, [answer.position for answer in answers], MOST_DOTS)
    return {
        "photos": [[_degrees(r.position.lat), _degrees(r.position.lon), r.path] for r in dots],
        "total": max(index.count(), len(dots)),
        "queries": [
            _query(answer, pictures[i, 0])
            | {
                "candidates": [
                    _listed(c, pictures[i, rank], beside.get((i, rank))) | _matched(evidence)
                    for rank, (c, evidence) in enumerate(_weighed(answer), start=1)
                ]
            }
            for i, answer in enumerate(answers)
        ],
        "thumbnails": thumbnails.uris,
    }


def _query(answer: Answer, picture: int | str) -> dict[str, Any]:
    return {
        "name": Path(answer.query).name,
        "path": answer.query,
        "lat": _degrees(answer.position.lat),
        "lon": _degrees(answer.position.lon),
        "radius": answer.radius,
        "probability": answer.probability,
        "confidence": answer.confidence,
        "calibration": answer.calibration,
        "found": answer.found,
        "duplicate": answer.duplicate_of and answer.duplicate_of.path,
        "note": answer.note,
        "views": answer.views,
        "heading": None if answer.heading is None else round(answer.heading),
        "picture": picture,
    }


def _listed(candidate: Candidate, picture: int | str, beside: int | str | None) -> dict[str, Any]:
    return {
        "rank": candidate.rank,
        "name": Path(candidate.path).name,
        "path": candidate.path,
        "lat": _degrees(candidate.position.lat),
        "lon": _degrees(candidate.position.lon),
        "heading": candidate.heading,
        "magnetic": candidate.magnetic,
        "similarity": round(candidate.similarity, 4),
        "distance": round(candidate.feature_distance, 4),
        "metres": round(candidate.metres, 1),
        "inliers": candidate.inliers,
        "matches": candidate.matches,
        "geometry": candidate.geometry,
        "credit": candidate.credit,
        "picture": picture,
        "beside": beside,
    }


def _weighed(answer: Answer) -> Iterator[tuple[Candidate, Evidence | None]]:
    evidence: Sequence[Evidence | None] = answer.evidence or [None] * len(answer.candidates)
    return zip(answer.candidates, evidence, strict=True)


def _matched(evidence: Evidence | None) -> dict[str, Any]:
    """Inlier pairs x, y, x, y, … in whole pixels of the described photos of these sizes."""
    if evidence is None or evidence.sizes is None:
        return {"pairs": [], "sizes": None}
    pairs = chosen_pairs(evidence, _MOST_LINES)
    return {"pairs": pairs.round().astype(int).ravel().tolist(), "sizes": evidence.sizes}


def _degrees(value: float) -> float:
    return round(value, 7)


def _row(answer: Answer) -> str:
    """The answer for readers without scripts."""
    best = answer.candidates[0]
    inliers = "" if best.inliers is None else f"{best.inliers:,}"
    photo = f"{best.path} ({best.credit})" if best.credit else best.path
    cells = (answer.query, in_words(answer), photo, f"{best.similarity:.2f}", inliers)
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
