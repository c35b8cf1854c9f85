"""One large file from any static server: gone on with where it broke off, its hash checked."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from hafloc.errors import OptionError, OutputError, SourceError, reason_of
from hafloc.progress import Progress
from hafloc.sources.web import TryAgainError, Web, pieces, plain, too_long

_FORMAT = 1
_LARGEST_CATALOGUE = 16 * 2**20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HASH = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Shared:
    """An index that somebody shares: its `url`, how long it is and its hash, where stated."""

    name: str
    url: str
    bytes: int | None = None
    sha256: str | None = None
    title: str = ""
    licences: tuple[str, ...] = ()


def read_catalogue(location: str, web: Web) -> list[Shared]:
    """The indexes of a catalogue, which is JSON at an address or in a file (docs/share.md).

    Raises SourceError where it cannot be had, OptionError where it is no catalogue.
    """
    is_address = "://" in location
    content = web.json(location) if is_address else _of_file(Path(location))
    if not isinstance(content, dict) or content.get("hafloc_catalogue") != _FORMAT:
        raise OptionError(
            f"cannot read {location}: it is no catalogue of hafloc (format {_FORMAT}); "
            "docs/share.md says what one holds"
        )
    entries = content.get("indexes")
    try:
        return [_entry(entry, location if is_address else "") for entry in entries or ()]
    except (TypeError, KeyError, ValueError) as error:
        raise OptionError(
            f"cannot read {location}: {reason_of(error)}; docs/share.md says what an entry holds"
        ) from error


def stated_hash(url: str, web: Web) -> str | None:
    """The hash that a file "….sha256" beside the one at `url` states; None without one."""
    try:
        address, mark, query = url.partition("?")
        text = web.text(f"{address}.sha256{mark}{query}")
    except SourceError:
        return None
    found = text.split()[:1]
    return found[0].lower() if found and _HASH.fullmatch(found[0].lower()) else None


def download(shared: Shared, part: Path, web: Web, progress: Progress, most: int) -> str:
    """Bring a file to `part`, from where an earlier run left off; its SHA-256.

    An earlier run is gone on with only where the hash of the whole is known, which tells whether
    both pieces belong together. Raises SourceError where it cannot be had, is longer than `most`
    bytes or has another length or hash than stated (what has come is then deleted); OutputError
    where it cannot be written.
    """
    if shared.sha256 is None:
        part.unlink(missing_ok=True)
    most = min(most, shared.bytes or most)
    progress.start("downloading", shared.bytes or 0)
    try:
        web.tried(shared.url, lambda: _go_on(shared, part, web, progress, most))
        digest = sha256_of(part)
    except OSError as error:
        raise OutputError(
            f"cannot write {part}: {error.strerror or error}; free space or choose another place"
        ) from error
    problem = ""
    if shared.bytes is not None and part.stat().st_size != shared.bytes:
        problem = f"{part.stat().st_size:,} of {shared.bytes:,} bytes came"
    elif shared.sha256 is not None and digest != shared.sha256:
        problem = f"its SHA-256 is {digest[:12]}…, not {shared.sha256[:12]}… as stated"
    if problem:
        part.unlink()
        raise SourceError(
            f"cannot use {plain(shared.url)}: {problem}; it was deleted: run it again, or tell "
            "whoever shares it"
        )
    return digest


def _go_on(shared: Shared, part: Path, web: Web, progress: Progress, most: int) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have:
        whole = web.size(shared.url) if shared.bytes is None else shared.bytes
        if have == whole:
            return
        if whole is None or have > whole:
            have = 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    answer = web.answer("GET", shared.url, headers)
    have = _start(answer.status, answer.headers, have)
    if part.exists():
        os.truncate(part, have)
    length = answer.headers.get("Content-Length", "")
    expected = have + int(length) if length.isdecimal() else None
    _check_room(part, 0 if expected is None else expected - have)
    with part.open("ab") as file:
        for piece in pieces(answer):
            have += len(piece)
            if have > most:
                answer.close()
                raise too_long(shared.url, most)
            file.write(piece)
            progress.advance(have)
    if expected is not None and have < expected:
        raise TryAgainError(f"{have:,} of {expected:,} bytes came")


def _start(status: int, headers: Mapping[str, str], have: int) -> int:
    """Where an answer begins in the file; a server may begin before what was asked for."""
    if status != 206:
        return 0
    start = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if start.isdecimal() and int(start) <= have:
        return int(start)
    raise TryAgainError("the server sends another part than was asked for")


def _check_room(part: Path, wanted: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if wanted > free:
        raise OutputError(
            f"cannot write {part}: {wanted:,} bytes are to come and {free:,} are free; "
            "free space or choose another place"
        )


def sha256_of(path: Path) -> str:
    """The hash of a file, as 64 hexadecimal digits. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _of_file(path: Path) -> Any:
    try:
        if path.stat().st_size > _LARGEST_CATALOGUE:
            raise OptionError(f"cannot read {path}: it is too long for a catalogue; check the path")
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "it is not JSON"
        raise OptionError(f"cannot read {path}: {reason}; check the path") from error


def _entry(entry: Any, base: str) -> Shared:
    name, url = entry["name"], urljoin(base, str(entry["url"] or ""))
    if not isinstance(name, str) or not _NAME.fullmatch(name) or ".." in name:
        raise ValueError(f"the name {str(name)[:60]!r} is none; use letters, digits, . _ -")
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{name} has no http or https address")
    length, digest = entry.get("bytes"), str(entry.get("sha256") or "").lower()
    if not _HASH.fullmatch(digest):
        raise ValueError(f"{name} has no SHA-256 of 64 hexadecimal digits")
    if length is not None and (not isinstance(length, int) or length <= 0):
        raise ValueError(f"{name} has {length!r} bytes")
    licences = entry.get("licences") or ()
    return Shared(
        name,
        url,
        length,
        digest,
        str(entry.get("title") or ""),
        tuple(str(licence) for licence in licences),
    )
