"""Find what a film itself says of where it was: GPMF, DJI's subtitles, exiftool, or its start."""

import json
import math
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hafloc.errors import PositionError
from hafloc.geo import Position
from hafloc.photos.films.film import Film, reopened
from hafloc.photos.films.gpmf import GpsSample, gps_samples
from hafloc.photos.films.subtitles import read_srt, srt_beside, told_by
from hafloc.photos.tracks.track import Fix, Track

if TYPE_CHECKING:
    from av.stream import Stream

_ISO_6709 = re.compile(r"([-+]\d{1,2}(?:\.\d+)?)([-+]\d{1,3}(?:\.\d+)?)(?:[-+]|/|$)")
_LOCATIONS = ("com.apple.quicktime.location.iso6709", "location", "location-eng")
_GPMF = b"DEVC"
_FEWEST = 2  # fixes of a way
_MOST_SECONDS = 600  # that exiftool may take


@dataclass(frozen=True, slots=True)
class OwnGps:
    """Fixes by seconds of the film, and when it began (UTC) where the receiver tells."""

    track: Track
    began: datetime | None = None


def own_gps(film: Film, *, thorough: bool = True) -> OwnGps | None:
    """The way that a film tells of itself; None where it tells none.

    GoPro's GPMF, DJI's subtitles in the film or in an .SRT beside it, and, if `thorough`, what
    `exiftool` finds of other cameras where it is installed; that reads the whole film.
    """
    for read in (_of_gpmf, _of_subtitles, _of_srt, *([_of_exiftool] if thorough else [])):
        found = read(film)
        if found is not None and len(found.track) >= _FEWEST:
            return found
    return None


def start_place(tags: Mapping[str, str]) -> Position | None:
    """Where a film began, as phones write it (ISO 6709)."""
    for name in _LOCATIONS:
        match = _ISO_6709.match(tags.get(name, ""))
        if match is not None and (float(match[1]), float(match[2])) != (0.0, 0.0):
            try:
                return Position(float(match[1]), float(match[2]))
            except PositionError:
                return None
    return None


def _of_gpmf(film: Film) -> OwnGps | None:
    fixes: list[Fix] = []
    began = None
    for start, length, payload in _payloads(film, film.container.streams.data):
        # Told by its content: tags are not shown, and other cameras keep other data beside.
        samples = gps_samples(payload) if payload.startswith(_GPMF) else []
        for number, sample in enumerate(samples):
            at = start + length * number / len(samples)
            fixes.append(Fix(at, sample.lat, sample.lon, sample.altitude))
            if began is None and sample.time is not None:
                began = _less(sample, at)
    return OwnGps(Track.of(fixes), began)


def _less(sample: GpsSample, seconds: float) -> datetime | None:
    return None if sample.time is None else sample.time - timedelta(seconds=seconds)


def _of_subtitles(film: Film) -> OwnGps | None:
    fixes = []
    for start, _, payload in _payloads(film, film.container.streams.subtitles[:1]):
        told = told_by(payload.decode("utf-8", "replace"))
        if told is not None:
            fixes.append(Fix(start, told.lat, told.lon, told.altitude))
    return OwnGps(Track.of(fixes))


def _of_srt(film: Film) -> OwnGps | None:
    beside = srt_beside(film.path)
    if beside is None:
        return None
    try:
        told = read_srt(beside)
    except OSError:
        return None
    return OwnGps(Track.of(Fix(at, one.lat, one.lon, one.altitude) for at, one in told))


def _payloads(film: Film, streams: Sequence["Stream"]) -> Iterator[tuple[float, float, bytes]]:
    """Begin and length in seconds, and the bytes of each packet of streams beside the pictures."""
    if not streams:
        return
    import av

    length = 1.0
    try:
        # The pictures' own demuxer stays where it is.
        with reopened(film) as container:
            for packet in container.demux([container.streams[s.index] for s in streams]):
                if packet.pts is None or not packet.size:
                    continue
                length = float((packet.duration or 0) * packet.time_base) or length
                yield float(packet.pts * packet.time_base) - film.start, length, bytes(packet)
    except (av.FFmpegError, OSError, ValueError):
        return


def _of_exiftool(film: Film) -> OwnGps | None:
    """The timed positions of Insta360, Garmin, dash cameras and others."""
    program = shutil.which("exiftool")
    if program is None:
        return None
    call = [program, "-ee", "-n", "-j", "-G3", "-api", "largefilesupport=1",
            "-SampleTime", "-GPSLatitude", "-GPSLongitude", "-GPSAltitude", "-GPSDateTime",
            "--", str(film.path)]  # fmt: skip
    try:
        done = subprocess.run(
            call, capture_output=True, timeout=_MOST_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
        (said,) = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return _told(said)


def _told(said: Mapping[str, object]) -> OwnGps | None:
    """The fixes of `exiftool -j -G3`: one sample is one document."""
    documents: dict[str, dict[str, object]] = defaultdict(dict)
    for key, value in said.items():
        group, _, name = key.rpartition(":")
        documents[group][name] = value
    fixes, began, first = [], None, None
    for document in documents.values():
        lat, lon = document.get("GPSLatitude"), document.get("GPSLongitude")
        if not (isinstance(lat, int | float) and isinstance(lon, int | float)):
            continue
        time = _utc(document.get("GPSDateTime"))
        at = document.get("SampleTime")
        if not isinstance(at, int | float):
            # Without a time in the film, by the receiver's from its first one on.
            if time is None:
                continue
            first = first or time
            at = (time - first).total_seconds()
        if began is None and time is not None:
            began = time - timedelta(seconds=float(at))
        altitude = document.get("GPSAltitude")
        height = float(altitude) if isinstance(altitude, int | float) else math.nan
        fixes.append(Fix(float(at), float(lat), float(lon), height))
    return OwnGps(Track.of(fixes), began) if fixes else None


def _utc(value: object) -> datetime | None:
    text = str(value or "").strip().rstrip("Z")
    for form in ("%Y:%m:%d %H:%M:%S.%f", "%Y:%m:%d %H:%M:%S"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
