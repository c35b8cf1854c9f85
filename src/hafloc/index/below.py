"""Which photos of an index lie below given folders, whatever way leads there."""

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePath

from hafloc.index.paths import PhotoPaths
from hafloc.index.records import GeoIndex


def ids_below(index: GeoIndex, paths: PhotoPaths, targets: Iterable[Path]) -> list[int]:
    """The ids of photos that are among `targets`: files, or folders with all below them.

    A photo lies below a folder by its name, or by where the links on both ways really lead. The
    files need not exist any more.
    """
    named, real = set(), set()
    for target in targets:
        straight = paths.file_of(paths.name_of(target))
        named.add(os.path.normcase(straight))
        real.add(os.path.normcase(_real(straight)))
    really = lru_cache(maxsize=4_096)(os.path.realpath)  # of folders, which are few

    def is_wanted(file: Path) -> bool:
        there = Path(really(file.parent)) / file.name
        return _is_below(os.path.normcase(file), named) or _is_below(os.path.normcase(there), real)

    return [id_ for id_, name in index.names() if is_wanted(paths.file_of(name))]


def _real(target: Path) -> str:
    # A photo that is itself a link is the link, not what it leads to.
    if target.is_dir():
        return os.path.realpath(target)
    return str(Path(os.path.realpath(target.parent)) / target.name)


def _is_below(file: str, folders: set[str]) -> bool:
    """Whether `file` is one of `folders`, or one of its parents is."""
    path = PurePath(file)
    return any(str(folder) in folders for folder in (path, *path.parents))
