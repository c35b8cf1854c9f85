"""Place photos on tracks by their times, each camera's clock corrected as far as can be told."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from hafloc.errors import PhotoError
from hafloc.geo import Position
from hafloc.photos.photo import Metadata
from hafloc.photos.remote import PhotoFile
from hafloc.photos.stored import shown
from hafloc.photos.tracks.along import MAX_GAP, is_reached, place_at
from hafloc.photos.tracks.camera_clock import ClockError, by_places, by_stamps
from hafloc.photos.tracks.exposure import Exposure, read_exposure
from hafloc.photos.tracks.reading import read_track
from hafloc.photos.tracks.track import Track, in_words, span_in_words
from hafloc.prefetch import prefetch

SOURCE = "track"
_QUARTER = 900.0
# The offsets from UTC in use, in minutes, beside the whole hours from -12 to +14.
_ODD = (-570, -210, -150, 210, 270, 330, 345, 390, 525, 570, 630, 765)
_SHOWN = 3  # zones that a line names
_RIGHT = 2.0  # seconds that a clock may be off without a word

# Threads that look at photos: servers and disks take a while.
_READERS = 16


@dataclass(frozen=True, slots=True)
class Tracking:
    """The tracks of photos, and how times are brought together.

    `offset` are the seconds to add to cameras' times, None to estimate them; `zone` is that of
    cameras' clocks where their photos do not state it. Between fixes more than `max_gap` seconds
    apart no photo is placed. With `course` a photo without a heading gets that of the way.
    """

    paths: tuple[Path, ...]
    offset: float | None = None
    zone: tzinfo | None = None
    max_gap: float = MAX_GAP
    course: bool = True


@dataclass(frozen=True, slots=True)
class Placed:
    """What tracks say of photos: `found` by name, `refused` why there is no place for others,
    `notes` what a person should know of clocks and tracks, a line each."""

    found: Mapping[str, Metadata] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Shot:
    """A photo with a camera's reading: `seconds` since 1970, as UTC where `zoned`, else as if its
    clock stood in UTC."""

    name: str
    exposure: Exposure
    seconds: float
    zoned: bool
    position: Position | None


@dataclass(frozen=True, slots=True)
class _Group:
    """The photos of one camera whose times are of one kind."""

    camera: str
    shots: tuple[_Shot, ...]

    @property
    def zoned(self) -> bool:
        return self.shots[0].zoned

    @property
    def wanted(self) -> tuple[_Shot, ...]:
        """Those that a track is to place by the camera's clock."""
        return tuple(
            shot
            for shot in self.shots
            if shot.position is None and not _has_gps_time(shot.exposure)
        )

    @property
    def called(self) -> str:
        return self.camera or "a camera without a name"


class _Placing:
    """The tracks, and what they have said of photos so far."""

    def __init__(self, tracks: Sequence[Track], tracking: Tracking) -> None:
        self._tracks = tracks
        self._tracking = tracking
        self.found: dict[str, Metadata] = {}
        self.refused: dict[str, str] = {}
        self.notes: list[str] = []

    def alone(self, name: str, exposure: Exposure, shot: _Shot | None) -> None:
        """A photo that needs no other one: by the time of its own receiver, or it has no time."""
        if exposure.gps_time is not None and _has_gps_time(exposure):
            self._put(name, exposure, exposure.gps_time.timestamp())
        elif shot is None:
            self.refused[name] = "it has no GPS position, and no time to find it on the track by"

    def together(self, group: _Group) -> None:
        """The photos of one camera, whose clock is off by the same."""
        if not group.wanted:
            return
        ahead = self._clock(group)
        if ahead is None:
            self.notes.append(_zones_in_words(group, self._tracks, self._tracking))
        for shot in group.wanted:
            if ahead is None:
                self.refused[shot.name] = (
                    f"it was taken {shot.exposure.reading:%Y-%m-%d %H:%M:%S} in a time zone that "
                    "is not known; name it (--timezone)"
                )
            else:
                self._put(shot.name, shot.exposure, shot.seconds - ahead)

    def missed(self) -> Iterator[str]:
        """That no photo lies on the tracks, with their times."""
        if self.found or not self.refused:
            return
        start = in_words(min(track.start for track in self._tracks))
        end = in_words(max(track.end for track in self._tracks))
        yield f"no photo was placed by the track, which goes from {start} to {end}"

    def _clock(self, group: _Group) -> float | None:
        """By how many seconds a camera's readings are ahead of UTC, None where nothing tells."""
        if self._tracking.offset is not None:
            return -self._tracking.offset if group.zoned else None
        told = _estimated(group, self._tracks, self._tracking.max_gap)
        if isinstance(told, ClockError):
            self.notes.append(f"{group.called}: {_error_in_words(told, group.zoned)}")
            return told.ahead
        if told:
            self.notes.append(f"{group.called}: {told}")
        return 0.0 if group.zoned else None

    def _put(self, name: str, exposure: Exposure, seconds: float) -> None:
        """Place one photo whose time in UTC is known, or say why not."""
        place = place_at(self._tracks, seconds, self._tracking.max_gap)
        if isinstance(place, str):
            self.refused[name] = place
            return
        is_open = self._tracking.course and exposure.metadata.heading is None
        self.found[name] = Metadata(
            position=place.position,
            heading=place.course if is_open else None,
            altitude=place.altitude,
            time=datetime.fromtimestamp(round(seconds, 3), UTC),
            source=SOURCE,
        )


def place_photos(
    photos: Mapping[str, PhotoFile], tracking: Tracking, known: Mapping[str, Position]
) -> Placed:
    """Where photos without a position of their own were taken, by the tracks.

    `photos` are the files by name, `known` the positions that a table or a name gives. A
    photo's time is UTC by its GPS, by the offset that its camera states, or by `tracking.zone`.
    Without `tracking.offset`, the error of a camera's clock is that of its photos with a GPS time,
    or the one that puts its photos with a position onto the track; that tells the zone as well.
    Raises PositionError for a track that cannot be read, MissingExtraError for FIT without reader.
    """
    files = [read_track(path) for path in tracking.paths]
    placing = _Placing([track for file in files for track in file.tracks], tracking)
    shots: list[_Shot] = []
    for name, exposure in _exposures(photos):
        shot = _shot(name, exposure, tracking.zone, known.get(name))
        if shot is not None:
            shots.append(shot)
        if exposure.metadata.position is None and name not in known:
            placing.alone(name, exposure, shot)
    for group in _groups(shots):
        placing.together(group)
    notes = [f"{shown(file.path)}: {problem}" for file in files for problem in file.problems]
    return Placed(placing.found, placing.refused, (*notes, *placing.notes, *placing.missed()))


def _exposures(photos: Mapping[str, PhotoFile]) -> Iterator[tuple[str, Exposure]]:
    for (name, _), exposure in prefetch(photos.items(), _looked_at, 4 * _READERS, _READERS):
        if exposure is not None:
            yield name, exposure


def _looked_at(item: tuple[str, PhotoFile]) -> Exposure | None:
    try:
        return read_exposure(item[1])
    except PhotoError:
        return None  # whoever describes it says so


def _has_gps_time(exposure: Exposure) -> bool:
    """Whether the photo's time is its receiver's, which no camera's clock can put wrong."""
    return exposure.gps_time is not None and exposure.metadata.time == exposure.gps_time


def _shot(
    name: str, exposure: Exposure, zone: tzinfo | None, known: Position | None
) -> _Shot | None:
    reading = exposure.reading
    if reading is None:
        return None
    position = known or exposure.metadata.position
    zoned = reading.tzinfo is not None or zone is not None
    if reading.tzinfo is None:
        reading = reading.replace(tzinfo=zone or UTC)
    try:
        return _Shot(name, exposure, reading.timestamp(), zoned, position)
    except (OverflowError, ValueError):
        return None


def _groups(shots: Sequence[_Shot]) -> list[_Group]:
    groups: dict[tuple[str, bool], list[_Shot]] = defaultdict(list)
    for shot in shots:
        groups[shot.exposure.camera, shot.zoned].append(shot)
    return [_Group(camera, tuple(members)) for (camera, _), members in groups.items()]


def _estimated(group: _Group, tracks: Sequence[Track], max_gap: float) -> ClockError | str | None:
    stamped = [
        (shot.seconds, shot.exposure.gps_time.timestamp())
        for shot in group.shots
        if shot.exposure.gps_time is not None
    ]
    told = by_stamps([seconds for seconds, _ in stamped], [stamp for _, stamp in stamped])
    if isinstance(told, ClockError):
        return told
    placed = [(shot.seconds, shot.position) for shot in group.shots if shot.position is not None]
    by_way = by_places([t for t, _ in placed], [p for _, p in placed], tracks, max_gap)
    return by_way or told


def _error_in_words(error: ClockError, zoned: bool) -> str:
    by = (
        f"by the GPS times of {error.photos:,} photos"
        if error.metres is None
        else f"by {error.photos:,} photos with a position, which then lie {error.metres:,.0f} m "
        "off the track"
    )
    ahead = error.ahead
    if zoned:
        if abs(ahead) <= _RIGHT:
            return f"its clock is right, {by}"
        return f"its clock is {_ahead(ahead)}, {by}; photos are placed by the corrected time"
    quarter = round(ahead / _QUARTER)
    zone = f"UTC{'-' if quarter < 0 else '+'}{abs(quarter) // 4:02}:{abs(quarter) % 4 * 15:02}"
    rest = ahead - quarter * _QUARTER
    off = "" if abs(rest) <= _RIGHT else f" and is {_ahead(rest)}"
    return f"its clock shows {zone}{off}, {by}; photos are placed by that"


def _ahead(seconds: float) -> str:
    return f"{span_in_words(seconds)} {'ahead' if seconds > 0 else 'behind'}"


def _zones_in_words(group: _Group, tracks: Sequence[Track], tracking: Tracking) -> str:
    """Which time zones would put photos onto the track, for the person who has to name one."""
    wanted = group.wanted
    counts: Counter[int] = Counter()
    offset = tracking.offset or 0.0
    for minutes in sorted({*range(-720, 841, 60), *_ODD}, key=abs):
        counts[minutes] = sum(
            is_reached(tracks, shot.seconds - minutes * 60 + offset, tracking.max_gap)
            for shot in wanted
        )
    choices = [(minutes, n) for minutes, n in counts.most_common(_SHOWN) if n]
    head = (
        f"{group.called}: the time zone of its clock is not known, for its photos do not state it"
    )
    if not choices:
        return (
            f"{head}, and none would put them onto the track; it is of another day, or the clock "
            "is wrong (--timezone and --offset)"
        )
    named = ", ".join(
        f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02} ({n:,})"
        for minutes, n in choices
    )
    return (
        f"{head}; name it with --timezone, as a place such as Europe/Vienna or an offset; of "
        f"{len(wanted):,} photo{'s' * (len(wanted) > 1)} so many would lie on the track: {named}"
    )
