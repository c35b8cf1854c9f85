"""POST /v1/locate, and the pictures that its answers rest on."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, Response

from hafloc.index import Near
from hafloc.locate import PROBABILITY, RERANK, Localizer
from hafloc.serve import documents, problems
from hafloc.serve.answers import (
    Failed,
    Located,
    answer_to_dict,
    answer_to_features,
)
from hafloc.serve.documents import GEOJSON, answers, content, photos_body
from hafloc.serve.evidence import Kept
from hafloc.serve.locating import Asked, Outcome, counted, works
from hafloc.serve.pictures import LEVELS, attention_picture, kept_photo, matches_picture
from hafloc.serve.problems import BAD_PARAMETER, NOT_FOUND, Problem
from hafloc.serve.service import Service, only_known
from hafloc.serve.uploads import Upload, read_form

MOST_TOP = 100
MOST_RERANK = 1_000
_NAMES = Query(description="A database's name; several, or *: the best answer of a photo counts.")
_NEAR = Query(
    description="LAT,LON,METRES: only photos within so many metres of a place.",
    json_schema_extra=documents.NEAR_FORM,
)
_PICTURE = {"Cache-Control": "private, no-store"}
_SEEN = (*documents.READING, *documents.KEY, *problems.KINDS.values(), problems.TOO_LATE)


def routes(service: Service) -> APIRouter:
    router = APIRouter(dependencies=[Depends(service.may_read), Depends(only_known)])

    @router.post(
        "/v1/locate",
        tags=["locate"],
        summary="Where photos were taken",
        openapi_extra=photos_body(several=True),
        responses=answers(
            "The answers, in the order of the photos.",
            content(documents.ANSWERS, example=documents.EXAMPLES["answers"])
            | content(documents.FEATURES, GEOJSON),
            *documents.KEY,
            *documents.LOCATING,
        ),
    )
    async def locate(
        request: Request,
        database: Annotated[list[str] | None, _NAMES] = None,
        near: Annotated[str | None, _NEAR] = None,
        top: Annotated[int, Query(ge=1, le=MOST_TOP)] = 10,
        rerank: Annotated[int, Query(ge=0, le=MOST_RERANK)] = RERANK,
        probability: Annotated[float, Query(gt=0, lt=1)] = PROBABILITY,
        cautious: bool = False,
        sequence: bool = False,
        evidence: bool = False,
        pairs: bool = False,
        name: Annotated[str | None, Query(description="What to call a raw body.")] = None,
    ) -> Response:
        asked = Asked(
            tuple(service.databases.several(database or [])),
            top,
            parse_near(near),
            rerank,
            probability,
            cautious,
            sequence,
        )
        service.queue.check_room()
        with service.room.share() as share:
            form = await read_form(request, share, service.options)
            found = await service.network(request, works(form.photos, asked, service))
            outcomes = _flat(found)
            for outcome in outcomes:
                service.metrics.photos.labels(counted(outcome)).inc()
            _raise_common(outcomes)
            kept = [
                _keep(service, upload, outcome) if evidence else None
                for upload, outcome in zip(form.photos, outcomes, strict=True)
            ]
        root = request.scope.get("root_path", "")
        if GEOJSON in request.headers.get("accept", ""):
            return JSONResponse(_collection(outcomes, root), media_type=GEOJSON)
        return JSONResponse(
            {
                "answers": [
                    _told(outcome, root=root, pairs=pairs, kept=one)
                    for outcome, one in zip(outcomes, kept, strict=True)
                ]
            }
        )

    _add_evidence(router, service)
    return router


def _add_evidence(router: APIRouter, service: Service) -> None:
    def told(says: str, media_type: str, *kinds: problems.Kind) -> dict[str, Any]:
        body = content({"type": "string", "format": "binary"}, media_type)
        return {"tags": ["evidence"], "responses": answers(says, body, *_SEEN, *kinds)}

    async def drawn(
        request: Request, kept: Kept, draw: Callable[[Localizer], bytes], media_type: str
    ) -> Response:
        def work() -> bytes:
            with kept.database.lent() as localizer:
                return draw(localizer)

        (result,) = await service.network(request, [work])
        if isinstance(result, BaseException):
            raise result
        return Response(result, headers=_PICTURE, media_type=media_type)

    @router.get(
        "/v1/evidence/{token}/matches",
        summary="A query beside a candidate, with their matches",
        **told("The picture.", "image/png"),
    )
    async def matches(
        request: Request, token: str, rank: Annotated[int, Query(ge=1, le=MOST_TOP)] = 1
    ) -> Response:
        kept = service.evidence.get(token)
        return await drawn(
            request, kept, lambda localizer: matches_picture(kept, localizer, rank), "image/png"
        )

    @router.get(
        "/v1/evidence/{token}/attention",
        summary="Where the network looked",
        **told("The heat map over the photo, or alone (plain).", "image/png"),
    )
    async def attention(
        request: Request,
        token: str,
        level: Annotated[str, Query(pattern="|".join(f"^{level}$" for level in LEVELS))] = "fused",
        plain: bool = False,
    ) -> Response:
        kept = service.evidence.get(token)
        return await drawn(
            request,
            kept,
            lambda localizer: attention_picture(kept, localizer, level, plain=plain),
            "image/png",
        )

    @router.get(
        "/v1/evidence/{token}/photo",
        summary="The photo, upright and small",
        **told("The photo.", "image/jpeg"),
    )
    async def photo(token: str) -> Response:
        kept = service.evidence.get(token)
        jpeg = await service.paint(lambda: kept_photo(kept))
        return Response(jpeg, headers=_PICTURE, media_type="image/jpeg")

    @router.delete(
        "/v1/evidence/{token}",
        tags=["evidence"],
        summary="Forget a photo now",
        status_code=204,
        responses=documents.problems_of((*documents.KEY, NOT_FOUND)),
    )
    async def forget(token: str) -> Response:
        service.evidence.remove(token)
        return Response(status_code=204)


def parse_near(text: str | None) -> Near | None:
    """LAT,LON,METRES. Raises Problem, and PositionError for a place that is not on Earth."""
    if text is None:
        return None
    try:
        return Near.parse(text, "near")
    except ValueError as error:
        raise Problem(
            BAD_PARAMETER, "near is LAT,LON,METRES; give for example 52.2053,0.1218,500"
        ) from error


def _flat(results: list[list[Outcome]]) -> list[Outcome]:
    """Raises what is no answer and no problem of one photo."""
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [outcome for result in results for outcome in result]


def _raise_common(outcomes: list[Outcome]) -> None:
    """Raises the problem of the only photo, or one that all have in common."""
    failures = [outcome.problem for outcome in outcomes if isinstance(outcome, Failed)]
    if len(failures) < len(outcomes):
        return
    if len({(failure.kind, failure.detail) for failure in failures}) == 1:
        raise failures[0]


def _keep(service: Service, upload: Upload, outcome: Outcome) -> Kept | None:
    if isinstance(outcome, Failed):
        return None
    return service.evidence.keep(upload.name, upload.data, outcome.answer, outcome.database)


def _told(outcome: Outcome, *, root: str, pairs: bool, kept: Kept | None) -> dict[str, Any]:
    if isinstance(outcome, Located):
        return answer_to_dict(outcome, root=root, pairs=pairs, kept=kept)
    return {"query": outcome.query, "problem": outcome.problem.to_dict()}


def _collection(outcomes: list[Outcome], root: str) -> dict[str, Any]:
    """As `hafloc locate --geojson`; photos that failed are told beside the features."""
    located = [outcome for outcome in outcomes if isinstance(outcome, Located)]
    failures = [
        _told(outcome, root=root, pairs=False, kept=None)
        for outcome in outcomes
        if isinstance(outcome, Failed)
    ]
    features = [feature for one in located for feature in answer_to_features(one, root=root)]
    found: dict[str, Any] = {"type": "FeatureCollection", "features": features}
    return found | ({"failed": failures} if failures else {})
