"""The databases' photos: as features (OGC API), thumbnails and tiles; stored and removed."""

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, Response

from hafloc.serve import documents
from hafloc.serve.databases import Database
from hafloc.serve.documents import GEOJSON, answers, content, photos_body
from hafloc.serve.features import (
    MOST,
    Page,
    feature,
    page_of,
    parse_box,
    parse_id,
    parse_interval,
    record_of,
)
from hafloc.serve.page import is_known
from hafloc.serve.pictures import thumbnail, thumbnail_tag
from hafloc.serve.problems import BAD_PARAMETER, KINDS, Problem
from hafloc.serve.service import Service, only_known
from hafloc.serve.tiles import tile_of
from hafloc.serve.uploads import read_form

_NAME = Query(description="The database's name; may be left out where one is served.")
BOX = Query(
    description="W,S,E,N in degrees.",
    examples=["0.1,52.1,0.2,52.3"],
    json_schema_extra=documents.BOX_FORM,
)
WHEN = Query(
    alias="datetime",
    description="A time, or two with / between, of which one may be ..",
    json_schema_extra=documents.TIME_FORM,
)
AFTER = Query(
    description="From a page's next link: the id after which to go on.",
    json_schema_extra=documents.ID_FORM,
)
_LEAST_SIDE, _MOST_SIDE = 16, 2_048
_KEPT = "private, max-age=86400"
_TILE = "application/vnd.mapbox-vector-tile"
_READ = (*documents.READING, *documents.KEY, *KINDS.values())
LIMIT = Annotated[int, Query(ge=1, description=f"At most so many; never above {MOST:,}.")]


def routes(service: Service) -> APIRouter:
    router = APIRouter(dependencies=[Depends(service.may_read), Depends(only_known)])
    _add_reading(router, service)
    _add_pictures(router, service)
    _add_writing(router, service)
    return router


async def feature_page(
    request: Request,
    service: Service,
    database: Database,
    here: str,
    limit: int,
    bbox: str | None,
    datetime_: str | None,
    after: str | None,
) -> Response:
    """A page of a database's photos; `here` is the address of such pages."""
    box, interval = parse_box(bbox), parse_interval(datetime_)
    begin = None if after is None else parse_id(after)
    wanted = min(limit, MOST)

    def look() -> tuple[Page, int | None]:
        with database.lent() as localizer:
            plain = box is None and interval is None
            matched = localizer.index.count() if plain else None
            return page_of(localizer.index, box, interval, begin, wanted), matched

    page, matched = await service.read(look)
    root = request.scope.get("root_path", "")
    given = {
        "database": database.name if here.endswith("/photos") else None,
        "bbox": bbox,
        "datetime": datetime_,
        "limit": str(limit),
    }

    def link(rel: str, cursor: str | None) -> dict[str, str]:
        query = {key: value for key, value in given.items() if value is not None}
        query |= {} if cursor is None else {"after": cursor}
        return {"href": f"{here}?{urlencode(query)}", "rel": rel, "type": GEOJSON}

    links = [link("self", after)]
    if page.next_after is not None:
        links.append(link("next", str(page.next_after)))
    found: dict[str, Any] = {
        "type": "FeatureCollection",
        "features": [feature(record, database, root) for record in page.records],
        "links": links,
        "timeStamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "numberReturned": len(page.records),
    }
    if matched is not None:
        found["numberMatched"] = matched
    return JSONResponse(found, media_type=GEOJSON)


async def one_feature(request: Request, service: Service, database: Database, id_: str) -> Response:
    number = parse_id(id_)

    def look() -> dict[str, Any]:
        with database.lent() as localizer:
            record = record_of(localizer.index, number)
        return feature(record, database, request.scope.get("root_path", ""))

    found = await service.read(look)
    base = base_url(request)
    found["links"] = [
        {
            "href": f"{base}/v1/collections/{quote(database.name)}/items/{number}",
            "rel": "self",
            "type": GEOJSON,
        },
        {
            "href": f"{base}/v1/collections/{quote(database.name)}",
            "rel": "collection",
            "type": "application/json",
        },
    ]
    return JSONResponse(found, media_type=GEOJSON)


def base_url(request: Request) -> str:
    """The server's own address, as the client calls it, without a slash at its end."""
    return str(request.base_url).rstrip("/")


def _add_reading(router: APIRouter, service: Service) -> None:
    @router.get(
        "/v1/databases",
        tags=["photos"],
        summary="The databases",
        responses=answers(
            "All of them.",
            content(documents.DATABASES, example=documents.EXAMPLES["databases"]),
            *_READ,
        ),
    )
    async def databases() -> Response:
        def look() -> list[dict[str, Any]]:
            writable = service.options.may_write
            return service.databases.readable(lambda one: one.facts() | {"writable": writable})

        return JSONResponse({"databases": await service.read(look)})

    @router.get(
        "/v1/photos",
        tags=["photos"],
        summary="Photos of a database as GeoJSON, a page at a time",
        responses=answers("A page.", content(documents.FEATURES, GEOJSON), *_READ),
    )
    async def photos(
        request: Request,
        database: Annotated[str | None, _NAME] = None,
        bbox: Annotated[str | None, BOX] = None,
        limit: LIMIT = 100,
        after: Annotated[str | None, AFTER] = None,
        datetime_: Annotated[str | None, WHEN] = None,
    ) -> Response:
        here = f"{base_url(request)}/v1/photos"
        one = service.databases.one(database)
        return await feature_page(request, service, one, here, limit, bbox, datetime_, after)

    @router.get(
        "/v1/photos/{id}",
        tags=["photos"],
        summary="One photo",
        responses=answers("The photo.", content(documents.FEATURE, GEOJSON), *_READ),
    )
    async def photo(
        request: Request, id: str, database: Annotated[str | None, _NAME] = None
    ) -> Response:
        return await one_feature(request, service, service.databases.one(database), id)


def _add_pictures(router: APIRouter, service: Service) -> None:
    binary = {"type": "string", "format": "binary"}

    @router.get(
        "/v1/photos/{id}/thumbnail",
        tags=["photos"],
        summary="A small picture of a photo",
        responses=answers("The picture.", content(binary, "image/jpeg"), *_READ)
        | {304: {"description": "The client has it already."}},
    )
    async def small(
        request: Request,
        id: str,
        database: Annotated[str | None, _NAME] = None,
        side: Annotated[int, Query(ge=_LEAST_SIDE, le=_MOST_SIDE)] = 320,
    ) -> Response:
        one = service.databases.one(database)
        number = parse_id(id)

        def look() -> tuple[str, bytes | None]:
            with one.lent() as localizer:
                index = localizer.index
                record = record_of(index, number)
                tag = f'"{thumbnail_tag(record, side)}"'
                if is_known(request, tag):
                    return tag, None
                return tag, thumbnail(one, index, record, side, service.thumbnails)

        tag, jpeg = await service.paint(look)
        headers = {"etag": tag, "cache-control": _KEPT}
        if jpeg is None:
            return Response(status_code=304, headers=headers)
        return Response(jpeg, headers=headers, media_type="image/jpeg")

    @router.get(
        "/v1/tiles/{name}/{z}/{x}/{y}.mvt",
        tags=["photos"],
        summary="Photos as a vector tile, thinned",
        responses=answers("The tile.", content(binary, _TILE), *_READ),
    )
    async def tile(name: str, z: int, x: int, y: int) -> Response:
        one = service.databases.one(name)

        def look() -> bytes:
            with one.lent() as localizer:
                return tile_of(service.points(one).current(localizer.index), z, x, y)

        return Response(
            await service.read(look),
            headers={"cache-control": "private, max-age=10"},
            media_type=_TILE,
        )


def _add_writing(router: APIRouter, service: Service) -> None:
    degrees = {"type": "number"}
    fields = {"lat": degrees, "lon": degrees, "heading": degrees}

    @router.post(
        "/v1/photos",
        tags=["write"],
        summary="Store a photo",
        status_code=201,
        dependencies=[Depends(service.may_write)],
        openapi_extra=photos_body(several=False, fields=fields),
        responses=answers(
            "It is stored, whatever happens next.",
            content(documents.FEATURE, GEOJSON),
            *documents.KEY,
            *documents.LOCATING,
            status=201,
        )
        | {
            200: {
                "description": "This very photo was there already, and stays as it is.",
                "content": content(documents.FEATURE, GEOJSON),
            }
        },
    )
    async def store(
        request: Request,
        database: Annotated[str | None, _NAME] = None,
        name: Annotated[str | None, Query(description="What to call a raw body.")] = None,
    ) -> Response:
        one = service.databases.one(database)
        service.queue.check_room()
        with service.room.share() as share:
            form = await read_form(request, share, service.options)
            if len(form.photos) > 1:
                raise Problem(BAD_PARAMETER, "one photo is stored at a time; send one")

            def work() -> Any:
                with one.lent() as localizer:
                    return service.writer.store(one, localizer, form.photos[0], form.fields)

            (stored,) = await service.network(request, [work])
        if isinstance(stored, BaseException):
            raise stored
        root = request.scope.get("root_path", "")
        first = stored.records[0]
        return JSONResponse(
            feature(first, one, root),
            status_code=201 if stored.new else 200,
            headers={"location": f"{root}/v1/photos/{first.id}?database={quote(one.name)}"},
            media_type=GEOJSON,
        )

    @router.delete(
        "/v1/photos/{id}",
        tags=["write"],
        summary="Remove a photo",
        status_code=204,
        dependencies=[Depends(service.may_write)],
        responses=documents.problems_of(_READ),
    )
    async def remove(id: str, database: Annotated[str | None, _NAME] = None) -> Response:
        one = service.databases.one(database)
        number = parse_id(id)

        def work() -> None:
            with one.lent() as localizer:
                record = record_of(localizer.index, number)
                service.writer.remove(one, localizer, record)

        await service.read(work)
        return Response(status_code=204)
