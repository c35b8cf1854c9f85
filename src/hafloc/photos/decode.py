"""Turn a photo's file into upright RGB pixels, or say in one line why that cannot be."""

import hashlib
import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFile

from hafloc.errors import PhotoError
from hafloc.photos.exif import Exif, metadata, orientation, read_exif
from hafloc.photos.photo import Image, Metadata, Photo

MAX_PIXELS = 200_000_000
BACKGROUND = (255, 255, 255)  # what transparent photos are laid on: white, as browsers show them

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF", "GIF", "BMP")
# These decoders turn the pixels upright themselves.
_TURNED_BY_DECODER = ("TIFF", "HEIF", "AVIF")
_TURN = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}

pillow_heif.register_heif_opener()
Pillow.init()
_WARNINGS = threading.Lock()


def read(
    source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS, longer_side: int | None = None
) -> Photo:
    """Decode a photo: a path, or the bytes of a file.

    JPEG (and the first picture of an MPO), PNG, WebP, TIFF, HEIC, AVIF, GIF, BMP; of animations
    the first frame; transparency laid on BACKGROUND; 16-bit values scaled to 8. The image is
    `H×W×3` uint8 and upright (see `exif.orientation`). With `longer_side`, it is scaled down
    until its longer side is at most that many pixels, never up; JPEGs are then decoded at a
    reduced size. Broken EXIF is ignored.

    Raises PhotoError for what is missing, empty, damaged, not a photo, or of more than
    `max_pixels` pixels; that is checked before any pixel is decoded.
    """
    if longer_side is not None and longer_side < 1:
        raise ValueError(f"longer_side is {longer_side}; give at least 1 pixel")
    path = None if isinstance(source, bytes) else Path(source)
    name = str(path) if path else "the photo"
    data = source if isinstance(source, bytes) else _file_bytes(Path(source))
    opened, exif = _open(data, name)
    with opened:
        _check_size(opened.size, max_pixels, name)
        turn = 1 if opened.format in _TURNED_BY_DECODER else orientation(exif, opened.size)
        size = opened.size
        try:
            pixels = _decode(opened, longer_side, turn)
        # A damaged file makes the decoders behind Pillow raise anything at all.
        except Exception as error:
            raise _damaged(name, data, error) from error
    swapped = turn in (5, 6, 7, 8)
    width, height = size[::-1] if swapped else size
    return Photo(pixels, _hash(data), metadata(exif), path, width, height)


def read_metadata(path: Path | str) -> Metadata:
    """What a photo's file says of where and when, without decoding its pixels; as `read` does.

    Raises PhotoError for what is missing, empty, damaged at its head, or not a photo.
    """
    opened, exif = _open(_file_bytes(Path(path)), str(path))
    with opened:
        return metadata(exif)


def content(path: Path | str) -> str:
    """What identifies a file's bytes: hex BLAKE2b of 16 bytes. Raises PhotoError."""
    return _hash(_file_bytes(Path(path)))


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _file_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PhotoError(f"cannot read {path}: there is no such file; check the path") from error
    except IsADirectoryError as error:
        raise PhotoError(f"cannot read {path}: it is a folder; give a photo") from error
    # ValueError: a name with a NUL.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PhotoError(f"cannot read {path}: {reason}; check its permissions") from error


def _open(data: bytes, name: str) -> tuple[ImageFile.ImageFile, Exif]:
    """Read the header only. Pillow's own `open` would apply its process-wide pixel bound."""
    if not data:
        raise PhotoError(f"cannot read {name}: the file is empty; copy it again or remove it")
    for kind in _FORMATS:
        factory, accepts = Pillow.OPEN.get(kind, (None, None))
        # `accepts` may answer with the reason for a no, as text.
        if factory is None or (accepts is not None and accepts(data[:16]) is not True):
            continue
        try:
            with _without_warnings():
                image = factory(io.BytesIO(data), "")
                return image, read_exif(image)
        except Exception as error:
            raise _damaged(name, data, error) from error
    raise PhotoError(
        f"cannot read {name}: it is not a photo in a known format; "
        "convert it to JPEG, PNG, WebP, TIFF or HEIC, or remove it"
    )


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep what Pillow says of damaged EXIF off the user's screen; one thread at a time, since
    the filters of `warnings` belong to the whole process."""
    with _WARNINGS, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif)\b")
        yield


def _check_size(size: tuple[int, int], max_pixels: int, name: str) -> None:
    width, height = size
    if width * height > max_pixels:
        raise PhotoError(
            f"cannot read {name}: {width:,} × {height:,} pixels are more than the allowed "
            f"{max_pixels:,}; scale it down or remove it"
        )


def _damaged(name: str, data: bytes, error: Exception) -> PhotoError:
    detail = " ".join(str(error).split()).lower()
    if any(word in detail for word in ("truncated", "broken data stream", "end of file", "eof")):
        reason = f"the file ends early (after {len(data):,} bytes)"
    else:
        reason = f"the file is damaged ({len(data):,} bytes)"
    return PhotoError(f"cannot read {name}: {reason}; copy it again or remove it")


def _decode(image: ImageFile.ImageFile, longer_side: int | None, turn: int) -> Image:
    target = _fitting(image.size, longer_side)
    if target != image.size and image.format in ("JPEG", "MPO"):
        image.draft(None, target)
    image.load()
    rgb = _to_rgb(image)
    if target != rgb.size:
        rgb = rgb.resize(target, Pillow.Resampling.LANCZOS)
    if turn in _TURN:
        rgb = rgb.transpose(_TURN[turn])
    return np.array(rgb)


def _fitting(size: tuple[int, int], longer_side: int | None) -> tuple[int, int]:
    if longer_side is None or max(size) <= longer_side:
        return size
    scale = longer_side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _to_rgb(image: Pillow.Image) -> Pillow.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return Pillow.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        return _on_background(image)
    return image.convert("RGB")


def _on_background(image: Pillow.Image) -> Pillow.Image:
    # Pillow converts premultiplied grey to RGBA by way of LA only.
    layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    below = Pillow.new("RGBA", layer.size, BACKGROUND)
    return Pillow.alpha_composite(below, layer).convert("RGB")


def _to_8_bits(values: NDArray[Any]) -> Image:
    """Grey of more than 8 bits: integers by 16 bits, fractions by 1, anything else by its range."""
    whole = np.issubdtype(values.dtype, np.integer)
    values = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    full = 65_535.0 if whole else 1.0
    if low >= 0 and high <= full:
        low, high = 0.0, full
    scaled = (values - low) * (255.0 / ((high - low) or 1.0))
    return np.rint(scaled).clip(0, 255).astype(np.uint8)
