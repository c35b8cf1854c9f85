"""Read positions of photos from whatever file holds them, told by its content."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hafloc.errors import PhotoError, PositionError
from hafloc.photos.projects import colmap, geopackage, layers, mapillary, opensfm, sidecars
from hafloc.photos.projects.entries import Entries
from hafloc.photos.projects.json_file import load_json, looks_like_json
from hafloc.photos.remote import PhotoFile, PhotoUrl
from hafloc.photos.stored import file_bytes, file_start, shown
from hafloc.photos.table import PositionTable, read_positions_csv
from hafloc.photos.tracks.markup import is_markup
from hafloc.photos.tracks.nmea import is_nmea

_HEAD = 256 * 1024
_LARGEST = 512 * 2**20  # bytes of one file
_MODELS = ("images.bin", "images.txt")

# One line for each form: what it is told by, and its reader. JSON by the value in it …
_OF_JSON: tuple[tuple[Callable[[Any], bool], Callable[[Any, Path, Entries], None]], ...] = (
    (mapillary.is_description, mapillary.read_description),
    (layers.is_exiftool, layers.read_exiftool),
    (layers.is_geojson, layers.read_geojson),
    (opensfm.is_reconstruction, opensfm.read_reconstruction),
    (opensfm.is_overrides, opensfm.read_overrides),
)
# … and other files by how they begin.
_OF_BYTES: tuple[tuple[Callable[[bytes], bool], Callable[[bytes, Path, Entries], None]], ...] = (
    (geopackage.is_geopackage, geopackage.read_geopackage),
    (colmap.is_images_text, colmap.read_images_text),
    (colmap.is_images_binary, colmap.read_images_binary),
)
_FORMS = (
    "give a CSV, GeoJSON, a GeoPackage, or a file of exiftool, Mapillary, OpenSfM, OpenDroneMap, "
    "COLMAP or Takeout"
)


def read_table(path: PhotoFile, names: Sequence[str] = ()) -> PositionTable:
    """The positions in a file, or in the sidecars of a folder, by the photo's name in it.

    Behind a URL only a table of text is read.
    `names` are the paths of the photos that sidecars are looked for. Raises PositionError in one
    line naming the file where it cannot be read, is of no known form, or holds no position.
    """
    if isinstance(path, PhotoUrl):
        return read_positions_csv(path)
    try:
        if path.is_dir():
            return _of_folder(path, names)
        data = file_start(path, _HEAD)
    except PhotoError as error:
        raise PositionError(
            str(error).replace("give a photo's file", "give a table of positions")
        ) from error
    if sidecars.is_xmp(data):
        return _some(sidecars.read_sidecars(path, _nameless(names)), path)
    try:
        if is_markup(data) or is_nmea(data):
            raise PositionError("it is a track; name it with --track")
        if looks_like_json(data):
            return _some(_of_json(path, names), path)
        reader = next((read for is_it, read in _OF_BYTES if is_it(data)), None)
        if reader is None:
            return read_positions_csv(path)
        entries = Entries()
        reader(data if reader is geopackage.read_geopackage else _whole(path), path, entries)
        return _some(entries.table(), path)
    except PositionError as error:
        if str(error).startswith(str(path)):
            raise
        text = str(error)
        raise PositionError(
            text if text.startswith("cannot read") else f"cannot read {shown(path)}: {text}"
        ) from error


def _whole(path: Path) -> bytes:
    if path.stat().st_size > _LARGEST:
        raise PositionError(f"it has more than {_LARGEST:,} bytes; check the path")
    return file_bytes(path)


def _of_folder(path: Path, names: Sequence[str]) -> PositionTable:
    model = next((path / name for name in _MODELS if (path / name).is_file()), None)
    if model is not None:
        return read_table(model, names)
    return _some(sidecars.read_sidecars(path, names), path, "no sidecar in it holds a position")


def _of_json(path: Path, names: Sequence[str]) -> PositionTable:
    value = load_json(_whole(path))
    if sidecars.is_takeout(value):
        return sidecars.read_sidecars(path, _nameless(names))
    reader = next((read for is_it, read in _OF_JSON if is_it(value)), None)
    if reader is None:
        raise PositionError(f"its JSON is of no known form; {_FORMS}")
    entries = Entries()
    reader(value, path, entries)
    return entries.table()


def _nameless(names: Sequence[str]) -> list[str]:
    """Photos as if they lay beside a single sidecar, of whose folder nothing is known."""
    return [name.rpartition("/")[2] for name in names]


def _some(
    table: PositionTable, path: Path, why: str = "it holds no position of a photo"
) -> PositionTable:
    if not table.rows:
        first = f"; {table.problems[0]}" if table.problems else ""
        raise PositionError(f"cannot read {shown(path)}: {why}{first}")
    return table
