"""JPEG XL, read by Pillow's plugin of the extra `jxl`; its size is read here, before decoding."""

import io
from collections.abc import Iterator

from PIL import Image as Pillow
from PIL import ImageFile

from hafloc.errors import PhotoError

# ISO/IEC 18181-1, SizeHeader: width by height for the ratios 1 to 7.
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIZE_BITS = (9, 13, 18, 30)


def open_image(data: bytes) -> ImageFile.ImageFile:
    """The image, which is decoded at once; raises anything at all for a damaged file."""
    try:
        import pillow_jxl  # noqa: F401
    except ImportError as error:
        raise PhotoError(
            f"the reader of JPEG XL does not start ({error}); `pip install hafloc[jxl]` anew"
        ) from error
    try:
        return Pillow.OPEN["JXL"][0](io.BytesIO(data), "")
    except BaseException as error:
        # What a panic of a Rust library becomes is no Exception.
        if type(error).__name__ == "PanicException":
            raise ValueError(str(error)) from error
        raise


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height as the codestream's header tells. Raises ValueError where it has none."""
    start = _codestream(data)
    bits = _Bits(start[2:14])
    if start[:2] != b"\xff\x0a":
        raise ValueError("truncated: no codestream")
    small = bits.take(1)
    height = _length(bits, small)
    ratio = bits.take(3)
    if ratio:
        across, down = _RATIOS[ratio - 1]
        return height * across // down, height
    return _length(bits, small), height


def _length(bits: "_Bits", small: int) -> int:
    if small:
        return (bits.take(5) + 1) * 8
    return bits.take(_SIZE_BITS[bits.take(2)]) + 1


class _Bits:
    """Bits of some bytes, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._left = int.from_bytes(data, "little")
        self._count = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._count:
            raise ValueError("truncated: the header ends early")
        taken = self._left & ((1 << count) - 1)
        self._left >>= count
        self._count -= count
        return taken


def _codestream(data: bytes) -> bytes:
    """The first bytes of the codestream, which stands bare or in a box."""
    if data[:2] == b"\xff\x0a":
        return data[:16]
    for kind, body in _boxes(data):
        if kind == b"jxlc":
            return data[body : body + 16]
        if kind == b"jxlp":
            return data[body + 4 : body + 20]
    raise ValueError("truncated: no codestream")


def _boxes(data: bytes) -> Iterator[tuple[bytes, int]]:
    at = 0
    while at + 8 <= len(data):
        length, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        yield kind, at + head
        if length < head:
            return
        at += length
