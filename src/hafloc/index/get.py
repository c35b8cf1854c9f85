"""Download an index that somebody shares, and let it in only when it is nothing else."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from hafloc.errors import HaflocError, OptionError, OutputError
from hafloc.index.bundle import check_bundle
from hafloc.progress import Progress, Silent

if TYPE_CHECKING:  # what reads the web is an extra
    from hafloc.sources import Shared, Web

# A city of a million photos has some 40 GB with key points.
LARGEST = 200 * 10**9


def get_index(shared: "Shared", target: Path, web: "Web", progress: Progress | None = None) -> str:
    """Download `shared` to `target`, which appears once all of it has been looked at; its SHA-256.

    What an interrupted download has brought is gone on with, and a `target` that is whole stays.
    Raises OptionError where something else is there, SourceError where it cannot be had or is not
    what was stated, OutputError where it cannot be written, IndexFileError where it is no index or
    more than one.
    """
    from hafloc.sources import download

    if target.exists():
        return _whole(shared, target)
    if not target.absolute().parent.is_dir():
        raise OutputError(f"cannot write {target}: there is no folder {target.parent}; make it")
    key = hashlib.blake2b(f"{shared.url} {shared.sha256}".encode(), digest_size=6).hexdigest()
    part = target.with_name(f".{key}.part")
    with _alone(part, target):
        digest = download(shared, part, web, progress or Silent(), LARGEST)
        try:
            check_bundle(part, f"what {shared.url.partition('?')[0]} gives")
        except HaflocError:
            part.unlink()
            raise
        part.replace(target)
    return digest


def _whole(shared: "Shared", target: Path) -> str:
    """The hash of what is there already. Raises OptionError unless it is what is shared."""
    from hafloc.sources import sha256_of

    cure = "choose another name with --out, or remove it"
    if shared.sha256 is None:
        raise OptionError(
            f"cannot write {target}: it exists already, and nobody states the hash of what is "
            f"shared, to compare; {cure}"
        )
    if not target.is_file():
        raise OptionError(f"cannot write {target}: it is no file; choose another name with --out")
    try:
        digest = sha256_of(target)
    except OSError as error:
        raise OptionError(
            f"cannot read {target}: {error.strerror or error}; choose another name with --out"
        ) from error
    if digest != shared.sha256:
        raise OptionError(
            f"cannot write {target}: it exists already and is not what is shared now, by its "
            f"SHA-256 (one of the two has changed since); {cure}"
        )
    return digest


@contextmanager
def _alone(part: Path, target: Path) -> Iterator[None]:
    """Hold `part` for this process. Raises OutputError while another downloads the same."""
    lock = FileLock(part.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
        try:
            yield
        finally:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
    except Timeout as error:
        raise OutputError(
            f"cannot write {target}: another process is downloading it; wait for it"
        ) from error
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {error.strerror or error}; choose another place"
        ) from error
