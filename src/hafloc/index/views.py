"""Panoramas as a build meets them: which are to be cut, and what became of those that were."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hafloc.errors import PhotoError
from hafloc.index.paths import PhotoPaths
from hafloc.index.plan import Group
from hafloc.index.records import GeoIndex
from hafloc.index.store import Entry
from hafloc.photos import (
    Cutting,
    Photo,
    PhotoFile,
    looks_like_panorama,
    read_facts,
    shown,
    split_name,
)


@dataclass(slots=True)
class Cut:
    """What became of panoramas, as they are described: `names` of the views by the file's."""

    panoramas: int = 0
    views: int = 0
    names: dict[str, set[str]] = field(default_factory=dict)
    flat: list[str] = field(default_factory=list)
    wide: list[str] = field(default_factory=list)

    def note(self, name: str, path: PhotoFile, photo: Photo, entries: Sequence[Entry]) -> None:
        if photo.part is not None:
            self.panoramas += 1
            self.views += len(entries)
            self.names[name] = {entry.record.path for entry in entries}
        elif photo.doubt is not None:
            self.flat.append(f"{shown(path)} calls itself a panorama, but {photo.doubt}")
        elif looks_like_panorama((photo.width, photo.height)):
            self.wide.append(name)


def to_be_cut(
    index: GeoIndex, paths: PhotoPaths, cutting: Cutting | None
) -> Callable[[Group], bool]:
    """Whether a file that is held as one photo is a panorama, now that this is assumed.

    Only where panoramas are assumed and a photo has their shape, its file is looked into.
    """
    if cutting is None or not cutting.assume:
        return lambda group: False
    wide = {
        record.id
        for record in index.iterate()
        if looks_like_panorama((record.width, record.height)) and split_name(record.path)[1] is None
    }

    def anew(group: Group) -> bool:
        try:
            return group[0].id in wide and read_facts(paths.file_of(group[0].path), cutting)[1]
        except PhotoError:
            return False

    return anew
