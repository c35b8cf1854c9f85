"""Where an index's calibration comes from, as its text tells without the network's library."""

import json
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

# Of a calibration's text: grows whenever signs, scale or the strength of evidence change their
# meaning. One of an earlier format speaks of other numbers than today's, and is not used.
CALIBRATION_FORMAT = 2


class LearnedFrom(StrEnum):
    """What a calibration was learned from, and who asked for it."""

    BUILD = "build"  # the database's own photos, by itself after a build
    OWN_PHOTOS = "own photos"  # the same, asked for by a person
    QUERIES = "queries"  # a person's photos


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a calibration comes from.

    The database held `photos` when it was learned, on the day `made` (ISO 8601); of `queries`
    tried, `found` were located with confidence. `reason` says why nothing could be learned, and
    is None where something was.
    """

    learned_from: LearnedFrom
    photos: int
    queries: int
    found: int
    made: str
    reason: str | None = None


def origin_to_json(origin: Origin) -> dict[str, Any]:
    return asdict(origin)


def read_origin(text: str | None, checkpoint: str) -> Origin | None:
    """The origin of a calibration's text; None where it tells none, or is of another checkpoint.

    Raises ValueError where the text is damaged.
    """
    content = {} if text is None else json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("a calibration is a JSON object")
    told = content.get("origin")
    if told is None or content.get("checkpoint") != checkpoint:
        return None
    try:
        values = {field.name: told[field.name] for field in fields(Origin)}
        return Origin(
            LearnedFrom(values["learned_from"]),
            int(values["photos"]),
            int(values["queries"]),
            int(values["found"]),
            str(values["made"]),
            None if values["reason"] is None else str(values["reason"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"the calibration's origin lacks or garbles {error}") from error


def origin_of(text: str | None, checkpoint: str) -> Origin | None:
    """`read_origin`, and None where the text is damaged as well."""
    try:
        return read_origin(text, checkpoint)
    except ValueError:
        return None


def is_outdated(text: str | None, checkpoint: str) -> bool:
    """Whether the text holds calibrations of this checkpoint that an earlier hafloc made."""
    try:
        content = {} if text is None else json.loads(text)
        return bool(
            content.get("checkpoint") == checkpoint
            and content.get("calibrations")
            and content.get("format", 0) < CALIBRATION_FORMAT
        )
    except (ValueError, TypeError, AttributeError):
        return False


def calibrated_in_words(text: str | None, checkpoint: str) -> str:
    """A line for a person on what the answers' radius and confidence were learned from."""
    try:
        origin = read_origin(text, checkpoint)
    except ValueError:
        return "damaged; `hafloc calibrate` makes it anew"
    if is_outdated(text, checkpoint):
        return "as shipped: its own was made by an earlier hafloc; `hafloc calibrate` renews it"
    if origin is None:
        content = {} if text is None else json.loads(text)
        is_own = content.get("checkpoint") == checkpoint and content.get("calibrations")
        return "by `hafloc calibrate`" if is_own else "as shipped"
    if origin.reason is not None:
        return f"as shipped: {origin.reason}"
    is_mine = origin.learned_from is LearnedFrom.QUERIES
    whose = "photos of yours" if is_mine else "of its own photos"
    return f"on {origin.queries:,} {whose}, {origin.made}"
