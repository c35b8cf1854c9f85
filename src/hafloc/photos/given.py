"""Whatever a caller of the library gives as a photo: path, bytes, file, image or array."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from hafloc.errors import PhotoError, reason_of
from hafloc.photos.borders import without_borders
from hafloc.photos.decode import MAX_PIXELS, check_size, read_bytes
from hafloc.photos.exif import metadata, read_exif
from hafloc.photos.focal import focal_length
from hafloc.photos.photo import Image, Metadata, Photo
from hafloc.photos.pixels import BACKGROUND, TRANSPOSING, on_background, turn_of, upright
from hafloc.photos.quiet import without_warnings
from hafloc.photos.remote import PhotoFile
from hafloc.photos.stored import MAX_BYTES, file_bytes, shown, too_large

_WANTED = "give a path, a photo's bytes, an open file, a PIL image, or an array H×W×3 uint8"
# Resampling in floats overshoots the ends of the range by this share of it.
_OVERSHOOT = 0.01


@runtime_checkable
class _Readable(Protocol):
    def read(self, size: int = -1, /) -> Any: ...


class _ArrayLike(Protocol):
    def __array__(self) -> NDArray[Any]: ...


Given = (
    str | os.PathLike[str] | os.PathLike[bytes] | bytes | bytearray | memoryview
    | Pillow.Image | NDArray[Any] | _Readable | _ArrayLike | Photo
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GivenFile:
    """The bytes of a photo's file, what messages call it, and its path where it has one."""

    data: bytes
    name: str
    path: PhotoFile | None = None


def as_photo(
    given: Given | GivenFile,
    *,
    name: str = "the photo",
    max_pixels: int = MAX_PIXELS,
    longer_side: int | None = None,
) -> Photo:
    """The photo that a caller means; `name` is what messages call one without a path.

    - a `Photo` is itself, as a film's frames are given;
    - a path (`str`, `os.PathLike`) is read as `decode.read` does; `bytes`, `bytearray` and
      `memoryview` are a file's content, and so is what an object with `read()` has left;
    - a PIL image of any mode is turned as its EXIF says, and laid on BACKGROUND where transparent;
      one that is still a file is loaded by that;
    - an array, or what `numpy.asarray` makes one of, is upright: `H×W`, `H×W×1` grey, `H×W×3` RGB,
      `H×W×4` RGB with transparency. Whole numbers of 8 bits are taken as they are, unsigned ones of
      16 bits by their full range, other whole numbers by the smaller of the two ranges that holds
      them, floats by 0..1 if none is above, else by 0..255; False and True are black and white; NaN
      is black; masked places are BACKGROUND.

    Images and arrays have no `content`. With `longer_side` the result is reduced as in
    `decode.read`. Raises PhotoError for all else, and for what cannot be read or has more than
    `max_pixels` pixels. Safe in threads, except that two may not load one PIL image at once.
    """
    if isinstance(given, Photo):
        return replace(given, image=upright(Pillow.fromarray(given.image), 1, longer_side))
    if isinstance(given, Pillow.Image):
        return _guarded(name, lambda: _of_image(given, max_pixels, longer_side))
    if isinstance(given, np.ndarray) or hasattr(given, "__array__"):
        return _guarded(name, lambda: _of_array(given, max_pixels, longer_side))
    file = as_file(given, name)
    return read_bytes(
        file.data, file.name, file.path, max_pixels=max_pixels, longer_side=longer_side
    )


def is_pixels(given: Given | GivenFile) -> bool:
    """Whether a caller gave an image or an array, and no file."""
    return isinstance(given, Pillow.Image) or hasattr(given, "__array__")


def as_file(given: Given | GivenFile, name: str) -> GivenFile:
    """The file that a caller means, read once. Raises PhotoError, also for what is none."""
    if isinstance(given, GivenFile):
        return given
    if isinstance(given, str | os.PathLike):
        path = _path(given, name)
        return GivenFile(file_bytes(path), shown(path), path)
    if isinstance(given, bytes | bytearray | memoryview):
        return GivenFile(bytes(given), name)
    if isinstance(given, _Readable):
        return GivenFile(_rest_of(given, name), name)
    raise PhotoError(f"cannot use {name}: it is {_kind(given)}; {_WANTED}")


def as_query(given: Given | GivenFile, *, name: str = "the photo", longer_side: int) -> Photo:
    """As `as_photo`, without the borders of one colour that a screenshot or a frame has.

    Where there are some, `image` is the photo within them, its own longer side at most
    `longer_side`, and `window` tells where it lies. Raises as `as_photo` does.
    """
    kept = given
    # What can be read only once; an image or an array may have a method of that name as well.
    if isinstance(given, _Readable) and not is_pixels(given):
        kept = _rest_of(given, name)
    photo = as_photo(kept, name=name, longer_side=longer_side)
    window = without_borders(photo.image)
    if window is None:
        return photo
    if photo.image.shape[1::-1] != (photo.width, photo.height):
        # The photo is a part of what was reduced, and would have too few pixels.
        before, longer = photo.image.shape[1::-1], max(window.size)
        side = math.ceil(longer_side * max(before) / longer)
        photo = as_photo(kept, name=name, longer_side=side)
        rough = window.scaled(before, photo.image.shape[1::-1])
        window = without_borders(photo.image) or rough
    reduced = upright(Pillow.fromarray(window.of(photo.image)), 1, longer_side)
    window = window.scaled(photo.image.shape[1::-1], (photo.width, photo.height))
    # Within borders lies another image than the camera's.
    return replace(photo, image=reduced, window=window, focal=None)


def _guarded(name: str, make: Callable[[], Photo]) -> Photo:
    try:
        with without_warnings():
            return make()
    except PhotoError as error:
        raise PhotoError(f"cannot use {name}: {error}") from error
    # An image may still be a file that is only now decoded, and damaged, or closed; and anyone's
    # array may refuse in its own way, as a tensor on another device does.
    except Exception as error:
        detail = reason_of(error)[:120]
        raise PhotoError(f"cannot use {name}: {detail}; {_WANTED}") from error


def _path(given: str | os.PathLike[str] | os.PathLike[bytes], name: str) -> Path:
    try:
        text = os.fsdecode(given)
    except Exception as error:
        raise PhotoError(f"cannot use {name}: its path is none ({error}); {_WANTED}") from error
    if not text:
        raise PhotoError(f"cannot use {name}: its path is empty; {_WANTED}")
    if text.startswith(("http://", "https://")):
        raise PhotoError(f"cannot read {shown(text)}: only local files are read; download it first")
    return Path(text)


def _rest_of(file: _Readable, name: str) -> bytes:
    parts, total = [], 0
    try:
        # Unbuffered files give less than they are asked for.
        while part := file.read(MAX_BYTES + 1 - total):
            if not isinstance(part, bytes | bytearray | memoryview):
                raise PhotoError(
                    f"cannot use {name}: the file gives {_kind(part)}; open it in binary mode"
                )
            parts.append(bytes(part))
            total += len(parts[-1])
            if total > MAX_BYTES:
                raise too_large(name)
    except PhotoError:
        raise
    except Exception as error:
        detail = reason_of(error)[:120]
        raise PhotoError(f"cannot read {name}: {detail}; {_WANTED}") from error
    return b"".join(parts)


def _of_image(image: Pillow.Image, max_pixels: int, longer_side: int | None) -> Photo:
    check_size(image.size, max_pixels)
    image.load()
    # After loading: a TIFF is turned by it, and then says so.
    exif = read_exif(image)
    turn = turn_of(image, exif, image.size)
    size = image.size[::-1] if turn in TRANSPOSING else image.size
    pixels = upright(image, turn, longer_side)
    return Photo(pixels, "", metadata(exif), None, *size, focal=focal_length(exif, size))


def _of_array(given: Any, max_pixels: int, longer_side: int | None) -> Photo:
    values = given if isinstance(given, np.ma.MaskedArray) else np.asarray(given)
    shape = tuple(values.shape)
    if values.ndim not in (2, 3) or (values.ndim == 3 and shape[2] not in (1, 3, 4)):
        hint = " (its colours come first)" if values.ndim == 3 and shape[0] in (1, 3, 4) else ""
        raise PhotoError(
            f"an array of shape {shape} and type {values.dtype} is no RGB image{hint}; "
            "give H×W×3 uint8"
        )
    height, width = shape[:2]
    check_size((width, height), max_pixels)
    mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    plain = values if mask is None else np.ma.filled(values, 0)  # below a mask lies anything
    layers = _to_8_bits(plain).reshape(height, width, -1)
    if layers.shape[2] == 4:
        layers = np.asarray(on_background(Pillow.fromarray(np.ascontiguousarray(layers))))
    rgb = np.array(np.broadcast_to(layers, (height, width, 3)))
    if mask is not None:
        rgb[mask.reshape(height, width, -1).any(axis=2)] = BACKGROUND
    image = upright(Pillow.fromarray(rgb), 1, longer_side)
    return Photo(image, "", Metadata(), None, width, height)


def _to_8_bits(values: NDArray[Any]) -> Image:
    if values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if not (np.issubdtype(values.dtype, np.integer) or np.issubdtype(values.dtype, np.floating)):
        raise PhotoError(f"an array of type {values.dtype} is no image; give H×W×3 uint8")
    whole = np.issubdtype(values.dtype, np.integer)
    if not whole:
        values = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if values.dtype == np.uint16:
        full = 65_535.0
    else:
        slack = 0.0 if whole else _OVERSHOOT
        ends = (255.0, 65_535.0) if whole else (1.0, 255.0)
        fitting = [end for end in ends if low >= -slack * end and high <= end * (1 + slack)]
        if not fitting:
            raise PhotoError(
                f"an array of {values.dtype} from {low:,g} to {high:,g} is no image; "
                "give uint8 from 0 to 255, or floats from 0 to 1"
            )
        full = fitting[0]
    scaled = values.astype(np.float32) * np.float32(255.0 / full)
    eight: Image = np.rint(scaled).clip(0, 255).astype(np.uint8)
    return eight


def _kind(thing: object) -> str:
    name = type(thing).__name__
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"
