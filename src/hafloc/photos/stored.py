"""The bytes of a photo, by path or URL: a regular file, never above a bound, errors by name."""

import errno
import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hafloc.errors import PhotoError
from hafloc.photos.formats import VIDEO_SUFFIXES
from hafloc.photos.remote import PhotoFile, PhotoUrl, RemoteError

# The largest files of cameras (150 megapixels, three channels of 16 bits) have 0.9 GB.
MAX_BYTES = 1_000_000_000

_CHUNK = 1 << 20
# Never wait for a pipe's writer; Windows needs to be told that bytes are meant.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_REASONS = {
    errno.ENOENT: "there is no such file; check the path",
    errno.ENOTDIR: "there is no such file; check the path",
    errno.EISDIR: "it is a folder; give a photo",
    errno.ELOOP: "the link leads back to itself; remove it",
    errno.ENAMETOOLONG: "its name is too long; shorten it",
    errno.EIO: "the drive reports an error; check the drive and copy the file again",
    errno.ESTALE: "the network drive has lost it; connect the drive again",
}


def content(path: PhotoFile | str) -> str:
    """What identifies a file's bytes: hex BLAKE2b of 16 bytes. Raises PhotoError.

    A film may be larger than any photo.
    """
    digest = hashlib.blake2b(digest_size=16)
    path = Path(path) if isinstance(path, str) else path
    is_film = isinstance(path, Path) and path.suffix.lower() in VIDEO_SUFFIXES
    for chunk in _chunks(path, any_size=is_film):
        digest.update(chunk)
    return digest.hexdigest()


def content_of(data: bytes) -> str:
    """As `content`, of bytes that are read already."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def file_bytes(path: PhotoFile) -> bytes:
    """All bytes of a regular file or behind a URL, at most MAX_BYTES. Raises PhotoError."""
    return b"".join(_chunks(path))


def file_start(path: Path, length: int) -> bytes:
    """The first bytes of a regular file, at most `length` of them. Raises PhotoError."""
    data = bytearray()
    for chunk in _chunks(path, any_size=True):
        data += chunk
        if len(data) >= length:
            break
    return bytes(data[:length])


def reason(error: OSError | ValueError) -> str:
    """Why something cannot be read, and what to do, for a message after "cannot read X: "."""
    # ValueError: a name with a NUL, or one that the file system cannot encode.
    if not isinstance(error, OSError):
        return f"no file can have this name ({str(error)[:80]}); check the path"
    if isinstance(error, RemoteError):
        return str(error.strerror)
    known = _REASONS.get(error.errno or 0)
    return known or f"{error.strerror or error}; check its permissions"


def shown(path: PhotoFile | str) -> str:
    """A path for a message of one line: what would break the line or the output is escaped."""
    return "".join(
        ascii(letter)[1:-1] if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") else letter
        for letter in str(path)
    )


def too_large(name: str) -> PhotoError:
    """The error of a file with more than MAX_BYTES."""
    return PhotoError(
        f"cannot read {name}: it has more than {MAX_BYTES:,} bytes, which no photo has; "
        "give a photo"
    )


def _chunks(path: PhotoFile, *, any_size: bool = False) -> Iterator[bytes]:
    name = shown(path)
    try:
        if isinstance(path, PhotoUrl):
            data = path.read_bytes()
            if len(data) > MAX_BYTES:
                raise too_large(name)
            yield data
            return
        with _open(path, any_size) as file:
            total = 0
            while chunk := file.read(_CHUNK):
                total += len(chunk)
                if total > MAX_BYTES and not any_size:
                    raise too_large(name)
                yield chunk
    except (OSError, ValueError) as error:
        raise PhotoError(f"cannot read {name}: {reason(error)}") from error


def _open(path: Path, any_size: bool) -> BinaryIO:
    # Looked at before it is opened, for opening a device can do something; and looked at again
    # when open, for the name may mean another file by then.
    check = _check_kind if any_size else _check
    check(path.stat(), path)
    descriptor = os.open(path, _FLAGS)
    try:
        check(os.fstat(descriptor), path)
        return os.fdopen(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def _check(status: os.stat_result, path: Path) -> None:
    _check_kind(status, path)
    if status.st_size > MAX_BYTES:
        raise too_large(shown(path))


def _check_kind(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(status.st_mode):
        kind = next((words for test, words in _KINDS if test(status.st_mode)), "something else")
        raise PhotoError(
            f"cannot read {shown(path)}: it is not a regular file but {kind}; give a photo's file"
        )
