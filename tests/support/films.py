"""Films for tests, made by PyAV: few small frames, with the tags and streams that cameras write."""

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
BEGAN = "2024-01-12T18:30:00Z"


def grey(level: int, size: tuple[int, int] = (64, 48)) -> Pixels:
    """A frame of one grey with a texture that tells no two levels apart but by the grey."""
    image = np.full((size[1], size[0], 3), level, np.uint8)
    image[::4, ::4] = 255 - level
    return image


def greys(count: int) -> list[Pixels]:
    """Frames that tell their number by their grey: frame k has about 20 + 4 k."""
    return [grey(20 + 4 * k) for k in range(count)]


def write_film(
    path: Path,
    images: Iterable[Pixels],
    *,
    rate: int = 10,
    times: Sequence[float] | None = None,
    tags: dict[str, str] | None = None,
    rotation: int = 0,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    data: Sequence[tuple[float, bytes]] = (),
    transfer: int | None = None,
    **options: str,
) -> Path:
    """A film of `images`, one every 1 / `rate` seconds or at `times`, that began at BEGAN.

    `transfer` are the transfer characteristics as ITU-T H.273 numbers them. `data` are the
    payloads of a stream beside the pictures, with their times.
    """
    known = {"creation_time": BEGAN} if tags is None else tags
    more = {"movflags": "use_metadata_tags"} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", options=more) as container:
        container.metadata.update(known)
        stream = container.add_stream(codec, rate=rate, options={"crf": "12", **options})
        stream.pix_fmt, stream.time_base = pixels, Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        if transfer is not None:
            stream.codec_context.color_trc = transfer
        if codec == "libx264":
            stream.codec_context.gop_size = 5
        side = container.add_data_stream("bin_data") if data else None
        first = True
        for number, image in enumerate(images):
            if first:
                stream.height, stream.width = image.shape[:2]
                if rotation:
                    stream.set_display_rotation(rotation)
                first = False
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            at = number / rate if times is None else times[number]
            frame.pts, frame.time_base = round(at * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for at, payload in data:
            packet = av.Packet(payload)
            packet.stream = side
            packet.time_base = Fraction(1, 1000)
            packet.pts = packet.dts = round(at * 1000)
            packet.duration = 1000
            container.mux(packet)
    return path


def gpx(path: Path, fixes: Iterable[tuple[str, float, float]]) -> Path:
    """A track of (time, lat, lon)."""
    points = "".join(
        f'<trkpt lat="{lat}" lon="{lon}"><time>{time}</time></trkpt>' for time, lat, lon in fixes
    )
    path.write_text(
        '<gpx version="1.1" creator="t" xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>'
        f"{points}</trkseg></trk></gpx>"
    )
    return path


def klv(key: str, kind: str, size: int, count: int, body: bytes) -> bytes:
    """One entry of GPMF, padded to four bytes."""
    head = struct.pack(">4sBBH", key.encode(), ord(kind) if kind else 0, size, count)
    return head + body + bytes(-len(body) % 4)


def gpmf(fixes: Sequence[tuple[float, float]], *, time: str = "240112183000.000") -> bytes:
    """A payload as GoPro writes it, of (lat, lon), by GPS5 with a lock."""
    scale = struct.pack(">5i", 10_000_000, 10_000_000, 1000, 1000, 100)
    rows = b"".join(
        struct.pack(">5i", round(lat * 1e7), round(lon * 1e7), 170_000, 0, 0) for lat, lon in fixes
    )
    inside = (
        klv("STNM", "c", 1, 3, b"GPS")
        + klv("GPSF", "L", 4, 1, struct.pack(">I", 3))
        + klv("GPSU", "U", 16, 1, time.encode())
        + klv("GPSP", "S", 2, 1, struct.pack(">H", 200))
        + klv("SCAL", "l", 4, 5, scale)
        + klv("GPS5", "l", 20, len(fixes), rows)
    )
    stream = klv("STRM", "", 1, len(inside), inside)
    return klv("DEVC", "", 1, len(stream), stream)
