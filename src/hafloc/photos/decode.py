"""Turn a photo's file into upright RGB pixels, or say in one line why that cannot be."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pillow_heif
from PIL import Image as Pillow
from PIL import ImageFile

from hafloc.errors import PhotoError
from hafloc.photos import formats, jpeg_xl, raw
from hafloc.photos.exif import Exif, metadata, read_exif
from hafloc.photos.focal import focal_length
from hafloc.photos.gpano import Sphere, sphere_of
from hafloc.photos.photo import Metadata, Photo
from hafloc.photos.pixels import TRANSPOSING, Reduced, fitting, turn_of, upright
from hafloc.photos.quiet import without_warnings
from hafloc.photos.remote import PhotoFile
from hafloc.photos.stored import content_of, file_bytes, shown

_T = TypeVar("_T")

MAX_PIXELS = 200_000_000
# How often the wanted size a JPEG is decoded, at least. Vectors of 12-megapixel photos are then
# within 9e-4 of the whole decode's (1 - cosine), at a quarter of its time; with 1 they are within
# 9e-3, further off than bicubic reduction is from Lanczos (4e-3).
_SPARE = 2

# How decoders say that a file is whole, but of a variant that they do not read.
_UNSUPPORTED = (
    "unsupported",
    "not supported",
    "not available",
    "not implemented",
    "has not been built in",
    "cannot handle",
    "unknown pixel mode",
    "unknown data organization",
    "unrecognized image mode",
)
_ENDS_EARLY = ("truncated", "broken data stream", "end of file", "eof", "not enough data")

pillow_heif.register_heif_opener()
Pillow.init()


def read(
    source: PhotoFile | str | bytes, *, max_pixels: int = MAX_PIXELS, longer_side: int | None = None
) -> Photo:
    """Decode a photo: a path, a URL, or a file's bytes; `given.as_photo` takes more than these.

    JPEG (and the first picture of an MPO), PNG, WebP, TIFF, HEIC, AVIF, JPEG 2000, GIF, BMP, PPM,
    and with the extras `jxl` and `raw` JPEG XL and camera RAW; told by content, never by name. Of
    animations the first frame; transparency laid on BACKGROUND; 16-bit values scaled to 8. The
    image is `H×W×3` uint8 and upright (see `exif.orientation`). With `longer_side`, it is scaled
    down until its longer side is at most that many pixels, never up; RAW is then
    decoded at a reduced size, and so are JPEGs, at twice the wanted one or more. Broken EXIF is
    ignored. Safe in threads.

    Raises PhotoError for what is missing, no regular file, empty, damaged, not a photo, of an
    unsupported kind, or of more than `max_pixels` pixels; that is checked before any pixel is
    decoded.
    """
    if isinstance(source, bytes):
        return read_bytes(source, "the photo", max_pixels=max_pixels, longer_side=longer_side)
    path = Path(source) if isinstance(source, str) else source
    data = file_bytes(path)
    return read_bytes(data, shown(path), path, max_pixels=max_pixels, longer_side=longer_side)


def read_bytes(
    data: bytes,
    name: str,
    path: PhotoFile | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
    longer_side: int | None = None,
) -> Photo:
    """As `read`, of a file's bytes that messages call `name` and that came from `path`."""
    if longer_side is not None and longer_side < 1:
        raise ValueError(f"longer_side is {longer_side}; give at least 1 pixel")
    kind = _kind(data, name)
    try:
        # Also while decoding: some decoders speak only then.
        with without_warnings():
            if kind == "RAW":
                developed = raw.develop(data, max_pixels, longer_side)
                exif, size, pixels = developed.exif, developed.size, developed.image
            else:
                image, exif = _open(data, kind, max_pixels)
                with image:
                    turn = turn_of(image, exif, image.size)
                    size = image.size[::-1] if turn in TRANSPOSING else image.size
                    reduced = _reduce(image, longer_side) if kind == "JPEG" else None
                    image.load()
                    pixels = upright(image, turn, longer_side, reduced)
    except PhotoError as error:
        raise PhotoError(f"cannot read {name}: {error}") from error
    # A damaged file makes the decoders behind Pillow raise anything at all.
    except Exception as error:
        raise PhotoError(f"cannot read {name}: {_fault(data, kind, error)}") from error
    told = sphere_of(exif.xmp, size)
    return Photo(
        pixels,
        content_of(data),
        metadata(exif),
        path,
        *size,
        focal=focal_length(exif, size) if told is None else None,
        sphere=told if isinstance(told, Sphere) else None,
        doubt=told if isinstance(told, str) else None,
    )


def _reduce(image: ImageFile.ImageFile, longer_side: int | None) -> Reduced | None:
    """Have a JPEG decoded as small as a good reduction to `longer_side` allows."""
    original = image.size
    wide, high = (_SPARE * side for side in fitting(original, longer_side))
    drafted = image.draft(None, (wide, high))
    return None if drafted is None else Reduced(original, drafted[1])


def read_metadata(path: PhotoFile | str, data: bytes | None = None) -> Metadata:
    """What a photo's file says of where and when, without developing its pixels; as `read` does.

    `data` are the file's bytes where they are at hand. Raises PhotoError for what is missing,
    empty, damaged at its head, or not a photo.
    """
    return look_into(path, metadata, data)


def look_into(path: PhotoFile | str, look: Callable[[Exif], _T], data: bytes | None = None) -> _T:
    """What `look` finds in the EXIF and XMP of a photo's file; as `read_metadata`."""
    if data is None:
        data = file_bytes(Path(path) if isinstance(path, str) else path)
    return look(read_head(data, shown(path))[0])


def read_head(data: bytes, name: str) -> tuple[Exif, tuple[int, int]]:
    """The EXIF and XMP of a photo's file, and the width and height of its upright image.

    These are 0 of a camera's RAW. Raises as `read_metadata` does.
    """
    kind = _kind(data, name)
    try:
        with without_warnings():
            if kind == "RAW":
                return raw.read_exif_of(data), (0, 0)
            image, exif = _open(data, kind, MAX_PIXELS)
            with image:
                turned = turn_of(image, exif, image.size) in TRANSPOSING
                return exif, image.size[::-1] if turned else image.size
    except PhotoError as error:
        raise PhotoError(f"cannot read {name}: {error}") from error
    except Exception as error:
        raise PhotoError(f"cannot read {name}: {_fault(data, kind, error)}") from error


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Raises PhotoError, without a photo's name, for an image that is too large, or of no pixel."""
    width, height = size
    if width * height > max_pixels:
        raise PhotoError(
            f"{width:,} × {height:,} pixels are more than the allowed {max_pixels:,}; scale it down"
        )
    if not width or not height:
        raise PhotoError(f"it has {width:,} × {height:,} pixels; give a photo with some")


def _kind(data: bytes, name: str) -> str:
    if not data:
        raise PhotoError(f"cannot read {name}: the file is empty; copy it again")
    kind = formats.kind_of(data)
    if kind is None:
        other = formats.what_else(data)
        it_is = f"it is {other}, not a photo" if other else "it is not a photo in a known format"
        if other == formats.A_VIDEO and Path(name).suffix.lower() in formats.FILM_SUFFIXES:
            raise PhotoError(f"cannot read {name}: {it_is}; name one of its frames: {name}#t=12.4")
        raise PhotoError(
            f"cannot read {name}: {it_is}; convert it to JPEG, PNG, WebP, TIFF or HEIC"
        )
    if kind in formats.EXTRAS and not formats.has_reader(kind):
        words = {"RAW": "camera RAW", "JXL": "JPEG XL"}[kind]
        install = formats.EXTRAS[kind][1]
        raise PhotoError(
            f"cannot read {name}: it is {words}, which needs an extra; `{install}`, or convert it"
        )
    return kind


def _open(data: bytes, kind: str, max_pixels: int) -> tuple[ImageFile.ImageFile, Exif]:
    """Read the header only. Pillow's own `open` would apply its process-wide pixel bound."""
    if kind == "JXL":
        # Its plugin decodes as it opens.
        check_size(jpeg_xl.size_of(data), max_pixels)
        image = jpeg_xl.open_image(data)
    else:
        image = Pillow.OPEN[kind][0](io.BytesIO(data), "")
        # Before the EXIF: looking for that of a PNG decodes its pixels.
        check_size(image.size, max_pixels)
    return image, read_exif(image)


def _fault(data: bytes, kind: str, error: Exception) -> str:
    """Why decoding failed, and what to do, for a message after "cannot read X: "."""
    detail = " ".join(str(error).split())
    if isinstance(error, Pillow.DecompressionBombError):
        return "it has more pixels than can be decoded; scale it down"
    look = {"JPEG": formats.jpeg_kind, "TIFF": formats.tiff_kind}.get(kind)
    variant = look(data) if look else None
    # LibRaw calls damage "unsupported" too; what it does not know it says by its error's kind.
    if variant is None and kind != "RAW" and any(word in detail.lower() for word in _UNSUPPORTED):
        variant = detail[:80]
    if variant is not None:
        return f"this kind of {_NAMES.get(kind, kind)} ({variant}) is not supported; convert it"
    if any(word in detail.lower() for word in _ENDS_EARLY):
        return f"the file ends early (after {len(data):,} bytes); copy it again"
    return f"the file is damaged ({len(data):,} bytes); copy it again"


_NAMES = {"HEIF": "HEIC", "JPEG2000": "JPEG 2000", "JXL": "JPEG XL", "RAW": "camera RAW"}
