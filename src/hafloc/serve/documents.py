"""What OpenAPI says of each route: bodies, answers with examples, and every problem's status."""

from collections.abc import Sequence
from typing import Any

from hafloc.serve import problems
from hafloc.serve.problems import KINDS, Kind

GEOJSON = "application/geo+json"
_TEXT = {"type": "string"}
_NUMBER = {"type": ["number", "null"]}
_OBJECT = {"type": "object"}
_ID = {"type": ["integer", "string"]}

PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457). `detail` has the words of the command line.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "instance": {"type": "string", "format": "uri-reference"},
    },
}
PLACE = {
    "type": "object",
    "required": ["lat", "lon"],
    "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}},
}
CANDIDATE = {
    "type": "object",
    "required": ["rank", "id", "path", "position", "similarity", "metres", "thumbnail"],
    "properties": {
        "rank": {"type": "integer", "minimum": 1},
        "id": _ID,
        "path": _TEXT,
        "position": PLACE,
        "heading": _NUMBER,
        "similarity": {"type": "number"},
        "metres": {"type": "number"},
        "inliers": {"type": ["integer", "null"]},
        "matches": {"type": ["integer", "null"]},
        "strength": _NUMBER,
        "thumbnail": {"type": "string", "format": "uri-reference"},
    },
}
ANSWER = {
    "type": "object",
    "description": "What `hafloc locate --json` prints, with the database's name and links; or, "
    "for a photo that failed while others did not, `query` and `problem`.",
    "required": ["query"],
    "properties": {
        "query": _TEXT,
        "database": _TEXT,
        "found": {"type": ["boolean", "null"]},
        "position": PLACE,
        "radius": _NUMBER,
        "probability": _NUMBER,
        "confidence": _NUMBER,
        "heading": _NUMBER,
        "candidates": {"type": "array", "items": CANDIDATE},
        "pairs": {"type": ["object", "null"]},
        "evidence": _OBJECT,
        "problem": PROBLEM,
    },
}
ANSWERS = {
    "type": "object",
    "required": ["answers"],
    "properties": {"answers": {"type": "array", "items": ANSWER}},
}
LINK = {
    "type": "object",
    "required": ["href", "rel"],
    "properties": {"href": _TEXT, "rel": _TEXT, "type": _TEXT, "title": _TEXT},
}
LINKS = {"type": "array", "items": LINK}
POINT = {
    "type": "object",
    "required": ["type", "coordinates"],
    "properties": {
        "type": {"const": "Point"},
        "coordinates": {"type": "array", "items": {"type": "number"}, "minItems": 2},
    },
}
FEATURE = {
    "type": "object",
    "required": ["type", "id", "geometry", "properties"],
    "properties": {
        "type": {"const": "Feature"},
        "id": _ID,
        "geometry": POINT,
        "properties": {"type": "object"},
        "links": LINKS,
    },
}
FEATURES = {
    "type": "object",
    "required": ["type", "features"],
    "properties": {
        "type": {"const": "FeatureCollection"},
        "features": {"type": "array", "items": _OBJECT},
        "links": LINKS,
        "timeStamp": _TEXT,
        "numberMatched": {"type": "integer"},
        "numberReturned": {"type": "integer"},
    },
}
DATABASE = {
    "type": "object",
    "required": ["name", "photos", "bbox", "model", "dimension", "writable", "verifies"],
    "properties": {
        "name": _TEXT,
        "photos": {"type": "integer"},
        "bbox": {"type": ["array", "null"], "items": {"type": "number"}},
        "model": _TEXT,
        "dimension": {"type": "integer"},
        "calibration": {"type": ["string", "null"], "enum": ["own", "shipped", None]},
        "verifies": {"type": "boolean"},
        "writable": {"type": "boolean"},
    },
}
DATABASES = {
    "type": "object",
    "required": ["databases"],
    "properties": {"databases": {"type": "array", "items": DATABASE}},
}
SETTINGS = {
    "type": "object",
    "required": ["tiles", "pmtiles", "needs_key", "writable", "max_photo_bytes", "max_photos"],
    "properties": {
        "tiles": {"type": ["object", "null"]},
        "pmtiles": {"type": ["string", "null"]},
        "needs_key": {"type": "boolean"},
        "writable": {"type": "boolean"},
        "max_photo_bytes": {"type": "integer"},
        "max_photos": {"type": "integer"},
        "version": _TEXT,
    },
}
_EXAMPLE_ANSWER = {
    "query": "IMG_0042.jpg",
    "found": True,
    "position": {"lat": 52.2053, "lon": 0.1218},
    "radius": 14.2,
    "probability": 0.9,
    "confidence": 0.97,
    "database": "city",
    "candidates": [
        {
            "rank": 1,
            "id": 17,
            "path": "photos/17.jpg",
            "position": {"lat": 52.2053, "lon": 0.1217},
            "similarity": 0.81,
            "metres": 7.1,
            "inliers": 93,
            "matches": 140,
            "thumbnail": "/v1/photos/17/thumbnail?database=city",
        }
    ],
}
EXAMPLES: dict[str, Any] = {
    "answers": {"answers": [_EXAMPLE_ANSWER]},
    "databases": {
        "databases": [
            {
                "name": "city",
                "photos": 1200,
                "bbox": [0.1, 52.1, 0.2, 52.3],
                "model": "haf",
                "dimension": 2048,
                "calibration": "shipped",
                "verifies": True,
                "writable": False,
            }
        ]
    },
    "problem": {
        "type": "/problems/photo-error",
        "title": "The photo cannot be used",
        "status": 422,
        "detail": "cannot read IMG_0042.jpg: the file ends early (after 12,288 bytes); "
        "copy it again",
    },
}
_LATITUDE = r"-?([0-8]?[0-9](\.[0-9]{1,9})?|90)"
_LONGITUDE = r"-?((1[0-7][0-9]|[0-9]{1,2})(\.[0-9]{1,9})?|180)"
# What parameters look like: told, not enforced, for our own words say more.
NEAR_FORM = {"pattern": f"^{_LATITUDE},{_LONGITUDE},[1-9][0-9]{{0,6}}$"}
BOX_FORM = {"pattern": f"^{_LONGITUDE},{_LATITUDE},{_LONGITUDE},{_LATITUDE}$"}
_DAY = r"2[0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
_CLOCK = r"([01][0-9]|2[0-3])(:[0-5][0-9]){2}"
_TIME = f"{_DAY}T{_CLOCK}Z"
TIME_FORM = {"pattern": rf"^({_TIME}|{_TIME}/\.\.|\.\./{_TIME}|{_TIME}/{_TIME})$"}
ID_FORM = {"pattern": "^[0-9]{1,15}$"}
_FILE = {"type": "string", "contentMediaType": "image/*", "format": "binary"}


def content(schema: Any, media_type: str = "application/json", example: Any = None) -> Any:
    """The content of an answer."""
    entry = {"schema": schema} | ({} if example is None else {"example": example})
    return {media_type: entry}


def answers(says: str, body: Any, *kinds: Kind, status: int = 200) -> dict[int | str, Any]:
    """The answers of a route: the one that is wanted, and the problems it may have."""
    found: dict[int | str, Any] = {status: {"description": says, "content": body}}
    return found | problems_of(kinds)


def problems_of(kinds: Sequence[Kind]) -> dict[int | str, Any]:
    """By status. Any request may be refused at the gate, and any may meet a fault."""
    found: dict[int | str, Any] = {}
    always = (problems.BAD_PARAMETER, problems.NOT_ALLOWED, problems.WRONG_HOST, problems.BROKEN)
    for kind in (*always, *kinds):
        titles = found.setdefault(kind.status, {"titles": []})["titles"]
        if kind.title not in titles:
            titles.append(kind.title)
    return {
        status: {
            "description": "; ".join(entry["titles"]),
            "content": content(
                {"$ref": "#/components/schemas/Problem"}, problems.MEDIA_TYPE, EXAMPLES["problem"]
            ),
        }
        for status, entry in sorted(found.items())
    }


def photos_body(*, several: bool, fields: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a route takes: a form with photos, or one as the body."""
    photo = {"type": "array", "items": _FILE, "minItems": 1} if several else _FILE
    form = {
        "type": "object",
        "required": ["photo"],
        "properties": {"photo": photo, **(fields or {})},
    }
    raw = {"schema": _FILE}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "image/jpeg": raw,
                "image/*": raw,
                "application/octet-stream": raw,
            },
        }
    }


LOCATING = (
    problems.BAD_BODY,
    problems.NOT_FOUND,
    problems.SLOW_UPLOAD,
    problems.TOO_LARGE,
    problems.BAD_TYPE,
    problems.BUSY,
    problems.TOO_LATE,
    *KINDS.values(),
)
READING = (problems.NOT_FOUND, problems.BUSY)
KEY = (problems.NO_KEY,)
