"""The photos of a training or validation set: files, places, headings."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from hafloc.errors import PhotoError, PositionError
from hafloc.geo import earth_centred
from hafloc.photos import (
    Image,
    Metadata,
    Positions,
    photo_paths,
    read_flat,
    read_metadata,
    read_positions_csv,
)

log = logging.getLogger(__name__)

TABLE = "positions.csv"


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """N photos with positions.

    `names` are paths as their positions.csv writes them, `xyz` `[N, 3]` earth-centred metres (a
    straight distance there agrees with the geodesic to 1 in 10⁹ below 100 m), `places` `[N]` a
    number for each distinct position, so that all views of a panorama share one, `headings`
    `[N]` degrees or NaN.
    """

    names: tuple[str, ...]
    paths: tuple[Path, ...]
    xyz: NDArray[np.float64]
    places: NDArray[np.int64]
    headings: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.names)

    def part(self, numbers: NDArray[np.integer]) -> "PhotoSet":
        """The photos of these numbers alone."""
        return PhotoSet(
            tuple(self.names[n] for n in numbers),
            tuple(self.paths[n] for n in numbers),
            self.xyz[numbers],
            self.places[numbers],
            self.headings[numbers],
        )


def read_photo_set(folders: Sequence[Path]) -> PhotoSet:
    """The photos of folders: those that a positions.csv lists, beside it or in `images/`; without
    one, all below whose name, EXIF or XMP holds a position.

    Raises PositionError for a bad table or a folder without any position, PhotoError where a
    listed photo is missing or one cannot be read.
    """
    names, paths, rows = [], [], []
    for folder in folders:
        if (folder / TABLE).is_file():
            table = _table(folder / TABLE)
            found = dict(zip(table, _files(folder, list(table)), strict=True))
        else:
            found = {path.relative_to(folder).as_posix(): path for path in photo_paths(folder)}
            table = _from_files(folder, found)
        names += list(table)
        paths += [found[name] for name in table]
        rows += list(table.values())
    lats, lons = _degrees(rows)
    headings = [np.nan if row.heading is None else row.heading for row in rows]
    xyz = earth_centred(lats, lons)
    return PhotoSet(tuple(names), tuple(paths), xyz, number_places(xyz), np.array(headings))


def _table(path: Path) -> Mapping[str, Metadata]:
    table = read_positions_csv(path)
    # A photo that a recipe counts on must not be missing silently.
    if table.problems:
        raise PositionError(f"{path}, {table.problems[0]}")
    return table.rows


def _from_files(folder: Path, paths: Mapping[str, Path]) -> Mapping[str, Metadata]:
    """What names and files say, of those that say where."""
    positions = Positions()
    said = {name: positions.complete(read_metadata(path), name) for name, path in paths.items()}
    placed = {name: metadata for name, metadata in said.items() if metadata.position is not None}
    if not placed:
        raise PositionError(
            f"{folder} has no {TABLE}, and none of its {len(paths):,} photos holds a position; "
            "write the table, a row image,lat,lon for each photo"
        )
    if len(placed) < len(said):
        left = f"{len(said) - len(placed):,} of {len(said):,}"
        log.warning("%s photos of %s have no position; they are left out", left, folder)
    return placed


def _files(folder: Path, names: Sequence[str]) -> list[Path]:
    home = folder / "images" if (folder / "images").is_dir() else folder
    paths = [home / name for name in names]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise PhotoError(
            f"{len(missing):,} of {len(paths):,} photos of {folder / 'positions.csv'} are missing, "
            f"first {missing[0]}; copy them there or remove their rows"
        )
    return paths


def _degrees(rows: Sequence[Metadata]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    positions = [row.position for row in rows if row.position is not None]
    return np.array([p.lat for p in positions]), np.array([p.lon for p in positions])


def image_size(path: Path, longer_side: int) -> tuple[int, int]:
    """(H, W) of a photo as `read` will return it, from its header alone. Raises PhotoError."""
    try:
        with Pillow.open(path) as image:
            width, height = image.size
    except OSError as error:
        raise PhotoError(f"cannot read {path}: {error}; copy it again or remove it") from error
    scale = min(1.0, longer_side / max(width, height))
    return max(1, round(height * scale)), max(1, round(width * scale))


def decode(path: Path, longer_side: int) -> Image:
    """Upright RGB pixels `H×W×3`, the longer side at most `longer_side`. Raises PhotoError."""
    return read_flat(path, longer_side=longer_side).image


def join(first: PhotoSet, second: PhotoSet) -> PhotoSet:
    """Both sets' photos, the first's before the second's, with common place numbers."""
    xyz = np.concatenate([first.xyz, second.xyz])
    return PhotoSet(
        first.names + second.names,
        first.paths + second.paths,
        xyz,
        number_places(xyz),
        np.concatenate([first.headings, second.headings]),
    )


def number_places(positions: NDArray[np.float64]) -> NDArray[np.int64]:
    """A number for each distinct row of `[N, k]`: `[N]`."""
    return np.unique(positions, axis=0, return_inverse=True)[1].reshape(-1)
