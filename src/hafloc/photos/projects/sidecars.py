"""Positions in files beside photos: XMP sidecars, and the JSON of Google's Takeout."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from hafloc.errors import PhotoError, PositionError
from hafloc.photos.exif import Exif, metadata
from hafloc.photos.photo import Metadata
from hafloc.photos.projects.entries import Entries, mapping, number, place
from hafloc.photos.projects.json_file import load_json, looks_like_json
from hafloc.photos.stored import file_bytes
from hafloc.photos.table import PositionTable
from hafloc.photos.xmp import file_kind

SOURCE = "sidecar"
_SUFFIXES = (".xmp", ".json")
_LARGEST_JSON = 4 * 2**20  # bytes; Takeout writes some thousand
# What Takeout puts behind a photo's name, cut where the whole gets longer than it allows.
_SUPPLEMENT = "supplemental-metadata"
_CUT = 40  # characters of a name that may have been cut; Takeout cuts at 46
_NUMBERED = re.compile(r"(?P<name>.+?)(?P<number>\(\d+\))?")
_EDITED = re.compile(r"(.+)-(?:edited|bearbeitet|modifié|editado|modificato|bewerkt)(\.\w+)")


def is_xmp(data: bytes) -> bool:
    head = data[:4096]
    return b"<x:xmpmeta" in head or b"<?xpacket" in head or b"22-rdf-syntax-ns#" in head


def is_takeout(value: Any) -> bool:
    return "title" in mapping(value) and bool(
        {"photoTakenTime", "geoData", "geoDataExif"} & mapping(value).keys()
    )


def read_sidecars(place_: Path, names: Sequence[str]) -> PositionTable:
    """What the sidecars in a folder and below say, or a single one; by the photo's path there.

    A sidecar belongs to the photo of its name: a.jpg.xmp and a.xmp to a.jpg, and so for
    a.jpg.json and a.jpg.supplemental-metadata.json of Takeout with all ways in which that cuts
    and numbers names. `names` are the photos' paths, with forward slashes. Sidecars without
    a position say nothing; those that no photo has are rows of their own name.
    """
    entries = Entries()
    photos = _Photos(names)
    for inside, path in _files(place_):
        try:
            said, title = _read(path)  # or, of XMP, the kind of file that it is about
        except (PhotoError, PositionError) as error:
            entries.refuse(inside, error)
            continue
        if said is None:
            continue
        for name in photos.of(inside, title):
            entries.add(inside, name, said)
    return entries.table()


def _files(place_: Path) -> Iterator[tuple[str, Path]]:
    if not place_.is_dir():
        yield place_.name, place_
        return
    for folder, folders, files in os.walk(place_):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(_SUFFIXES) and not name.startswith("."):
                path = Path(folder, name)
                yield path.relative_to(place_).as_posix(), path


def _read(path: Path) -> tuple[Metadata | None, str]:
    """What a sidecar says, None without a position, and the name that it gives its photo; XMP
    gives the kind of its file at most ("nef").

    Raises PhotoError where it cannot be read, PositionError where its position is none.
    """
    data = file_bytes(path)
    if is_xmp(data):
        said = metadata(Exif(xmp=data))
        if said.position is None:
            if said.problem:
                raise PositionError(said.problem)
            return None, ""
        return replace(said, source=SOURCE, problem=None), file_kind(data)
    if not looks_like_json(data) or len(data) > _LARGEST_JSON:
        return None, ""  # JSON of other programs
    value = load_json(data)
    return (_takeout(value), str(value["title"])[:500]) if is_takeout(value) else (None, "")


def _takeout(value: Any) -> Metadata | None:
    """Google's position of a photo: the one in its app, else that of its EXIF; 0, 0 is none."""
    for name in ("geoData", "geoDataExif"):
        geo = mapping(value.get(name))
        lat, lon = number(geo.get("latitude")), number(geo.get("longitude"))
        if lat is None or lon is None or lat == lon == 0:
            continue
        return Metadata(
            place(lat, lon),
            # Where the height is not known, Google writes 0.
            altitude=number(geo.get("altitude")) or None,
            time=_moment(mapping(value.get("photoTakenTime")).get("timestamp")),
            source=SOURCE,
        )
    return None


def _moment(value: Any) -> datetime | None:
    seconds = number(value)
    try:
        return None if not seconds else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


class _Photos:
    """Photos by folder and name, to find those that a sidecar is named after."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_name: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._by_stem: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._in_folder: dict[str, list[str]] = defaultdict(list)
        # Google keeps one sidecar for a photo and what its app made of it.
        self._edits: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name in names:
            path = PurePosixPath(name)
            folder = path.parent.as_posix()
            self._by_name[folder, path.name.casefold()].append(name)
            self._by_stem[folder, path.stem.casefold()].append(name)
            self._in_folder[folder].append(name)
            if match := _EDITED.fullmatch(path.name):
                self._edits[folder, (match[1] + match[2]).casefold()].append(name)

    def of(self, inside: str, title: str) -> list[str]:
        """The photos of a sidecar; a name that none of them has, where there is none."""
        path = PurePosixPath(inside)
        folder, stem = path.parent.as_posix(), path.stem
        if path.suffix.lower() == ".xmp":
            of_stem = [
                name
                for name in self._by_stem.get((folder, stem.casefold()), ())
                if title in ("", PurePosixPath(name).suffix.lstrip(".").casefold())
            ]
            return self._named(folder, stem) or of_stem or [path.parent.joinpath(stem).as_posix()]
        for name in _takeout_names(stem):
            found = self._named(folder, name)
            if found:
                return found + self._edits.get((folder, name.casefold()), [])
        cut = self._cut(folder, stem) or self._named(folder, title)
        return cut or [path.parent.joinpath(title.replace("/", "_")).as_posix()]

    def _named(self, folder: str, name: str) -> list[str]:
        return self._by_name.get((folder, name.casefold()), [])

    def _cut(self, folder: str, stem: str) -> list[str]:
        """The one photo whose name begins with what is left of it."""
        if len(stem) < _CUT:
            return []
        begin = [
            name
            for name in self._in_folder.get(folder, ())
            if PurePosixPath(name).name.casefold().startswith(stem.casefold())
        ]
        return begin if len(begin) == 1 else []


def _takeout_names(stem: str) -> Iterator[str]:
    """The names of photos that a sidecar "STEM.json" may belong to, the likeliest first."""
    yield stem
    match = _NUMBERED.fullmatch(stem)
    assert match is not None, "any text matches"
    name, number_ = match["name"], match["number"] or ""
    yield _with_number(name, number_)
    before, dot, supplement = name.rpartition(".")
    if dot and _SUPPLEMENT.startswith(supplement):
        yield _with_number(before, number_)


def _with_number(name: str, number_: str) -> str:
    """ "a.jpg" and "(1)" are the photo "a(1).jpg"."""
    path = PurePosixPath(name)
    return f"{path.stem}{number_}{path.suffix}" if name else number_
