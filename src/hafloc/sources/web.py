"""Polite requests: few at once, tried again when it helps, never longer or larger than sensible."""

import hashlib
import json
import random
import threading
import time
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from hafloc.errors import MissingExtraError, SourceError
from hafloc.server_failures import certificate_in_words, failure_in_words

try:
    import urllib3
    from urllib3.exceptions import HTTPError, InvalidHeader
except ImportError as error:  # pragma: no cover
    raise MissingExtraError(
        "cannot fetch: urllib3 is not installed; pip install hafloc[fetch]"
    ) from error

_HOME = "https://github.com/hafloc/hafloc"
CONNECTIONS = 4
# What a server may ask to wait; beyond it a person is told.
_LONGEST_WAIT = 300.0
_TRIES = 6
_TIMEOUT = urllib3.Timeout(connect=15, read=60)
_TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = 5
_LONGEST_TEXT = 100_000
_LARGEST_JSON = 128 * 2**20
# A panorama of 200 megapixels has some 80 MB.
_LARGEST_PHOTO = 256 * 2**20
_CHUNK = 1 << 18


T = TypeVar("T")


class TryAgainError(Exception):
    """A try that failed, and may succeed later; `wait` is what the server asks for, in seconds."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait


class Web:
    """Requests to a few servers, by any number of threads.

    Servers are told that it is hafloc of that `version` which asks. `wait` sleeps so many
    seconds. All threads wait when a server asks one of them to, until `stop` wakes them.
    """

    def __init__(self, version: str, wait: Callable[[float], object] | None = None) -> None:
        self._agent = f"hafloc/{version} (+{_HOME})"
        self._stopped = threading.Event()
        self._wait = self._stopped.wait if wait is None else wait
        self._pools: dict[str, urllib3.PoolManager] = {}
        self._lock = threading.Lock()
        self._not_before = 0.0

    def json(
        self,
        url: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """What a server answers in JSON. Raises SourceError."""
        address = f"{url}{'&' if '?' in url else '?'}{urlencode(query)}" if query else url
        data = self._fetch(address, headers or {}, _LARGEST_JSON, Received())
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            what = "a page of HTML" if data.lstrip()[:1] == b"<" else "something else"
            raise SourceError(
                f"cannot read {plain(url)}: the server answers with {what}, not JSON; "
                "check the address of the server"
            ) from error

    def text(self, url: str) -> str:
        """A short text. Raises SourceError."""
        return self._fetch(url, {}, _LONGEST_TEXT, Received()).decode("utf-8", "replace")

    def photo(self, url: str, *, size: int | None = None, sha256: str | None = None) -> bytes:
        """The bytes of a photo's file, whole: as long as the server says, of the hash it says.

        A link that dies is taken up where it broke off. Raises SourceError.
        """
        received = Received(size, sha256)
        return self._fetch(url, {}, _LARGEST_PHOTO, received)

    def size(self, url: str) -> int | None:
        """How long a file is; None where the server does not say."""
        try:
            answer = self.answer("HEAD", url, {})
        except (TryAgainError, SourceError):
            return None
        answer.drain_conn()
        answer.release_conn()
        length = answer.headers.get("Content-Length", "")
        return int(length) if answer.status == 200 and length.isdecimal() else None

    def _fetch(
        self, url: str, headers: Mapping[str, str], most: int, received: "Received"
    ) -> bytes:
        return self.tried(url, lambda: self._try(url, headers, most, received))

    def tried(self, url: str, once: Callable[[], T]) -> T:
        """What `once` gives, which is tried again where it raises TryAgainError.

        Raises SourceError where it fails for good, or is to wait for too long.
        """
        for attempt in range(_TRIES):
            try:
                return once()
            except TryAgainError as again:
                if attempt + 1 == _TRIES:
                    raise SourceError(
                        f"cannot read {plain(url)}: {again.reason}, {_TRIES:,} times; "
                        "run the same command again later"
                    ) from again
                self._pause(url, again, attempt)
        raise AssertionError("unreachable")

    def stop(self) -> None:
        """Ask nothing any more: who waits to try again fails at once."""
        self._stopped.set()

    def _pause(self, url: str, again: TryAgainError, attempt: int) -> None:
        if again.wait is not None and again.wait > _LONGEST_WAIT:
            raise SourceError(
                f"cannot read {plain(url)}: the server asks to wait {again.wait:,.0f} seconds; "
                "run the same command again later"
            ) from again
        seconds = 0.5 * 2**attempt * (1 + random.random() / 4)
        if again.wait is not None:
            # At least our own pause: "Retry-After: 0" is no leave to ask at once, six times.
            seconds = max(again.wait, seconds)
            with self._lock:
                self._not_before = max(self._not_before, time.monotonic() + seconds)
        self._wait(seconds)

    def _try(self, url: str, headers: Mapping[str, str], most: int, received: "Received") -> bytes:
        answer = self.answer("GET", url, {**headers, **received.onward()})
        try:
            received.begin(answer.status, answer.headers)
            for chunk in pieces(answer):
                received.add(chunk)
                if len(received.data) > most:
                    answer.close()
                    raise too_long(url, most)
        finally:
            answer.release_conn()
        if problem := received.problem():
            received.forget()
            raise TryAgainError(problem)
        return bytes(received.data)

    def answer(self, method: str, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """An answer of status 200 or 206, its body still to be read.

        Raises TryAgainError where it may come later, else SourceError.
        """
        if self._stopped.is_set():
            raise SourceError(f"cannot read {plain(url)}: the work was stopped; run it again")
        # What one thread was asked to wait for holds for the others, too.
        if (ahead := self._not_before - time.monotonic()) > 0:
            self._wait(ahead)
        for _ in range(_REDIRECTS):
            answer = self._ask(method, url, headers)
            if answer.status in (200, 206):
                return answer
            answer.drain_conn()
            answer.release_conn()
            location = answer.get_redirect_location()
            if not location:
                raise _refusal(url, answer)
            onward = urljoin(url, location)
            if origin(onward) != origin(url):  # never carry a token elsewhere
                headers = {n: v for n, v in headers.items() if n.casefold() != "authorization"}
            url = onward
        raise SourceError(f"cannot read {plain(url)}: it leads from address to address; leave it")

    def _ask(self, method: str, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool(url).request(
                method,
                url,
                headers={"User-Agent": self._agent, "Accept-Encoding": "gzip", **headers},
                preload_content=False,
                redirect=False,
                retries=False,
                timeout=_TIMEOUT,
            )
        except urllib3.exceptions.SSLError as error:
            raise SourceError(
                f"cannot read {plain(url)}: {certificate_in_words(error)}; "
                "check the address and this machine's clock"
            ) from error
        except ValueError as error:
            raise SourceError(f"cannot read {plain(url)}: it is no address; check it") from error
        except (HTTPError, OSError) as error:
            raise TryAgainError(failure_in_words(error)) from error

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SourceError(
                f"cannot read {plain(url)}: only http and https addresses are read; check it"
            )
        proxy = getproxies().get(parts.scheme, "")
        if proxy and proxy_bypass(parts.netloc):
            proxy = ""
        with self._lock:
            if proxy not in self._pools:
                settings: dict[str, Any] = {"maxsize": CONNECTIONS, "block": True}
                self._pools[proxy] = (
                    urllib3.ProxyManager(proxy, **settings)
                    if proxy
                    else urllib3.PoolManager(**settings)
                )
            return self._pools[proxy]


class Received:
    """What has come of a file so far, and what is known of the whole."""

    def __init__(self, size: int | None = None, sha256: str | None = None) -> None:
        self.data = bytearray()
        self._size, self._sha256 = size, sha256
        self._said: int | None = None
        self._hashes: dict[str, bytes] = {}
        self._mark = ""

    def onward(self) -> dict[str, str]:
        """The headers that ask for the rest only, where it is sure to belong to the beginning."""
        if not self.data or not self._mark:
            return {}
        return {
            "Range": f"bytes={len(self.data)}-",
            "If-Range": self._mark,
            "Accept-Encoding": "identity",
        }

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Take notice of an answer's headers; what was there stays only where it goes on."""
        start = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
        if status == 206 and start == str(len(self.data)):
            return
        if status == 206:
            self.forget()
            raise TryAgainError("the server sends another part than was asked for")
        self.forget()
        coded = headers.get("Content-Encoding", "identity") != "identity"
        length = headers.get("Content-Length", "")
        self._said = int(length) if length.isdecimal() and not coded else None
        mark = headers.get("ETag", "")
        self._mark = "" if coded or mark.startswith("W/") else mark
        self._hashes = {} if coded else _hashes(headers)

    def add(self, chunk: bytes) -> None:
        self.data += chunk

    def forget(self) -> None:
        self.data.clear()
        self._mark = ""

    def problem(self) -> str:
        """Why what has come is not the whole file; "" where it is."""
        for size in (self._said, self._size):
            if size is not None and len(self.data) != size:
                return f"{len(self.data):,} of {size:,} bytes came"
        known = dict(self._hashes)
        if self._sha256:
            known["sha256"] = bytes.fromhex(self._sha256)
        for name, digest in known.items():
            if hashlib.new(name, self.data, usedforsecurity=False).digest() != digest:
                return f"its {name} is not what the server says"
        return ""


def pieces(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """The body of an answer as it comes. Raises TryAgainError where the link dies."""
    try:
        # Not stream(): when the link dies, that loses what it has not handed out yet.
        while chunk := answer.read1(_CHUNK, decode_content=True):
            yield chunk
    except (HTTPError, OSError) as error:
        answer.close()
        raise TryAgainError(f"the link died ({failure_in_words(error)})") from error
    finally:
        answer.release_conn()


def too_long(url: str, most: int) -> SourceError:
    """The error of what is longer than so many bytes."""
    return SourceError(
        f"cannot read {plain(url)}: it is longer than {most:,} bytes; leave it out, or tell the "
        "server's operator"
    )


def origin(url: str) -> tuple[str, str]:
    """Scheme and host with port."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.casefold()


def plain(url: str) -> str:
    """An address for a message: without what stands behind "?", which may hold a token."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    text = f"{parts.scheme}://{host}{parts.path}" if parts.scheme else url.partition("?")[0]
    return text if len(text) <= 200 else f"{text[:200]}…"


def _hashes(headers: Mapping[str, str]) -> dict[str, bytes]:
    """The digests of the whole body that headers state, by the names of hashlib."""
    found = {}
    for name in ("Repr-Digest", "Content-Digest", "Digest"):
        for part in headers.get(name, "").split(","):
            kind, _, value = part.strip().partition("=")
            if kind.casefold() == "sha-256":
                found["sha256"] = _base64(value.strip(":"))
    if headers.get("Content-MD5"):
        found["md5"] = _base64(headers["Content-MD5"])
    sizes = {"sha256": 32, "md5": 16}
    return {name: value for name, value in found.items() if len(value) == sizes[name]}


def _base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError):
        return b""


def _refusal(url: str, answer: urllib3.BaseHTTPResponse) -> Exception:
    status = answer.status
    if status in _TEMPORARY:
        return TryAgainError(
            f"the server answers {status} {answer.reason or ''}".rstrip(), _asked(answer)
        )
    cures = {
        401: "give a valid token",
        403: "give a valid token, or ask the server's operator",
        404: "check the address of the server",
        410: "it is gone",
    }
    return SourceError(
        f"cannot read {plain(url)}: the server answers {status} {answer.reason or ''}".rstrip()
        + f"; {cures.get(status, 'check what was asked for')}"
    )


def _asked(answer: urllib3.BaseHTTPResponse) -> float | None:
    text = answer.headers.get("Retry-After")
    try:
        return None if text is None else urllib3.Retry().parse_retry_after(text)
    except (InvalidHeader, OverflowError, ValueError):
        return None
