"""Which photos of an index lie below given folders, whatever way leads there."""

import os
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

from hafloc.index.paths import PhotoPaths
from hafloc.index.records import GeoIndex
from hafloc.photos import PhotoFile, PhotoUrl, file_name, is_url, part_name, split_name


def ids_below(index: GeoIndex, paths: PhotoPaths, targets: Iterable[PhotoFile]) -> list[int]:
    """The ids of photos that are among `targets`: files, or folders with all below them.

    A photo lies below a folder by its name, or by where the links on both ways really lead; one
    behind a URL by its name alone. The files need not exist any more. A file means all views of
    it, and the name of a view that view.
    """
    targets = list(targets)
    is_wanted = _on_disk(paths, [target for target in targets if isinstance(target, Path)])
    urls = [target for target in targets if isinstance(target, PhotoUrl)]

    def is_below(name: str) -> bool:
        if not is_url(name):
            return is_wanted(name)
        file = paths.file_of(name)
        assert isinstance(file, PhotoUrl)
        return any(name == str(url) or file == url or file.inside(url) is not None for url in urls)

    return [id_ for id_, name in index.names() if is_below(name)]


def _on_disk(paths: PhotoPaths, targets: Iterable[Path]) -> Callable[[str], bool]:
    """Tells whether the file of that name lies among or below `targets`."""
    wanted: set[str] = set()
    views: set[str] = set()
    for target in targets:
        file, view = split_name(str(target))
        if view is not None:
            views.add(part_name(paths.name_of(file), view))
            continue
        straight = _path(paths, paths.name_of(target))
        wanted |= {os.path.normcase(straight), os.path.normcase(_real(straight))}

    @lru_cache(maxsize=65_536)  # photos share their folders
    def folder(name: str) -> tuple[bool, frozenset[str]]:
        """Whether all of a folder is wanted, and else which of its files by their whole path."""
        lexical = _path(paths, f"{name}/photo" if name else "photo").parent
        ways = {Path(os.path.normcase(way)) for way in (lexical, os.path.realpath(lexical))}
        if any(str(above) in wanted for way in ways for above in (way, *way.parents)):
            return True, frozenset()
        return False, frozenset(file for file in wanted if Path(file).parent in ways)

    def is_wanted(name: str) -> bool:
        if name in views:
            return True
        whole, files = folder(file_name(name).rpartition("/")[0])
        if whole or not files:
            return whole
        file = paths.file_of(name).name
        return any(Path(one).name == os.path.normcase(file) for one in files)

    return is_wanted


def _path(paths: PhotoPaths, name: str) -> Path:
    file = paths.file_of(name)
    assert isinstance(file, Path), "URLs are told apart before"
    return file


def _real(target: Path) -> str:
    # A photo that is itself a link is the link, not what it leads to.
    if target.is_dir():
        return os.path.realpath(target)
    return str(Path(os.path.realpath(target.parent)) / target.name)
