"""Which photos' files a server may read: an index is a stranger's data and may name any file."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from hafloc.errors import PhotoError
from hafloc.index import Location, PhotoPaths, folder_of, paths_of
from hafloc.photos import PhotoFile, PhotoUrl, is_url, split_name

# Names that begin at the top of a disk, or lead out of the index's folder.
_ELSEWHERE = re.compile(r"[/\\]|[A-Za-z]:|\.\.(?:[/\\]|$)")


@dataclass(frozen=True, slots=True)
class AllowedPaths(PhotoPaths):
    """Names of photos that lead to files only within `folders`, or behind URLs with `starts`.

    Whatever else a name says, `file_of` raises PhotoError, without a word on what is there. Links
    count by where they lead.
    """

    folders: tuple[Path, ...] = ()
    starts: tuple[str, ...] = ()

    def file_of(self, name: str) -> PhotoFile:
        # Without super(), which finds no class in one that has slots.
        file = PhotoPaths.file_of(self, name)
        if isinstance(file, PhotoUrl):
            if _stays_below(str(file)) and any(map(str(file).startswith, self.starts)):
                return file
        elif any(_lies_in(file, folder) for folder in self.folders):
            return file
        raise PhotoError(
            f"the file of {self.shown(name)} is not shown: it lies outside the folders that this "
            "server may read; `hafloc serve --photos FOLDER` adds one"
        )

    def shown(self, name: str) -> str:
        """A photo's name for clients: none tells where on the server's disk it lies."""
        file, _ = split_name(name)
        ending = name[len(file) :]
        if is_url(name):
            return file.rpartition("/")[2].partition("?")[0] + ending
        if not _ELSEWHERE.match(file):
            return name
        for folder in self.folders:
            inside = os.path.relpath(os.path.join(self.root, file), folder)  # noqa: PTH118
            if not _ELSEWHERE.match(inside):
                return inside.replace(os.sep, "/") + ending
        return re.split(r"[/\\]", file)[-1] + ending


def allowed_paths(location: Location, photos: Sequence[str]) -> AllowedPaths:
    """The paths of an index's photos below its own folder, or below what `photos` names."""
    plain = paths_of(location)
    own = [] if folder_of(location) is None else [plain.root]
    named = [Path(text) for text in photos if not is_url(text)]
    folders = tuple(Path(os.path.realpath(folder)) for folder in (*own, *named))
    starts = tuple(f"{text.rstrip('/')}/" for text in photos if is_url(text))
    return AllowedPaths(plain.root, plain.relative, folders, starts)


def _stays_below(url: str) -> bool:
    """Whether no step of a URL leads upwards, as HTTP clients follow them before they ask."""
    return ".." not in re.split(r"[/\\\\]", unquote(url))


def _lies_in(file: Path, folder: Path) -> bool:
    try:
        return Path(os.path.realpath(file)).is_relative_to(folder)
    except (OSError, ValueError):  # a NUL in the name
        return False
