"""Checksums of what an index stores, so that a byte that flips on a disk changes no answer unseen.

SQLite notices damage to its own structure, not to what rows hold. So each photo has four CRC-32
(table `checksums`): of its row, of its vector with its position, of its regions' vectors and of its
key points, each begun with the photo's id, so that rows cannot be taken for each other. Whatever is
read is compared. Photos of files from before format 7 have none; and where a GIS or another program
changes a row, a trigger forgets its checksum. The settings have one together, under the key
`checksum`.
"""

import sqlite3
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hafloc.errors import IndexFileError

# The first format that has them.
SINCE = 7
KEY = "checksum"
_ID = 0xFFFF_FFFF


def of_blobs(id_: int, *blobs: bytes | None) -> int:
    """The checksum of a photo's blobs, one after another; what is no blob has another than any."""
    value = id_ & _ID
    for blob in blobs:
        value = zlib.crc32(blob or b"", value) if isinstance(blob, bytes | None) else -1
    return value


def of_row(id_: int, values: Iterable[Any]) -> int:
    """The checksum of a photo's row, whose values are as SQLite gives them."""
    return zlib.crc32(b"\x1f".join(map(_plain, values)), id_ & _ID)


def of_settings(settings: Mapping[str, str]) -> str:
    """The checksum of all settings but itself, as text."""
    told = sorted((key, value) for key, value in settings.items() if key != KEY)
    text = "\x1f".join(f"{key}\x1e{value}" for key, value in told)
    return str(zlib.crc32(text.encode("utf-8", "surrogatepass")))


def seal_settings(connection: sqlite3.Connection) -> None:
    """Write the checksum of the settings as they are, in the transaction at hand."""
    settings = dict(connection.execute("SELECT key, value FROM hafloc"))
    connection.execute("INSERT OR REPLACE INTO hafloc VALUES (?, ?)", (KEY, of_settings(settings)))


def check_settings(settings: Mapping[str, str], file: object) -> None:
    """Raises IndexFileError where the settings of `file` are not those that were written."""
    if KEY in settings and settings[KEY] != of_settings(settings):
        raise IndexFileError(
            f"cannot open {file}: it is damaged: its settings do not match their checksum; restore "
            "a copy or rebuild it with `hafloc index build`"
        )


def check_row(id_: int, values: Sequence[Any], wanted: int | None, file: object) -> None:
    """Raises IndexFileError where a photo's row does not have the checksum; None is not checked."""
    if wanted is not None and of_row(id_, values) != wanted:
        raise damaged(id_, "what is stored of it", file)


def check_blobs(
    id_: int, blobs: Sequence[bytes | None], wanted: int | None, what: str, file: object
) -> None:
    """Raises IndexFileError where a photo's blobs do not have the checksum; None: not checked."""
    if wanted is not None and of_blobs(id_, *blobs) != wanted:
        raise damaged(id_, what, file)


def check_vectors(found: Iterable[tuple[int, Any, Any, int | None]], file: object) -> None:
    """As `check_blobs`, of many photos' ids, geometries, vectors and checksums, in little time."""
    crc = zlib.crc32
    for id_, geometry, vector, wanted in found:
        try:
            if wanted is not None and crc(vector, crc(geometry or b"", id_ & _ID)) != wanted:
                raise damaged(id_, "its vector", file)
        except TypeError:  # no blob
            raise damaged(id_, "its vector", file) from None


def damaged(id_: int, what: str, file: object) -> IndexFileError:
    """The error of a photo whose bytes are not those that were written."""
    return IndexFileError(
        f"photo {id_} of {file} is damaged: {what} does not match its checksum; restore a copy, or "
        "remove it with `hafloc index remove` and add it again"
    )


def _plain(value: Any) -> bytes:
    if value is None:
        return b"-"
    if isinstance(value, bytes):
        return b"b" + value
    if isinstance(value, str):
        return b"s" + value.encode("utf-8", "surrogatepass")
    # SQLite gives a whole number of a column of floats as either, by how it was asked.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return b"n" + repr(value).encode()
