"""The web page's files: built by `web/`, shipped in the package, served as they are."""

import functools
import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from html import escape
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from hafloc import __version__
from hafloc.serve.problems import NOT_FOUND, Problem

FOLDER = Path(__file__).parent / "page"
# Names of files that a build makes hold a hash of their content.
_FOREVER = "public, max-age=31536000, immutable"
_ASK = "no-cache"
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".pbf": "application/x-protobuf",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_LINKS = (
    ("v1/", "the photos, for GIS programs (OGC API Features)"),
    ("v1/databases", "the databases"),
    ("v1/settings", "the settings"),
    ("openapi.json", "how programs use it (OpenAPI)"),
)


@dataclass(frozen=True, slots=True)
class File:
    """A file of the page with its compressed twins by encoding."""

    media_type: str
    tag: str
    plain: bytes
    encoded: dict[str, bytes]


class Page:
    """All files of the page, read once: they are a megabyte or two. Without any, plain links."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): _read(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix not in (".br", ".gz", ".map")
        }
        self._files.setdefault("index.html", _plain_links())

    def response(self, name: str, request: Request) -> Response:
        """A file of the page. Raises Problem where there is none of that name."""
        file = self._files.get(name)
        if file is None:
            raise Problem(NOT_FOUND, "there is no such file; the page begins at /")
        headers = {
            "cache-control": _FOREVER if name.startswith("assets/") else _ASK,
            "etag": file.tag,
        }
        packs = file.media_type.startswith("text/")
        if file.encoded or packs:
            headers["vary"] = "Accept-Encoding"
        if is_known(request, file.tag):
            return Response(status_code=304, headers=headers)
        accepted = {
            part.partition(";")[0].strip()
            for part in request.headers.get("accept-encoding", "").split(",")
            if not part.replace(" ", "").endswith(";q=0")
        }
        for encoding, _ in _ENCODINGS:
            if encoding in accepted and encoding in file.encoded:
                headers["content-encoding"] = encoding
                return Response(file.encoded[encoding], 200, headers, file.media_type)
        if packs and "gzip" in accepted:
            headers["content-encoding"] = "gzip"
            return Response(_gzipped(file.plain), 200, headers, file.media_type)
        return Response(file.plain, 200, headers, file.media_type)


@functools.cache
def _gzipped(plain: bytes) -> bytes:
    # Once a file, when first asked for: all of them take a tenth of a second.
    return gzip.compress(plain, mtime=0)


def is_known(request: Request, tag: str) -> bool:
    """Whether the client has the very thing with this entity tag already."""
    given = request.headers.get("if-none-match", "")
    tags = {part.strip().removeprefix("W/") for part in given.split(",")}
    return "*" in tags or tag in tags


def _read(path: Path) -> File:
    plain = path.read_bytes()
    guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    encoded = {
        encoding: twin.read_bytes()
        for encoding, end in _ENCODINGS
        if (twin := path.with_name(path.name + end)).is_file()
    }
    return File(_TYPES.get(path.suffix, guessed), _tag(plain), plain, encoded)


def _tag(content: bytes) -> str:
    return f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'


def _plain_links() -> File:
    rows = "".join(f'<li><a href="{link}">{escape(says)}</a></li>' for link, says in _LINKS)
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>hafloc</title>'
        f"<h1>hafloc {escape(__version__)}</h1><ul>{rows}</ul></html>"
    ).encode()
    return File("text/html; charset=utf-8", _tag(text), text, {})
