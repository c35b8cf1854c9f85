"""What goes wrong, as problem details (RFC 9457): one table from error class to status.

The words are those of the command line, without where things lie on the server's disk.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from hafloc import errors
from hafloc.errors import HaflocError

MEDIA_TYPE = "application/problem+json"
RETRY_S = 5  # after which a busy server or database is worth another try
FAULT = "something broke that should not; the server's log says what"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: its status, and the name in its `type`."""

    status: int
    name: str
    title: str
    retry: bool = False


# The table. The most derived class that is in it counts.
KINDS: Mapping[type[HaflocError], Kind] = {
    errors.PhotoError: Kind(422, "photo-error", "The photo cannot be used"),
    errors.PositionError: Kind(422, "position-error", "The position cannot be used"),
    errors.OptionError: Kind(400, "option-error", "These options do not go together"),
    errors.MissingExtraError: Kind(501, "missing-extra", "The server lacks a package"),
    errors.CheckpointError: Kind(503, "checkpoint-error", "The network cannot be used"),
    errors.IndexBusyError: Kind(503, "database-busy", "Another writes to the database", retry=True),
    errors.IndexFileError: Kind(503, "database-error", "The database cannot be used"),
    errors.SourceError: Kind(502, "source-error", "Another server fails"),
    errors.OutputError: Kind(507, "output-error", "The server cannot store it"),
    errors.TrainingError: Kind(422, "training-error", "The training set cannot be used"),
    errors.EvaluationError: Kind(422, "evaluation-error", "The benchmark cannot be used"),
    errors.HaflocError: Kind(422, "error", "It cannot be done"),
}
# What only a server says.
BAD_PARAMETER = Kind(400, "bad-parameter", "A parameter cannot be used")
BAD_BODY = Kind(400, "bad-body", "The body cannot be used")
NO_KEY = Kind(401, "no-key", "A key is needed")
NOT_ALLOWED = Kind(403, "not-allowed", "Not allowed")
NOT_FOUND = Kind(404, "not-found", "Not found")
BAD_METHOD = Kind(405, "bad-method", "No such method here")
SLOW_UPLOAD = Kind(408, "slow-upload", "The upload takes too long")
TOO_LARGE = Kind(413, "too-large", "Too large")
BAD_TYPE = Kind(415, "bad-type", "No content of this type")
WRONG_HOST = Kind(421, "wrong-host", "Not this server's name")
BUSY = Kind(503, "busy", "The server is busy", retry=True)
TOO_LATE = Kind(504, "too-late", "It took too long")
BROKEN = Kind(500, "fault", "A fault of the server")
BAD_REQUEST = Kind(400, "bad-request", "No valid request")


@dataclass(slots=True)
class Problem(Exception):  # noqa: N818 - as RFC 9457 calls it
    """Ends a request with problem details."""

    kind: Kind
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    instance: str | None = None

    def __str__(self) -> str:
        return self.detail

    def to_dict(self) -> dict[str, Any]:
        """The members of RFC 9457; `type` is a reference that stays, and leads nowhere."""
        found = {
            "type": f"/problems/{self.kind.name}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
        }
        return found if self.instance is None else found | {"instance": self.instance}

    def all_headers(self) -> dict[str, str]:
        retry = {"retry-after": str(RETRY_S)} if self.kind.retry else {}
        return {**retry, **self.headers}

    def body(self) -> bytes:
        return json.dumps(self.to_dict()).encode()


def problem_of(error: HaflocError, detail: str | None = None) -> Problem:
    """The problem that an error of ours is; `detail` in place of its own words."""
    kind = next(KINDS[cls] for cls in type(error).__mro__ if cls in KINDS)
    return Problem(kind, str(error) if detail is None else detail)


# What the framework finds wrong with a parameter, in our words; a bound is put in.
_WANTED = {
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "greater_than_equal": "{ge:,} or more",
    "greater_than": "more than {gt:,}",
    "less_than_equal": "{le:,} or less",
    "less_than": "less than {lt:,}",
}


def problem_of_parameter(error: Mapping[str, Any]) -> Problem:
    """The problem that an error of pydantic on one parameter is."""
    where = ".".join(str(part) for part in error["loc"][1:]) or str(error["loc"][0])
    context = error.get("ctx", {})
    if error["type"] == "missing":
        return Problem(BAD_PARAMETER, f"the parameter {where} is needed here")
    wanted = _WANTED.get(error["type"])
    if error["type"] == "string_pattern_mismatch":
        # Our patterns are all words to choose from.
        words = (word.strip("^$") for word in str(context["pattern"]).split("|"))
        wanted = f"one of {', '.join(words)}"
    if wanted is None:
        return Problem(BAD_PARAMETER, f"{where}: {error['msg']}")
    given = str(error.get("input", ""))[:40]
    return Problem(BAD_PARAMETER, f"{where} must be {wanted.format(**context)}, not {given!r}")


def problem_of_status(status: int, detail: str, headers: Mapping[str, str]) -> Problem:
    """The problem that a bare status of the framework is."""
    own = {kind.status: kind for kind in (BAD_REQUEST, NOT_FOUND, BAD_METHOD, TOO_LARGE)}
    kind = own.get(status) or Kind(status, f"status-{status}", HTTPStatus(status).phrase)
    return Problem(kind, detail, headers)
