"""Downloads that go on where they stopped and are checked against their hash."""

import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from hafloc.errors import EvaluationError, OutputError
from hafloc.evaluate.data_sets.pins import changed, pinned, sha256
from hafloc.progress import Progress

_CHUNK = 1 << 20
_TIMEOUT = 30  # seconds without a byte
_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Remote:
    """A public file: `url`, the `name` it gets, its `sha256` in hex, or None where its publisher
    states none."""

    url: str
    name: str
    sha256: str | None = None


def download(remote: Remote, folder: Path, progress: Progress) -> Path:
    """Fetch a file into `folder`, from where an earlier attempt stopped; nothing if it is there.

    Until its hash is right the file is called `.part`; where no hash is known, that of the file
    that was here before counts (see pins.py). Raises EvaluationError naming file and
    address when it cannot be had or has another content; OutputError when it cannot be written.
    """
    target, part = folder / remote.name, folder / f"{remote.name}.part"
    if target.is_file():
        _check(remote, target, target)
        return target
    trouble: Exception | None = None
    for _ in range(_ATTEMPTS):
        try:
            if _continue(remote, part, progress):
                break
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
            trouble = error
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                break
        except ConnectionError as error:
            trouble = error
        except OSError as error:
            raise OutputError(f"cannot write {part}: {error.strerror}; free space") from error
    else:
        trouble = trouble or EvaluationError("the connection ends early")
    if trouble is not None and not _is_whole(remote, part):
        raise EvaluationError(
            f"cannot download {remote.url}: {trouble}; run it again to go on, or fetch "
            f"{remote.name} by hand"
        )
    _check(remote, part, target)
    part.replace(target)
    return target


def _is_whole(remote: Remote, part: Path) -> bool:
    return remote.sha256 is not None and part.is_file() and sha256(part) == remote.sha256


def _continue(remote: Remote, part: Path, progress: Progress) -> bool:
    """Append what is missing; whether all is there."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(remote.url)
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        # The range starts at the end: all is there already.
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return True
        raise
    with answer:
        if have and answer.status != http.client.PARTIAL_CONTENT:
            have = 0  # a server that does not know ranges starts anew
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else 0
        progress.start(f"downloading {remote.name}", total)
        with part.open("ab" if have else "wb") as file:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                have += len(chunk)
                progress.advance(have)
    return have >= total


def _check(remote: Remote, path: Path, target: Path) -> None:
    """Raises EvaluationError where `path` is not what belongs at `target`; removes a bad part."""
    known = remote.sha256
    if known is None and path != target:
        known = pinned(target)
    if known is None:
        return
    found = sha256(path)
    if found == known:
        return
    if path != target:
        path.unlink()
    if remote.sha256 is None:
        raise EvaluationError(changed(target, found, known))
    raise EvaluationError(
        f"{path.name} from {remote.url} has SHA-256 {found[:16]}…, not "
        f"{known[:16]}…; it is damaged or of another version: remove it and run again"
    )
