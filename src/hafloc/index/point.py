"""Points as GeoPackage stores them: a short header, then well-known binary.

Source: OGC 12-128r18 (GeoPackage 1.4), clause 2.1.3, and OGC 06-103r4 for the binary.
"""

import math
import struct

WGS84_ID = 4326

_MAGIC = b"GP"
_LITTLE_ENDIAN, _EMPTY, _EXTENDED = 0b00_0001, 0b01_0000, 0b10_0000
_ENVELOPE_BYTES = (0, 32, 48, 48, 64)  # by the envelope indicator: none, xy, xyz, xym, xyzm
_WKB_POINT = 1
_OUR_POINT = struct.Struct("<2sBBiBIdd")


def write_point(lon: float, lat: float) -> bytes:
    """A WGS84 point (degrees) as a GeoPackage geometry blob, little-endian, no envelope."""
    return _OUR_POINT.pack(_MAGIC, 0, _LITTLE_ENDIAN, WGS84_ID, 1, _WKB_POINT, lon, lat)


def read_point(blob: bytes) -> tuple[float, float] | None:
    """The (x, y) of a GeoPackage point of either byte order, with or without envelope, Z or M.

    None for the empty point. Raises ValueError where the blob is no such point.
    """
    try:
        return _read_point(blob)
    except (struct.error, IndexError):
        raise ValueError(f"a geometry of {len(blob):,} bytes is no GeoPackage point") from None


def _read_point(blob: bytes) -> tuple[float, float] | None:
    flags = blob[3]
    if blob[:2] != _MAGIC or flags & _EXTENDED:
        raise ValueError("the geometry is no standard GeoPackage geometry")
    start = 8 + _ENVELOPE_BYTES[flags >> 1 & 0b111]
    order = "<" if blob[start] == 1 else ">"
    (kind,) = struct.unpack_from(order + "I", blob, start + 1)
    # ISO codes: 1 point, 1001 with Z, 2001 with M, 3001 with both.
    if kind not in (1, 1001, 2001, 3001):
        raise ValueError(f"the geometry is of type {kind}, not a point")
    x, y = struct.unpack_from(order + "dd", blob, start + 5)
    if flags & _EMPTY or (math.isnan(x) and math.isnan(y)):
        return None
    return x, y
