"""Open a film through PyAV, told by its content, and say in one line why that cannot be."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hafloc.errors import MissingExtraError, PhotoError, reason_of
from hafloc.photos import formats
from hafloc.photos.remote import PhotoFile
from hafloc.photos.stored import file_start, shown

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# What is demuxed: no play lists or scripts, which name other files and addresses.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg", "mpegvideo", "asf", "flv",
    "ogg", "h264", "hevc", "mxf", "dv", "ivf", "gif",
)  # fmt: skip
_OPTIONS = {"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": "file"}
# A film that begins with more broken packets than this has nothing to show.
_MOST_BROKEN = 2_000
_BRIEF = 1.0  # seconds that are decoded sooner than sought over
# Seconds before a wanted time from which it is decoded.
_STEPS_BACK = (0.0, 5.0, 20.0)


@dataclass(slots=True)
class Film:
    """An open film: its picture stream, and `duration` in seconds from its first frame."""

    path: Path
    container: "InputContainer"
    stream: "VideoStream"
    duration: float
    broken: int = 0
    is_fresh: bool = True

    @property
    def name(self) -> str:
        return shown(self.path)

    @property
    def start(self) -> float:
        """Seconds at which the first frame stands in the film's own count."""
        start, base = self.stream.start_time, self.stream.time_base
        return 0.0 if start is None or base is None else float(start * base)

    @property
    def tags(self) -> dict[str, str]:
        """What the film says of itself, keys in lower case; the container before the stream."""
        both = {**self.stream.metadata, **self.container.metadata}
        return {key.lower(): value for key, value in both.items()}

    def frames_from(self, seconds: float) -> Iterator[tuple[float, "VideoFrame"]]:
        """As `frames`, from a key frame before a time on, or from the start at worst.

        Some kinds, as MPEG-TS, go to a later one than they are asked for; so that is looked at.
        """
        for earlier in _STEPS_BACK:
            if seconds - earlier < _BRIEF:
                break
            self._seek(seconds - earlier)
            frames = self.frames()
            first = next(frames, None)
            if first is not None and first[0] <= seconds:
                return chain([first], frames)
        self._restart()
        return self.frames()

    def _restart(self) -> None:
        """Begin anew, by opening the file again: not all kinds can be sent back to their start."""
        if self.is_fresh:
            return
        index = self.stream.index
        self.container.close()
        self.container = _open(self.path)
        self.stream = next(s for s in self.container.streams.video if s.index == index)
        self.stream.thread_type = "AUTO"

    def _seek(self, seconds: float) -> None:
        """Go on at the last key frame before a time; where that fails, from where it is."""
        import av

        base = self.stream.time_base
        if base is None:
            return
        try:
            self.container.seek(int((seconds + self.start) / base), stream=self.stream)
        except (av.FFmpegError, OverflowError):
            return

    def frames(self) -> Iterator[tuple[float, "VideoFrame"]]:
        """Whole frames from here on, with their seconds from the film's first one.

        A frame's time is its own, also where frames come at no even rate. Broken packets are left
        out, and a film that ends early ends there.
        """
        import av

        self.is_fresh = False
        number = 0
        rate = float(self.stream.average_rate or self.stream.guessed_rate or 25)
        packets = self.container.demux(self.stream)
        while self.broken <= _MOST_BROKEN:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.FFmpegError:
                self.broken += 1
                return
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self.broken += 1
                continue
            for frame in frames:
                seconds = _seconds(frame, number / rate + self.start) - self.start
                number += 1
                if not frame.is_corrupt and seconds >= -1e-3:
                    yield max(0.0, seconds), frame


def _seconds(frame: Any, otherwise: float) -> float:
    stamp = frame.pts if frame.pts is not None else frame.dts
    return otherwise if stamp is None or not frame.time_base else float(stamp * frame.time_base)


def is_film(path: PhotoFile | str) -> bool:
    """Whether a file on a disk is taken for a film, by its suffix."""
    if not isinstance(path, Path | str):
        return False
    return Path(path).suffix.lower() in formats.FILM_SUFFIXES


def require_reader(name: str) -> None:
    """Raises MissingExtraError where PyAV is not installed."""
    if not formats.has_reader("VIDEO"):
        raise MissingExtraError(
            f"cannot read {name}: films need an extra; `{formats.EXTRAS['VIDEO'][1]}`"
        )


@contextmanager
def open_film(path: Path) -> Iterator[Film]:
    """A film to decode; closed at the end.

    Raises PhotoError for what is missing, empty, no film, without pictures, or of a codec that
    cannot be decoded, and MissingExtraError without PyAV.
    """
    name = shown(path)
    require_reader(name)
    head = file_start(path, 4096)
    if not head:
        raise PhotoError(f"cannot read {name}: the file is empty; copy it again")
    import av

    try:
        container = _open(path)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise PhotoError(f"cannot read {name}: {_fault(head, error)}") from error
    try:
        stream = _pictures(container, name)
        stream.thread_type = "AUTO"
        film = Film(path, container, stream, _duration(path, container, stream))
    except BaseException:
        container.close()
        raise
    try:
        yield film
    finally:
        film.container.close()


def reopened(film: Film) -> "InputContainer":
    """The film once more, for what is read beside its pictures; to be closed."""
    return _open(film.path)


def _open(path: Path) -> "InputContainer":
    import av

    # "file:", for a name may look like an address of another kind.
    return av.open(f"file:{path.absolute()}", options=_OPTIONS, metadata_errors="replace")


def _pictures(container: "InputContainer", name: str) -> "VideoStream":
    from av.stream import Disposition

    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        raise PhotoError(f"cannot read {name}: it holds no moving picture; give a film")
    best = next((s for s in streams if s.disposition & Disposition.default), streams[0])
    if best.codec_context is None:
        raise PhotoError(
            f"cannot read {name}: its pictures are of a codec that is not known here; convert it "
            "to H.264"
        )
    return best


def _duration(path: Path, container: "InputContainer", stream: "VideoStream") -> float:
    """Seconds from the first frame to the end."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration else _longest(path)


def _longest(path: Path) -> float:
    """The same by going through all of its packets, which decodes nothing."""
    import av

    first, last = math.inf, 0.0
    try:
        with _open(path) as container:
            for packet in container.demux(video=0):
                if packet.pts is not None:
                    at = float(packet.pts * packet.time_base)
                    first, last = min(first, at), max(last, at)
    except av.FFmpegError:
        pass  # it ends there
    return max(0.0, last - first)


def _fault(head: bytes, error: Exception) -> str:
    kind = formats.kind_of(head)
    if kind is not None:
        return "it is a photo, not a film; give it as one"
    detail = reason_of(error).lower()
    if head[4:8] in (b"ftyp", b"mdat", b"wide", b"free", b"skip"):
        return (
            "it was not finished or is damaged (its table of contents is missing); copy it again, "
            "or repair it with the camera"
        )
    if formats.what_else(head) == "a video":
        return f"it is a film of a kind that is not read ({detail[:80]}); convert it to MP4"
    other = formats.what_else(head)
    it_is = f"it is {other}, no film" if other else "it is no film in a known format"
    return f"{it_is}; give MP4, MOV, MKV or AVI"
