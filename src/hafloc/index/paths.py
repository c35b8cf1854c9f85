"""How an index writes down where its photos lie: names relative to a folder, and back to files."""

import ntpath
import os
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path, PurePath, PureWindowsPath
from types import ModuleType

from hafloc.photos import PhotoFile, PhotoUrl, file_name, is_url

_UNSTORABLE = re.compile(r"[\\\ud800-\udfff]")
_ESCAPE = re.compile(r"\\(?:(\\)|x([89a-f][0-9a-f])|u(d[89a-f][0-9a-f]{2}))")
_FIRST_RAW_BYTE, _LAST_RAW_BYTE = 0xDC80, 0xDCFF


@dataclass(frozen=True, slots=True)
class PhotoPaths:
    r"""Names of photos as an index writes them down, relative to the folder `root`.

    A name has forward slashes on every system, and is absolute only where no relative one exists
    (another drive). It is text that any database holds: a byte that is no UTF-8 stands as `\xe9`,
    half of a character of Windows as `\ud83d`, a backslash as `\\`. Links to folders are kept as
    they are named; only what `..` follows is looked up. Without `relative` all names are absolute,
    for an index that lies in no folder. A URL is its own name.
    """

    root: Path
    relative: bool = True

    def name_of(self, file: str | os.PathLike[str] | PhotoUrl) -> str:
        """How `file` is written down; `file_of` leads back to it."""
        if isinstance(file, PhotoUrl) or (isinstance(file, str) and is_url(file)):
            return storable(str(file))
        target = _straight(file if isinstance(file, PurePath) else Path(file))
        if not self.relative:
            return storable(target.as_posix())
        system = _system(self.root)
        try:
            relative = system.relpath(str(target), str(self.root))
        except ValueError:  # another drive
            relative = str(target)
        return storable(type(self.root)(relative).as_posix())

    def file_of(self, name: str) -> PhotoFile:
        """Where the photo lies that is written down as `name`; of a view, its panorama."""
        # No path holds two slashes in a row once it is written down.
        if is_url(name):
            return PhotoUrl(_written(file_name(name)))
        joined = self.root / _written(file_name(name))
        return type(self.root)(_system(self.root).normpath(joined))


def index_root(path: str | os.PathLike[str]) -> Path:
    """The folder that the names in the index file at `path` are relative to.

    Where the file is a link, it is the folder of the file that the link leads to.
    """
    return linked_file(Path(path)).parent


def linked_file(path: Path) -> Path:
    """The file at the end of a chain of links, made absolute; its folders stay as named."""
    file = Path(_straight(path))
    for _ in range(40):  # the depth at which Linux gives up, too
        if not file.is_symlink():
            break
        file = Path(_straight(file.parent / file.readlink()))
    return file


def storable(text: str) -> str:
    """`text` as every database and file format holds it; see `PhotoPaths`."""
    return _UNSTORABLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] == "\\":
        return "\\\\"
    if _FIRST_RAW_BYTE <= code <= _LAST_RAW_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}"


def _written(name: str) -> str:
    def character(match: re.Match[str]) -> str:
        backslash, raw, half = match.groups()
        return backslash or chr(int(half, 16) if half else 0xDC00 + int(raw, 16))

    return _ESCAPE.sub(character, name)


def _system(path: PurePath) -> ModuleType:
    return ntpath if isinstance(path, PureWindowsPath) else posixpath


def _straight(path: PurePath) -> PurePath:
    """`path` made absolute and without `..`."""
    if isinstance(path, Path):
        path = path.absolute()
        if ".." in path.parts:
            return _walk(path)
    return type(path)(_system(path).normpath(path))


def _walk(path: Path) -> Path:
    # Behind a link, `..` is the parent of where it leads, not of where it lies.
    at = Path(path.anchor)
    for part in path.parts[1:]:
        if part == "..":
            at = (Path(os.path.realpath(at)) if at.is_symlink() else at).parent
        else:
            at = at / part
    return at
