"""Small copies of photos to put inside a page: each once, together no larger than a bound."""

import base64
import hashlib
import io
from collections.abc import Callable

from PIL import Image

from hafloc.errors import HaflocError
from hafloc.index import GeoIndex, Pictured, paths_of, picture_of, thumbnail_of
from hafloc.photos import Image as Pixels
from hafloc.photos import Part, PhotoFile, read_part

_QUALITY = 80
_GONE = "the photo's file is gone"


class Thumbnails:
    """Collects JPEG data URIs; equal pictures are stored once.

    Once `max_bytes` of JPEG are in, further photos are left out.
    """

    def __init__(self, longer_side: int, max_bytes: int) -> None:
        self.uris: list[str] = []
        self._longer_side = longer_side
        self._left = max_bytes
        self._known: dict[tuple[PhotoFile, Part | None] | str, int | str] = {}
        self._by_picture: dict[bytes, int] = {}

    def of(self, file: PhotoFile | None, part: Part | None = None) -> int | str:
        """The place of a photo, or of a view of it, in `uris`, or in words why it has none."""
        if file is None:
            return "the query came without a file"
        key = file, part
        if key not in self._known:
            self._known[key] = (
                self._add(lambda: read_part(file, part, longer_side=self._longer_side).image)
                if file.is_file()
                else _GONE
            )
        return self._known[key]

    def of_photo(self, index: GeoIndex, photo: Pictured) -> int | str:
        """The same for a photo of an index, which may keep a picture of one whose file is gone."""
        if photo.path not in self._known:
            file = paths_of(index.location).file_of(photo.path)
            self._known[photo.path] = (
                self._add(lambda: picture_of(index, photo, longer_side=self._longer_side).image)
                if thumbnail_of(index, photo) is not None or file.is_file()
                else _GONE
            )
        return self._known[photo.path]

    def of_pixels(self, key: str, pixels: Callable[[], Pixels]) -> int | str:
        """The same for a part or a turn of a photo, `H×W×3`, which `key` tells from all others."""
        if key not in self._known:
            self._known[key] = self._add(pixels)
        return self._known[key]

    def _add(self, pixels: Callable[[], Pixels]) -> int | str:
        try:
            jpeg = small_jpeg(pixels(), self._longer_side)
        except HaflocError:
            return "the photo cannot be read"
        key = hashlib.blake2b(jpeg).digest()
        if key in self._by_picture:
            return self._by_picture[key]
        if len(jpeg) > self._left:
            return "left out to keep the page small"
        self._left -= len(jpeg)
        self.uris.append("data:image/jpeg;base64," + base64.b64encode(jpeg).decode())
        self._by_picture[key] = len(self.uris) - 1
        return len(self.uris) - 1


def small_jpeg(pixels: Pixels, longer_side: int) -> bytes:
    """A JPEG of the image `H×W×3`, its longer side at most that many pixels."""
    memory = io.BytesIO()
    picture = Image.fromarray(pixels)
    picture.thumbnail((longer_side, longer_side))
    picture.save(memory, "JPEG", quality=_QUALITY, optimize=True)
    return memory.getvalue()
