"""What every request passes first and last: whose host, which origin, security headers, the log.

A plain ASGI application around the routes. Starlette's BaseHTTPMiddleware would hide from them
that a client has gone, and break off what streams.
"""

import ipaddress
import re
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hafloc.serve.logs import Log
from hafloc.serve.metrics import Metrics
from hafloc.serve.options import Options
from hafloc.serve.problems import BROKEN, FAULT, MEDIA_TYPE, NOT_ALLOWED, WRONG_HOST, Problem
from hafloc.serve.work import Dropped

_HOST = re.compile(r"[\w.-]+(?::\d*)?|\[[0-9a-fA-F:.]+\](?::\d*)?", re.ASCII)
SAFE = ("GET", "HEAD", "OPTIONS")
# Of nginx: the client has closed the request. It is only ever logged.
_CLIENT_GONE = 499
_CORS_METHODS = "GET, POST, DELETE"
_CORS_HEADERS = "authorization, content-type, x-api-key"
_CORS_EXPOSED = "etag, location, retry-after"
_CORS_AGE = "600"


def page_policy(tiles: Sequence[str]) -> str:
    """The Content-Security-Policy of all answers; `tiles` are the origins of the map's pictures."""
    more = "".join(f" {origin}" for origin in tiles)
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' blob: data:{more}",
            f"connect-src 'self' blob: data:{more}",
            "font-src 'self'",
            "worker-src 'self' blob:",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


class Gate:
    """Lets requests in to `app`, and their answers out."""

    def __init__(
        self, app: ASGIApp, options: Options, log: Log, metrics: Metrics, tiles: Sequence[str] = ()
    ) -> None:
        self._app = app
        self._options = options
        self._log = log
        self._metrics = metrics
        self._headers = {
            "content-security-policy": page_policy(tiles),
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "cross-origin" if options.cors else "same-origin",
            "permissions-policy": "camera=(self), geolocation=(self), interest-cohort=()",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Passage(self, scope, send).through(receive)

    def refusal(self, scope: Scope, headers: Headers) -> Problem | None:
        """Why a request may not enter; None where it may."""
        host = host_name(headers.get("host", ""))
        hosts = self._options.hosts
        if host is None or (hosts is not None and not is_own(host, hosts)):
            return Problem(
                WRONG_HOST,
                "this server does not answer to that name; `hafloc serve --allow-host NAME` "
                "lets it",
            )
        if scope["method"] not in SAFE and not self._is_own_origin(headers):
            return Problem(
                NOT_ALLOWED,
                "a page of another origin may not use this server; `hafloc serve --cors ORIGIN` "
                "lets it",
            )
        return None

    def cors_headers(self, headers: Headers) -> dict[str, str]:
        if not self._options.cors:
            return {}
        origin = headers.get("origin", "")
        found = {"vary": "Origin"}
        if "*" in self._options.cors or origin in self._options.cors:
            allowed = "*" if "*" in self._options.cors else origin
            found |= {
                "access-control-allow-origin": allowed,
                "access-control-expose-headers": _CORS_EXPOSED,
            }
        return found

    def _is_own_origin(self, headers: Headers) -> bool:
        """Browsers say which page sends a request; programs say nothing."""
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site") != "cross-site"
        if origin in self._options.cors or "*" in self._options.cors:
            return True
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


class _Passage:
    """One request on its way."""

    def __init__(self, gate: Gate, scope: Scope, send: Send) -> None:
        self._gate = gate
        # A copy: the server below goes on by its own.
        self._scope = dict(scope) | {"root_path": gate._options.root_path}
        self._method: str = scope["method"]
        self._headers = Headers(scope=scope)
        self._send = send
        self._began = time.perf_counter()
        self._status = 0
        self._bytes = 0
        self._complete = False

    async def through(self, receive: Receive) -> None:
        gate = self._gate
        status: int | None = None
        try:
            refusal = gate.refusal(self._scope, self._headers)
            if refusal is not None:
                await self._answer(problem_response(refusal), receive)
            elif self._is_preflight():
                await self._answer(self._preflight(), receive)
            else:
                if self._method == "HEAD":
                    self._scope["method"] = "GET"
                await gate._app(self._scope, receive, self._out)
        except Dropped:
            status = _CLIENT_GONE
            if not self._status:
                # Nobody reads it, but the server below wants an answer.
                await self._answer(Response(status_code=408), receive)
        except Exception as error:
            gate._log.fault(error)
            if not self._status:
                await self._answer(fault_response(), receive)
            elif not self._complete:
                raise
        finally:
            self._write(status or self._status)

    async def _answer(self, response: Response, receive: Receive) -> None:
        await response(self._scope, receive, self._out)

    async def _out(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in self._gate._headers.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
            for name, value in self._gate.cors_headers(self._headers).items():
                headers[name] = value
        elif message["type"] == "http.response.body":
            self._bytes += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
        await self._send(message)

    def _is_preflight(self) -> bool:
        asks = "access-control-request-method" in self._headers
        return bool(self._gate._options.cors) and self._method == "OPTIONS" and asks

    def _preflight(self) -> Response:
        return Response(
            status_code=204,
            headers={
                "access-control-allow-methods": _CORS_METHODS,
                "access-control-allow-headers": _CORS_HEADERS,
                "access-control-max-age": _CORS_AGE,
            },
        )

    def _write(self, status: int) -> None:
        seconds = time.perf_counter() - self._began
        # The route's pattern, never the path: that may hold a token.
        route = getattr(self._scope.get("route"), "path", None) or "other"
        method = self._method if self._method in (*SAFE, "POST", "DELETE") else "other"
        self._gate._metrics.requests.labels(method, route, str(status)).inc()
        self._gate._metrics.seconds.labels(route).observe(seconds)
        self._gate._log.write(
            "request",
            method=method,
            route=route,
            status=status,
            ms=round(1000 * seconds, 1),
            bytes=self._bytes,
        )


def fault_response() -> Response:
    return problem_response(Problem(BROKEN, FAULT))


def problem_response(problem: Problem) -> Response:
    return Response(
        problem.body(), problem.kind.status, problem.all_headers(), media_type=MEDIA_TYPE
    )


def host_name(host: str) -> str | None:
    """The name or address in a Host header, without its port; None where it is none."""
    try:
        parts = urlsplit(f"//{host}")
        name = parts.hostname
        _ = parts.port
    except ValueError:
        return None
    return name.rstrip(".") if name and _HOST.fullmatch(host) else None


def is_own(host: str, hosts: frozenset[str]) -> bool:
    """Whether a host is one of `hosts`, in which "ip" stands for any address.

    A page that had its own name lead here (DNS rebinding) sends that name, never an address.
    """
    if host in hosts:
        return True
    if "ip" not in hosts:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
