"""Memory-mapped files beside a large database, which hold what search needs of it.

Reading the vectors of a million photos out of a GeoPackage takes half a minute. So they are kept in
a folder beside it, `city.gpkg-search`, in the form in which search reads them:

- `rows-TOKEN`: the stored vectors, one after another, int8 as `first_look.to_bytes` makes it; only
  ever appended to; `approximate-TOKEN` where a search of FAISS was chosen (`approximate.py`);
- `photos`: JSON in one line (format, how far it follows the database, checksum of all else, and sum
  of the rows, read as whole numbers), then
  for each photo by ascending id its id, latitude, longitude, the scale of its vector and the row
  that the vector is in. It is written whole, and says which rows count.

The database stays the truth. Its table `changes` says what happened since the folder was made:
what was added or changed is appended, what was removed is left out of `photos`. A folder that is
damaged, of another database or far behind is made anew. Whoever cannot read or write it does
without.
"""

import json
import logging
import os
import secrets
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from hafloc.errors import OutputError
from hafloc.files import whole_file
from hafloc.index import first_look
from hafloc.index import vectors as stored

log = logging.getLogger(__name__)

FORMAT = 3
# Databases of fewer photos are read in a moment.
WORTH = 20_000
# Rows that no photo counts any more are dropped when they are more than this share.
_DEAD = 0.25
# Vectors compared with the database's own when the folder is opened.
_COMPARED = 16
_LOCK_SECONDS = 0.0
# Rows summed at a time.
_SUMMED = 65_536

PHOTO = np.dtype(
    [("id", "<i8"), ("lat", "<f8"), ("lon", "<f8"), ("scale", "<f4"), ("row", "<u4")]
)  # fmt: skip
Photos = NDArray[np.void]
Rows = NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class State:
    """How far something follows a database: the number and tag of the last change it knows."""

    number: int
    tag: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Photos as the database has them: ids `[N]`, latitudes, longitudes, stored rows `[N, D]`."""

    ids: NDArray[np.int64]
    lats: NDArray[np.float64]
    lons: NDArray[np.float64]
    rows: Rows


@dataclass(frozen=True, slots=True)
class Companion:
    """What the folder holds: `photos` `[N]` by ascending id, and the `rows` `[R, D]` they count."""

    state: State
    token: str
    photos: Photos
    rows: Rows


class _UselessError(Exception):
    """The folder cannot serve: why."""


# The photos of these ids, or all, in batches by ascending id.
Read = Callable[[Sequence[int] | None], Iterator[Batch]]


class CompanionFolder:
    """The folder beside the database `file`, whose vectors have `dimension` entries of a type."""

    def __init__(self, file: Path, vector_type: str, dimension: int) -> None:
        self.folder = file.with_name(f"{file.name}-search")
        self._is_bytes = stored.stored_dtype(vector_type) == np.int8
        self._dtype = np.dtype(np.uint8) if self._is_bytes else stored.stored_dtype(vector_type)
        self._dimension = dimension
        self._told = False

    def current(self, connection: sqlite3.Connection, read: Read) -> Companion | None:
        """The companion as of now, brought up to date or made; None where that cannot be.

        Within one transaction of `connection`, so that all of it is of one moment.
        """
        state = last_change(connection)
        try:
            found = self._open(connection, read)
        except FileNotFoundError:
            found = None
        except (OSError, _UselessError) as error:
            found = None
            self._tell(f"{self.folder} is made anew: {error}")
        if found is not None and found.state == state:
            return found
        try:
            self.folder.mkdir(exist_ok=True)
            with FileLock(self.folder / "lock", timeout=_LOCK_SECONDS):
                if found is not None:
                    found = self._follow(connection, found, state, read)
                return found or self._make(state, read)
        except Timeout:  # another makes it
            return None
        except (OSError, NotImplementedError, OutputError) as error:
            self._tell(f"searching without {self.folder}, which cannot be written: {error}")
            return None

    def facts(self, connection: sqlite3.Connection) -> dict[str, str | int]:
        """What there is to say of the folder: how it stands to the database, and its bytes."""
        try:
            taken = sum(file.stat().st_size for file in self.folder.iterdir())
            head = self._read_photos()[0]
        except FileNotFoundError:
            return {"companion": "none"}
        except (OSError, _UselessError) as error:
            return {"companion": f"of no use: {error}"}
        state = State(int(head["number"]), int(head["tag"]))
        if state == last_change(connection):
            how = "up to date"
        elif _happened(connection, state):
            how = f"{len(_changed_since(connection, state)):,} changes behind"
        else:
            how = "of no use: it belongs to another database"
        return {"companion": how, "companion_bytes": taken}

    def rows(self) -> tuple[str, int]:
        """The token of its rows and how many there are; no token where it cannot be read."""
        try:
            head = self._read_photos()[0]
        except (OSError, _UselessError):
            return "", 0
        return str(head["token"]), int(head["rows"])

    def remove(self) -> None:
        """Delete the folder, where it is there and holds nothing else."""
        with suppress(OSError):
            for name in ("rows-*", "approximate*", "photos", "lock"):
                for file in self.folder.glob(name):
                    file.unlink()
            self.folder.rmdir()

    def _kept(self, batch: Batch) -> Rows:
        """The rows of a batch as the folder keeps them."""
        return first_look.to_bytes(batch.rows) if self._is_bytes else batch.rows

    def _tell(self, what: str) -> None:
        if not self._told:
            log.warning("%s", what)
        self._told = True

    def _open(self, connection: sqlite3.Connection, read: Read) -> Companion:
        head, photos = self._read_photos()
        token, state = str(head["token"]), State(int(head["number"]), int(head["tag"]))
        if not _happened(connection, state):
            raise _UselessError("it belongs to another database")
        rows = self._map(token, int(head["rows"]))
        if _sum(rows) != head["sum"]:
            raise _UselessError("it is damaged")
        if len(photos) and int(photos["row"].max()) >= len(rows):
            raise _UselessError("it is damaged")
        found = Companion(state, token, photos, rows)
        self._compare(found, connection, read)
        return found

    def _read_photos(self) -> tuple[dict[str, str | int], Photos]:
        content = (self.folder / "photos").read_bytes()
        line, _, rest = content.partition(b"\n")
        try:
            head = json.loads(line)
            known = (head["format"], head["type"], head["dimension"])
            sound = head.pop("checksum") == _checksum(head, rest)
        except (ValueError, KeyError, TypeError) as error:
            raise _UselessError("it is damaged") from error
        if known != (FORMAT, self._dtype.str, self._dimension):
            raise _UselessError("it is of another format")
        if not sound:
            raise _UselessError("it is damaged")
        return head, np.frombuffer(rest, PHOTO)

    def _map(self, token: str, count: int) -> Rows:
        file = self.folder / f"rows-{token}"
        if count == 0:
            return np.empty((0, self._dimension), self._dtype)
        try:
            return np.memmap(file, self._dtype, "r", shape=(count, self._dimension))
        except (OSError, ValueError) as error:
            raise _UselessError("its vectors are gone or cut off") from error

    def _compare(self, found: Companion, connection: sqlite3.Connection, read: Read) -> None:
        """Some photos with those of the database; all that changed since are left out."""
        if not len(found.photos):
            return
        changed = set(_changed_since(connection, found.state))
        step = max(1, len(found.photos) // _COMPARED)
        some = found.photos[::step]
        some = some[[int(id_) not in changed for id_ in some["id"]]]
        for batch in read(some["id"].tolist()):
            kept = some[np.searchsorted(some["id"], batch.ids)]
            places = np.stack([kept["lat"], kept["lon"]]) == np.stack([batch.lats, batch.lons])
            if not (places.all() and np.array_equal(found.rows[kept["row"]], self._kept(batch))):
                raise _UselessError("it is damaged")

    def _follow(
        self, connection: sqlite3.Connection, found: Companion, state: State, read: Read
    ) -> Companion | None:
        """Append what changed; None where making all anew is better."""
        head, photos = self._read_photos()  # another may have followed meanwhile
        found = Companion(
            State(int(head["number"]), int(head["tag"])),
            str(head["token"]),
            photos,
            self._map(str(head["token"]), int(head["rows"])),
        )
        if found.state == state:
            return found
        changed = np.array(sorted(_changed_since(connection, found.state)), dtype=np.int64)
        count = len(found.rows) + len(changed)
        sum_ = int(head["sum"])
        left = found.photos[~np.isin(found.photos["id"], changed)]
        if count > (1 + _DEAD) * (len(left) + len(changed)) or 2 * len(changed) > count:
            return None
        file = self.folder / f"rows-{found.token}"
        new = [left]
        used = len(found.rows)
        with file.open("r+b") as rows:
            rows.seek(used * self._dimension * self._dtype.itemsize)
            for batch in read(changed.tolist()):
                kept = self._kept(batch)
                rows.write(kept.tobytes())
                sum_ += _sum(kept)
                new.append(_photos(batch, used))
                used += len(batch.ids)
            rows.truncate()
            rows.flush()
            os.fsync(rows.fileno())
        together = np.concatenate(new)
        together = together[np.argsort(together["id"], kind="stable")]
        return self._write(state, found.token, together, used, sum_)

    def _make(self, state: State, read: Read) -> Companion:
        token = secrets.token_hex(8)
        used, sum_, photos = 0, 0, [np.empty(0, PHOTO)]
        with whole_file(self.folder / f"rows-{token}") as rows:
            for batch in read(None):
                kept = self._kept(batch)
                rows.write(kept.tobytes())
                sum_ += _sum(kept)
                photos.append(_photos(batch, used))
                used += len(batch.ids)
        made = self._write(state, token, np.concatenate(photos), used, sum_)
        for old in self.folder.glob("rows-*"):
            if old.name != f"rows-{token}":
                with suppress(OSError):  # Windows deletes none that another has open
                    old.unlink()
                with suppress(OSError):
                    (self.folder / old.name.replace("rows", "approximate")).unlink()
        return made

    def _write(self, state: State, token: str, photos: Photos, rows: int, sum_: int) -> Companion:
        content = photos.tobytes()
        head: dict[str, str | int] = {
            **{"format": FORMAT, "type": self._dtype.str, "dimension": self._dimension},
            **{"number": state.number, "tag": state.tag, "token": token, "rows": rows},
            "sum": sum_ % 2**64,
        }
        head["checksum"] = _checksum(head, content)
        with whole_file(self.folder / "photos") as file:
            file.write(json.dumps(head).encode() + b"\n")
            file.write(content)
        return Companion(state, token, photos, self._map(token, rows))


def _checksum(head: dict[str, str | int], rest: bytes) -> int:
    return zlib.crc32(rest, zlib.crc32(json.dumps(head, sort_keys=True).encode()))


def _sum(rows: Rows) -> int:
    """The bytes of rows as whole numbers, added up modulo 2⁶⁴: any of them that changes is noticed.

    A gigabyte takes as long as reading it, a tenth of a CRC's time.
    """
    flat = rows.reshape(len(rows), -1).view(np.uint8) if len(rows) else np.empty((0, 8), np.uint8)
    width = next(size for size in (8, 4, 2, 1) if flat.shape[1] % size == 0)
    total = 0
    for start in range(0, len(flat), _SUMMED):
        part = flat[start : start + _SUMMED].view(f"<u{width}")
        total += int(part.sum(dtype=np.uint64))
    return total % 2**64


def last_change(connection: sqlite3.Connection) -> State:
    """The state of a database."""
    query = "SELECT number, tag FROM changes ORDER BY number DESC LIMIT 1"
    return State(*connection.execute(query).fetchone())


def _happened(connection: sqlite3.Connection, state: State) -> bool:
    query = "SELECT tag FROM changes WHERE number = ?"
    return bool(connection.execute(query, (state.number,)).fetchone() == (state.tag,))


def _changed_since(connection: sqlite3.Connection, state: State) -> list[int]:
    query = "SELECT DISTINCT photo_id FROM changes WHERE number > ?"
    return [id_ for (id_,) in connection.execute(query, (state.number,))]


def _photos(batch: Batch, first_row: int) -> Photos:
    photos = np.empty(len(batch.ids), PHOTO)
    photos["id"], photos["lat"], photos["lon"] = batch.ids, batch.lats, batch.lons
    photos["scale"] = 1 / stored.lengths(batch.rows)
    photos["row"] = np.arange(first_row, first_row + len(batch.ids))
    return photos
