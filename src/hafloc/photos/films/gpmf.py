"""Read the positions that GoPro cameras write into their films: the payloads of a GPMF stream.

Source: GPMF Introduction, gopro/gpmf-parser: nested KLV of a four-letter key, a type, the size of a
sample, the number of samples, and values padded to four bytes, all big-endian.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_NESTED = 0
_NUMBERS = {
    "b": "b", "B": "B", "s": "h", "S": "H", "l": "i", "L": "I", "f": "f", "d": "d",
    "j": "q", "J": "Q",
}  # fmt: skip
_DEEPEST = 8
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # of GPS9's days
# Dilution of precision times 100 in GPSP; GoPro's own tools leave out what is worse.
_WORST_DOP = 10.0
_FIX_2D = 2


@dataclass(frozen=True, slots=True)
class GpsSample:
    """One fix: WGS84 degrees, metres, and UTC where that is told."""

    lat: float
    lon: float
    altitude: float
    time: datetime | None = None


@dataclass(slots=True)
class _Stream:
    """The values of one STRM, by key, as they stand before its samples."""

    scale: Sequence[float] = (1.0,)
    types: str = ""
    time: datetime | None = None
    fix: int = 3
    dop: float = 1.0
    found: list[GpsSample] = field(default_factory=list)


def gps_samples(payload: bytes) -> list[GpsSample]:
    """The fixes of one payload, in their order and evenly spread over its time.

    What is damaged ends the reading; fixes without a lock or of a poor precision are left out.
    """
    found = _Found([], [])
    _walk(payload, found, None, 0)
    # Cameras of some years write both, of one receiver.
    return found.gps9 or found.gps5


class _Found(NamedTuple):
    gps5: list[GpsSample]
    gps9: list[GpsSample]


def _walk(data: bytes, found: _Found, stream: _Stream | None, depth: int) -> None:
    for key, kind, size, count, body in _entries(data):
        if kind == _NESTED:
            if depth < _DEEPEST:
                _walk(body, found, _Stream() if key == b"STRM" else stream, depth + 1)
        elif stream is not None:
            try:
                _take(key, chr(kind), size, count, body, stream)
            except (struct.error, ValueError, OverflowError, IndexError):
                continue
            (found.gps9 if key == b"GPS9" else found.gps5).extend(stream.found)
            stream.found = []


def _entries(data: bytes) -> Iterator[tuple[bytes, int, int, int, bytes]]:
    at = 0
    while at + 8 <= len(data):
        key, kind, size, count = struct.unpack_from(">4sBBH", data, at)
        length = size * count
        if at + 8 + length > len(data) or not key.strip(b"\0"):
            return
        yield key, kind, size, count, data[at + 8 : at + 8 + length]
        at += 8 + (length + 3) // 4 * 4


def _take(key: bytes, kind: str, size: int, count: int, body: bytes, stream: _Stream) -> None:
    if key == b"SCAL":
        stream.scale = _numbers(kind * (size // struct.calcsize(">" + _NUMBERS[kind])), body)
    elif key == b"TYPE":
        stream.types = body.decode("ascii", "replace").rstrip("\0")
    elif key == b"GPSF":
        stream.fix = int(_numbers(kind, body)[0])
    elif key == b"GPSP":
        stream.dop = _numbers(kind, body)[0] / 100
    elif key == b"GPSU":
        text = body.decode("ascii", "replace")
        stream.time = datetime.strptime(text[:16], "%y%m%d%H%M%S.%f").replace(tzinfo=UTC)
    elif key in (b"GPS5", b"GPS9"):
        types = stream.types if kind == "?" else kind * (9 if key == b"GPS9" else 5)
        for number in range(count):
            values = _numbers(types, body[number * size : (number + 1) * size])
            sample = _fix(key, values, stream)
            if sample is not None:
                stream.found.append(sample)
            # GPSU is the time of the payload's first fix.
            stream.time = None if key == b"GPS5" else stream.time


def _fix(key: bytes, values: Sequence[float], stream: _Stream) -> GpsSample | None:
    scale = [*stream.scale, *[stream.scale[-1]] * len(values)]
    lat, lon, altitude, *rest = (
        value / (divisor or 1.0) for value, divisor in zip(values, scale, strict=False)
    )
    time, fix, dop = stream.time, stream.fix, stream.dop
    if key == b"GPS9":
        days, seconds, dop, fix = rest[2], rest[3], rest[4], int(rest[5])
        time = _EPOCH + timedelta(days=days, seconds=seconds) if days > 0 else None
    is_there = math.isfinite(lat) and math.isfinite(lon) and abs(lat) <= 90 and abs(lon) <= 180
    if not is_there or (lat, lon) == (0.0, 0.0) or fix < _FIX_2D or dop > _WORST_DOP:
        return None
    return GpsSample(lat, lon, altitude, time)


def _numbers(types: str, body: bytes) -> tuple[float, ...]:
    """One sample's numbers, or all there are of one type."""
    one = struct.Struct(">" + "".join(_NUMBERS.get(letter, "") for letter in types))
    if not one.size:
        raise ValueError("no numbers")
    if len(types) > 1 and one.size <= len(body) and len(set(types)) > 1:
        return tuple(float(value) for value in one.unpack_from(body))
    each = struct.Struct(">" + _NUMBERS[types[0]])
    whole = body[: len(body) // each.size * each.size]
    return tuple(float(value) for (value,) in each.iter_unpack(whole))
