"""The databases as collections of OGC API Features, so that QGIS and GDAL open them as layers."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from hafloc.serve import documents
from hafloc.serve.databases import Database
from hafloc.serve.documents import GEOJSON, answers, content
from hafloc.serve.photo_routes import (
    AFTER,
    BOX,
    LIMIT,
    WHEN,
    base_url,
    feature_page,
    one_feature,
)
from hafloc.serve.problems import KINDS
from hafloc.serve.service import Service, only_known

_CORE = "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf"
CONFORMANCE = [f"{_CORE}/core", f"{_CORE}/oas30", f"{_CORE}/geojson"]
_CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_JSON = "application/json"
_READ = (*documents.READING, *documents.KEY, *KINDS.values())
_TAGS: list[Any] = ["collections"]


def routes(service: Service) -> APIRouter:
    router = APIRouter(dependencies=[Depends(service.may_read), Depends(only_known)])
    anything = content({"type": "object"})

    @router.get("/v1", include_in_schema=False)
    @router.get(
        "/v1/",
        tags=_TAGS,
        summary="Landing page",
        responses=answers("Links.", anything, *documents.KEY),
    )
    async def landing(request: Request) -> Response:
        base = base_url(request)
        return JSONResponse(
            {
                "title": "hafloc",
                "description": "Photos with known positions.",
                "links": [
                    _link(f"{base}/v1/", "self", "this page"),
                    _link(
                        f"{base}/openapi.json",
                        "service-desc",
                        "the API",
                        "application/vnd.oai.openapi+json;version=3.1",
                    ),
                    _link(f"{base}/v1/conformance", "conformance", "what it conforms to"),
                    _link(f"{base}/v1/collections", "data", "the databases"),
                ],
            }
        )

    @router.get(
        "/v1/conformance",
        tags=_TAGS,
        summary="What it conforms to",
        responses=answers("Classes.", anything, *documents.KEY),
    )
    async def conformance() -> Response:
        return JSONResponse({"conformsTo": CONFORMANCE})

    @router.get(
        "/v1/collections",
        tags=_TAGS,
        summary="The databases as collections",
        responses=answers("All of them.", anything, *_READ),
    )
    async def collections(request: Request) -> Response:
        base = base_url(request)

        def look() -> list[dict[str, Any]]:
            return service.databases.readable(lambda one: _collection(one, base))

        return JSONResponse(
            {
                "links": [_link(f"{base}/v1/collections", "self", "the databases")],
                "collections": await service.read(look),
            }
        )

    @router.get(
        "/v1/collections/{name}",
        tags=_TAGS,
        summary="One database as a collection",
        responses=answers("The collection.", anything, *_READ),
    )
    async def collection(request: Request, name: str) -> Response:
        one, base = service.databases.one(name), base_url(request)
        return JSONResponse(await service.read(lambda: _collection(one, base)))

    @router.get(
        "/v1/collections/{name}/items",
        tags=_TAGS,
        summary="A page of its photos",
        responses=answers("A page.", content(documents.FEATURES, GEOJSON), *_READ),
    )
    async def items(
        request: Request,
        name: str,
        bbox: Annotated[str | None, BOX] = None,
        limit: LIMIT = 100,
        after: Annotated[str | None, AFTER] = None,
        datetime_: Annotated[str | None, WHEN] = None,
    ) -> Response:
        one = service.databases.one(name)
        here = f"{base_url(request)}/v1/collections/{quote(one.name)}/items"
        return await feature_page(request, service, one, here, limit, bbox, datetime_, after)

    @router.get(
        "/v1/collections/{name}/items/{id}",
        tags=_TAGS,
        summary="One photo",
        responses=answers("The photo.", content(documents.FEATURE, GEOJSON), *_READ),
    )
    async def item(request: Request, name: str, id: str) -> Response:
        return await one_feature(request, service, service.databases.one(name), id)

    return router


def _link(href: str, rel: str, title: str, type_: str = _JSON) -> dict[str, str]:
    return {"href": href, "rel": rel, "type": type_, "title": title}


def _collection(database: Database, base: str) -> dict[str, Any]:
    with database.lent() as localizer:
        info = localizer.index.info()
    here = f"{base}/v1/collections/{quote(database.name)}"
    found: dict[str, Any] = {
        "id": database.name,
        "title": database.name,
        "description": f"{info.photos:,} photos",
        "itemType": "feature",
        "crs": [_CRS84],
        "links": [
            _link(here, "self", database.name),
            _link(f"{here}/items", "items", "its photos", GEOJSON),
        ],
    }
    if info.bounds is not None:
        found["extent"] = {"spatial": {"bbox": [list(info.bounds)], "crs": _CRS84}}
    return found
