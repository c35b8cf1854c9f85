"""Camera RAW, developed by LibRaw (`rawpy`, the extra `raw`), with the EXIF that it carries."""

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import ExifTags
from PIL import Image as Pillow

from hafloc.errors import PhotoError
from hafloc.photos.exif import Exif, read_exif
from hafloc.photos.photo import Image
from hafloc.photos.pixels import upright

# LibRaw's `flip` of pictures that are turned by a quarter: 5 and 6.
_QUARTER = 4
_NOTHING = Exif({}, {}, {})


@dataclass(frozen=True, slots=True)
class Developed:
    """`image` is upright RGB `H×W×3` uint8; `size` the upright width and height of the whole."""

    image: Image
    size: tuple[int, int]
    exif: Exif


def develop(data: bytes, max_pixels: int, longer_side: int | None) -> Developed:
    """Develop a RAW with the camera's white balance, turned as the camera was held.

    Where half the size suffices for `longer_side`, each block of the sensor's colours becomes one
    pixel. Raises PhotoError, without a name, for more than `max_pixels` pixels or a camera that
    LibRaw does not know; anything at all for a damaged file.
    """
    try:
        import rawpy
    except ImportError as error:
        raise PhotoError(
            f"the reader of camera RAW does not start ({error}); `pip install hafloc[raw]` anew"
        ) from error
    try:
        opened = rawpy.imread(io.BytesIO(data))
    except rawpy.LibRawFileUnsupportedError as error:
        raise PhotoError("this kind of camera RAW is not supported; convert it") from error
    with opened as picture:
        sizes = picture.sizes
        if max(sizes.raw_width * sizes.raw_height, sizes.width * sizes.height) > max_pixels:
            raise PhotoError(
                f"{sizes.width:,} × {sizes.height:,} pixels are more than the allowed "
                f"{max_pixels:,}; scale it down"
            )
        turned = sizes.flip in range(_QUARTER, 8)
        size = (sizes.height, sizes.width) if turned else (sizes.width, sizes.height)
        half = longer_side is not None and max(size) >= 2 * longer_side
        pixels = picture.postprocess(use_camera_wb=True, half_size=half, output_bps=8)
    # A monochrome sensor gives one channel.
    rgb = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    image = upright(Pillow.fromarray(rgb), 1, longer_side)
    return Developed(image, size, read_exif_of(data))


def read_exif_of(data: bytes) -> Exif:
    """EXIF of a RAW, wherever its maker puts it; none where that is unknown or broken."""
    try:
        if data.startswith(b"FUJIFILMCCD-RAW"):
            return _of_preview(data)
        if data[4:12] == b"ftypcrx ":
            return _of_boxes(data)
        if data[:2] in (b"II", b"MM"):
            # Olympus and Panasonic write other numbers in place of TIFF's 42.
            order = "<" if data[:2] == b"II" else ">"
            return _of_tiff(data[:2] + struct.pack(order + "H", 42) + data[4:])
    # Damaged EXIF makes Pillow raise anything at all, and never makes the pixels unreadable.
    except Exception:
        pass
    return _NOTHING


def _of_tiff(data: bytes) -> Exif:
    exif = _loaded(data)
    return Exif(
        dict(exif), dict(exif.get_ifd(ExifTags.IFD.Exif)), dict(exif.get_ifd(ExifTags.IFD.GPSInfo))
    )


def _of_preview(data: bytes) -> Exif:
    """Fujifilm: a whole JPEG, whose place stands at byte 84."""
    start, length = struct.unpack_from(">II", data, 84)
    return read_exif(Pillow.OPEN["JPEG"][0](io.BytesIO(data[start : start + length]), ""))


def _of_boxes(data: bytes) -> Exif:
    """Canon CR3: each directory is a TIFF of its own in a box (CMT1, CMT2, CMT4)."""
    main, detail, gps = (_directory_in(data, name) for name in (b"CMT1", b"CMT2", b"CMT4"))
    return Exif(main, detail, gps)


def _directory_in(data: bytes, box: bytes) -> Mapping[int, Any]:
    at = data.find(box, 0, 1 << 20)
    if at < 4:
        return {}
    length = int.from_bytes(data[at - 4 : at], "big")
    return dict(_loaded(data[at + 4 : at - 4 + length]))


def _loaded(data: bytes) -> Pillow.Exif:
    exif = Pillow.Exif()
    exif.load(data)
    return exif
