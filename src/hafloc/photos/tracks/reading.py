"""Read a file of recorded tracks, told by its content."""

import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hafloc.errors import MissingExtraError, PhotoError, PositionError
from hafloc.photos.stored import file_bytes
from hafloc.photos.stored import shown as shown_path
from hafloc.photos.tracks.fit import is_fit, read_fit
from hafloc.photos.tracks.found import Found
from hafloc.photos.tracks.markup import is_markup, read_markup
from hafloc.photos.tracks.nmea import is_nmea, read_nmea
from hafloc.photos.tracks.track import Track

_LARGEST = 256 * 2**20  # bytes; a day of ten fixes a second takes some hundred

# One line for each format: what it is told by, and its reader.
_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes, Found], None]], ...] = (
    (is_fit, read_fit),
    (is_markup, read_markup),
    (is_nmea, read_nmea),
)


@dataclass(frozen=True, slots=True)
class TrackFile:
    """The recordings of one file, and what of it is left out, a line each."""

    path: Path
    tracks: tuple[Track, ...]
    problems: tuple[str, ...] = ()


def read_track(path: Path | str) -> TrackFile:
    """The recordings in a file of GPX, KML, KMZ, TCX, NMEA, or FIT (extra `fit`).

    Points without a time or a usable position are left out. Raises PositionError in one line
    naming the file where it cannot be read, is no track, or none of its points has a time, and
    MissingExtraError for FIT without its reader.
    """
    path = Path(path)
    name = shown_path(path)
    try:
        data = file_bytes(path)
    except PhotoError as error:
        said = str(error).replace("give a photo's file", "give a track")
        raise PositionError(said.replace("give a photo", "give a track")) from error
    if len(data) > _LARGEST:
        raise PositionError(
            f"cannot read {name}: it has more than {_LARGEST:,} bytes, which no "
            "track has; check the path"
        )
    data = _unpacked(data, name)
    reader = next((read for is_it, read in _READERS if is_it(data)), None)
    if reader is None:
        what = "it is empty" if not data.strip() else "it is no track"
        raise PositionError(f"cannot read {name}: {what}; give GPX, KML, KMZ, TCX, NMEA or FIT")
    found = Found()
    try:
        reader(data, found)
    except MissingExtraError as error:
        raise MissingExtraError(f"cannot read {name}: {error}") from error
    found.end()
    if not found.tracks:
        raise PositionError(f"cannot read {name}: {_emptiness(found)}")
    return TrackFile(path, tuple(found.tracks), tuple(found.problems))


def _emptiness(found: Found) -> str:
    if found.only_timeless:
        return (
            f"none of its {found.only_timeless:,} points has a time, as in a planned route; "
            "give a recorded track"
        )
    first = f" ({found.problems[0]})" if found.problems else ""
    return f"it holds no point with a time and a position{first}; give a recorded track"


def _unpacked(data: bytes, name: str) -> bytes:
    """The KML inside a KMZ; anything else as it is. Raises PositionError."""
    if not data.startswith(b"PK\x03\x04"):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside = next(
                (item for item in archive.infolist() if item.filename.lower().endswith(".kml")),
                None,
            )
            if inside is None:
                return b"PK"
            with archive.open(inside) as file:
                content = file.read(_LARGEST + 1)
    except NotImplementedError as error:  # a RuntimeError too
        raise PositionError(
            f"cannot read {name}: its compression is not supported; export KML"
        ) from error
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as error:
        raise PositionError(f"cannot read {name}: the archive is damaged; copy it again") from error
    if len(content) > _LARGEST:
        raise PositionError(
            f"cannot read {name}: it unpacks to more than {_LARGEST:,} bytes; check the path"
        )
    return content
