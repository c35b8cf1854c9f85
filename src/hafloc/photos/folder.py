"""Find the photos of a folder."""

import os
from pathlib import Path

from hafloc.errors import PhotoError

_JPEG = (".jpg", ".jpeg", ".jpe", ".mpo")
_HEIF = (".heic", ".heif", ".hif", ".avif")
SUFFIXES = frozenset({*_JPEG, *_HEIF, ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp"})


def scan(folder: Path | str) -> list[Path]:
    """All photos below `folder`, by suffix, sorted by path.

    Hidden files and folders are left out, links to folders are not followed. Raises PhotoError
    where the folder is missing, unreadable or without photos.
    """
    folder = Path(folder)
    if not folder.exists():
        raise PhotoError(f"cannot read {folder}: there is no such folder; check the path")
    if not folder.is_dir():
        raise PhotoError(f"cannot read {folder}: it is not a folder; give the folder of the photos")
    found = _photos(folder)
    if not found:
        raise PhotoError(
            f"{folder} holds no photos; give a folder with JPEG, PNG, WebP, TIFF or HEIC files"
        )
    return found


def _photos(folder: Path) -> list[Path]:
    found: list[Path] = []
    for root, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(root, name) for name in files if _is_photo(name)]
    return sorted(path for path in found if path.is_file())


def _is_photo(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def _refuse(error: OSError) -> None:
    raise PhotoError(
        f"cannot read {error.filename}: {error.strerror}; check its permissions"
    ) from error
