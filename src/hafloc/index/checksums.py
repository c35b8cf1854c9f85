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
# For each table of blobs: what else its checksum covers, the checksum, and what messages call it.
_SEALED = {
    "descriptors": ("(SELECT geom FROM photos WHERE id = held.photo_id)", "vector", "its vector"),
    "regions": ("NULL", "regions", "the vectors of its regions"),
    "local_features": ("NULL", "features", "its key points"),
}


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
    told = sorted((str(key), str(value)) for key, value in settings.items() if key != KEY)
    text = "\x1f".join(f"{key}\x1e{value}" for key, value in told)
    return str(zlib.crc32(text.encode("utf-8", "surrogatepass")))


def seal_settings(connection: sqlite3.Connection) -> None:
    """Write the checksum of the settings as they are, in the transaction at hand."""
    settings = dict(connection.execute("SELECT key, value FROM hafloc"))
    connection.execute("INSERT OR REPLACE INTO hafloc VALUES (?, ?)", (KEY, of_settings(settings)))


def check_settings(settings: Mapping[str, str], file: object) -> None:
    """Raises IndexFileError where the settings of `file` are not those that were written."""
    texts = all(isinstance(part, str) for item in settings.items() for part in item)
    if not texts or (KEY in settings and settings[KEY] != of_settings(settings)):
        raise IndexFileError(
            f"cannot open {file}: it is damaged: its settings do not match their checksum; restore "
            "a copy or rebuild it with `hafloc index build`"
        )


def check_row(id_: int, values: Sequence[Any], wanted: int | None, file: object) -> None:
    """Raises IndexFileError where a photo's row does not have the checksum; None is not checked."""
    if wanted is not None and of_row(id_, values) != wanted:
        raise damaged(id_, "what is stored of it", file)


def blob_query(table: str, column: str, *, known: bool) -> tuple[str, str]:
    """What asks a table for the blobs of photos, with all that `checked` needs; the parameter is
    their ids in JSON. And what messages call them. `known`: whether the file has checksums."""
    place, name, what = _SEALED[table]
    sealed = f"(SELECT {name} FROM checksums WHERE photo_id = asked.value)"
    query = (
        f"SELECT asked.value, {place if known else 'NULL'}, {column}, "
        f"{sealed if known else 'NULL'} FROM json_each(?) AS asked "
        f"LEFT JOIN {table} AS held ON held.photo_id = asked.value"
    )
    return query, what


def checked(
    found: Iterable[tuple[int, Any, Any, int | None]], what: str, file: object
) -> dict[int, bytes]:
    """The blobs by id that `blob_query` finds. Raises IndexFileError for one that is not what was
    stored, or is gone: that has a checksum still."""
    blobs = {}
    for id_, geometry, blob, wanted in found:
        if blob is None and wanted is None:
            continue
        whole = isinstance(blob, bytes)
        if not whole or (wanted is not None and of_blobs(id_, geometry, blob) != wanted):
            raise damaged(id_, what, file)
        blobs[id_] = blob
    return blobs


def check_vectors(found: Iterable[tuple[int, Any, Any, int | None]], file: object) -> None:
    """As `checked`, of ids, geometries, vectors and checksums of many photos, in little time."""
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
