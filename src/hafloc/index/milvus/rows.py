"""Photos as rows of the collection, and back."""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hafloc.description import LocalFeatures
from hafloc.errors import IndexFileError, PositionError
from hafloc.geo import Position
from hafloc.index import local_features as compact
from hafloc.index import vectors as stored
from hafloc.index.milvus.cells import cells
from hafloc.index.records import Held, Record

Row = dict[str, Any]

# How the vectors of regions are stored, as in a GeoPackage.
REGION_TYPE = "int8"
# The engine's own bound of a text, in bytes.
LONGEST_TEXT = 65_535
LONGEST_PATH, LONGEST_CONTENT = 8_192, 512
_FACTS = (
    *("width", "height", "source", "heading", "altitude", "magnetic", "accuracy"),
    *("gps_status", "bytes", "modified", "stated", "licence", "producer", "source_url"),
)
RECORD = ("id", "path", "content", "lat", "lon", "facts")


def key(text: str, attempt: int = 0) -> int:
    """A number of 63 bits that stands for a text; another for each further `attempt`.

    Rows are found by such numbers, not by the texts, so that no text is ever part of a filter.
    """
    data = text.encode() + (attempt.to_bytes(4, "big") if attempt else b"")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") >> 1


def of_record(record: Record) -> Row:
    """The columns that hold what a record says. Raises ValueError for what no column can."""
    for name, text, most in (
        ("path", record.path, LONGEST_PATH),
        ("content", record.content, LONGEST_CONTENT),
    ):
        if not isinstance(text, str):
            raise ValueError(f"a photo without {name}")
        if len(text.encode()) > most:
            raise ValueError(f"the {name} of {text[:40]}… is longer than {most:,} bytes")
    facts = {name: getattr(record, name) for name in _FACTS}
    facts["time"] = None if record.time is None else record.time.isoformat()
    place = record.position
    return {
        "path": record.path,
        "content": record.content,
        "path_key": key(record.path),
        "content_key": key(record.content),
        "lat": place.lat,
        "lon": place.lon,
        "cell": int(cells(place.lat, place.lon)),
        "facts": facts,
    }


def record(row: Mapping[str, Any], location: str) -> Record:
    """The record of a row. Raises IndexFileError where it holds what no record can."""
    try:
        facts = dict(row["facts"])
        time = facts.pop("time")
        return Record(
            path=row["path"],
            content=row["content"],
            position=Position(lat=float(row["lat"]), lon=float(row["lon"])),
            id=int(row["id"]),
            time=None if time is None else datetime.fromisoformat(time),
            **facts,
        )
    except (ValueError, TypeError, KeyError, PositionError) as error:
        raise unreadable(row, location, error) from error


def held(row: Mapping[str, Any], location: str) -> Held:
    """What a scan is compared with, of a row."""
    try:
        facts = row["facts"]
        known = facts["bytes"], facts["modified"], facts["stated"]
        return Held(int(row["id"]), row["path"], row["content"], *known)
    except (TypeError, KeyError) as error:
        raise unreadable(row, location, error) from error


def unreadable(row: Mapping[str, Any], location: str, reason: object) -> IndexFileError:
    return IndexFileError(
        f"cannot read photo {row.get('id')} ({row.get('path')}) of {location}: {reason}; remove "
        "it with `hafloc index remove` and add it again"
    )


def rounded(vectors: NDArray[np.float32], vector_type: str) -> NDArray[np.float32]:
    """Unit vectors as a GeoPackage of that type gives them back: answers are the same then."""
    return stored.unit(stored.stack(stored.encode(vectors, vector_type), vector_type))


def floats(rows: Iterable[Mapping[str, Any]], dimension: int) -> NDArray[np.float32]:
    """The vectors of rows, `[N, D]`."""
    found = [np.asarray(row["vector"], dtype=np.float32) for row in rows]
    return np.stack(found) if found else np.empty((0, dimension), dtype=np.float32)


def of_regions(regions: NDArray[np.float32]) -> str:
    """The text of one photo's vectors of regions `[R, D]`."""
    return _text(b"".join(stored.encode(regions, REGION_TYPE))) if len(regions) else ""


def regions(row: Mapping[str, Any], shape: tuple[int, int], location: str) -> NDArray[np.float32]:
    """The vectors of a photo's regions `[R, D]`; raises IndexFileError where they are damaged."""
    if not shape[0]:
        return np.empty(shape, dtype=np.float32)
    blob = _blob(row, "regions", location)
    if len(blob) != shape[0] * shape[1]:
        expected = shape[0] * shape[1]
        raise unreadable(row, location, f"regions of {len(blob):,} bytes, not {expected:,}")
    return stored.unit(np.frombuffer(blob, np.int8).reshape(shape))


def of_features(features: LocalFeatures | None) -> str:
    """The text of one photo's local features; empty for None."""
    return "" if features is None else _text(compact.encode(features))


def features(row: Mapping[str, Any], location: str) -> LocalFeatures | None:
    """The local features of a row; raises IndexFileError where they are damaged."""
    blob = _blob(row, "features", location)
    if not blob:
        return None
    if problem := compact.find_problem(blob):
        raise unreadable(row, location, problem)
    return compact.decode(blob)


def text_bytes(blob_bytes: int) -> int:
    """How long the text of so many bytes is."""
    return 4 * ((blob_bytes + 2) // 3)


def _text(blob: bytes) -> str:
    return base64.b64encode(blob).decode("ascii")


def _blob(row: Mapping[str, Any], column: str, location: str) -> bytes:
    try:
        return base64.b64decode(row[column], validate=True)
    except binascii.Error as error:
        raise unreadable(row, location, f"{column}: {error}") from error


def problems_of(row: Mapping[str, Any], shape: tuple[int, int], location: str) -> list[str]:
    """What is wrong with a whole row of R regions and D dimensions, in words."""
    photo = f"photo {row['id']} ({row['path']})"
    found = []
    for read in (
        lambda: record(row, location),
        lambda: regions(row, shape, location),
        lambda: features(row, location),
    ):
        try:
            read()
        except IndexFileError as error:
            found.append(str(error))
    if (row["path_key"], row["content_key"]) != (key(row["path"]), key(row["content"])):
        found.append(f"{photo} is not found by its path or content; add it again")
    elif not found and row["cell"] != int(cells(row["lat"], row["lon"])):
        found.append(f"{photo} lies outside its cell; add it again")
    vector = np.asarray(row["vector"], dtype=np.float32)
    if vector.shape != (shape[1],) or not abs(float(np.linalg.norm(vector)) - 1) <= 1e-3:
        found.append(f"{photo} has a vector that is no direction; add it again")
    if bool(row["verifiable"]) != bool(row["features"]):
        found.append(f"{photo} is counted wrongly among the verifiable; add it again")
    return found


def missing(id_: int | None, location: str) -> IndexFileError:
    return IndexFileError(
        f"there is no photo {id_} in {location}; `hafloc index verify` checks the collection"
    )


def chosen(column: str, numbers: Sequence[int]) -> str:
    """The filter of rows whose column is one of these numbers."""
    return f"{column} in [{','.join(str(int(number)) for number in numbers)}]"
