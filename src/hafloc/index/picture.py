"""The picture of a photo of the database: its file's, else the small one that the index keeps."""

from dataclasses import dataclass
from typing import Protocol

from hafloc.errors import PhotoError
from hafloc.index.backends import paths_of
from hafloc.index.paths import PhotoPaths
from hafloc.index.records import GeoIndex, KeepsThumbnails
from hafloc.index.thumbnails import read_thumbnail
from hafloc.photos import Image, PhotoUrl, read_part, split_name


class Pictured(Protocol):
    """What is needed of a photo: a `Record` has it, and so has a candidate of an answer."""

    @property
    def id(self) -> int | None: ...

    @property
    def path(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Picture:
    """An upright image `H×W×3` uint8; `small` where it is the index's own and no file's."""

    image: Image
    small: bool = False


def picture_of(
    index: GeoIndex, photo: Pictured, *, longer_side: int, paths: PhotoPaths | None = None
) -> Picture:
    """The picture of a photo of `index`, at most `longer_side` pixels long; of a view, the cut.

    It is that of its file, which `paths` leads to where others than the index's own are given.
    Where that is gone, cannot be read, or holds another photo than was indexed, it is the small one
    of the index, which has its own size. A file that has changed is still shown where the index has
    no picture. Raises PhotoError where there is neither.
    """
    view = split_name(photo.path)[1]
    stored = thumbnail_of(index, photo)
    try:
        file = (paths or paths_of(index.location)).file_of(photo.path)
        if stored is not None and isinstance(file, PhotoUrl):
            # No server is asked for what is at hand.
            return Picture(read_thumbnail(stored), small=True)
        if stored is not None and not file.is_file():
            return Picture(read_thumbnail(stored), small=True)
        found = read_part(file, view, longer_side=longer_side)
    except (PhotoError, OSError, ValueError) as error:
        if stored is None:
            if isinstance(error, PhotoError):
                raise
            raise PhotoError(f"cannot read {photo.path}: {error}; check the path") from error
        return Picture(read_thumbnail(stored), small=True)
    if stored is not None and found.content != index.get([photo.id or 0])[0].content:
        return Picture(read_thumbnail(stored), small=True)
    return Picture(found.image)


def thumbnail_of(index: GeoIndex, photo: Pictured) -> bytes | None:
    """The small picture, a JPEG, that `index` keeps of a photo; None where it keeps none."""
    if photo.id is None or not isinstance(index, KeepsThumbnails):
        return None
    return index.thumbnails([photo.id])[0]
