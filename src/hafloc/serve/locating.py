"""The work behind POST /v1/locate: photos looked for in one database or several."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from hafloc.errors import HaflocError, PhotoError
from hafloc.index import Near
from hafloc.locate import Answer, Localizer
from hafloc.photos import GivenFile, shown
from hafloc.serve.answers import Failed, Located, best, failed
from hafloc.serve.databases import Database, Databases
from hafloc.serve.network import remembering
from hafloc.serve.problems import BUSY, Problem
from hafloc.serve.service import Service
from hafloc.serve.uploads import Upload

Outcome = Located | Failed


@dataclass(frozen=True, slots=True)
class Asked:
    """How photos are to be located: see `Localizer.locate`."""

    databases: tuple[Database, ...]
    top: int
    near: Near | None
    rerank: int
    probability: float
    cautious: bool
    sequence: bool

    def options(self) -> dict[str, Any]:
        return {
            "top": self.top,
            "near": self.near,
            "rerank": self.rerank,
            "probability": self.probability,
            "cautious": self.cautious,
        }


def works(
    photos: Sequence[Upload], asked: Asked, service: Service
) -> list[Callable[[], list[Outcome]]]:
    """What is to be done, so that each piece takes its turn: a photo, or a whole walk."""

    def piece(uploads: Sequence[Upload]) -> Callable[[], list[Outcome]]:
        def work() -> list[Outcome]:
            began = time.perf_counter()
            outcomes = _locate(uploads, asked, service.databases)
            service.metrics.work.observe((time.perf_counter() - began) / len(uploads))
            return outcomes

        return work

    if asked.sequence:
        return [piece(photos)]
    return [piece([photo]) for photo in photos]


def counted(outcome: Outcome) -> str:
    """What is said of a photo, in a word for the metrics."""
    if isinstance(outcome, Failed):
        return "failed"
    return {True: "found", False: "not_here", None: "unknown"}[outcome.answer.found]


def _locate(uploads: Sequence[Upload], asked: Asked, databases: Databases) -> list[Outcome]:
    found: list[list[Located]] = [[] for _ in uploads]
    errors: list[list[HaflocError]] = [[] for _ in uploads]
    with remembering():
        for database in asked.databases:
            for number, result in enumerate(_in_one(uploads, asked, database)):
                if isinstance(result, Answer):
                    found[number].append(Located(result, database))
                else:
                    errors[number].append(result)
    return [
        best(found[number])
        if found[number]
        else failed(upload.name, _worst(errors[number]), databases.words)
        for number, upload in enumerate(uploads)
    ]


def _in_one(
    uploads: Sequence[Upload], asked: Asked, database: Database
) -> list[Answer | HaflocError]:
    try:
        with database.lent() as localizer:
            return _with(localizer, uploads, asked)
    except MemoryError as error:
        raise Problem(BUSY, "there is not enough memory; send fewer or smaller photos") from error
    except HaflocError as error:
        return [error] * len(uploads)


def _with(
    localizer: Localizer, uploads: Sequence[Upload], asked: Asked
) -> list[Answer | HaflocError]:
    files = [cast(Any, GivenFile(upload.data, shown(upload.name))) for upload in uploads]
    if not asked.sequence:
        answer = localizer.locate(files[0], **asked.options())
        return [replace(answer, query=uploads[0].name)]
    results: list[Answer | HaflocError] = []
    walk = localizer.locate_walk(files, **asked.options())
    for upload, (_, result) in zip(uploads, walk, strict=True):
        named = replace(result, query=upload.name) if isinstance(result, Answer) else result
        results.append(named)
    return results


def _worst(errors: Sequence[HaflocError]) -> HaflocError:
    """Of several databases' errors the one to tell: what is wrong with the photo itself."""
    return next((error for error in errors if isinstance(error, PhotoError)), errors[0])
