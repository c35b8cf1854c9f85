"""Photos behind URLs: what can be seen of one, its bytes, a listing; by fsspec, with time-outs."""

import contextlib
import errno
import os
import posixpath
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

from hafloc.bounded import within
from hafloc.errors import MissingExtraError, PhotoError, reason_of
from hafloc.server_failures import failure_in_words

# What a photo may take, and the listing of a bucket with millions of them.
ANSWER_S = 60.0
_LISTING_S = 1800.0
_CONNECT_S = 10.0
# What passes by itself is tried again after so many seconds.
_WAITS = (0.5, 2.0)
# So many failures of a server in a row, and it is left alone for so many seconds: a million
# photos must not wait for one that is down.
_FRUITLESS = 8
_LEFT_ALONE_S = 30.0

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_HTTP = ("http", "https")
# Those of fsspec that many threads may ask at once, with what to install for each.
_PACKAGES = dict.fromkeys(_HTTP, "") | {"memory": ""}
_PACKAGES |= dict.fromkeys(("s3", "s3a"), " s3fs") | dict.fromkeys(("gs", "gcs"), " gcsfs")
_PACKAGES |= dict.fromkeys(("abfs", "abfss", "az"), " adlfs")
_UNQUOTED = "/!$&()*+,;=:@~"
_TIMES = ("LastModified", "Last-Modified", "last_modified", "mtime", "updated", "modified")
# Where a store knows no better.
_CREATED = ("created", "creation_time")


class RemoteError(OSError):
    """What is behind a URL could not be seen; its `strerror` says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a server tells of a file, as `os.stat_result` names it; None where it tells nothing."""

    st_size: int | None
    st_mtime_ns: int | None


@dataclass(frozen=True, slots=True, order=True)
class PhotoUrl:
    """A file or a folder behind a URL, with those ways of a `pathlib.Path` that photos need.

    Credentials come from the environment, as the file system of the scheme looks for them.
    Whatever asks the server ends within `ANSWER_S` a try, and raises OSError: FileNotFoundError
    only where the server says so, RemoteError where it does not answer.
    """

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def scheme(self) -> str:
        return self.text.partition("://")[0].lower()

    @property
    def is_listable(self) -> bool:
        """Whether folders can be listed there: web servers cannot."""
        return self.scheme not in _HTTP

    @property
    def name(self) -> str:
        last = self.text.partition("://")[2].rstrip("/").rpartition("/")[2]
        return last if self.is_listable else unquote(last.partition("?")[0])

    @property
    def suffix(self) -> str:
        return posixpath.splitext(self.name)[1]

    @property
    def parent(self) -> Self:
        scheme, _, rest = self.text.partition("://")
        above = rest.rstrip("/").rpartition("/")[0]
        return type(self)(f"{scheme}://{above}") if above else self

    def __truediv__(self, name: str) -> Self:
        """The file of that path below; `name` is text, of which a web address quotes some."""
        below = name if self.is_listable else quote(name, safe=_UNQUOTED)
        return type(self)(f"{self.text.rstrip('/')}/{below}")

    def inside(self, folder: "PhotoUrl") -> str | None:
        """The path of this file within a `folder`, as text; None where it lies elsewhere."""
        start = folder.as_posix().rstrip("/") + "/"
        whole = self.as_posix()
        return whole[len(start) :] if whole.startswith(start) else None

    def as_posix(self) -> str:
        """The URL as text that nothing is quoted in, to be compared."""
        return self.text if self.is_listable else unquote(self.text)

    def absolute(self) -> Self:
        return self

    def resolve(self) -> Self:
        return self

    def stat(self) -> Seen:
        return _seen(_asked(self, lambda system, path: system.info(path), ANSWER_S))

    def exists(self) -> bool:
        """False only where the server says that there is nothing."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def is_file(self) -> bool:
        """False only where the server says that there is none."""
        return self.exists()

    def read_bytes(self) -> bytes:
        found: bytes = _asked(self, lambda system, path: system.cat_file(path), ANSWER_S)
        return found

    def listing(self) -> Iterator[tuple[str, Seen]]:
        """Every file below, by its path within, unsorted."""

        def find(system: Any, path: str) -> list[tuple[str, Seen]]:
            found: Mapping[str, Any] = system.find(path, detail=True)
            if not found and not system.exists(path):
                raise FileNotFoundError(errno.ENOENT, "there is no such folder")
            start = path.rstrip("/") + "/"
            return [
                (name.removeprefix(start), _seen(facts))
                for name, facts in found.items()
                if facts.get("type", "file") == "file"
            ]

        yield from _asked(self, find, _LISTING_S)


PhotoFile = Path | PhotoUrl


def is_url(text: str) -> bool:
    """Whether text is a URL rather than the path of a file."""
    return _SCHEME.match(text) is not None


def photo_file(text: str) -> PhotoFile:
    """The file or folder that a person names by a path or a URL.

    Raises PhotoError for a URL with a password, or that nothing here reads.
    """
    found = _SCHEME.match(text)
    if found is None:
        return Path(text)
    scheme, rest = found[1].lower(), text[found.end() :]
    if scheme == "file":
        return Path(url2pathname(urlsplit(text).path))
    if scheme not in _PACKAGES:
        raise PhotoError(
            f"cannot read {scheme}://…: photos are read from paths, https://, s3://, gs:// and "
            "abfs://; check the address"
        )
    server, slash, path = rest.partition("/")
    user, at, host = server.rpartition("@")
    if at and ":" in user:
        raise PhotoError(
            f"cannot use {scheme}://…@{host}{slash}{path}: an index would keep the password; give "
            "credentials in the environment (docs/commands.md)"
        )
    if not host and scheme != "memory":
        raise PhotoError(f"cannot read {text}: it names no server; check the address")
    # Servers' names, but not those of buckets, are the same in capitals.
    server = f"{user}{at}{host.lower() if scheme in _HTTP else host}"
    return PhotoUrl(f"{scheme}://{server}{slash}{path}".rstrip("/"))


class _Servers:
    """Which servers have failed so often in a row that they are left alone for a while."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def check(self, server: str) -> None:
        count, at = self._failures.get(server, (0, 0.0))
        if count >= _FRUITLESS and time.monotonic() - at < _LEFT_ALONE_S:
            raise RemoteError(
                errno.ETIMEDOUT,
                f"{server} has not answered {count:,} times in a row; run it again when it does",
            )

    def failed(self, server: str) -> None:
        with self._lock:
            count, _ = self._failures.get(server, (0, 0.0))
            self._failures[server] = count + 1, time.monotonic()

    def answered(self, server: str) -> None:
        with self._lock:
            self._failures.pop(server, None)


_servers = _Servers()
_opening = threading.Lock()
_systems: dict[tuple[int, str], Any] = {}


def _asked(url: PhotoUrl, question: Callable[[Any, str], Any], seconds: float) -> Any:
    """What the file system of `url` answers, tried again where a failure may pass."""
    scheme, _, rest = url.text.partition("://")
    server = f"{scheme}://{rest.partition('/')[0]}"
    _servers.check(server)
    for wait in (*_WAITS, None):
        try:
            answer = within(seconds, lambda: question(*_system(url)))
        except Exception as error:
            failure, passes = _failure(error)
            if not passes or wait is None:
                # Who was waited for so long is not asked again, but may be down.
                if passes or getattr(failure, "errno", None) == errno.ETIMEDOUT:
                    _servers.failed(server)
                raise failure from (None if failure is error else error)
            time.sleep(wait)
        else:
            _servers.answered(server)
            return answer
    raise AssertionError("the last try returns or raises")


def _system(url: PhotoUrl) -> tuple[Any, str]:
    """The file system of a URL, and how that calls the file."""
    if url.scheme not in _PACKAGES:
        raise PhotoError(f"cannot read {url}: {url.scheme}:// is not read; check the address")
    # fsspec itself would make one for each thread, with connections of its own.
    with _opening:
        key = os.getpid(), url.scheme
        if key not in _systems:
            _systems[key] = _opened(url.scheme)
        system = _systems[key]
    return system, system._strip_protocol(url.text)


def _opened(scheme: str) -> Any:
    try:
        import fsspec

        options: dict[str, Any] = {"use_listings_cache": False}
        if scheme in _HTTP:
            import aiohttp

            limit = aiohttp.ClientTimeout(total=ANSWER_S, sock_connect=_CONNECT_S)
            # Proxies and ~/.netrc, as other programs take them.
            options["client_kwargs"] = {"timeout": limit, "trust_env": True}
        return fsspec.filesystem(scheme, **options)
    except ImportError as error:
        raise MissingExtraError(
            f"{scheme}:// needs an extra; `pip install hafloc[urls]{_PACKAGES[scheme]}` "
            f"({reason_of(error)[:120]})"
        ) from error


def _failure(error: Exception) -> tuple[Exception, bool]:
    """How a failure is told, and whether it may pass by itself."""
    # Web addresses of which nothing could be seen are "not found" there, whatever the reason was.
    cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
    error = cause if isinstance(cause, Exception) else error
    status = getattr(error, "status", None)
    if isinstance(error, MissingExtraError | PhotoError):
        return error, False
    if isinstance(error, FileNotFoundError | NotADirectoryError) or status in (404, 410):
        return FileNotFoundError(errno.ENOENT, "there is no such file"), False
    if isinstance(error, PermissionError) or status in (401, 403):
        why = "the server does not allow it; check the address and the credentials"
        return RemoteError(errno.EACCES, why), False
    if isinstance(error, IsADirectoryError):
        return IsADirectoryError(errno.EISDIR, "it is a folder"), False
    if isinstance(status, int):
        passes = status == 429 or status >= 500
        then = "run it again later" if passes else "check the address"
        return RemoteError(errno.EAGAIN, f"the server answers {status}; {then}"), passes
    if isinstance(error, TimeoutError):
        why = "the server does not answer in time; check the connection and run it again"
        return RemoteError(errno.ETIMEDOUT, why), False
    what = failure_in_words(error)
    why = f"it cannot be fetched: {what}; check address, connection and credentials"
    network = isinstance(error, OSError) or type(error).__module__.startswith("aiohttp")
    return RemoteError(errno.EAGAIN, why), network


def _seen(facts: Mapping[str, Any]) -> Seen:
    if facts.get("type") == "directory":
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    size = facts.get("size")
    times = (_nanoseconds(facts.get(name)) for name in (*_TIMES, *_CREATED))
    return Seen(
        None if size is None else int(size), next((at for at in times if at is not None), None)
    )


def _nanoseconds(value: object) -> int | None:
    """A time as file systems write it: a date, its text, or seconds since 1970."""
    if isinstance(value, int | float):
        return round(value * 1e9)
    if isinstance(value, str):
        parsed = None
        for read in (datetime.fromisoformat, parsedate_to_datetime):
            with contextlib.suppress(ValueError, TypeError, IndexError):
                parsed = parsed or read(value)
        value = parsed
    if not isinstance(value, datetime):
        return None
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1e6) * 1000
