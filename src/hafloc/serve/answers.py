"""Answers as JSON: those of `hafloc locate --json`, with the links that a server adds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hafloc.errors import HaflocError
from hafloc.locate import Answer
from hafloc.serve.databases import Database
from hafloc.serve.evidence import Kept
from hafloc.serve.problems import Problem, problem_of

# Numbers beyond these lose digits in browsers: ids of Milvus, which come of paths.
_LARGEST_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Located:
    """What one database says of one photo."""

    answer: Answer
    database: Database


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a photo has no answer."""

    query: str
    problem: Problem


def json_id(id_: int) -> int | str:
    """A record's id in JSON: as text where a number would lose digits."""
    return id_ if abs(id_) < _LARGEST_EXACT else str(id_)


def best(found: list[Located]) -> Located:
    """Of several databases' answers the one that is most likely the photo's place."""

    def rank(located: Located) -> tuple[bool, float, float, float]:
        answer = located.answer
        first = answer.candidates[0]
        return (
            answer.found is not False,
            -1.0 if answer.confidence is None else answer.confidence,
            float("-inf") if first.strength is None else first.strength,
            first.similarity,
        )

    return max(found, key=rank)


def thumbnail_link(root: str, database: Database, id_: int) -> str:
    return f"{root}/v1/photos/{id_}/thumbnail?database={quote(database.name)}"


def answer_to_dict(
    located: Located, *, root: str, pairs: bool, kept: Kept | None
) -> dict[str, Any]:
    """`Answer.to_dict` with the database's name, thumbnails and what else was asked for."""
    answer, database = located.answer, located.database
    found = answer.to_dict()
    if found["duplicate_of"] is not None:
        found["duplicate_of"]["id"] = json_id(found["duplicate_of"]["id"])
        found["duplicate_of"]["path"] = database.paths.shown(found["duplicate_of"]["path"])
    for candidate in found["candidates"]:
        candidate["thumbnail"] = thumbnail_link(root, database, candidate["id"])
        candidate["id"] = json_id(candidate["id"])
        candidate["path"] = database.paths.shown(candidate["path"])
    found["database"] = database.name
    if pairs:
        found["pairs"] = answer.pairs_to_dict()
    if kept is not None:
        found["evidence"] = kept.links(root)
    return found


def answer_to_features(located: Located, *, root: str) -> list[dict[str, Any]]:
    """The features of `Answer.to_geojson`, each with the database's name."""
    database = located.database
    features: list[dict[str, Any]] = located.answer.to_geojson()["features"]
    for feature in features:
        properties = feature["properties"]
        properties["database"] = database.name
        if "path" in properties:
            properties["thumbnail"] = thumbnail_link(root, database, properties["id"])
            properties["id"] = json_id(properties["id"])
            properties["path"] = database.paths.shown(properties["path"])
        elif properties.get("duplicate_of") is not None:
            properties["duplicate_of"] = database.paths.shown(properties["duplicate_of"])
    return features


def failed(query: str, error: HaflocError, words: Callable[[str], str]) -> Failed:
    return Failed(query, problem_of(error, words(str(error))))
