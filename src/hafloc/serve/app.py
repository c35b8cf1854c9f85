"""The application: routes, problems in place of errors, the gate around all, OpenAPI."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp

from hafloc import __version__
from hafloc.errors import HaflocError
from hafloc.serve import (
    collection_routes,
    documents,
    locate_routes,
    metrics,
    photo_routes,
    problems,
)
from hafloc.serve.documents import answers, content
from hafloc.serve.gate import Gate, fault_response, problem_response
from hafloc.serve.problems import (
    BAD_REQUEST,
    NOT_FOUND,
    Problem,
    problem_of,
    problem_of_parameter,
    problem_of_status,
)
from hafloc.serve.service import Service

_PMTILES = "application/vnd.pmtiles"
_SAYS = (
    "Where was this photo taken? Looks photos up in databases of photos with known positions. "
    "Errors are problem details (RFC 9457) in the words of the command line."
)


def create_app(service: Service) -> ASGIApp:
    """The server's application; who runs it closes the service in the end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        forgetting = asyncio.create_task(service.forget_now_and_then())
        try:
            yield
        finally:
            forgetting.cancel()
            with suppress(asyncio.CancelledError):
                await forgetting

    app = FastAPI(
        title="hafloc",
        version=__version__,
        description=_SAYS,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        servers=[{"url": service.options.root_path or "/"}],
        root_path_in_servers=False,
    )
    routers = [
        locate_routes.routes(service),
        photo_routes.routes(service),
        collection_routes.routes(service),
        _own_routes(service),
        _page_routes(service),
    ]
    for router in routers:
        app.include_router(router)
    _add_problems(app, service, [route for router in routers[:-1] for route in router.routes])
    _explain(app, service)
    tiles = service.options.tiles
    origins = [] if tiles is None else [_origin(tiles.url)]
    return Gate(app, service.options, service.log, service.metrics, origins)


def _own_routes(service: Service) -> APIRouter:
    router = APIRouter()
    options = service.options

    @router.get(
        "/v1/settings",
        tags=["server"],
        summary="What the page needs to know",
        responses=answers("The settings.", content(documents.SETTINGS)),
    )
    async def settings(request: Request) -> Response:
        root = request.scope.get("root_path", "")
        tiles = options.tiles
        return JSONResponse(
            {
                "tiles": None
                if tiles is None
                else {"url": tiles.url, "attribution": tiles.attribution},
                "pmtiles": None if options.pmtiles is None else f"{root}/v1/map.pmtiles",
                "needs_key": bool(options.keys),
                "writable": options.may_write,
                "max_photo_bytes": options.max_photo_bytes,
                "max_photos": options.max_photos,
                "version": __version__,
            }
        )

    @router.get(
        "/v1/map.pmtiles",
        tags=["server"],
        summary="The map's background, by ranges",
        dependencies=[Depends(service.may_read)],
        responses=answers(
            "The file.",
            content({"type": "string", "format": "binary"}, _PMTILES),
            NOT_FOUND,
            *documents.KEY,
        ),
    )
    async def background() -> Response:
        if options.pmtiles is None or not options.pmtiles.is_file():
            raise Problem(NOT_FOUND, "this server has no map; `hafloc serve --pmtiles` names one")
        return FileResponse(
            options.pmtiles, media_type=_PMTILES, headers={"cache-control": "private, no-cache"}
        )

    @router.get("/healthz", tags=["server"], summary="Whether it lives")
    async def healthy() -> Response:
        return JSONResponse({"status": "ok"})

    @router.get(
        "/readyz",
        tags=["server"],
        summary="Whether its databases can be read",
        responses=answers("They can.", content({"type": "object"}), *documents.READING),
    )
    async def ready() -> Response:
        def look() -> None:
            for database in service.databases:
                with database.lent() as localizer:
                    localizer.index.count()

        await service.read(look)
        return JSONResponse({"status": "ready"})

    @router.get(
        "/metrics",
        tags=["server"],
        summary="For Prometheus",
        dependencies=[Depends(service.may_read)],
        responses=answers("Text.", content({"type": "string"}, "text/plain"), *documents.KEY),
    )
    async def measured() -> Response:
        return Response(service.metrics.text(), media_type=metrics.MEDIA_TYPE)

    return router


def _page_routes(service: Service) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def page(request: Request) -> Response:
        return service.page.response("index.html", request)

    @router.get("/{name:path}")
    async def file(name: str, request: Request) -> Response:
        if name.startswith("v1/"):
            raise Problem(NOT_FOUND, "there is nothing at this address; /openapi.json lists all")
        return service.page.response(name, request)

    return router


def _add_problems(app: FastAPI, service: Service, routes: Sequence[BaseRoute]) -> None:
    """Whatever ends a request is answered by problem details."""

    async def problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return problem_response(error)

    async def ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, HaflocError)
        return problem_response(problem_of(error, service.databases.words(str(error))))

    async def bare(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == problems.BAD_METHOD.status:
            headers["allow"] = ", ".join(_methods(routes, request))
        if error.status_code == 400:  # the framework could not make sense of it
            return problem_response(Problem(BAD_REQUEST, str(error.detail), headers))
        return problem_response(problem_of_status(error.status_code, str(error.detail), headers))

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem_response(problem_of_parameter(error.errors()[0]))

    async def fault(_: Request, __: Exception) -> Response:
        return fault_response()  # the gate tells the log

    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        Problem: problem,
        HaflocError: ours,
        HTTPException: bare,
        RequestValidationError: invalid,
        Exception: fault,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _methods(routes: Sequence[BaseRoute], request: Request) -> list[str]:
    """The methods of all routes of an address; the framework tells those of the first alone."""
    found: set[str] = set()
    for route in routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found) or ["GET"]


def _explain(app: FastAPI, service: Service) -> None:
    """OpenAPI with our problems in place of the framework's errors."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        found = plain()
        schemas = found.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas["Problem"] = documents.PROBLEM
        _add_keys(found, service)
        for path in found["paths"].values():
            for operation in path.values():
                _tidy(operation)
        return found

    app.openapi = openapi  # type: ignore[method-assign]


def _add_keys(found: dict[str, Any], service: Service) -> None:
    if not service.options.keys:
        return
    found["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    open_ = ("/v1/settings", "/healthz", "/readyz")
    for name, path in found["paths"].items():
        for operation in path.values():
            if name not in open_:
                operation["security"] = [{"bearer": []}, {"header": []}]


def _tidy(operation: dict[str, Any]) -> None:
    """Take out what the framework says of its own errors, which are never sent."""
    found = operation["responses"].get("422")
    if found is not None and "HTTPValidationError" in str(found):
        del operation["responses"]["422"]
    for response in operation["responses"].values():
        bodies = response.get("content", {})
        if len(bodies) > 1 and bodies.get("application/json", {}).get("schema") == {}:
            del bodies["application/json"]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
