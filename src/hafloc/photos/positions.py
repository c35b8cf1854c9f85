"""Decide where each photo of a folder was taken, when several sources say so."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Self

from hafloc.errors import PositionError
from hafloc.geo import Position
from hafloc.photos.folder import is_file
from hafloc.photos.name import position_from_name
from hafloc.photos.partners import find_partners
from hafloc.photos.photo import Metadata, Photo
from hafloc.photos.projects import read_table
from hafloc.photos.remote import PhotoFile, PhotoUrl
from hafloc.photos.tracks.placing import Placed, Tracking, place_photos

TABLE = "positions.csv"
# Degrees from which a field of view is a panorama's: services state 360, or nearly.
ALL_ROUND = 350.0
_NAMED = 3  # photos that a line names
# To be raised whenever metadata of the same file, row or name is read in another way.
READER_VERSION = 2


@dataclass(frozen=True, slots=True)
class Positions:
    """The positions of a folder's photos: a table beats the file name, which beats the EXIF, and
    a track comes last.

    `rows` holds what the table at `path` says, by the photo's path within the folder;
    `unmatched_rows` are its rows that name no photo of the folder; `unmatched_photos` the photos
    without a row; `problems` which rows or values of the table are left out and why, a line each,
    also rows that may mean several photos. All are empty without a table. `tracked` is what
    `tracks` say of photos that nothing else places; `notes` what a person should know of how table
    and tracks were read.
    """

    rows: Mapping[str, Metadata] = field(default_factory=dict)
    path: PhotoFile | None = None
    problems: tuple[str, ...] = ()
    unmatched_rows: tuple[str, ...] = ()
    unmatched_photos: tuple[str, ...] = ()
    tracks: tuple[Path, ...] = ()
    tracked: Placed = field(default_factory=Placed)
    notes: tuple[str, ...] = ()

    @classmethod
    def for_folder(
        cls,
        folder: PhotoFile | str,
        names: Sequence[str],
        csv: PhotoFile | str | None = None,
        tracking: Tracking | None = None,
    ) -> Self:
        """Read `csv`, or else the positions.csv in `folder` or in its parent, or else nothing;
        then the tracks.

        `names` are the photos' paths within `folder`, with forward slashes. `csv` is any table
        that `projects.read_table` knows, or a folder of sidecars. Which row belongs to
        which photo, see `partners.find_partners`.

        Raises PositionError for a table or track that cannot be read, or a table that was given
        and names none of the photos, or where all that there is are films.
        """
        folder = Path(folder) if isinstance(folder, str) else folder
        csv = Path(csv) if isinstance(csv, str) else csv
        found = cls._of_table(folder, names, csv)
        if tracking is None:
            return found
        placed = place_photos({name: folder / name for name in names}, tracking, found.known(names))
        return replace(
            found, tracks=tracking.paths, tracked=placed, notes=(*found.notes, *placed.notes)
        )

    @classmethod
    def _of_table(cls, folder: PhotoFile, names: Sequence[str], csv: PhotoFile | None) -> Self:
        path = csv or table_near(folder)
        if path is None:
            return cls()
        table = read_table(path, names)
        if csv is not None and not names:
            raise PositionError(
                f"cannot use {path}: tables place no films; leave it out, and name a track that "
                "was recorded beside them (--track)"
            )
        partners = find_partners(table.rows, names, folder, _beside(path))
        problems = (*table.problems, *map(_several_in_words, partners.several.items()))
        if csv is not None and not partners.row_of:
            silent = table.rows and not partners.several
            first = f"; {problems[0]}" if problems and not silent else ""
            raise PositionError(
                f"{path} names none of the photos in {folder}{first}; "
                "write their paths relative to that folder"
            )
        return cls(
            {name: table.rows[row] for name, row in partners.row_of.items()},
            path,
            problems,
            tuple(row for row in partners.unmatched_rows if row not in partners.several),
            tuple(name for name in names if name not in partners.row_of),
            notes=table.notes,
        )

    def known(self, names: Sequence[str]) -> dict[str, Position]:
        """The positions that the table and names give of photos, without a look at their files."""
        known = {}
        for name in names:
            try:
                found = self.row(name) or position_from_name(name)
            except PositionError:
                continue
            if found is not None and found.position is not None:
                known[name] = found.position
        return known

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
        if found is None and metadata.position is None:
            found = self.tracked.found.get(name)
            refused = self.tracked.refused.get(name)
            if refused is not None:
                return replace(metadata, problem=metadata.problem or refused)
        return metadata if found is None else _complete(found, metadata)

    def tells_of_panorama(self, name: str) -> bool:
        """Whether the table says that the photo at path `name` shows all round."""
        row = self.row(name)
        return row is not None and (row.field_of_view or 0) >= ALL_ROUND

    def row(self, name: str) -> Metadata | None:
        """What the table says of the photo at path `name` within the folder."""
        return self.rows.get(name)

    def _said(self, name: str) -> Metadata | None:
        """What is said of a photo outside its file. Raises PositionError."""
        return self.row(name) or position_from_name(name) or self.tracked.found.get(name)

    def places(self, name: str) -> bool:
        """Whether table, name or track say where the photo was taken, or contradict themselves."""
        try:
            return self._said(name) is not None
        except PositionError:
            return True

    def stated(self, name: str | PurePath) -> str:
        """A fingerprint (16 hex digits) of all that is said of a photo outside its file.

        It changes with the photo's row in the table, with a position in its name, with its place
        on a track, and with
        READER_VERSION: a photo whose stored fingerprint differs is to be read anew.
        """
        name = _posix(name)
        try:
            found = self._said(name)
            said: object = None if found is None else _plain(found)
        except PositionError as error:
            said = str(error)
        text = json.dumps([READER_VERSION, said], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _several_in_words(row: tuple[str, Sequence[str]]) -> str:
    name, photos = row
    more = f", and {len(photos) - _NAMED:,} more" if len(photos) > _NAMED else ""
    return (
        f"{name} may be any of {len(photos):,} photos here: {', '.join(photos[:_NAMED])}{more}; "
        "write its path within the folder"
    )


def _posix(name: str | PurePath) -> str:
    return name.as_posix() if isinstance(name, PurePath) else name


def _beside(table: PhotoFile) -> PhotoFile:
    """The folder that paths in a table may begin at."""
    return table if isinstance(table, Path) and table.is_dir() else table.parent


def table_near(folder: PhotoFile) -> PhotoFile | None:
    """The table in or beside a folder, and below a URL; None where there is none."""
    if isinstance(folder, PhotoUrl):
        return folder / TABLE if (folder / TABLE).is_file() else None
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
        "licence": metadata.licence,
        "producer": metadata.producer,
        "source_url": metadata.source_url,
        "field_of_view": metadata.field_of_view,
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
