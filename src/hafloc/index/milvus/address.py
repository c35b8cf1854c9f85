"""Where a collection lies, from its location's text, and by which credentials."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

from hafloc.errors import IndexFileError

SERVER_FORM = "milvus://HOST:PORT/COLLECTION"
LOCAL_FORM = "milvus-lite://FOLDER.db"
SECURE = "milvus+tls"
_PORT = 19_530
_TIMEOUT = 30.0
_COLLECTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_LITE_COLLECTION = re.compile(r"\?collection=(.*)$")
# As in Milvus' own documents: exact, graph, cells of 8-bit vectors.
INDEX_TYPES = ("FLAT", "HNSW", "IVF_SQ8")
_OPTIONS = ("timeout", "index", "database", "secure")
_YES_AND_NO = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Address:
    """One collection: `uri` and `credentials` as pymilvus takes them.

    `timeout` is seconds that one call may take with all its retries; `index_type` is what a new
    collection finds vectors with; `folder` is that of Milvus Lite, None for a server.
    """

    location: str
    uri: str
    collection: str
    folder: Path | None = None
    timeout: float = _TIMEOUT
    index_type: str = "FLAT"
    # What a traceback or a log must not show.
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


def parse(location: str, environment: Mapping[str, str] = os.environ) -> Address:
    """The address that a location names.

    `milvus://HOST:PORT/COLLECTION`, `milvus+tls://…`, with `?timeout=SECONDS`, `index=`,
    `database=` and `secure=true`; or `milvus-lite://FOLDER.db`. Credentials come from MILVUS_TOKEN,
    or MILVUS_USER and MILVUS_PASSWORD, a server's certificate from the file MILVUS_CERTIFICATE.
    Raises IndexFileError where the text is none of these.
    """
    if location.lower().startswith("milvus-lite:"):
        return _local(location)
    try:
        parts = urlsplit(location)
        port = parts.port or _PORT
    except ValueError as error:
        raise _refused(location, str(error), SERVER_FORM) from None
    if "@" in parts.netloc:
        shown = location.replace(parts.netloc, parts.netloc.rpartition("@")[2])
        raise _refused(
            shown, "a location is printed and kept, so it holds no password", "MILVUS_TOKEN instead"
        )
    if not parts.hostname:
        raise _refused(location, "it names no host", SERVER_FORM)
    collection = _collection(location, parts.path.strip("/"))
    options = _options(location, parts)
    secure = parts.scheme == SECURE or _secure(location, options.get("secure", "false"))
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Address(
        location,
        f"{'https' if secure else 'http'}://{host}:{port}",
        collection,
        timeout=_timeout(location, options.get("timeout")),
        index_type=_index_type(location, options.get("index", "FLAT")),
        credentials=_credentials(environment, options.get("database"), secure=secure),
    )


def local_folder(location: str) -> Path:
    """The folder of Milvus Lite that a location names."""
    rest = location.partition("://")[2]
    return Path(_LITE_COLLECTION.sub("", rest))


def _local(location: str) -> Address:
    folder = local_folder(location)
    if folder.suffix != ".db":
        raise _refused(location, "the folder's name must end in .db", LOCAL_FORM)
    named = _LITE_COLLECTION.search(location)
    collection = _collection(location, named[1]) if named else "photos"
    return Address(location, str(folder), collection, folder=folder)


def _collection(location: str, name: str) -> str:
    if not _COLLECTION.fullmatch(name):
        raise _refused(
            location,
            "a collection is named by at most 200 letters, digits and underscores, "
            "and begins with no digit",
            SERVER_FORM,
        )
    return name


def _options(location: str, parts: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in options:
        if name not in _OPTIONS:
            raise _refused(location, f"there is no option {name}", f"one of {', '.join(_OPTIONS)}")
    return options


def _secure(location: str, value: str) -> bool:
    if value.lower() not in _YES_AND_NO:
        raise _refused(location, f"secure={value} is neither true nor false", "one of them")
    return _YES_AND_NO[value.lower()]


def _timeout(location: str, value: str | None) -> float:
    if value is None:
        return _TIMEOUT
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise _refused(location, f"timeout={value} is no number of seconds", "timeout=30")
    return seconds


def _index_type(location: str, value: str) -> str:
    if value.upper() not in INDEX_TYPES:
        raise _refused(location, f"index={value} is not known", f"one of {', '.join(INDEX_TYPES)}")
    return value.upper()


def _credentials(
    environment: Mapping[str, str], database: str | None, *, secure: bool
) -> dict[str, str]:
    token = environment.get("MILVUS_TOKEN")
    if not token and environment.get("MILVUS_USER"):
        token = f"{environment['MILVUS_USER']}:{environment.get('MILVUS_PASSWORD', '')}"
    certificate = environment.get("MILVUS_CERTIFICATE") if secure else None
    given = {"token": token, "db_name": database, "server_pem_path": certificate}
    return {name: value for name, value in given.items() if value}


def _refused(location: str, reason: str, cure: str) -> IndexFileError:
    return IndexFileError(f"cannot open {location}: {reason}; give {cure}")
