"""What a photo's file says of its moment and place, before any clock is corrected."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from PIL.ExifTags import Base

from hafloc.errors import PhotoError
from hafloc.photos.decode import look_into
from hafloc.photos.exif import Exif, metadata, readings
from hafloc.photos.photo import Metadata
from hafloc.photos.remote import PhotoFile, PhotoUrl
from hafloc.photos.stored import file_start
from hafloc.photos.tags import shown, text

_SERIAL = 0xA431
# EXIF stands at the head of a JPEG; whole files would have to be read from the disk.
_HEAD = 512 * 1024


@dataclass(frozen=True, slots=True)
class Exposure:
    """`reading` is what the camera's clock showed, aware where it states its zone; `gps_time` the
    receiver's time (UTC), a reference for that clock; `camera` names it, "" where unknown."""

    metadata: Metadata
    camera: str
    reading: datetime | None
    gps_time: datetime | None


def read_exposure(path: PhotoFile) -> Exposure:
    """The exposure in a photo's file. Raises PhotoError as `decode.read_metadata` does."""
    if isinstance(path, PhotoUrl):
        return look_into(path, _exposure)
    head = file_start(path, _HEAD)
    if len(head) == _HEAD and head.startswith(b"\xff\xd8"):
        try:
            return look_into(path, _exposure, head)
        except PhotoError:
            pass  # its EXIF goes on behind that
        return look_into(path, _exposure)
    return look_into(path, _exposure, head if len(head) < _HEAD else None)


def _exposure(exif: Exif) -> Exposure:
    reading, gps_time = readings(exif)
    return Exposure(metadata(exif), _camera(exif), reading, gps_time)


def _camera(exif: Exif) -> str:
    make, model = text(exif.main.get(Base.Make)), text(exif.main.get(Base.Model))
    if model.casefold().startswith(make.split(" ")[0].casefold()):
        make = ""
    serial = _first(exif.detail, _SERIAL)
    return shown(" ".join(part for part in (make, model, serial) if part), 60)


def _first(tags: Mapping[int, object], tag: int) -> str:
    return text(tags.get(tag))
