"""Decide where each photo of a folder was taken, when several sources say so."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Self

from hafloc.errors import PositionError
from hafloc.photos.folder import photo_paths
from hafloc.photos.name import position_from_name
from hafloc.photos.photo import Metadata, Photo
from hafloc.photos.table import image_name, read_positions_csv

TABLE = "positions.csv"


@dataclass(frozen=True, slots=True)
class Positions:
    """The positions of a folder's photos: a CSV beats the file name, which beats the EXIF.

    `table` holds the CSV's rows by name; `unique` maps the base names that both the CSV and the
    folder hold once to their row.
    """

    table: Mapping[str, Metadata] = field(default_factory=dict)
    unique: Mapping[str, Metadata] = field(default_factory=dict)

    @classmethod
    def for_folder(cls, folder: Path | str, csv: Path | str | None = None) -> Self:
        """Read `csv`, or else the positions.csv in `folder` or in its parent, or else nothing.

        A row belongs to the photo whose path relative to `folder` (or to the CSV's own folder,
        where that holds `folder`) it names, or whose base name, where that is unique.

        Raises PositionError for a CSV that cannot be read, or that was given and names none of
        the photos; PhotoError where the folder holds no photos.
        """
        folder = Path(folder)
        path = Path(csv) if csv is not None else _table_near(folder)
        if path is None:
            return cls()
        rows = _relative_to(folder, path, read_positions_csv(path))
        names = [photo.relative_to(folder).as_posix() for photo in photo_paths(folder)]
        positions = cls(rows, _unique(rows, names))
        if csv is not None and not any(positions.row(name) for name in names):
            raise PositionError(
                f"{path} names none of the photos in {folder}; "
                "write their paths relative to that folder"
            )
        return positions

    def of(self, photo: Photo, relative_name: str | Path) -> Metadata:
        """Where and when `photo` was taken; `relative_name` is its path within the folder.

        The first source with a position gives it; heading, altitude and time that this source
        leaves open come from the EXIF. Raises PositionError for a file name
        that contradicts itself.
        """
        name = image_name(str(relative_name))
        found = self.row(name) or position_from_name(name)
        return photo.metadata if found is None else _complete(found, photo.metadata)

    def row(self, name: str) -> Metadata | None:
        """What the CSV says of the photo at path `name` within the folder."""
        return self.table.get(name) or self.unique.get(PurePosixPath(name).name)


def _table_near(folder: Path) -> Path | None:
    # resolve(): the parent of "." is not "".
    for place in (folder, folder.resolve().parent):
        if (place / TABLE).is_file():
            return place / TABLE
    return None


def _relative_to(folder: Path, table: Path, rows: Mapping[str, Metadata]) -> dict[str, Metadata]:
    """Rows by path relative to `folder`, also those written relative to the CSV's own folder."""
    renamed = dict(rows)
    try:
        prefix = folder.resolve().relative_to(table.resolve().parent)
    except ValueError:
        return renamed
    for name, row in rows.items():
        path = PurePosixPath(name)
        if path.is_relative_to(prefix.as_posix()):
            renamed.setdefault(path.relative_to(prefix.as_posix()).as_posix(), row)
    return renamed


def _unique(rows: Mapping[str, Metadata], names: list[str]) -> dict[str, Metadata]:
    photos = Counter(PurePosixPath(name).name for name in names)
    places: dict[str, set[int]] = {}
    by_base: dict[str, Metadata] = {}
    for name, row in rows.items():
        base = PurePosixPath(name).name
        places.setdefault(base, set()).add(id(row))
        by_base[base] = row
    return {
        base: row for base, row in by_base.items() if len(places[base]) == 1 and photos[base] == 1
    }


def _complete(found: Metadata, exif: Metadata) -> Metadata:
    own_heading = found.heading is not None
    return replace(
        found,
        heading=found.heading if own_heading else exif.heading,
        magnetic=found.magnetic if own_heading else exif.magnetic,
        altitude=exif.altitude if found.altitude is None else found.altitude,
        time=exif.time if found.time is None else found.time,
    )
