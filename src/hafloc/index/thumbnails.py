"""Small pictures that an index may keep of its photos, for whoever gets it without these.

They may come from strangers, so one is nothing but what is written here: a plain JPEG in a single
scan, of few pixels and bytes, without metadata. A picture in thousands of scans takes seconds.
"""

import io
import struct
from collections.abc import Iterator

from PIL import Image as Pillow

from hafloc.errors import PhotoError
from hafloc.photos import Image, read

LONGER_SIDE = 320
MOST_BYTES = 65_536
_MOST_SIDE = 640
_QUALITIES = (70, 50, 30, 10)
# What stands between a JPEG's beginning and its only scan: JFIF, tables, the baseline frame.
_APP0, _TABLES, _HUFFMAN, _FRAME, _SCAN, _END = 0xE0, 0xDB, 0xC4, 0xC0, 0xDA, 0xD9
_SEGMENTS = (_APP0, _TABLES, _HUFFMAN, _FRAME, _SCAN)


def make_thumbnail(pixels: Image) -> bytes:
    """A JPEG of an upright image `H×W×3` uint8: LONGER_SIDE pixels, MOST_BYTES bytes at most."""
    picture = Pillow.fromarray(pixels)
    picture.thumbnail((LONGER_SIDE, LONGER_SIDE))
    for quality in _QUALITIES:
        memory = io.BytesIO()
        picture.save(memory, "JPEG", quality=quality, optimize=True)
        if memory.tell() <= MOST_BYTES:
            break
    return memory.getvalue()


def read_thumbnail(jpeg: bytes) -> Image:
    """Its image, `H×W×3` uint8. Raises PhotoError where it is not what `make_thumbnail` makes."""
    problem = find_problem(jpeg, decoded=False)
    if problem is not None:
        raise PhotoError(
            f"cannot show the stored picture: {problem}; put the photo's file back, or get the "
            "index anew"
        )
    return read(jpeg, max_pixels=_MOST_SIDE**2).image


def find_problem(jpeg: object, *, decoded: bool = True) -> str | None:
    """Why a stored picture cannot be one of ours; None where it is, as far as can be told.

    Not `decoded`, only its structure is looked at.
    """
    if not isinstance(jpeg, bytes) or not 0 < len(jpeg) <= MOST_BYTES:
        return f"it is not of 1 to {MOST_BYTES:,} bytes"
    try:
        segments = list(_segments(jpeg))
    except (ValueError, struct.error, IndexError):
        return "it is no plain JPEG"
    kinds = [kind for kind, _ in segments]
    if kinds.count(_FRAME) != 1 or kinds[-1:] != [_SCAN]:
        return "it is no plain JPEG"
    frame = segments[kinds.index(_FRAME)][1]
    depth, height, width, parts = struct.unpack_from(">BHHB", frame)
    if depth != 8 or parts not in (1, 3) or segments[-1][1][:1] != bytes([parts]):
        return "it is no plain JPEG"
    if not (0 < width <= _MOST_SIDE and 0 < height <= _MOST_SIDE):
        return f"it has {width:,} × {height:,} pixels"
    if decoded:
        try:
            read(jpeg, max_pixels=_MOST_SIDE**2)
        except PhotoError:
            return "it is damaged"
    return None


def _segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """The segments up to the scan, by kind. Raises ValueError for all that is not ours."""
    if jpeg[:2] != b"\xff\xd8" or jpeg[-2:] != bytes((0xFF, _END)):
        raise ValueError
    at = 2
    while True:
        mark, kind, length = struct.unpack_from(">BBH", jpeg, at)
        if mark != 0xFF or kind not in _SEGMENTS or length < 2 or at + 2 + length > len(jpeg):
            raise ValueError
        yield kind, jpeg[at + 4 : at + 2 + length]
        at += 2 + length
        if kind == _SCAN:
            break
    # In the scan itself 255 is followed by 0; anything else begins another segment.
    scan = jpeg[at:-2]
    if scan.count(b"\xff") != scan.count(b"\xff\x00"):
        raise ValueError
