"""Small photos whose EXIF says what a test needs, and tracks to place them on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from hafloc.geo import LocalFrame, Position

TAG, GPS = ExifTags.Base, ExifTags.GPS


def write_photo(
    path: Path,
    *,
    reading: datetime | None = None,
    offset: str | None = None,
    position: Position | None = None,
    gps_time: datetime | None = None,
    camera: str = "Cam 1",
    heading: float | None = None,
) -> Path:
    """A JPEG with a camera's time (and its zone), a GPS position and time, as far as given."""
    exif = Image.Exif()
    exif[TAG.Model] = camera
    if reading is not None:
        detail = exif.get_ifd(ExifTags.IFD.Exif)
        detail[TAG.DateTimeOriginal] = f"{reading:%Y:%m:%d %H:%M:%S}"
        if offset is not None:
            detail[TAG.OffsetTimeOriginal] = offset
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    if position is not None:
        gps[GPS.GPSLatitudeRef] = "N" if position.lat >= 0 else "S"
        gps[GPS.GPSLatitude] = (abs(position.lat), 0.0, 0.0)
        gps[GPS.GPSLongitudeRef] = "E" if position.lon >= 0 else "W"
        gps[GPS.GPSLongitude] = (abs(position.lon), 0.0, 0.0)
    if gps_time is not None:
        gps[GPS.GPSDateStamp] = f"{gps_time:%Y:%m:%d}"
        gps[GPS.GPSTimeStamp] = (float(gps_time.hour), float(gps_time.minute), gps_time.second)
    if heading is not None:
        gps[GPS.GPSImgDirection] = heading
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 255, (48, 64, 3), np.uint8)
    Image.fromarray(pixels).save(path, exif=exif)
    return path


class Walk:
    """A walk with known truth: through corners, at 1.4 m a second, from 14:00 UTC on."""

    start = datetime(2024, 5, 31, 14, 0, 0, tzinfo=UTC)
    corners = np.array([[0, 0], [300, 0], [300, 400], [-100, 400], [-100, 150]], float)
    speed = 1.4  # metres a second

    origin = Position(48.2, 16.37)

    def __init__(self) -> None:
        self._frame = LocalFrame(self.origin)
        steps = np.linalg.norm(np.diff(self.corners, axis=0), axis=1)
        self._at = np.concatenate([[0], np.cumsum(steps)])
        self.seconds = float(self._at[-1] / self.speed)

    def position(self, seconds: float) -> Position:
        """Where the walker is so many seconds after the start."""
        metres = seconds * self.speed
        x, y = (float(np.interp(metres, self._at, axis)) for axis in self.corners.T)
        return self._frame.to_position(x, y)

    def time(self, seconds: float) -> datetime:
        return self.start + timedelta(seconds=seconds)

    def gpx(self, path: Path, *, every: float = 5.0, without: tuple[float, float] = (0, 0)) -> Path:
        """A track of the walk; `without` is a part of it that the receiver slept through."""
        points = "".join(
            f'<trkpt lat="{self.position(at).lat:.7f}" lon="{self.position(at).lon:.7f}">'
            f"<ele>{170 + at / 100:.2f}</ele><time>{self.time(at):%Y-%m-%dT%H:%M:%SZ}</time>"
            "</trkpt>"
            for at in np.arange(0, self.seconds, every)
            if not without[0] < at < without[1]
        )
        path.write_text(
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<gpx version="1.1" creator="test" xmlns="http://www.topografix.com/GPX/1/1">'
            f"<trk><name>walk</name><trkseg>{points}</trkseg></trk></gpx>",
            encoding="utf-8",
        )
        return path
