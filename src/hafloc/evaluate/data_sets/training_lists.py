"""What a data set offers to train on: its photos by split, database or queries, with positions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path, PurePosixPath

import numpy as np

from hafloc.errors import EvaluationError, PhotoError, PositionError
from hafloc.evaluate.data_sets.place_lists import Floats, PlaceList
from hafloc.evaluate.data_sets.places import (
    pittsburgh_query,
    read_pittsburgh,
    read_tokyotm,
    spelt,
)
from hafloc.geo import Position, utm_to_position
from hafloc.photos import Metadata, Positions, photo_paths, read_metadata
from hafloc.progress import Progress

SPLITS = ("train", "val", "test")
PARTS = ("database", "queries")
_PITTSBURGH, _TOKYO = 17, 54  # UTM zones, both of the northern half
# MATLAB counts days from the year 0, Python from the year 1.
_DATENUM = 366
_YEARS = range(1990, 2100)


@dataclass(frozen=True, slots=True)
class ListedPhoto:
    """A photo to train on: its name within its folder (forward slashes), its file, which need not
    be there, and what is known of it (with a position)."""

    name: str
    file: Path
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class Listed:
    """Photos of one part ("database", "queries") of one split; `remarks` say, a line each, what
    was left out. `folder` is where they were looked for, None where a list names them."""

    split: str
    part: str
    photos: tuple[ListedPhoto, ...]
    remarks: tuple[str, ...] = ()
    folder: Path | None = None


def pittsburgh(name: str, root: Path, split: str) -> list[Listed]:
    """A split of Pitts30k or Pitts250k. Raises EvaluationError."""
    places, listing, _ = read_pittsburgh(name, root, split)
    queries = [query.removeprefix("queries_real/") for query in places.queries]
    return [
        _listed(split, "database", places.database, places.database_utm, listing, _PITTSBURGH,
                lambda name: root / name),
        _listed(split, "queries", queries, places.query_utm, listing, _PITTSBURGH,
                lambda name: pittsburgh_query(root, name)),
    ]  # fmt: skip


def tokyotm(root: Path, split: str) -> list[Listed]:
    """A split of Tokyo Time Machine, with its times. Raises EvaluationError."""
    places, listing = read_tokyotm(root, split)

    def file(name: str) -> Path:
        return root / "images" / name

    parts = []
    for part, names, utm, stamps in _parts(places):
        times = [None] * len(names) if stamps is None else [time_of_stamp(s) for s in stamps]
        remarks: tuple[str, ...] = ()
        if stamps is not None and (unknown := times.count(None)):
            remarks = (
                f"{listing}: {unknown:,} of {len(times):,} time stamps of its {part} are no year, "
                "month or day; left out",
            )
        parts.append(_listed(split, part, names, utm, listing, _TOKYO, file, times, remarks))
    return parts


def _parts(
    places: PlaceList,
) -> list[tuple[str, Sequence[str], Floats, np.ndarray[tuple[int], np.dtype[np.generic]] | None]]:
    return [
        ("database", places.database, places.database_utm, places.database_times),
        ("queries", places.queries, places.query_utm, places.query_times),
    ]


def time_of_stamp(stamp: object) -> datetime | None:
    """The beginning of the year (2013), month (201308) or day (20130815, or MATLAB's number of a
    day, 735461) that a time stamp names; None where it names none of them."""
    try:
        value = float(str(stamp))
        number = int(value)
    except (ValueError, OverflowError):
        return None
    if number in _YEARS and number == value:
        return datetime(number, 1, 1)
    for scale, month, day in ((100, number % 100, 1), (10_000, number // 100 % 100, number % 100)):
        if number // scale in _YEARS and number == value:
            try:
                return datetime(number // scale, month, day)
            except ValueError:
                return None
    return _of_day_number(value)


def _of_day_number(value: float) -> datetime | None:
    first, last = (date(year, 1, 1).toordinal() + _DATENUM for year in (_YEARS[0], _YEARS[-1]))
    if not first <= value < last:
        return None
    days = value - _DATENUM
    whole = datetime.fromordinal(int(days))
    return whole + timedelta(seconds=round((days - int(days)) * 86_400))


def _listed(
    split: str,
    part: str,
    names: Sequence[str],
    utm: Floats,
    listing: Path,
    zone: int,
    file_of: Callable[[str], Path],
    times: Sequence[datetime | None] | None = None,
    remarks: tuple[str, ...] = (),
) -> Listed:
    known: dict[tuple[float, float], Position] = {}
    photos = []
    for row, name in enumerate(names):
        _check_name(name, listing)
        place = float(utm[row, 0]), float(utm[row, 1])
        if place not in known:
            try:
                known[place] = utm_to_position(*place, zone, northern=True)
            except PositionError as error:
                raise EvaluationError(f"{listing}, {name}: {error}") from error
        file = spelt(file_of(name))
        metadata = Metadata(position=known[place], time=times[row] if times else None)
        within = PurePosixPath(name).with_suffix(file.suffix).as_posix()
        photos.append(ListedPhoto(within, file, metadata))
    return Listed(split, part, _unique(photos, listing), remarks)


def _check_name(name: str, listing: Path) -> None:
    """Raises EvaluationError for a name that leads out of the folder or that no table holds."""
    path = PurePosixPath(name)
    if not path.name or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise EvaluationError(
            f"{listing} lists {name!r}, which leads out of its folder; get the original list"
        )
    if not _writable(name):
        raise EvaluationError(f"{listing} lists {name!r}, which is no name; get the original list")


def _writable(name: str) -> bool:
    """Whether a table of text gives the name back as it is."""
    return name == name.strip() and name.isprintable() and "\\" not in name


def _unique(photos: Sequence[ListedPhoto], listing: Path) -> tuple[ListedPhoto, ...]:
    """Each photo once. Raises EvaluationError where it stands at two places."""
    found: dict[str, ListedPhoto] = {}
    for photo in photos:
        if found.setdefault(photo.name, photo).metadata != photo.metadata:
            raise EvaluationError(
                f"{listing} lists {photo.name} twice, at two places or times; get it again"
            )
    return tuple(found.values())


def plain_folders(
    root: Path, splits: Sequence[str], table: Path | None, progress: Progress
) -> list[Listed]:
    """The photos of plain folders; positions from `table`, a positions.csv, names, EXIF or XMP.

    `root`, or its `images/`, holds train/, val/ and test/, or itself database/ and queries/, or
    photos, which are then the one split named (train where none is). A split without database/ is
    a database itself. Raises EvaluationError, PositionError, PhotoError.
    """
    if not root.is_dir():
        raise EvaluationError(f"{root} is not a folder; give the folder of the photos")
    found = []
    for split, part, folder in _sources(root, splits):
        progress.start(f"reading {split}/{part}", 1)
        found.append(_in_folder(split, part, folder, table))
        progress.advance(1)
    return found


def _sources(root: Path, splits: Sequence[str]) -> list[tuple[str, str, Path]]:
    for home in (root, root / "images"):
        there = [split for split in SPLITS if (home / split).is_dir()]
        if there:
            missing = [split for split in splits if split not in there]
            if missing:
                raise EvaluationError(
                    f"{home} has no folder {missing[0]}; it has {', '.join(there)}"
                )
            chosen = splits or there
            return [(s, part, path) for s in chosen for part, path in _within(home / s)]
    if len(splits) > 1:
        raise EvaluationError(
            f"{root} is not divided into {', '.join(SPLITS)}, so its photos are one split; "
            "give one --split"
        )
    return [(splits[0] if splits else SPLITS[0], part, path) for part, path in _within(root)]


def _within(folder: Path) -> list[tuple[str, Path]]:
    if not (folder / PARTS[0]).is_dir():
        return [(PARTS[0], folder)]
    return [(part, folder / part) for part in PARTS if (folder / part).is_dir()]


def _in_folder(split: str, part: str, folder: Path, table: Path | None) -> Listed:
    paths = {path.relative_to(folder).as_posix(): path for path in photo_paths(folder)}
    positions = Positions.for_folder(folder, list(paths), table)
    photos, left_out = [], []
    for name, path in paths.items():
        try:
            metadata = _metadata(positions, name, path)
        except (PhotoError, PositionError) as error:
            left_out.append(str(error))
            continue
        if metadata.position is None:
            left_out.append(f"{name} has no position")
        elif not _writable(name):
            left_out.append(f"{name!r} cannot stand in a table; rename it")
        else:
            photos.append(ListedPhoto(name, path, metadata))
    remarks = [f"{positions.path}, {problem}" for problem in positions.problems[:1]]
    if left_out:
        remarks.append(
            f"{len(left_out):,} of {len(paths):,} photos of {folder} are left out, the first: "
            f"{left_out[0]}"
        )
    if not photos:
        raise EvaluationError(
            f"none of the {len(paths):,} photos in {folder} can be used, the first: "
            f"{left_out[0] if left_out else 'there is none'}; add a positions.csv with the "
            "columns image,lat,lon"
        )
    return Listed(split, part, tuple(photos), tuple(remarks), folder)


def _metadata(positions: Positions, name: str, path: Path) -> Metadata:
    """What table and name say; the file is asked for what they leave open."""
    told = positions.complete(Metadata(), name)
    if told.position is not None and told.heading is not None:
        return told
    return positions.complete(read_metadata(path), name)
