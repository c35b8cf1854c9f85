"""Photos stored and removed through the server: one writer at a time, told only when it is kept."""

import math
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from hafloc.errors import HaflocError, IndexBusyError, PositionError
from hafloc.files import make_folder, write_whole
from hafloc.geo import Position
from hafloc.index import Entry, GeoIndex, Record, add_all, model_info, open_index, where_and_when
from hafloc.locate import Localizer
from hafloc.photos import (
    GivenFile,
    Metadata,
    Photo,
    file_name,
    part_name,
    read_photos,
)
from hafloc.serve.databases import Database
from hafloc.serve.problems import BAD_PARAMETER, NOT_FOUND, Problem
from hafloc.serve.uploads import Upload

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")
_LONGEST_STEM = 60
# Letters of what identifies a photo in its file's name.
_TOLD = 12
# How long one of our requests waits for another's turn to end.
_TURN_S = 20.0


@dataclass(frozen=True, slots=True)
class Stored:
    """The records of a photo (several of a panorama), and whether they are `new`."""

    records: list[Record]
    new: bool


class Writer:
    """Writes to the databases of this server: its own requests take turns."""

    def __init__(self, folder: Path | None, databases: Iterable[Database] = ()) -> None:
        self._folder = folder
        self._databases = databases
        self._turn = threading.Lock()

    def store(
        self, database: Database, localizer: Localizer, upload: Upload, fields: Mapping[str, str]
    ) -> Stored:
        """Describe a photo and store it; one whose very bytes are there already stays as it is.

        When it returns, the photo is in the database, whatever ends the server. Raises PhotoError,
        PositionError without a position, IndexBusyError while another program writes, OutputError
        where the photo cannot be kept.
        """
        side = localizer.candidates.longer_side
        photos = read_photos(GivenFile(upload.data, upload.name), longer_side=side)
        said = _placed(photos[0].metadata, fields, upload.name)
        known = localizer.index.find_content([photos[0].content])
        if known:
            return Stored(known, new=False)
        regions = localizer.index.regions > 0
        features = [localizer.describer.features(photo.image, regions=regions) for photo in photos]
        name = _safe_name(upload.name, photos[0].content)
        with self._writing(database, localizer) as index:
            # Sent twice at once, it may have been stored while it waited for its turn.
            known = index.find_content([photos[0].content])
            if known:
                return Stored(known, new=False)
            with self._kept(name, upload.data) as file:
                path = name if file is None else database.paths.name_of(file)
                records = [_record(path, photo, said, upload, file) for photo in photos]
                add_all(index, [list(map(Entry, records, features))])
                stored = index.find_paths([record.path for record in records])
        return Stored(stored, new=True)

    def remove(self, database: Database, localizer: Localizer, record: Record) -> None:
        """Remove a photo, and its file where this server has kept that.

        Raises Problem where it is not there any more, IndexBusyError while another program writes.
        """
        with self._writing(database, localizer) as index:
            if not index.remove([record.id or 0]):
                raise Problem(NOT_FOUND, f"there is no photo {record.id} in this database")
        file = database.paths.root / file_name(record.path)
        if self._folder is None or file.parent.resolve() != self._folder.resolve():
            return
        # The folder may hold photos that were there before, or that somebody has put there since.
        if not _is_ours(file, record.content) or self._is_needed(file):
            return
        with suppress(OSError):
            file.unlink()

    def _is_needed(self, file: Path) -> bool:
        """Whether a database holds the file still: another one's photo, or views of a panorama.

        One that cannot be read now may.
        """
        try:
            for database in self._databases:
                name = database.paths.name_of(file)
                with database.lent() as localizer:
                    if any(file_name(path) == name for _, path in localizer.index.names()):
                        return True
        except HaflocError:
            return True
        return False

    @contextmanager
    def _writing(self, database: Database, localizer: Localizer) -> Iterator[GeoIndex]:
        if not self._turn.acquire(timeout=_TURN_S):
            raise IndexBusyError(
                f"{database.name} is busy: others write to it; try again in a few seconds"
            )
        try:
            info = model_info(cast(Any, localizer.describer))
            with open_index(database.location, write=True, model=info) as index:
                yield index
        finally:
            self._turn.release()

    @contextmanager
    def _kept(self, name: str, data: bytes) -> Iterator[Path | None]:
        """The file in which the photo is kept, if any is; none is left where its record fails."""
        if self._folder is None:
            yield None
            return
        make_folder(self._folder, "name another with --photos-folder")
        file = self._folder / name
        is_new = not file.exists()
        write_whole(file, data)
        try:
            yield file
        except BaseException:
            if is_new:
                with suppress(OSError):
                    file.unlink()
            raise


def _record(path: str, photo: Photo, said: Metadata, upload: Upload, file: Path | None) -> Record:
    return Record(
        path=part_name(path, photo.part),
        content=photo.content,
        width=photo.width,
        height=photo.height,
        bytes=len(upload.data),
        modified=None if file is None else file.stat().st_mtime_ns,
        **where_and_when(said, photo.part),
    )


def _placed(said: Metadata, fields: Mapping[str, str], name: str) -> Metadata:
    """What is said of a photo, with the position of the form's fields where they give one."""
    lat, lon = fields.get("lat"), fields.get("lon")
    if (lat is None) != (lon is None):
        raise Problem(BAD_PARAMETER, "of lat and lon one alone is no position; give both, or none")
    if lat is not None and lon is not None:
        position = Position(_number("lat", lat), _number("lon", lon))
        said = replace(said, position=position, source="csv", accuracy=None, gps_status=None)
        if "heading" in fields:
            heading = _number("heading", fields["heading"]) % 360
            said = replace(said, heading=heading, magnetic=False)
    if said.position is None:
        reason = said.problem or "it has no GPS position"
        raise PositionError(f"cannot place {name}: {reason}; give the fields lat and lon with it")
    return said


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Problem(BAD_PARAMETER, f"the field {name} is no number of degrees")
    return number


def _safe_name(name: str, content: str) -> str:
    """A file's name that no other photo has, of plain letters."""
    stem, dot, end = name.rpartition(".")
    if not dot:
        stem, end = name, ""
    suffix = f".{end}" if _SUFFIX.fullmatch(f".{end}") else ""
    plain = _UNSAFE.sub("-", stem)[:_LONGEST_STEM].strip("-") or "photo"
    return f"{plain}-{content[:_TOLD]}{suffix.lower()}"


def _is_ours(file: Path, content: str) -> bool:
    """Whether a file is called as `_safe_name` calls the photo of that content."""
    return file.name.partition(".")[0].endswith(f"-{content[:_TOLD]}")
