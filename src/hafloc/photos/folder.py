"""Find the photos of a folder, and say what of it is left out or cannot be looked into."""

import os
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from hafloc.errors import PhotoError
from hafloc.photos import formats
from hafloc.photos.junk import is_junk_file, is_junk_folder
from hafloc.photos.remote import PhotoFile
from hafloc.photos.stored import reason, shown

_LINK = "linked folder"


@dataclass(frozen=True, slots=True, order=True)
class ScannedPhoto:
    """A photo's file as it was when its folder was scanned: bytes, and nanoseconds since 1970.

    A server may tell neither; then they are None.
    """

    path: PhotoFile
    size: int | None
    modified: int | None


@dataclass(frozen=True, slots=True)
class Scan:
    """What lies below `folder`: its photos, sorted by path, and what is not among them.

    `left_out` counts pictures that are not tried, by suffix (".cr2" without the extra that reads
    it), "video" and "linked folder". `unreadable` has the path and the reason of each folder that
    cannot be listed and each photo that cannot be looked at.
    """

    folder: PhotoFile
    photos: tuple[ScannedPhoto, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    unreadable: tuple[tuple[PhotoFile, str], ...] = ()

    @property
    def paths(self) -> list[PhotoFile]:
        return [photo.path for photo in self.photos]

    def not_empty(self) -> Self:
        """Itself. Raises PhotoError where it has no photo."""
        if self.photos:
            return self
        besides = [self.left_out_in_words()] if self.left_out else []
        if self.unreadable:
            besides.append(
                f"{len(self.unreadable):,} unreadable, the first: {self.unreadable[0][1]}"
            )
        holds = f" ({'; '.join(besides)})" if besides else ""
        raise PhotoError(
            f"{shown(self.folder)} holds no photos{holds}; "
            "give a folder with JPEG, PNG, WebP, TIFF or HEIC files"
        )

    def left_out_in_words(self) -> str:
        """One line such as "left out: 12 .cr2 (pip install hafloc[raw]), 3 videos", or ""."""
        parts = []
        for kind, count in sorted(self.left_out.items()):
            words = kind if kind.startswith(".") or count == 1 else f"{kind}s"
            install = formats.extra_for(kind)
            parts.append(f"{count:,} {words}" + (f" ({install})" if install else ""))
        return "left out: " + ", ".join(parts) if parts else ""


def scan(folder: Path | str, *, films: bool = False) -> Scan:
    """All photos below `folder`, by suffix, and `films`; what cannot be read never stops the rest.

    Hidden files and folders are left out, and junk as `junk` names it; links to folders are not
    followed; only regular files count, and links to them. One pass over the folders, a `stat` for
    each photo. Raises PhotoError where `folder` itself is missing or unreadable; it may hold none.
    """
    walk = _Walk(formats.suffixes() | (formats.FILM_SUFFIXES if films else frozenset()))
    try:
        walk.list(Path(folder))
    except NotADirectoryError as error:
        raise PhotoError(
            f"cannot read {shown(folder)}: it is not a folder; give the folder of the photos"
        ) from error
    except FileNotFoundError as error:
        raise PhotoError(
            f"cannot read {shown(folder)}: there is no such folder; check the path"
        ) from error
    except (OSError, ValueError) as error:
        raise PhotoError(f"cannot read {shown(folder)}: {reason(error)}") from error
    while walk.pending:
        inner = walk.pending.pop()
        try:
            walk.list(inner)
        except FileNotFoundError:
            continue  # it went away meanwhile
        except (OSError, ValueError) as error:
            walk.refuse(inner, reason(error))
    return Scan(
        Path(folder),
        tuple(sorted(walk.photos)),
        dict(sorted(walk.left_out.items())),
        tuple(sorted(walk.unreadable)),
    )


def is_folder(path: Path | str) -> bool:
    """Whether `path` is a folder; False where that cannot be known, as below a forbidden one."""
    try:
        return Path(path).is_dir()
    # Before Python 3.14 `is_dir` raises for what is not "no such file"; ValueError: a NUL.
    except (OSError, ValueError):
        return False


def is_file(path: PhotoFile | str) -> bool:
    """Whether `path` is a regular file; False where that cannot be known."""
    try:
        return (Path(path) if isinstance(path, str) else path).is_file()
    except (OSError, ValueError):
        return False


def photo_paths(folder: Path | str) -> list[Path]:
    """The paths of `scan`. Raises PhotoError where the folder is unreadable or has no photos."""
    return [path for path in scan(folder).not_empty().paths if isinstance(path, Path)]


class _Walk:
    """The state of one pass over a tree of folders."""

    def __init__(self, suffixes: frozenset[str]) -> None:
        self.suffixes = suffixes
        self.pending: list[Path] = []
        self.photos: list[ScannedPhoto] = []
        self.left_out: Counter[str] = Counter()
        self.unreadable: list[tuple[Path, str]] = []

    def list(self, folder: Path) -> None:
        """Sort the entries of one folder; raises OSError where it cannot be listed to its end."""
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    self._sort(entry, folder / entry.name)
                except (OSError, ValueError) as error:
                    self._lost(entry, folder / entry.name, error)

    def refuse(self, path: Path, why: str) -> None:
        self.unreadable.append((path, f"cannot read {shown(path)}: {why}"))

    def _sort(self, entry: "os.DirEntry[str]", path: Path) -> None:
        if entry.is_dir(follow_symlinks=False):
            if _is_junction(entry):
                self.left_out[_LINK] += 1
            elif not is_junk_folder(entry.name):
                self.pending.append(path)
            return
        if is_junk_file(entry.name):
            return
        suffix = path.suffix.lower()
        if suffix in self.suffixes:
            self._look_at(entry, path)
        elif entry.is_symlink() and not is_junk_folder(entry.name) and entry.is_dir():
            self.left_out[_LINK] += 1
        elif (kind := formats.left_out_as(suffix)) is not None and entry.is_file():
            self.left_out[kind] += 1

    def _look_at(self, entry: "os.DirEntry[str]", path: Path) -> None:
        status = entry.stat()
        if stat.S_ISREG(status.st_mode):
            self.photos.append(ScannedPhoto(path, status.st_size, status.st_mtime_ns))
        elif stat.S_ISDIR(status.st_mode):
            self.left_out[_LINK] += 1

    def _lost(self, entry: "os.DirEntry[str]", path: Path, error: OSError | ValueError) -> None:
        """An entry that cannot be looked at: it went away, or it is named if it may be a photo."""
        if path.suffix.lower() not in self.suffixes or is_junk_file(entry.name):
            return
        if not isinstance(error, FileNotFoundError):
            self.refuse(path, reason(error))
        elif _is_link(path):
            self.refuse(path, "the link leads nowhere; remove it")


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except (OSError, ValueError):
        return False


def _is_junction(entry: "os.DirEntry[str]") -> bool:
    # From Python 3.12, on Windows.
    test = getattr(entry, "is_junction", None)
    return bool(test and test())
