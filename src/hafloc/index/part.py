"""A part of an index as a new file of its own, to be shared: no name in it tells of this disk."""

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PureWindowsPath

from hafloc.errors import IndexFileError, OptionError, OutputError, PhotoError
from hafloc.index.backends import Location, open_index, paths_of
from hafloc.index.below import ids_below
from hafloc.index.copy import BATCH, add_copies
from hafloc.index.geopackage import GeoPackageIndex
from hafloc.index.picture import picture_of, thumbnail_of
from hafloc.index.records import Box, GeoIndex, Near, Record
from hafloc.index.thumbnails import LONGER_SIDE, make_thumbnail
from hafloc.photos import PhotoFile, is_url, part_name, split_name
from hafloc.progress import Progress, Silent


@dataclass(frozen=True, slots=True)
class Part:
    """What is cut out: the photos in a `box` or `near` a place, else all; not those `without`.

    `without` are photos and folders, with all below them. `local` takes key points along,
    `thumbnails` a small picture of each photo, of its file or else as the index has it.
    """

    box: Box | None = None
    near: Near | None = None
    without: tuple[PhotoFile, ...] = ()
    local: bool = True
    thumbnails: bool = False


def cut_part(source: Location, target: Path, part: Part, progress: Progress | None = None) -> int:
    """Write a part of an index as a new GeoPackage, whole or not at all; how many photos it has.

    A photo's name is what it is called below the folder of `source`, or in its own folder where
    it lies elsewhere. Credits go along, and the calibration where all photos do. Raises
    OptionError where nothing is left or `target` is there, IndexFileError, OutputError.
    """
    if target.exists():
        raise OptionError(f"cannot write {target}: it exists already; choose another name")
    unfinished = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with open_index(source) as origin, _begun(origin, unfinished) as goal:
            count = _cut(origin, goal, part, progress or Silent())
            text = origin.calibration()
            if text is not None and count == origin.count():
                goal.store_calibration(text)
        if not count:
            raise OptionError(
                f"cannot write {target}: no photo of {origin.location} is left for it; "
                "choose a larger area"
            )
        unfinished.replace(target)
    except IndexFileError as error:
        # A person knows the file by its own name.
        raise IndexFileError(str(error).replace(str(unfinished), str(target))) from error
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {error.strerror or error}; choose another place"
        ) from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
    return count


def _begun(origin: GeoIndex, path: Path) -> GeoPackageIndex:
    facts = origin.info()
    return GeoPackageIndex.create(
        path, origin.model, facts.vector_type, origin.regions, facts.local
    )


def _cut(origin: GeoIndex, goal: GeoIndex, part: Part, progress: Progress) -> int:
    without = _without(origin, part.without)
    progress.start("cutting", origin.count())
    named = _names()
    records = (record for record in _chosen(origin, part) if record.id not in without)
    done = 0
    while batch := list(islice(records, BATCH)):
        waiting = [
            (record.id or 0, replace(record, id=None, path=named(record))) for record in batch
        ]
        pictures = (_thumbnail(origin, record) if part.thumbnails else None for record in batch)
        add_copies(origin, goal, waiting, local=part.local, thumbnails=list(pictures))
        done += len(batch)
        progress.advance(done)
    return done


def _thumbnail(origin: GeoIndex, record: Record) -> bytes | None:
    """A small picture of a photo, None where there is nothing to make it of."""
    try:
        picture = picture_of(origin, record, longer_side=LONGER_SIDE)
    except PhotoError:
        return None
    stored = thumbnail_of(origin, record) if picture.small else None
    return stored or make_thumbnail(picture.image)


def _without(origin: GeoIndex, folders: tuple[PhotoFile, ...]) -> set[int]:
    """The ids of photos below any of the folders. Raises OptionError for one without photos."""
    found: set[int] = set()
    for folder in folders:
        below = ids_below(origin, paths_of(origin.location), [folder])
        if not below:
            raise OptionError(
                f"no photo of {origin.location} lies below {folder}; check the name, since what is "
                "cut out is to be shared"
            )
        found.update(below)
    return found


def _chosen(origin: GeoIndex, part: Part) -> Iterator[Record]:
    return origin.iterate(part.box) if part.near is None else origin.within(part.near)


def _names() -> Callable[[Record], str]:
    """What photos are called in a part: each file by a name of its own, which its views share."""
    files: dict[str, str] = {}

    def name(record: Record) -> str:
        file, view = split_name(record.path)
        found = inner_name(file)
        while files.setdefault(found, file) != file:
            found = beside(found, record)
        return part_name(found, view)

    return name


def beside(name: str, record: Record) -> str:
    """Another name in the same folder for the file of a record."""
    above, slash, last = name.rpartition("/")
    return f"{above}{slash}{_mark(record.content)}-{last}"


def inner_name(path: str) -> str:
    """A name that leads nowhere else: as it is below a folder, else the last folder and file."""
    if is_inner(path):
        return path
    pieces = re.split(r"[/\\\\]+", path.replace(":", "_"))
    kept = [piece for piece in pieces if piece not in ("", ".", "..")]
    name = "".join(letter if letter.isprintable() else "_" for letter in "/".join(kept[-2:]))
    return name or "photo"


def is_inner(path: str) -> bool:
    """Whether a photo's name stays below the folder it is relative to, on every system."""
    # A backslash is written twice, and separates on Windows.
    windows = PureWindowsPath(path.replace("\\\\", "\\"))
    return (
        bool(path)
        and not is_url(path)
        and not windows.drive
        and not windows.root
        and ".." not in windows.parts
        and path.isprintable()
    )


def _mark(content: str) -> str:
    """What tells files of one name apart, of what identifies their bytes."""
    return re.sub(r"[^0-9a-f]", "", content)[:32] or "0"
