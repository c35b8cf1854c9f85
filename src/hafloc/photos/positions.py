"""Decide where each photo of a folder was taken, when several sources say so."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Self

from hafloc.errors import PositionError
from hafloc.photos.folder import is_file
from hafloc.photos.name import position_from_name
from hafloc.photos.partners import find_partners
from hafloc.photos.photo import Metadata, Photo
from hafloc.photos.table import read_positions_csv

TABLE = "positions.csv"
# To be raised whenever metadata of the same file, row or name is read in another way.
READER_VERSION = 2


@dataclass(frozen=True, slots=True)
class Positions:
    """The positions of a folder's photos: a CSV beats the file name, which beats the EXIF.

    `rows` holds what the CSV at `path` says, by the photo's path within the folder;
    `unmatched_rows` are its rows that name no photo of the folder, or not one alone;
    `unmatched_photos` the photos without a row; `problems` which rows or values
    of the CSV are left out and why, a line each. All are empty without a CSV.
    """

    rows: Mapping[str, Metadata] = field(default_factory=dict)
    path: Path | None = None
    problems: tuple[str, ...] = ()
    unmatched_rows: tuple[str, ...] = ()
    unmatched_photos: tuple[str, ...] = ()

    @classmethod
    def for_folder(
        cls, folder: Path | str, names: Sequence[str], csv: Path | str | None = None
    ) -> Self:
        """Read `csv`, or else the positions.csv in `folder` or in its parent, or else nothing.

        `names` are the photos' paths within `folder`, with forward slashes. Which row belongs to
        which photo, see `partners.find_partners`.

        Raises PositionError for a CSV that cannot be read, or that was given and names none of
        the photos.
        """
        folder = Path(folder)
        path = Path(csv) if csv is not None else _table_near(folder)
        if path is None:
            return cls()
        table = read_positions_csv(path)
        partners = find_partners(table.rows, names, folder, path.parent)
        if csv is not None and not partners.row_of:
            first = f"; {table.problems[0]}" if table.problems and not table.rows else ""
            raise PositionError(
                f"{path} names none of the photos in {folder}{first}; "
                "write their paths relative to that folder"
            )
        return cls(
            {name: table.rows[row] for name, row in partners.row_of.items()},
            path,
            table.problems,
            partners.unmatched_rows,
            tuple(name for name in names if name not in partners.row_of),
        )

    def of(self, photo: Photo, relative_name: str | PurePath) -> Metadata:
        """Where and when `photo` was taken; `relative_name` is its path within the folder.

        The first source with a position gives it; heading, altitude and time that this source
        leaves open come from the photo's file. Raises PositionError for a file name
        that contradicts itself.
        """
        return self.complete(photo.metadata, relative_name)

    def complete(self, metadata: Metadata, relative_name: str | PurePath) -> Metadata:
        """As `of`, for a photo of whose file only the metadata was read."""
        name = _posix(relative_name)
        found = self.row(name) or position_from_name(name)
        return metadata if found is None else _complete(found, metadata)

    def row(self, name: str) -> Metadata | None:
        """What the CSV says of the photo at path `name` within the folder."""
        return self.rows.get(name)

    def stated(self, name: str | PurePath) -> str:
        """A fingerprint (16 hex digits) of all that is said of a photo outside its file.

        It changes with the photo's row in the CSV, with a position in its name, and with
        READER_VERSION: a photo whose stored fingerprint differs is to be read anew.
        """
        name = _posix(name)
        try:
            found = self.row(name) or position_from_name(name)
            said: object = None if found is None else _plain(found)
        except PositionError as error:
            said = str(error)
        text = json.dumps([READER_VERSION, said], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _posix(name: str | PurePath) -> str:
    return name.as_posix() if isinstance(name, PurePath) else name


def _table_near(folder: Path) -> Path | None:
    # resolve(): the parent of "." is not "".
    for place in (folder, folder.resolve().parent):
        if is_file(place / TABLE):
            return place / TABLE
    return None


def _plain(metadata: Metadata) -> dict[str, object]:
    """What a source states, in values that JSON knows; what it leaves open is left out."""
    position, time = metadata.position, metadata.time
    values: dict[str, object] = {
        "position": None if position is None else [position.lat, position.lon],
        "heading": metadata.heading,
        "altitude": metadata.altitude,
        "time": None if time is None else time.isoformat(),
        "source": metadata.source,
        "magnetic": metadata.magnetic or None,
        "accuracy": metadata.accuracy,
        "gps_status": metadata.gps_status,
    }
    return {name: value for name, value in values.items() if value is not None}


def _complete(found: Metadata, file: Metadata) -> Metadata:
    """What a source leaves open from the photo's file, but not what is said of its position."""
    own_heading = found.heading is not None
    return replace(
        found,
        heading=found.heading if own_heading else file.heading,
        magnetic=found.magnetic if own_heading else file.magnetic,
        altitude=file.altitude if found.altitude is None else found.altitude,
        time=file.time if found.time is None else found.time,
    )
